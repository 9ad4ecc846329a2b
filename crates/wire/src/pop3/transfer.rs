//! A message on its way to the client (RETR, TOP), piece by piece.

use std::ops::Range;

use mail::Uid;
use memchr::memchr;

use super::maildrop::Message;
use crate::dot::Stuffing;

/// One RETR or TOP.
#[derive(Debug)]
pub(super) struct Transfer {
    uid: Uid,
    size: u64,
    /// Octets of the message taken so far.
    at: u64,
    begun: bool,
    top: Option<Top>,
    stuffing: Stuffing,
}

/// What comes after a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This range is wanted.
    Read(Range<u64>),
    /// The reply is complete.
    Done,
    /// The message is shorter than it should be.
    Short,
}

impl Transfer {
    pub(super) fn new(message: Message, lines: Option<u32>) -> Self {
        Self {
            uid: message.uid,
            size: message.size.into(),
            at: 0,
            begun: false,
            top: lines.map(Top::new),
            stuffing: Stuffing::default(),
        }
    }

    pub(super) const fn uid(&self) -> Uid {
        self.uid
    }

    pub(super) const fn has_begun(&self) -> bool {
        self.begun
    }

    /// Takes the next octets of the message, appends what of them is sent.
    pub(super) fn piece(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Next {
        if piece.is_empty() && self.at < self.size {
            return Next::Short;
        }
        if !self.begun {
            self.begun = true;
            match self.top {
                None => out.extend_from_slice(format!("+OK {} octets\r\n", self.size).as_bytes()),
                Some(_) => out.extend_from_slice(b"+OK The top follows\r\n"),
            }
        }
        let (len, cut) = self.top.as_mut().map_or((piece.len(), false), |top| top.take(piece));
        self.stuffing.push(&piece[..len], out);
        self.at += piece.len() as u64;
        if cut || self.at >= self.size {
            self.stuffing.end(out);
            return Next::Done;
        }
        Next::Read(self.at..self.size)
    }
}

/// Where TOP ends (RFC 1939 §7): the header, the empty line, `left` lines of the body.
#[derive(Debug)]
struct Top {
    in_header: bool,
    left: u32,
    /// Octets of the current line so far, up to 2, and whether the first is CR.
    line: u8,
    first_is_cr: bool,
}

impl Top {
    const fn new(left: u32) -> Self {
        Self { in_header: true, left, line: 0, first_is_cr: false }
    }

    /// How much of the piece belongs to the top, and whether the top ends there.
    fn take(&mut self, piece: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while at < piece.len() {
            let Some(end) = memchr(b'\n', &piece[at..]) else {
                self.note(&piece[at..]);
                return (piece.len(), false);
            };
            self.note(&piece[at..at + end]);
            at += end + 1;
            let empty = self.line == 0 || (self.line == 1 && self.first_is_cr);
            self.line = 0;
            if !self.in_header {
                self.left -= 1;
            } else if empty {
                self.in_header = false;
            }
            if !self.in_header && self.left == 0 {
                return (at, true);
            }
        }
        (at, false)
    }

    const fn note(&mut self, bytes: &[u8]) {
        if let ([first, ..], 0) = (bytes, self.line) {
            self.first_is_cr = *first == b'\r';
        }
        self.line = if bytes.len() > 2 { 2 } else { self.line.saturating_add(bytes.len() as u8) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn send(message: &[u8], lines: Option<u32>, pieces: usize) -> Vec<u8> {
        let uid = Uid::FIRST;
        let message_row = Message { number: 1, uid, size: message.len() as u32 };
        let (mut transfer, mut out) = (Transfer::new(message_row, lines), Vec::new());
        let mut next = Next::Read(0..message.len() as u64);
        while let Next::Read(range) = next {
            let end = (range.start as usize + pieces).min(message.len());
            next = transfer.piece(&message[range.start as usize..end], &mut out);
        }
        assert_eq!(next, Next::Done);
        let reply_end = memchr(b'\n', &out).unwrap() + 1;
        out.split_off(reply_end)
    }

    #[test]
    fn dots_and_ends() {
        assert_eq!(send(b".a\r\n..b\r\n.\r\n", None, 99), b"..a\r\n...b\r\n..\r\n.\r\n");
        assert_eq!(send(b"a", None, 99), b"a\r\n.\r\n");
        assert_eq!(send(b"", None, 99), b".\r\n");
        assert_eq!(send(b"a\n.\n", None, 99), b"a\n..\n\r\n.\r\n");
    }

    #[test]
    fn top() {
        let message = b"A: b\r\nC: d\r\n\r\none\r\n.two\r\n\r\nfour\r\n";
        assert_eq!(send(message, Some(0), 99), b"A: b\r\nC: d\r\n\r\n.\r\n");
        assert_eq!(send(message, Some(2), 99), b"A: b\r\nC: d\r\n\r\none\r\n..two\r\n.\r\n");
        assert_eq!(send(message, Some(99), 99), send(message, None, 99));
        assert_eq!(send(b"A: b\r\n", Some(3), 99), b"A: b\r\n.\r\n");
        assert_eq!(send(b"\r\nbody\r\n", Some(0), 99), b"\r\n.\r\n");
    }

    #[test]
    fn a_message_that_is_too_short_is_no_whole_reply() {
        let mut transfer = Transfer::new(Message { number: 1, uid: Uid::FIRST, size: 10 }, None);
        let mut out = Vec::new();
        assert_eq!(transfer.piece(b"12345", &mut out), Next::Read(5..10));
        assert_eq!(transfer.piece(b"", &mut out), Next::Short);
        assert!(!out.ends_with(b".\r\n"));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(message in "(a|\\.|\r|\n|\r\n|\r\n\\.|\r\n\r\n){0,40}", piece in 1usize..20, lines in proptest::option::of(0u32..5)) {
            prop_assert_eq!(send(message.as_bytes(), lines, piece), send(message.as_bytes(), lines, 999));
        }

        /// What a client that reads lines undoes gives the message again.
        #[test]
        fn undoing_it_gives_the_message(lines in proptest::collection::vec("(a|\\.){0,5}", 0..12)) {
            let message: String = lines.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect();
            let sent = String::from_utf8(send(message.as_bytes(), None, 7)).unwrap();
            let mut received = String::new();
            for line in sent.split_inclusive("\r\n") {
                if line == ".\r\n" {
                    break;
                }
                received.push_str(line.strip_prefix('.').unwrap_or(line));
            }
            prop_assert_eq!(received, message);
        }
    }
}
