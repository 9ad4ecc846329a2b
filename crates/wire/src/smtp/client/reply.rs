//! Reads what an SMTP server says (RFC 5321 §4.2).
//!
//! Bytes go in at [`ReplyReader::push`] in pieces of any size; whole replies come out of
//! [`ReplyReader::next`]. Bounded by `SMTP_REPLY_LINE_LEN` and `SMTP_REPLY_LINES`.

use mail::{EnhancedCode, Reply, ReplyCode, limits};

/// Why the bytes are no reply; the connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAReply(pub &'static str);

/// Collects the lines of one reply after the other.
#[derive(Debug, Default)]
pub struct ReplyReader {
    /// Bytes that were pushed and not yet read as lines.
    buffer: Vec<u8>,
    /// How much of `buffer` is read.
    read: usize,
    /// The lines so far of a reply that goes on.
    open: Option<Open>,
}

/// A reply of several lines that is not yet whole.
#[derive(Debug)]
struct Open {
    code: ReplyCode,
    lines: Vec<String>,
}

impl ReplyReader {
    /// Adds bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.read);
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Forgets all that is buffered: what a server said in plain counts for nothing after STARTTLS
    /// (RFC 3207 §4.2, and the injection that comes of ignoring it).
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// The next whole reply, if one is there. `plain` says that no enhanced code is to be looked for
    /// (greeting, EHLO: RFC 2034 §4).
    pub fn next(&mut self, plain: bool) -> Result<Option<Reply>, NotAReply> {
        while let Some((end, next)) = self.line_end()? {
            let line = &self.buffer[self.read..end];
            let (code, last, text) = reply_line(line)?;
            self.read = next;
            let mut open = self.open.take().unwrap_or(Open { code, lines: Vec::new() });
            if open.code != code {
                // RFC 5321 §4.2.1: the code is the same on every line.
                return Err(NotAReply("the lines of the reply have different codes"));
            }
            if open.lines.len() >= limits::SMTP_REPLY_LINES {
                return Err(NotAReply("the reply has too many lines"));
            }
            open.lines.push(text);
            if last {
                return Ok(Some(whole(open, plain)));
            }
            self.open = Some(open);
        }
        Ok(None)
    }

    /// Where the next line ends and where the one after begins.
    fn line_end(&self) -> Result<Option<(usize, usize)>, NotAReply> {
        let rest = &self.buffer[self.read..];
        match memchr::memchr(b'\n', rest) {
            Some(at) if at <= limits::SMTP_REPLY_LINE_LEN => {
                // Quirk `BareLfInReplies`: some servers and middle boxes end replies with LF alone. Reading
                // them costs nothing, since a reply decides no message's end.
                let end = if at > 0 && rest[at - 1] == b'\r' { at - 1 } else { at };
                Ok(Some((self.read + end, self.read + at + 1)))
            }
            None if rest.len() <= limits::SMTP_REPLY_LINE_LEN => Ok(None),
            _ => Err(NotAReply("a line of the reply is too long")),
        }
    }
}

/// `Reply-line`: code, then `-` (more follows) or space or nothing (the last), then text (RFC 5321 §4.2).
fn reply_line(line: &[u8]) -> Result<(ReplyCode, bool, String), NotAReply> {
    let digits = line.get(..3).filter(|d| d.iter().all(u8::is_ascii_digit));
    let code = digits.map(|d| d.iter().fold(0u16, |sum, digit| sum * 10 + u16::from(digit - b'0')));
    let code = code.and_then(ReplyCode::new).ok_or(NotAReply("the line does not begin with a reply code"))?;
    let last = match line.get(3) {
        // RFC 5321 §4.2.1: clients should take a code without a space or text.
        None | Some(b' ') => true,
        Some(b'-') => false,
        Some(_) => return Err(NotAReply("the reply code is followed by neither space nor hyphen")),
    };
    let text = String::from_utf8_lossy(line.get(4..).unwrap_or_default());
    // The words go into logs, journeys and reports: nothing in them may look like a line of ours.
    Ok((code, last, text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()))
}

fn whole(open: Open, plain: bool) -> Reply {
    let first = open.lines.first().map(String::as_str).unwrap_or_default();
    let enhanced = if plain { None } else { enhanced_code(first, open.code) };
    let lines = open.lines.iter().map(|line| match enhanced_code(line, open.code).filter(|_| enhanced.is_some()) {
        Some(_) => line.split_once(' ').map_or("", |(_, text)| text).trim_start(),
        None => line.as_str(),
    });
    Reply { code: open.code, enhanced, text: lines.collect::<Vec<_>>().join("\n") }
}

/// `status-code` at the start of a text (RFC 2034 §4, RFC 3463 §2); its class must be that of the reply.
fn enhanced_code(text: &str, code: ReplyCode) -> Option<EnhancedCode> {
    let word = text.split(' ').next()?;
    let mut parts = word.split('.');
    let mut number = |most: usize| {
        let part = parts.next()?;
        (!part.is_empty() && part.len() <= most && part.bytes().all(|b| b.is_ascii_digit()))
            .then(|| part.parse::<u16>().ok())?
    };
    let (class, subject, detail) = (number(1)?, number(3)?, number(3)?);
    if parts.next().is_some() || class != code.get() / 100 || !matches!(class, 2 | 4 | 5) {
        return None;
    }
    Some(EnhancedCode::new(u8::try_from(class).ok()?, subject, detail))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<Reply>, NotAReply> {
        let mut reader = ReplyReader::default();
        reader.push(bytes);
        reader.next(false)
    }

    #[test]
    fn replies_as_servers_write_them() {
        let reply = read(b"550-5.1.1 No such\r\n550 5.1.1 user here\r\n").unwrap().unwrap();
        assert_eq!(reply.enhanced, Some(EnhancedCode::new(5, 1, 1)));
        assert_eq!(reply.text, "No such\nuser here");
        assert_eq!(read(b"250\r\n").unwrap().unwrap().text, "");
        assert_eq!(read(b"250 2.0.0\r\n").unwrap().unwrap().text, "");
        assert_eq!(read(b"250 5.1.1 other class\r\n").unwrap().unwrap().enhanced, None);
        assert_eq!(read(b"250-half\r\n").unwrap(), None);
        assert_eq!(read(b"250 a\x00b\x1b\r\n").unwrap().unwrap().text, "a b ");
        for bad in ["hello\r\n", "25 x\r\n", "999 x\r\n", "250x\r\n", "250-a\r\n251 b\r\n", "\r\n"] {
            assert!(read(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(read(&vec![b'2'; limits::SMTP_REPLY_LINE_LEN + 1]).is_err());
        assert!(read("250-x\r\n".repeat(limits::SMTP_REPLY_LINES + 1).as_bytes()).is_err());
    }

    proptest! {
        /// What is written is read, however it is cut.
        #[test]
        fn any_split_reads_the_same(
            code in 200u16..560,
            lines in prop::collection::vec("[ -~]{0,40}", 1..5),
            cut in 0usize..200,
        ) {
            prop_assume!((code / 10) % 10 <= 5);
            let mut bytes = String::new();
            for (n, line) in lines.iter().enumerate() {
                let mark = if n + 1 == lines.len() { ' ' } else { '-' };
                bytes += &format!("{code}{mark}{line}\r\n");
            }
            let (a, b) = bytes.as_bytes().split_at(cut.min(bytes.len()));
            let mut reader = ReplyReader::default();
            reader.push(a);
            let early = reader.next(true).unwrap();
            reader.push(b);
            let reply = early.or(reader.next(true).unwrap()).unwrap();
            prop_assert_eq!(reply.code.get(), code);
            prop_assert_eq!(reply.text, lines.join("\n"));
        }

        #[test]
        fn nothing_panics(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8)) {
            let mut reader = ReplyReader::default();
            for piece in pieces {
                reader.push(&piece);
                while let Ok(Some(_)) = reader.next(false) {}
            }
        }
    }
}
