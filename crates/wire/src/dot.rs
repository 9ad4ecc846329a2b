//! The only dot-stuffing and unstuffing of the program (RFC 5321 §4.5.2, RFC 1939 §3).
//!
//! **Does:** on the way in ([`Unstuffing`]) finds the end `CRLF . CRLF` of a body that comes in pieces, takes the
//! stuffed dots out, and hands the rest on in slices of the input, as long as they come, without a copy. On the
//! way out ([`Stuffing`]) puts them in. Neither changes a byte otherwise.
//!
//! **Does not:** take anything else for an end: a bare CR or bare LF is body, never a boundary, and is noted,
//! so that the protocol can refuse the message after its real end. Servers that disagree about where a message
//! ends are how mail is smuggled past checks.
//!
//! **Data** comes in as slices and goes out as [`Piece`]s or appended to a buffer.

/// What the reader found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The next bytes of the body.
    Bytes(&'a [u8]),
    /// The body is over; the line end before the final dot belonged to it.
    End,
}

/// Between which bytes the reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// After CRLF, or at the very beginning.
    LineStart,
    /// In a line, not after a CR.
    Middle,
    /// After a CR that is handed out already.
    Cr,
    /// After a dot at a line's start, held back.
    Dot,
    /// After that dot and a CR, both held back.
    DotCr,
}

/// Reads a dot-stuffed body.
#[derive(Debug)]
pub struct Unstuffing {
    at: At,
    bare: bool,
    /// Octets of the present line handed out so far, and of the longest.
    line: usize,
    longest: usize,
}

impl Default for Unstuffing {
    fn default() -> Self {
        Self::new()
    }
}

impl Unstuffing {
    /// At the beginning of a body, which is a line's start (RFC 5321 §4.1.1.4: the CRLF of DATA counts).
    pub const fn new() -> Self {
        Self { at: At::LineStart, bare: false, line: 0, longest: 0 }
    }

    /// Whether a CR without LF or an LF without CR has come (RFC 5321 §2.3.8: neither is a line end).
    pub const fn has_bare(&self) -> bool {
        self.bare
    }

    /// Octets of the longest line so far, line end included.
    pub const fn longest_line(&self) -> usize {
        if self.line > self.longest { self.line } else { self.longest }
    }

    /// Takes bytes from the front of `input`. `None`: all of it was taken, and the end is still to come.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Option<Piece<'a>> {
        loop {
            let (&first, rest) = input.split_first()?;
            match (self.at, first) {
                (At::LineStart, b'.') => {
                    // RFC 5321 §4.5.2: the first dot of a line is not of the body.
                    (self.at, *input) = (At::Dot, rest);
                }
                (At::Dot, b'\r') => (self.at, *input) = (At::DotCr, rest),
                (At::DotCr, b'\n') => {
                    *input = rest;
                    *self = Self { at: At::LineStart, ..*self };
                    return Some(Piece::End);
                }
                (At::DotCr, _) => {
                    // The dot was stuffing, and the CR a bare one.
                    self.at = At::Cr;
                    self.line += 1;
                    return Some(Piece::Bytes(b"\r"));
                }
                (At::LineStart | At::Middle | At::Cr | At::Dot, _) => return Some(self.run(input)),
            }
        }
    }

    /// Bytes up to the next dot at a line's start, or all.
    fn run<'a>(&mut self, input: &mut &'a [u8]) -> Piece<'a> {
        let bytes = *input;
        let mut after_cr = self.at == At::Cr;
        if after_cr && bytes[0] != b'\n' {
            self.bare = true;
        }
        let mut line_feeds = 0;
        let mut end = bytes.len();
        let mut line_start = 0;
        for lf in memchr::memchr_iter(b'\n', bytes) {
            line_feeds += 1;
            let strict = if lf == 0 { after_cr } else { bytes[lf - 1] == b'\r' };
            if strict {
                self.longest = self.longest.max(self.line + lf + 1 - line_start);
                (self.line, line_start) = (0, lf + 1);
                if bytes.get(lf + 1) == Some(&b'.') {
                    end = lf + 1;
                    break;
                }
            } else {
                self.bare = true;
            }
        }
        let (run, rest) = bytes.split_at(end);
        *input = rest;
        self.line += run.len() - line_start;
        // Every LF had its CR; so there is a bare CR exactly where there are more CRs than LFs.
        let pending = usize::from(after_cr);
        after_cr = run.last() == Some(&b'\r');
        let carriage_returns = memchr::memchr_iter(b'\r', run).count() + pending - usize::from(after_cr);
        if carriage_returns != line_feeds {
            self.bare = true;
        }
        self.at = match run {
            [.., b'\r'] => At::Cr,
            [.., b'\r', b'\n'] => At::LineStart,
            [b'\n'] if pending == 1 => At::LineStart,
            _ => At::Middle,
        };
        Piece::Bytes(run)
    }
}

/// Looks for bare CRs and LFs, and long lines, in a body that comes without stuffing (BDAT).
#[derive(Debug, Default)]
pub struct LineEnds {
    after_cr: bool,
    bare: bool,
    line: usize,
    longest: usize,
}

impl LineEnds {
    /// Looks at the next piece.
    pub fn look(&mut self, piece: &[u8]) {
        let Some(&last) = piece.last() else { return };
        let (mut line_feeds, mut line_start) = (0, 0);
        for lf in memchr::memchr_iter(b'\n', piece) {
            line_feeds += 1;
            let strict = if lf == 0 { self.after_cr } else { piece[lf - 1] == b'\r' };
            self.bare |= !strict;
            self.longest = self.longest.max(self.line + lf + 1 - line_start);
            (self.line, line_start) = (0, lf + 1);
        }
        self.line += piece.len() - line_start;
        let pending = usize::from(self.after_cr);
        self.after_cr = last == b'\r';
        // Every LF had its CR; so there is a bare CR exactly where there are more CRs than LFs.
        self.bare |= memchr::memchr_iter(b'\r', piece).count() + pending - usize::from(self.after_cr) != line_feeds;
    }

    /// Whether there was a CR without LF or an LF without CR, the body being over.
    pub const fn has_bare(&self) -> bool {
        self.bare || self.after_cr
    }

    /// Octets of the longest line so far.
    pub const fn longest_line(&self) -> usize {
        if self.line > self.longest { self.line } else { self.longest }
    }
}

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

    struct Read {
        body: Vec<u8>,
        bare: bool,
        longest: usize,
        /// What stands behind the end, if there was one.
        rest: Option<Vec<u8>>,
    }

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
        let mut reader = Unstuffing::new();
        let mut body = Vec::new();
        let mut rest: Option<Vec<u8>> = None;
        for piece in pieces {
            let mut input = piece;
            if let Some(rest) = &mut rest {
                rest.extend_from_slice(piece);
                continue;
            }
            while let Some(found) = reader.next(&mut input) {
                match found {
                    Piece::Bytes(bytes) => body.extend_from_slice(bytes),
                    Piece::End => {
                        rest = Some(input.to_vec());
                        break;
                    }
                }
            }
        }
        Read { body, bare: reader.has_bare(), longest: reader.longest_line(), rest }
    }

    /// RFC 5321 §4.1.1.4: only CRLF . CRLF ends a body.
    #[test]
    fn only_the_real_end_ends() {
        for smuggled in
            ["a\n.\n", "a\n.\r\nb", "a\r.\r\n", "a\r\n.\nb\r\n", "a\r\n.\rb\r\n", "a\r\n\x00.\r\n", "\r.\r\r\n"]
        {
            let found = read([smuggled.as_bytes()]);
            assert!(found.rest.is_none(), "{smuggled:?}");
            let whole = format!("{smuggled}\r\n.\r\nQUIT\r\n");
            let found = read([whole.as_bytes()]);
            assert_eq!(found.rest.as_deref(), Some(&b"QUIT\r\n"[..]), "{smuggled:?}");
            assert_eq!(found.bare, !smuggled.contains('\x00'), "{smuggled:?}");
        }
        assert!(!read([&b"a\r\nb\r\n.\r\n"[..]]).bare);
        assert_eq!(read([&b".\r\nx"[..]]).body, b"");
        assert_eq!(read([&b"..\r\n...a\r\n.b\r\n.\r\n"[..]]).body, b".\r\n..a\r\nb\r\n");
        assert_eq!(read([&b"abc\r\nde\r\n.\r\n"[..]]).longest, 5);
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

        #[test]
        fn bare_line_ends_are_found(text in "[a\r\n]{0,20}", size in 1usize..7) {
            let mut ends = LineEnds::default();
            text.as_bytes().chunks(size).for_each(|piece| ends.look(piece));
            prop_assert_eq!(ends.has_bare(), text.replace("\r\n", "").contains(['\r', '\n']));
        }

        #[test]
        fn what_is_stuffed_is_read(body in "[a.\r]{0,9}([a.]{0,9}\r\n\\.?){0,9}", piece in 1usize..9) {
            let out = stuff(body.as_bytes(), piece);
            let found = read([&out[..]]);
            let mut expected = body.into_bytes();
            if !(expected.is_empty() || expected.ends_with(b"\r\n")) {
                expected.extend_from_slice(b"\r\n");
            }
            prop_assert_eq!(found.body, expected);
            prop_assert_eq!(found.rest, Some(Vec::new()));
        }

        #[test]
        fn any_split_reads_the_same(text in "[a.\r\n]{0,40}", size in 1usize..7) {
            let whole = read([text.as_bytes()]);
            let split = read(text.as_bytes().chunks(size));
            prop_assert_eq!(&whole.body, &split.body);
            prop_assert_eq!(&whole.rest, &split.rest);
            prop_assert_eq!(whole.longest, split.longest);
            prop_assert_eq!(whole.bare, split.bare);
            // Bare means: what is left when all CRLFs are taken out has a CR or LF. A last CR may still get its LF.
            if whole.rest.is_none() && !text.contains('.') {
                let left = text.strip_suffix('\r').unwrap_or(&text).replace("\r\n", "");
                prop_assert_eq!(whole.bare, left.contains(['\r', '\n']));
            }
        }
    }
}
