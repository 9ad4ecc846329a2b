//! Dot-stuffing: the one way in which SMTP's DATA and POP3's multi-line replies carry a message.
//!
//! The message goes in in pieces of any size and comes out with dots doubled; [`Stuffing::end`] says that it
//! is whole. It does not change a byte of the message otherwise.

/// Dot-stuffing of a message in pieces (RFC 5321 §4.5.2, RFC 1939 §3): a dot at the beginning of a line is
/// doubled.
///
/// A line begins after LF, with or without CR before it. By the standard only CRLF ends a line, but clients
/// (fetchmail, poplib, mpop) and servers in use also take a bare LF for one: a message with LF, dot, LF in
/// it (only IMAP APPEND and BDAT can bring one) would end their reading early, and what follows would be
/// taken for our next reply or command (smuggling). Quirk: bare-LF messages get a dot too many for a peer
/// that sticks to CRLF.
#[derive(Debug)]
pub struct Stuffing {
    last: [u8; 2],
}

impl Default for Stuffing {
    fn default() -> Self {
        Self { last: *b"\r\n" }
    }
}

impl Stuffing {
    /// Adds the next piece to `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        out.reserve(piece.len() + piece.len() / 64);
        let mut rest = piece;
        if self.last[1] == b'\n' && rest.first() == Some(&b'.') {
            out.push(b'.');
        }
        while let Some(at) = memchr::memmem::find(rest, b"\n.") {
            out.extend_from_slice(&rest[..=at]);
            out.push(b'.');
            rest = &rest[at + 1..];
        }
        out.extend_from_slice(rest);
        self.last = match *piece {
            [.., a, b] => [a, b],
            [b] => [self.last[1], b],
            [] => self.last,
        };
    }

    /// The end: a last line without CRLF gets one, then the lone dot.
    pub fn end(&self, out: &mut Vec<u8>) {
        if self.last != *b"\r\n" {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stuff(message: &[u8], piece: usize) -> Vec<u8> {
        let (mut stuffing, mut out) = (Stuffing::default(), Vec::new());
        message.chunks(piece).for_each(|piece| stuffing.push(piece, &mut out));
        stuffing.end(&mut out);
        out
    }

    #[test]
    fn dots_and_ends() {
        assert_eq!(stuff(b".a\r\n..b\r\n.\r\n", 99), b"..a\r\n...b\r\n..\r\n.\r\n");
        assert_eq!(stuff(b"a", 99), b"a\r\n.\r\n");
        assert_eq!(stuff(b"", 99), b".\r\n");
        assert_eq!(stuff(b"a\n.\n", 99), b"a\n..\n\r\n.\r\n");
    }

    proptest! {
        /// No piece matters, and nothing that any server might take for the end comes before the end.
        #[test]
        fn only_the_end_ends(message in "(a|\\.|\r|\n|\r\n|\r\n\\.){0,40}", piece in 1usize..9) {
            let out = stuff(message.as_bytes(), piece);
            prop_assert_eq!(&out, &stuff(message.as_bytes(), 999));
            let inner = &out[..out.len() - 3];
            for end in [&b"\n.\n"[..], b"\n.\r\n"] {
                prop_assert!(memchr::memmem::find(inner, end).is_none());
            }
        }
    }
}
