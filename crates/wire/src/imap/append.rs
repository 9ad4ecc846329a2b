//! APPEND and REPLACE (RFC 3501 §6.3.11; RFC 3502, 4469, 6855, 8508). Their messages are not part of what is read here: a line
//! ends where one is announced, and [`tail`] reads the line after it.

use mail::limits;

use super::cursor::{Bad, Cursor, FlagList};

/// APPEND up to the first literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Where to.
    pub mailbox: String,
    /// Messages that begin in this line. All but the last are whole: such are made of URLs alone.
    pub messages: Vec<AppendMessage>,
}

/// What stands before a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendMessage {
    /// Flags.
    pub flags: FlagList,
    /// INTERNALDATE as written.
    pub date: Option<Vec<u8>>,
    /// What the message is made of.
    pub data: Data,
}

/// `append-data`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// A literal, which follows.
    Literal,
    /// The same in `UTF8 (…)` (RFC 6855 §4).
    Utf8,
    /// CATENATE (RFC 4469): these parts, then perhaps more.
    Catenate(Parts),
}

/// Parts of a CATENATE that stand in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// URLs of what is put together.
    pub urls: Vec<Vec<u8>>,
    /// What comes after them.
    pub next: Next,
}

/// What comes after the parts in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A text, as a literal.
    Text,
    /// A URL, as a literal.
    Url,
    /// Nothing: the message is whole.
    End,
}

/// In what a literal stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// By itself.
    Nothing,
    /// In `UTF8 (…)`.
    Utf8,
    /// In `CATENATE (…)`.
    Catenate,
}

/// The line after a literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// More parts of the CATENATE in which the literal stood.
    pub parts: Option<Parts>,
    /// Messages that begin in this line.
    pub messages: Vec<AppendMessage>,
}

/// REPLACE (RFC 8508), up to its first literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replace {
    /// The number is a UID.
    pub uid: bool,
    /// The message that goes; `None` is `*`.
    pub number: Option<u32>,
    /// What comes, and where to.
    pub append: Append,
}

impl AppendMessage {
    const fn is_whole(&self) -> bool {
        matches!(self.data, Data::Catenate(Parts { next: Next::End, .. }))
    }
}

impl Tail {
    /// Whether the line ends with the announcement of a literal.
    pub fn announces(&self) -> bool {
        let parts = self.parts.as_ref().is_some_and(|parts| parts.next != Next::End);
        self.messages.last().map_or(parts, |last| !last.is_whole())
    }
}

impl Cursor<'_> {
    /// `append = "APPEND" SP mailbox 1*append-message`, `append-message = [SP flag-list] [SP date-time] SP append-data`
    pub(super) fn append(&mut self) -> Result<Append, Bad> {
        let mailbox = self.mailbox()?;
        self.sp()?;
        let first = self.append_message()?;
        let is_whole = first.is_whole();
        let mut messages = vec![first];
        if is_whole {
            self.append_messages(&mut messages)?;
        }
        Ok(Append { mailbox, messages })
    }

    /// RFC 8508 §3.4: `replace = "REPLACE" SP seq-number SP mailbox append-message`
    pub(super) fn replace(&mut self, uid: bool) -> Result<Replace, Bad> {
        let number = self.seq_number()?;
        self.sp()?;
        Ok(Replace { uid, number, append: self.append()? })
    }

    /// `*append-message`, up to one that wants a literal, or to the end of the command
    fn append_messages(&mut self, messages: &mut Vec<AppendMessage>) -> Result<(), Bad> {
        while self.peek() == Some(b' ') && !matches!(self.rest().get(1), Some(b'\r' | b'\n') | None) {
            self.sp()?;
            let message = self.append_message()?;
            let is_whole = message.is_whole();
            messages.push(message);
            if !is_whole {
                return Ok(());
            }
            if messages.len() > limits::IMAP_APPEND_MESSAGES {
                return Err(Bad("There are too many messages"));
            }
        }
        self.crlf()
    }

    /// RFC 6855 §4 `append-data =/ "UTF8" SP "(" literal8 ")"`,
    /// RFC 4469 §5 `append-data =/ "CATENATE" SP "(" cat-part *(SP cat-part) ")"`
    fn append_message(&mut self) -> Result<AppendMessage, Bad> {
        let mut message = AppendMessage { flags: FlagList::default(), date: None, data: Data::Literal };
        if self.peek() == Some(b'(') {
            message.flags = self.flag_list()?;
            self.sp()?;
        }
        if self.peek() == Some(b'"') {
            message.date = Some(self.quoted()?.into_owned());
            self.sp()?;
        }
        if self.take_word("CATENATE") {
            self.sp()?;
            self.expect(b'(', "A list is missing")?;
            message.data = Data::Catenate(self.cat_parts()?);
            return Ok(message);
        }
        if self.take_word("UTF8") {
            self.sp()?;
            self.expect(b'(', "A list is missing")?;
            message.data = Data::Utf8;
        }
        self.announced()?;
        Ok(message)
    }

    /// `cat-part = text-literal / url`, `text-literal = "TEXT" SP literal`, `url = "URL" SP astring`
    fn cat_parts(&mut self) -> Result<Parts, Bad> {
        let mut urls = Vec::new();
        loop {
            if self.take_word("TEXT") {
                self.sp()?;
                self.announced()?;
                return Ok(Parts { urls, next: Next::Text });
            }
            if !self.take_word("URL") {
                return Err(Bad("A part is missing: TEXT or URL"));
            }
            self.sp()?;
            if self.peek() == Some(b'{') {
                return Ok(Parts { urls, next: Next::Url });
            }
            urls.push(self.astring()?.into_owned());
            if urls.len() > limits::IMAP_CATENATE_PARTS {
                return Err(Bad("There are too many parts"));
            }
            if self.take(b')') {
                return Ok(Parts { urls, next: Next::End });
            }
            self.sp()?;
        }
    }

    /// The announcement of a literal, with which the line ends
    fn announced(&mut self) -> Result<(), Bad> {
        self.take(b'~');
        if self.peek() == Some(b'{') { Ok(()) } else { Err(Bad("The message is missing: it is a literal")) }
    }
}

/// What follows a literal of an APPEND (RFC 3502 §6.3.11, RFC 4469 §5).
pub fn tail(input: &[u8], open: Open) -> Result<Tail, Bad> {
    let mut cursor = Cursor::new(input);
    let mut tail = Tail { parts: None, messages: Vec::new() };
    match open {
        Open::Nothing => {}
        Open::Utf8 => cursor.expect(b')', "A closing parenthesis is missing")?,
        Open::Catenate if cursor.take(b')') => {}
        Open::Catenate => {
            cursor.sp()?;
            let parts = cursor.cat_parts()?;
            let is_whole = parts.next == Next::End;
            tail.parts = Some(parts);
            if !is_whole {
                return Ok(tail);
            }
        }
    }
    cursor.append_messages(&mut tail.messages)?;
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use super::super::command::{Command, command};
    use super::super::mutf7::Names;
    use super::*;
    use mail::Flags;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Command, Bad> {
        command(format!("a {text}\r\n").as_bytes(), Names::Modified).unwrap().command
    }

    fn messages(text: &str) -> Vec<AppendMessage> {
        match read(text).unwrap() {
            Command::Append(append) => append.messages,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn appends() {
        let offlineimap = messages("APPEND INBOX () \"24-Nov-2026 01:00:00 +0000\" {5}");
        assert_eq!(offlineimap[0].date.as_deref(), Some(&b"24-Nov-2026 01:00:00 +0000"[..]));
        assert_eq!(messages("append \"Sent\" (\\Seen) {5+}")[0].flags.system, Flags::SEEN);
        match read("UID REPLACE 7 Drafts (\\Draft) {5}").unwrap() {
            Command::Replace(replace) => assert_eq!((replace.uid, replace.number), (true, Some(7))),
            other => panic!("{other:?}"),
        }
        assert!(read("REPLACE * Drafts {5}").is_ok());
        for bad in ["REPLACE 1:2 Drafts {5}", "APPEND INBOX", "APPEND INBOX (\\Seen) x", "APPEND INBOX UTF8 {5}"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn catenations() {
        let whole = messages("APPEND Drafts (\\Seen) CATENATE (URL \"/a/;UID=1\" URL /b/;UID=2) CATENATE (TEXT {5+}");
        assert_eq!(whole.len(), 2);
        assert_eq!(
            whole[0].data,
            Data::Catenate(Parts { urls: vec![b"/a/;UID=1".to_vec(), b"/b/;UID=2".to_vec()], next: Next::End })
        );
        assert_eq!(whole[1].data, Data::Catenate(Parts { urls: vec![], next: Next::Text }));
        assert_eq!(
            messages("APPEND x CATENATE (URL a URL {3}")[0].data,
            Data::Catenate(Parts { urls: vec![b"a".to_vec()], next: Next::Url })
        );
        for bad in [
            "CATENATE ()",
            "CATENATE (XYZ a)",
            "CATENATE (URL a",
            "CATENATE (URL a) x",
            "CATENATE (TEXT a)",
            "CATENATE URL a",
        ] {
            assert!(read(&format!("APPEND x {bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn lines_after_a_literal() {
        let more = tail(b" (\\Seen) {3+}\r\n", Open::Nothing).unwrap();
        assert!(more.announces() && more.messages[0].flags.system == Flags::SEEN);
        assert!(!tail(b"\r\n", Open::Nothing).unwrap().announces());
        assert!(tail(b") UTF8 (~{3+}\r\n", Open::Utf8).unwrap().announces());
        let parts = tail(b" URL a TEXT {3}\r\n", Open::Catenate).unwrap();
        assert!(parts.announces() && parts.parts.unwrap().urls.len() == 1);
        let last = tail(b" URL a) {3}\r\n", Open::Catenate).unwrap();
        assert!(last.announces() && last.messages.len() == 1);
        assert!(!tail(b")\r\n", Open::Catenate).unwrap().announces());
        for (bad, open) in [
            (&b" {3+}\r\n"[..], Open::Utf8),
            (b"\r\n", Open::Utf8),
            (b")\r\n", Open::Nothing),
            (b"\r\n", Open::Catenate),
            (b" x\r\n", Open::Nothing),
            (b" URL a\r\n", Open::Catenate),
        ] {
            assert!(tail(bad, open).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn never_panics(words in proptest::collection::vec(proptest::sample::select(vec![
            " ", "(", ")", "CATENATE", "URL", "TEXT", "UTF8", "{3+}", "~{1}", "a", "\"b\"", "(\\Seen)", "\r\n",
        ]), 0..16)) {
            let text = words.concat();
            for open in [Open::Nothing, Open::Utf8, Open::Catenate] {
                let _ = tail(text.as_bytes(), open);
            }
            let _ = command(format!("a APPEND x {text}").as_bytes(), Names::Modified);
        }
    }
}
