//! SEARCH (RFC 3501 §6.4.4, RFC 4731, RFC 5032, RFC 7162 §3.1.5).

use mail::{Flags, Keyword, limits};

use super::cursor::{Bad, Cursor};
use super::fetch::Item;
use super::sequence::{MessageSet, Partial, SequenceSet};

/// SEARCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// Answers are UIDs.
    pub uid: bool,
    /// RETURN (…): what is told (RFC 4731); `None`: a plain SEARCH answer.
    pub wanted: Option<Return>,
    /// The character set of strings, where one was named.
    pub charset: Option<Vec<u8>>,
    /// What must be so.
    pub key: Key,
}

/// RETURN's options. None given is ALL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Return {
    /// MIN
    pub min: bool,
    /// MAX
    pub max: bool,
    /// ALL
    pub all: bool,
    /// COUNT
    pub count: bool,
    /// SAVE: the result is kept for `$` (RFC 5182)
    pub save: bool,
    /// PARTIAL: these of the result (RFC 9394)
    pub partial: Option<Partial>,
    /// RELEVANCY: how well each matches (RFC 6203)
    pub relevancy: bool,
    /// UPDATE: what changes in the result is told later on (RFC 5267 §4.3)
    pub update: bool,
    /// UPDATE (…): what of new messages that come to it (RFC 5465 §7)
    pub items: Vec<Item>,
    /// CONTEXT: the same will be asked again (RFC 5267 §4.2)
    pub context: bool,
}

impl Return {
    /// ALL, which is what none given is.
    pub fn everything() -> Self {
        Self { all: true, ..Self::default() }
    }
}

/// Which date of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateOf {
    /// INTERNALDATE.
    Internal,
    /// The Date field.
    Sent,
    /// SAVEDATE (RFC 8514).
    Saved,
}

/// How a date compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Earlier than the day.
    Before,
    /// On the day.
    On,
    /// On the day or later.
    Since,
}

/// `search-key`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// ALL
    All,
    /// FUZZY: nearly so (RFC 6203).
    Fuzzy(Box<Key>),
    /// Several, all of them.
    And(Vec<Key>),
    /// OR
    Or(Box<Key>, Box<Key>),
    /// NOT
    Not(Box<Key>),
    /// A system flag is set.
    Flag(Flags),
    /// KEYWORD
    Keyword(Keyword),
    /// RECENT
    Recent,
    /// A header field, anywhere in the header, has the string; an empty string: there is such a field.
    Header(Vec<u8>, Vec<u8>),
    /// BODY
    Body(Vec<u8>),
    /// TEXT
    Text(Vec<u8>),
    /// A date; the day as written.
    Date(DateOf, When, Vec<u8>),
    /// OLDER (RFC 5032), seconds
    Older(u32),
    /// LARGER
    Larger(u32),
    /// SMALLER
    Smaller(u32),
    /// UID
    Uid(SequenceSet),
    /// Message numbers
    Sequence(SequenceSet),
    /// `$`: what an earlier SEARCH saved (RFC 5182)
    Saved,
    /// MODSEQ: this or later (RFC 7162)
    ModSeq(u64),
    /// EMAILID (RFC 8474)
    EmailId(Vec<u8>),
    /// THREADID (RFC 8474)
    ThreadId(Vec<u8>),
}

/// What a SEARCH may still have.
struct Budget {
    keys: usize,
    strings: usize,
}

impl Budget {
    /// A key that is looked for in messages.
    fn string(&mut self) -> Result<(), Bad> {
        self.strings = self.strings.checked_sub(1).ok_or(Bad("The SEARCH looks for too many strings"))?;
        Ok(())
    }
}

fn not(key: Key) -> Key {
    Key::Not(Box::new(key))
}

impl Cursor<'_> {
    /// `search = "SEARCH" [SP search-return-opts] [SP "CHARSET" SP astring] 1*(SP search-key)`
    pub(super) fn search(&mut self, uid: bool) -> Result<Search, Bad> {
        let wanted = self.return_options()?;
        let charset = self.charset()?;
        Ok(Search { uid, wanted, charset, key: self.search_program()? })
    }

    /// `["CHARSET" SP charset SP]`
    pub(super) fn charset(&mut self) -> Result<Option<Vec<u8>>, Bad> {
        if !self.take_word("CHARSET") {
            return Ok(None);
        }
        self.sp()?;
        let charset = self.astring()?.into_owned();
        self.sp()?;
        Ok(Some(charset))
    }

    /// `[search-return-opts SP]`
    pub(super) fn return_options(&mut self) -> Result<Option<Return>, Bad> {
        if !self.take_word("RETURN") {
            return Ok(None);
        }
        self.sp()?;
        let wanted = self.search_return()?;
        self.sp()?;
        Ok(Some(wanted))
    }

    /// `search-key *(SP search-key)`, all that is asked
    pub(super) fn search_program(&mut self) -> Result<Key, Bad> {
        self.search_keys(&mut Budget { keys: limits::IMAP_ITEMS, strings: limits::IMAP_SEARCH_STRINGS })
    }

    /// RFC 4731 §4: `"(" [search-return-opt *(SP search-return-opt)] ")"`
    fn search_return(&mut self) -> Result<Return, Bad> {
        let mut wanted = Return::default();
        self.list(|cursor| {
            match cursor.atom()?.to_ascii_uppercase().as_str() {
                "MIN" => wanted.min = true,
                "MAX" => wanted.max = true,
                "ALL" => wanted.all = true,
                "COUNT" => wanted.count = true,
                "SAVE" => wanted.save = true,
                "RELEVANCY" => wanted.relevancy = true,
                // RFC 5465 §8: `modifier-update = "UPDATE" [SP "(" fetch-att *(SP fetch-att) ")"]`
                "UPDATE" => {
                    wanted.update = true;
                    if matches!(cursor.rest(), [b' ', b'(', ..]) {
                        cursor.sp()?;
                        wanted.items = cursor.fetch_atts()?;
                    }
                }
                "CONTEXT" => wanted.context = true,
                "PARTIAL" if wanted.partial.is_none() => {
                    cursor.sp()?;
                    wanted.partial = Some(cursor.partial_range()?);
                }
                _ => return Err(Bad("There is no such SEARCH return option")),
            }
            Ok(())
        })?;
        // RFC 5267 §4.4: one PARTIAL, and not with ALL.
        if wanted.partial.is_some() && wanted.all {
            return Err(Bad("PARTIAL and ALL exclude each other"));
        }
        // RFC 4731 §3.1: an empty list is ALL.
        if wanted == Return::default() {
            wanted.all = true;
        }
        Ok(wanted)
    }

    /// `search-key *(SP search-key)`: all must match
    fn search_keys(&mut self, budget: &mut Budget) -> Result<Key, Bad> {
        let first = self.search_key(budget)?;
        let mut keys = vec![first];
        while self.peek() == Some(b' ') && !matches!(self.rest().get(1), Some(b'\r' | b'\n') | None) {
            self.take(b' ');
            keys.push(self.search_key(budget)?);
        }
        Ok(if keys.len() == 1 { keys.remove(0) } else { Key::And(keys) })
    }

    /// `search-key = "ALL" / "ANSWERED" / … / sequence-set / "(" search-key *(SP search-key) ")"`
    fn search_key(&mut self, budget: &mut Budget) -> Result<Key, Bad> {
        budget.keys = budget.keys.checked_sub(1).ok_or(Bad("The SEARCH has too many keys"))?;
        match self.peek() {
            Some(b'(') => {
                self.take(b'(');
                self.deeper()?;
                let key = self.search_keys(budget)?;
                self.expect(b')', "A closing parenthesis is missing")?;
                self.shallower();
                return Ok(key);
            }
            Some(b'*' | b'0'..=b'9') => return self.sequence_set().map(Key::Sequence),
            Some(b'$') => {
                self.take(b'$');
                return Ok(Key::Saved);
            }
            _ => {}
        }
        let word = self.atom()?.to_ascii_uppercase();
        if let Some(key) = flag_key(&word) {
            return Ok(key);
        }
        if let Some((date, when)) = date_key(&word) {
            self.sp()?;
            return Ok(Key::Date(date, when, self.date()?));
        }
        const KNOWN: [&str; 22] = [
            "NOT",
            "FUZZY",
            "OR",
            "KEYWORD",
            "UNKEYWORD",
            "BCC",
            "CC",
            "FROM",
            "SUBJECT",
            "TO",
            "HEADER",
            "BODY",
            "TEXT",
            "LARGER",
            "SMALLER",
            "UID",
            "OLDER",
            "YOUNGER",
            "MODSEQ",
            "EMAILID",
            "THREADID",
            "SAVEDATESUPPORTED",
        ];
        match word.as_str() {
            // RFC 8514 §4.2: every mailbox here has save dates.
            "SAVEDATESUPPORTED" => return Ok(Key::All),
            word if !KNOWN.contains(&word) => return Err(Bad("There is no such SEARCH key")),
            _ => self.sp()?,
        }
        self.key_with_argument(&word, budget)
    }

    fn key_with_argument(&mut self, word: &str, budget: &mut Budget) -> Result<Key, Bad> {
        Ok(match word {
            "NOT" => {
                self.deeper()?;
                let key = self.search_key(budget)?;
                self.shallower();
                not(key)
            }
            // RFC 6203 §5: `search-key =/ "FUZZY" SP search-key`
            "FUZZY" => {
                self.deeper()?;
                let key = self.search_key(budget)?;
                self.shallower();
                Key::Fuzzy(Box::new(key))
            }
            "OR" => {
                self.deeper()?;
                let one = self.search_key(budget)?;
                self.sp()?;
                let other = self.search_key(budget)?;
                self.shallower();
                Key::Or(Box::new(one), Box::new(other))
            }
            "KEYWORD" => self.keyword_key()?,
            "UNKEYWORD" => not(self.keyword_key()?),
            "HEADER" => {
                budget.string()?;
                let name = self.astring()?.into_owned();
                self.sp()?;
                Key::Header(name, self.astring()?.into_owned())
            }
            "BODY" => {
                budget.string()?;
                Key::Body(self.astring()?.into_owned())
            }
            "TEXT" => {
                budget.string()?;
                Key::Text(self.astring()?.into_owned())
            }
            "LARGER" => Key::Larger(self.number()?),
            "SMALLER" => Key::Smaller(self.number()?),
            "UID" => match self.message_set()? {
                MessageSet::Numbers(set) => Key::Uid(set),
                MessageSet::Saved => Key::Saved,
            },
            "OLDER" => Key::Older(self.nz_number()?),
            "YOUNGER" => not(Key::Older(self.nz_number()?)),
            "MODSEQ" => self.modseq_key()?,
            "EMAILID" => Key::EmailId(self.astring()?.into_owned()),
            "THREADID" => Key::ThreadId(self.astring()?.into_owned()),
            // BCC, CC, FROM, SUBJECT, TO: RFC 3501 §6.4.4 has the envelope's field, which is the header's.
            name => {
                budget.string()?;
                Key::Header(name.as_bytes().to_vec(), self.astring()?.into_owned())
            }
        })
    }

    /// `"KEYWORD" SP flag-keyword`
    fn keyword_key(&mut self) -> Result<Key, Bad> {
        Keyword::new(self.atom()?).map(Key::Keyword).ok_or(Bad("The keyword is too long"))
    }

    /// RFC 7162 §3.1.5: `"MODSEQ" [search-modseq-ext] SP mod-sequence-valzer`. Which flag changed is not kept, so the
    /// extension changes nothing, as the RFC allows.
    fn modseq_key(&mut self) -> Result<Key, Bad> {
        if self.peek() == Some(b'"') {
            self.quoted()?;
            self.sp()?;
            self.word_of(|b| b.is_ascii_alphabetic(), "The MODSEQ key is broken")?;
            self.sp()?;
        }
        self.number64().map(Key::ModSeq)
    }

    /// `date = date-text / DQUOTE date-text DQUOTE`
    fn date(&mut self) -> Result<Vec<u8>, Bad> {
        let quoted = self.take(b'"');
        let text = self.run(|b| b.is_ascii_alphanumeric() || b == b'-').to_vec();
        if quoted {
            self.expect(b'"', "The date is broken")?;
        }
        if text.is_empty() { Err(Bad("A date is missing")) } else { Ok(text) }
    }
}

fn flag_key(word: &str) -> Option<Key> {
    Some(match word {
        "ALL" => Key::All,
        "ANSWERED" => Key::Flag(Flags::ANSWERED),
        "DELETED" => Key::Flag(Flags::DELETED),
        "FLAGGED" => Key::Flag(Flags::FLAGGED),
        "SEEN" => Key::Flag(Flags::SEEN),
        "DRAFT" => Key::Flag(Flags::DRAFT),
        "UNANSWERED" => not(Key::Flag(Flags::ANSWERED)),
        "UNDELETED" => not(Key::Flag(Flags::DELETED)),
        "UNFLAGGED" => not(Key::Flag(Flags::FLAGGED)),
        "UNSEEN" => not(Key::Flag(Flags::SEEN)),
        "UNDRAFT" => not(Key::Flag(Flags::DRAFT)),
        "RECENT" => Key::Recent,
        // RFC 3501 §6.4.4: NEW is (RECENT UNSEEN), OLD is NOT RECENT.
        "NEW" => Key::And(vec![Key::Recent, not(Key::Flag(Flags::SEEN))]),
        "OLD" => not(Key::Recent),
        _ => return None,
    })
}

fn date_key(word: &str) -> Option<(DateOf, When)> {
    let (of, when) = match word.strip_prefix("SENT") {
        Some(when) => (DateOf::Sent, when),
        None => match word.strip_prefix("SAVED") {
            Some(when) => (DateOf::Saved, when),
            None => (DateOf::Internal, word),
        },
    };
    let when = match when {
        "BEFORE" => When::Before,
        "ON" => When::On,
        "SINCE" => When::Since,
        _ => return None,
    };
    Some((of, when))
}

#[cfg(test)]
mod tests {
    use super::super::command::{Command, command};
    use super::super::mutf7::Names;
    use super::*;

    fn search(text: &str) -> Result<Search, Bad> {
        match command(format!("a {text}\r\n").as_bytes(), Names::Modified).unwrap().command? {
            Command::Search(search) => Ok(search),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys() {
        let key = |text: &str| search(&format!("SEARCH {text}")).unwrap().key;
        assert_eq!(key("ALL"), Key::All);
        assert_eq!(key("1:3,5").clone(), Key::Sequence(SequenceSet(vec![(Some(1), Some(3)), (Some(5), Some(5))])));
        assert_eq!(
            key("UNSEEN NOT DELETED"),
            Key::And(vec![not(Key::Flag(Flags::SEEN)), not(Key::Flag(Flags::DELETED))])
        );
        assert_eq!(
            key("OR (SEEN) DRAFT"),
            Key::Or(Box::new(Key::Flag(Flags::SEEN)), Box::new(Key::Flag(Flags::DRAFT)))
        );
        assert_eq!(key("FROM {2+}\r\nab"), Key::Header(b"FROM".to_vec(), b"ab".to_vec()));
        assert_eq!(key("SENTSINCE \"1-Feb-2020\""), Key::Date(DateOf::Sent, When::Since, b"1-Feb-2020".to_vec()));
        assert_eq!(key("MODSEQ \"/flags/\\\\draft\" all 620"), Key::ModSeq(620));
        let roundcube = search("UID SEARCH RETURN (ALL) HEADER SUBJECT x").unwrap();
        assert_eq!(roundcube.wanted, Some(Return { all: true, ..Return::default() }));
        let part = search("UID SEARCH RETURN (PARTIAL 1:5 SAVE) UID $").unwrap();
        assert!(part.key == Key::Saved && part.wanted.is_some_and(|wanted| wanted.save && wanted.partial.is_some()));
        for bad in ["RETURN (ALL PARTIAL 1:2) ALL", "RETURN (PARTIAL 1:2 PARTIAL 3:4) ALL", "RETURN (XYZ) ALL"] {
            assert!(search(&format!("SEARCH {bad}")).is_err(), "{bad}");
        }
        assert_eq!(search("SEARCH CHARSET utf-8 TEXT x").unwrap().charset, Some(b"utf-8".to_vec()));
        for bad in
            ["SEARCH", "SEARCH ", "SEARCH X", "SEARCH (ALL", "SEARCH NOT", "SEARCH OR ALL", "SEARCH FROM", "SEARCH ON"]
        {
            assert!(search(bad).is_err(), "{bad}");
        }
        assert!(search(&format!("SEARCH {}ALL", "NOT ".repeat(100))).is_err());
        assert!(search(&format!("SEARCH {}ALL{}", "(".repeat(100), ")".repeat(100))).is_err());
        assert!(search(&format!("SEARCH ALL{}", " ALL".repeat(12_000))).is_err());
    }
}
