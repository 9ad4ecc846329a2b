//! The only line reader of the program.
//!
//! **Does:** cuts CRLF-ended lines out of input that comes in pieces, and bounds them. A line that is whole in
//! the input is handed out without a copy; only an unfinished one is kept.
//!
//! **Does not:** guess: what a line that ends in a bare LF means is for the protocol to say (SMTP refuses it).
//!
//! **Data** comes in as slices and goes out as [`Line`], with how much of the slice it took.

/// A line, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// The text before CRLF. It may contain bare CRs and NULs.
    Text(&'a [u8]),
    /// The text before an LF that no CR precedes.
    BareLf(&'a [u8]),
    /// A line above the limit ended here; its bytes are gone.
    TooLong,
}

/// Reads lines. Holds no memory between lines.
#[derive(Debug)]
pub struct LineReader {
    /// The front of a line whose end has not come; the last line handed out, when `done`.
    held: Vec<u8>,
    limit: usize,
    done: bool,
    /// The front of this line was dropped because it is too long.
    dropping: bool,
}

impl LineReader {
    /// For lines of at most `limit` octets, line end included.
    pub const fn new(limit: usize) -> Self {
        Self { held: Vec::new(), limit, done: false, dropping: false }
    }

    /// Another limit from the next line on (an AUTH response may be longer than a command).
    pub const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Reads up to the end of a line: how many octets of `input` were taken, and the line. `None`: all of it was
    /// taken, and the line's end is still to come.
    pub fn read<'a>(&'a mut self, input: &'a [u8]) -> (usize, Option<Line<'a>>) {
        if self.done {
            self.held = Vec::new();
            self.done = false;
        }
        let Some(end) = memchr::memchr(b'\n', input) else {
            self.keep(input);
            return (input.len(), None);
        };
        let used = end + 1;
        let piece = &input[..used];
        if self.dropping || self.held.len() + piece.len() > self.limit {
            self.held = Vec::new();
            self.dropping = false;
            return (used, Some(Line::TooLong));
        }
        if self.held.is_empty() {
            return (used, Some(cut(piece)));
        }
        self.held.extend_from_slice(piece);
        self.done = true;
        (used, Some(cut(&self.held)))
    }

    /// Forgets the unfinished line: what was sent before STARTTLS must not be read after it (RFC 3207 §6).
    pub fn forget(&mut self) {
        self.held = Vec::new();
        (self.done, self.dropping) = (false, false);
    }

    /// Whether an unfinished line is kept.
    pub const fn is_unfinished(&self) -> bool {
        self.dropping || !self.done && !self.held.is_empty()
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.dropping {
            return;
        }
        if self.held.len() + piece.len() > self.limit {
            self.dropping = true;
            self.held = Vec::new();
        } else {
            self.held.extend_from_slice(piece);
        }
    }
}

/// Takes the line end off `line`, which ends with LF.
fn cut(line: &[u8]) -> Line<'_> {
    match line {
        [text @ .., b'\r', b'\n'] => Line::Text(text),
        [text @ .., b'\n'] => Line::BareLf(text),
        _ => Line::BareLf(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a reader with limit 8 says about `pieces`.
    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let mut reader = LineReader::new(8);
        let mut said = Vec::new();
        for piece in pieces {
            let mut at = 0;
            while at < piece.len() {
                let (used, line) = reader.read(&piece[at..]);
                at += used;
                said.extend(line.map(|line| format!("{line:?}")));
            }
        }
        said
    }

    #[test]
    fn lines_end_with_crlf_and_are_bounded() {
        let mut reader = LineReader::new(8);
        let input = b"abcdef\r\ngh\n1234567\r\n\r\nx";
        assert_eq!(reader.read(input), (8, Some(Line::Text(b"abcdef"))));
        assert_eq!(reader.read(&input[8..]), (3, Some(Line::BareLf(b"gh"))));
        assert_eq!(reader.read(&input[11..]), (9, Some(Line::TooLong)));
        assert_eq!(reader.read(&input[20..]), (2, Some(Line::Text(b""))));
        assert_eq!(reader.read(&input[22..]), (1, None));
        assert!(reader.is_unfinished());
        reader.forget();
        assert_eq!(reader.read(b"y\r\n"), (3, Some(Line::Text(b"y"))));
    }

    proptest! {
        #[test]
        fn any_split_reads_the_same(text in "[ab\r\n]{0,40}", cuts in proptest::collection::vec(0usize..40, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([bytes.len()]) {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(read(&[bytes]), read(&pieces));
            prop_assert_eq!(read(&[bytes]), read(&single));
        }
    }
}
