//! ESEARCH: a SEARCH of several mailboxes (RFC 7377).

use super::cursor::{Bad, Cursor};
use super::search::{Key, Return};

/// ESEARCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiSearch {
    /// Where; none: the selected mailbox.
    pub sources: Vec<Source>,
    /// What is told.
    pub wanted: Return,
    /// The character set of strings, where one was named.
    pub charset: Option<Vec<u8>>,
    /// What must be so.
    pub key: Key,
}

/// `filter-mailboxes` (RFC 5465 §6)
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// selected (and selected-delayed)
    Selected,
    /// inboxes: where mail is delivered.
    Inboxes,
    /// personal: all of one's own.
    Personal,
    /// subscribed
    Subscribed,
    /// subtree: these and all below.
    Subtree(Vec<String>),
    /// subtree-one: these and what is directly below.
    SubtreeOne(Vec<String>),
    /// mailboxes: these.
    Mailboxes(Vec<String>),
}

impl Cursor<'_> {
    /// RFC 7377 §3: `esearch = "ESEARCH" [SP esearch-source-opts] [SP search-return-opts] SP search-program`,
    /// `search-program = ["CHARSET" SP charset SP] search-key *(SP search-key)`
    pub(super) fn multisearch(&mut self) -> Result<MultiSearch, Bad> {
        let mut sources = Vec::new();
        if self.take_word("IN") {
            self.sp()?;
            sources = self.sources()?;
            self.sp()?;
        }
        let wanted = self.return_options()?.unwrap_or_else(Return::everything);
        let charset = self.charset()?;
        Ok(MultiSearch { sources, wanted, charset, key: self.search_program()? })
    }

    /// `esearch-source-opts = "IN" SP "(" source-mbox [SP "(" scope-options ")"] ")"`,
    /// `source-mbox = filter-mailboxes *(SP filter-mailboxes)`
    fn sources(&mut self) -> Result<Vec<Source>, Bad> {
        let sources = self.list(|cursor| {
            // No scope options are defined, and those that are not known are passed over (RFC 7377 §2.2).
            if cursor.peek() == Some(b'(') {
                cursor.list(|cursor| cursor.atom().map(|_| ()))?;
                return Ok(None);
            }
            cursor.filter_mailboxes().map(Some)
        })?;
        let sources: Vec<Source> = sources.into_iter().flatten().collect();
        if sources.is_empty() { Err(Bad("A mailbox to search is missing")) } else { Ok(sources) }
    }

    /// RFC 5465 §8: `filter-mailboxes-other = "inboxes" / "personal" / "subscribed" / ("subtree" SP one-or-more-mailbox) /
    /// ("mailboxes" SP one-or-more-mailbox)`, RFC 7377 adds `subtree-one`
    pub(super) fn filter_mailboxes(&mut self) -> Result<Source, Bad> {
        let word = self.atom()?.to_ascii_lowercase();
        Ok(match word.as_str() {
            "selected" | "selected-delayed" => Source::Selected,
            "inboxes" => Source::Inboxes,
            "personal" => Source::Personal,
            "subscribed" => Source::Subscribed,
            "subtree" => Source::Subtree(self.one_or_more_mailbox()?),
            "subtree-one" => Source::SubtreeOne(self.one_or_more_mailbox()?),
            "mailboxes" => Source::Mailboxes(self.one_or_more_mailbox()?),
            _ => return Err(Bad("There are no such mailboxes to name")),
        })
    }

    /// `one-or-more-mailbox = mailbox / "(" mailbox *(SP mailbox) ")"`
    fn one_or_more_mailbox(&mut self) -> Result<Vec<String>, Bad> {
        self.sp()?;
        if self.peek() == Some(b'(') { self.list(Self::mailbox) } else { self.mailbox().map(|name| vec![name]) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::{Command, command};
    use super::super::mutf7::Names;
    use super::*;

    fn read(text: &str) -> Result<MultiSearch, Bad> {
        match command(format!("a {text}\r\n").as_bytes(), Names::Modified).unwrap().command? {
            Command::MultiSearch(search) => Ok(search),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn searches_of_several_mailboxes() {
        let search = read(
            "ESEARCH IN (mailboxes \"folder1\" subtree (a &AOQ-) inboxes (x)) RETURN (COUNT) CHARSET UTF-8 unseen",
        );
        let search = search.unwrap();
        assert_eq!(
            search.sources,
            [Source::Mailboxes(vec!["folder1".into()]), Source::Subtree(vec!["a".into(), "ä".into()]), Source::Inboxes]
        );
        assert!(search.wanted.count && !search.wanted.all && search.charset.is_some());
        assert!(read("ESEARCH ALL").unwrap().sources.is_empty());
        for bad in [
            "ESEARCH",
            "ESEARCH IN () ALL",
            "ESEARCH IN (xyz) ALL",
            "ESEARCH IN (mailboxes) ALL",
            "ESEARCH IN (personal)",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
