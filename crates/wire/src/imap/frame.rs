//! Where commands begin and end in the stream: lines and literals (RFC 3501 §2.2, RFC 7888).
//!
//! The reader looks at the bytes that were received and not yet consumed, and says what stands at their beginning.
//! It keeps no bytes of its own: a command is handed out as a length, in place. A message that APPEND
//! brings is not collected but handed out in pieces. What is over a limit is read to its end and
//! dropped, so that the inside of an oversized literal is never taken for commands.

use mail::limits;

/// A literal's announcement: `{5}`, `{5+}`, `~{5}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal {
    /// Octets.
    pub len: u64,
    /// The client waits for a continuation request before it sends them.
    pub sync: bool,
    /// RFC 3516 `literal8`: may hold NUL.
    pub binary: bool,
}

/// What a command may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Octets of all lines of a command, literals aside.
    pub line: usize,
    /// Octets of all literals of a command that are not messages.
    pub literals: usize,
    /// APPEND's messages are handed out in pieces; otherwise they are literals like all others.
    pub messages: bool,
}

impl Limits {
    /// Before log-in.
    pub const UNAUTHENTICATED: Self = Self {
        line: limits::IMAP_UNAUTHENTICATED_LEN / 2,
        literals: limits::IMAP_UNAUTHENTICATED_LEN / 2,
        messages: false,
    };
    /// After log-in.
    pub const AUTHENTICATED: Self =
        Self { line: limits::IMAP_COMMAND_LEN, literals: limits::IMAP_LITERAL_LEN, messages: true };
}

/// What stands at the beginning of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framed {
    /// Nothing whole yet.
    More,
    /// The client waits for `+`; then ask again.
    Continue,
    /// So many octets are a whole command, literals included in place.
    Command(usize),
    /// So many octets are an APPEND (or what follows an earlier message of it) up to and with the announcement
    /// of a message. It follows as [`Framed::Piece`]s, unless [`Reader::refuse`] is called.
    Message(usize, Literal),
    /// So many octets are a piece of the message.
    Piece(usize),
    /// So many octets are the end of the APPEND's line.
    End(usize),
    /// So many octets are part of something that is over a limit: drop them.
    Drop(usize),
    /// So many octets end something that is over a limit: drop them and answer.
    Refused(usize, Refusal),
}

/// Why a command was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its tag, if that much was there.
    pub tag: Option<String>,
    /// What was over a limit.
    pub why: &'static str,
    /// The stream can't be followed any further: say BYE and close.
    pub fatal: bool,
}

#[derive(Debug)]
enum State {
    /// In a line of a command that begins at the input's first octet. `line`: where this line begins;
    /// `scanned`: no line end before here; `literals`: octets of literals so far.
    Line { line: usize, scanned: usize, literals: usize },
    /// The command goes on after a literal that ends at `end`.
    Literal { end: usize, literals: usize },
    /// In APPEND's message.
    Message { left: u64 },
    /// In the line after APPEND's message.
    Tail { scanned: usize },
    /// In a line that is over a limit.
    DropLine(Refusal),
    /// In a literal that is over a limit.
    DropLiteral { left: u64, refusal: Refusal },
}

const START: State = State::Line { line: 0, scanned: 0, literals: 0 };

/// Octets of a line's end that are kept while it is dropped: enough to see a literal announced.
const ANNOUNCEMENT: usize = 32;

/// Finds commands.
#[derive(Debug)]
pub struct Reader(State);

impl Default for Reader {
    fn default() -> Self {
        Self(START)
    }
}

impl Reader {
    /// Whether nothing of a command has been looked at: the input may be dropped without loss of sync.
    pub const fn is_between_commands(&self) -> bool {
        matches!(self.0, State::Line { line: 0, scanned: 0, literals: 0 })
    }

    /// After [`Framed::Message`] with a synchronising literal: no continuation is sent, so the client gives up
    /// the command, and the next line is a new one (RFC 3501 §7.5).
    pub fn refuse(&mut self) {
        self.0 = START;
    }

    /// What stands at the beginning of `input`. The caller consumes as much as the answer says, and asks
    /// again with the rest.
    pub fn next(&mut self, input: &[u8], limits: &Limits) -> Framed {
        let state = std::mem::replace(&mut self.0, START);
        let (state, framed) = match state {
            State::Line { line, scanned, literals } => Self::line(input, limits, line, scanned, literals),
            State::Literal { end, literals } if input.len() >= end => Self::line(input, limits, end, end, literals),
            state @ State::Literal { .. } => (state, Framed::More),
            State::Message { left } => Self::message(input, left),
            State::Tail { scanned } => Self::tail(input, limits, scanned),
            State::DropLine(refusal) => Self::drop_line(input, refusal),
            State::DropLiteral { left, refusal } => Self::drop_literal(input, left, refusal),
        };
        self.0 = state;
        framed
    }

    fn line(input: &[u8], limits: &Limits, line: usize, scanned: usize, literals: usize) -> (State, Framed) {
        let found = memchr::memchr(b'\n', &input[scanned..]).map(|at| scanned + at + 1);
        let end = found.unwrap_or(input.len());
        if end - literals > limits.line {
            let refusal = Refusal { tag: tag(input), why: "The command is too long", fatal: false };
            return Self::drop_line(&input[line..], refusal).shifted(line);
        }
        let Some(end) = found else { return (State::Line { line, scanned: input.len(), literals }, Framed::More) };
        let literal = match announcement(&input[line..end]) {
            None => return (START, Framed::Command(end)),
            Some(Err(())) => return (START, Framed::Refused(end, unbounded(tag(input)))),
            Some(Ok(literal)) => literal,
        };
        if limits.messages && announces_message(&input[..end]) {
            return (State::Message { left: literal.len }, Framed::Message(end, literal));
        }
        let fits = usize::try_from(literal.len).ok().filter(|len| literals + len <= limits.literals);
        match fits {
            None => {
                let refusal = Refusal { tag: tag(input), why: "The literal is too big", fatal: false };
                Self::drop_announced(end, literal, refusal)
            }
            Some(len) => {
                let state = State::Literal { end: end + len, literals: literals + len };
                // RFC 3501 §4.3: the client waits for the continuation request.
                if literal.sync { (state, Framed::Continue) } else { Self::after(state, input, limits) }
            }
        }
    }

    /// Goes on within the same input.
    fn after(state: State, input: &[u8], limits: &Limits) -> (State, Framed) {
        match state {
            State::Literal { end, literals } if input.len() >= end => Self::line(input, limits, end, end, literals),
            state => (state, Framed::More),
        }
    }

    fn message(input: &[u8], left: u64) -> (State, Framed) {
        if left == 0 {
            return (State::Tail { scanned: 0 }, Framed::Piece(0));
        }
        let piece = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match left - piece as u64 {
            _ if piece == 0 => (State::Message { left }, Framed::More),
            0 => (State::Tail { scanned: 0 }, Framed::Piece(piece)),
            left => (State::Message { left }, Framed::Piece(piece)),
        }
    }

    fn tail(input: &[u8], limits: &Limits, scanned: usize) -> (State, Framed) {
        let found = memchr::memchr(b'\n', &input[scanned..]).map(|at| scanned + at + 1);
        if found.unwrap_or(input.len()) > limits.line {
            return (
                State::DropLine(Refusal { tag: None, why: "The command is too long", fatal: false }),
                Framed::Drop(0),
            );
        }
        let Some(end) = found else { return (State::Tail { scanned: input.len() }, Framed::More) };
        match announcement(&input[..end]) {
            None => (START, Framed::End(end)),
            Some(Ok(literal)) => (State::Message { left: literal.len }, Framed::Message(end, literal)),
            Some(Err(())) => (START, Framed::Refused(end, unbounded(None))),
        }
    }

    fn drop_line(input: &[u8], refusal: Refusal) -> (State, Framed) {
        let Some(end) = memchr::memchr(b'\n', input).map(|at| at + 1) else {
            let drop = input.len().saturating_sub(ANNOUNCEMENT);
            let framed = if drop == 0 { Framed::More } else { Framed::Drop(drop) };
            return (State::DropLine(refusal), framed);
        };
        match announcement(&input[..end]) {
            None => (START, Framed::Refused(end, refusal)),
            Some(Ok(literal)) => Self::drop_announced(end, literal, refusal),
            Some(Err(())) => (START, Framed::Refused(end, unbounded(refusal.tag))),
        }
    }

    /// A literal is announced that is not wanted. One that waits is simply not asked for (RFC 7888 §4); the other
    /// comes in any case.
    fn drop_announced(end: usize, literal: Literal, refusal: Refusal) -> (State, Framed) {
        if literal.sync {
            (START, Framed::Refused(end, refusal))
        } else if literal.len > limits::IMAP_DISCARDED_LITERAL as u64 {
            (START, Framed::Refused(end, unbounded(refusal.tag)))
        } else {
            (State::DropLiteral { left: literal.len, refusal }, Framed::Drop(end))
        }
    }

    fn drop_literal(input: &[u8], left: u64, refusal: Refusal) -> (State, Framed) {
        let piece = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match left - piece as u64 {
            0 => (State::DropLine(refusal), Framed::Drop(piece)),
            left if piece == 0 => (State::DropLiteral { left, refusal }, Framed::More),
            left => (State::DropLiteral { left, refusal }, Framed::Drop(piece)),
        }
    }
}

trait Shifted {
    /// The same answer about an input that begins `by` octets earlier.
    fn shifted(self, by: usize) -> Self;
}

impl Shifted for (State, Framed) {
    fn shifted(self, by: usize) -> Self {
        let framed = match self.1 {
            Framed::Drop(n) => Framed::Drop(n + by),
            Framed::Refused(n, refusal) => Framed::Refused(n + by, refusal),
            Framed::More => Framed::Drop(by),
            other => other,
        };
        (self.0, framed)
    }
}

fn unbounded(tag: Option<String>) -> Refusal {
    Refusal { tag, why: "The literal is beyond all bounds", fatal: true }
}

/// The tag of a command that begins at `input`, for the answer to one that can't be read.
pub fn tag(input: &[u8]) -> Option<String> {
    let end = input.iter().take(limits::IMAP_TAG_LEN).position(|b| *b == b' ' || *b == b'\r' || *b == b'\n')?;
    let tag = &input[..end];
    let tag = (!tag.is_empty() && tag.iter().all(|b| crate::imap::cursor::is_tag_char(*b))).then_some(tag)?;
    String::from_utf8(tag.to_vec()).ok()
}

/// The literal that a line (with its line end) announces: RFC 3501 §9
/// `literal = "{" number ["+"] "}" CRLF *CHAR8`. `Err`: its number has no bounds.
fn announcement(line: &[u8]) -> Option<Result<Literal, ()>> {
    let line = line.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line).strip_suffix(b"}")?;
    let open = memchr::memrchr(b'{', line)?;
    let (before, number) = (&line[..open], &line[open + 1..]);
    // An atom can't have a brace in it; so this is no literal but an error for the grammar to find.
    let (before, binary) = match before.strip_suffix(b"~") {
        Some(before) => (before, true),
        None => (before, false),
    };
    if !matches!(before.last(), None | Some(b' ' | b'(')) {
        return None;
    }
    let (digits, sync) = match number.strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (number, true),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = std::str::from_utf8(digits).ok()?;
    // RFC 9051 §9: number64 has 63 bits.
    Some(digits.parse().ok().filter(|len| i64::try_from(*len).is_ok()).ok_or(()).map(|len| Literal {
        len,
        sync,
        binary,
    }))
}

/// Whether the literal announced at the end of `command` is an APPEND's message, not its mailbox's name.
fn announces_message(command: &[u8]) -> bool {
    let mut words = command.split(|b| *b == b' ').skip(1).map(<[u8]>::to_ascii_uppercase);
    let before = match (words.next().as_deref(), words.next().as_deref()) {
        (Some(b"APPEND"), _) => 2,
        // RFC 8508 §3.4: the number of the message that goes stands before the mailbox.
        (Some(b"REPLACE"), _) => 3,
        (Some(b"UID"), Some(b"REPLACE")) => 4,
        _ => return false,
    };
    let Some(rest) = command.splitn(before + 1, |b| *b == b' ').nth(before) else { return false };
    !rest.starts_with(b"{") || rest.iter().filter(|b| **b == b'\n').count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `input` in pieces cut at `cuts`; what comes out, as text.
    fn run(input: &[u8], cuts: &[usize]) -> Vec<String> {
        let limits = Limits { line: 40, literals: 20, messages: true };
        let (mut reader, mut buffer, mut out) = (Reader::default(), Vec::new(), Vec::new());
        let mut message = Vec::new();
        let mut from = 0;
        for cut in cuts.iter().copied().chain([input.len()]) {
            buffer.extend_from_slice(&input[from..cut]);
            from = cut;
            loop {
                let framed = reader.next(&buffer, &limits);
                let text = |n: usize| String::from_utf8_lossy(&buffer[..n]).into_owned();
                let n = match framed {
                    Framed::More => break,
                    Framed::Continue => {
                        out.push("+".into());
                        0
                    }
                    Framed::Command(n) => {
                        out.push(format!("command {}", text(n)));
                        n
                    }
                    Framed::Message(n, _) => {
                        out.push(format!("message {}", text(n)));
                        n
                    }
                    Framed::Piece(n) => {
                        message.extend_from_slice(&buffer[..n]);
                        n
                    }
                    Framed::End(n) => {
                        out.push(format!("bytes {}", String::from_utf8_lossy(&std::mem::take(&mut message))));
                        out.push(format!("end {}", text(n)));
                        n
                    }
                    Framed::Drop(n) => n,
                    Framed::Refused(n, refusal) => {
                        out.push(format!("refused {:?} {}", refusal.tag, refusal.why));
                        n
                    }
                };
                buffer.drain(..n);
            }
        }
        out
    }

    #[test]
    fn commands_and_literals() {
        assert_eq!(
            run(b"a NOOP\r\nb LOGIN {3}\r\nabc {2+}\r\n\r\n\r\n", &[]),
            ["command a NOOP\r\n", "+", "command b LOGIN {3}\r\nabc {2+}\r\n\r\n\r\n"]
        );
        assert_eq!(
            run(b"a APPEND x (\\Seen) {8+}\r\nb NOOP\r\n\r\nc X\n", &[]),
            ["message a APPEND x (\\Seen) {8+}\r\n", "bytes b NOOP\r\n", "end \r\n", "command c X\n"]
        );
        assert_eq!(
            run(b"a APPEND {1+}\r\nx {2}\r\nyy\r\n", &[]),
            ["message a APPEND {1+}\r\nx {2}\r\n", "bytes yy", "end \r\n"]
        );
        assert_eq!(
            run(b"a UID REPLACE 4 x {2}\r\nyy\r\na REPLACE 4 {1+}\r\nx\r\n", &[]),
            ["message a UID REPLACE 4 x {2}\r\n", "bytes yy", "end \r\n", "command a REPLACE 4 {1+}\r\nx\r\n"]
        );
    }

    #[test]
    fn what_is_too_big_is_never_read_as_commands() {
        let long = "x".repeat(60);
        assert_eq!(
            run(format!("a {long}\r\nb OK\r\n").as_bytes(), &[]),
            ["refused Some(\"a\") The command is too long", "command b OK\r\n"]
        );
        assert_eq!(
            run(format!("a {long} {{8+}}\r\nz NOOP\r\n\r\nb OK\r\n").as_bytes(), &[]),
            ["refused Some(\"a\") The command is too long", "command b OK\r\n"]
        );
        assert_eq!(
            run(format!("a X {{60+}}\r\n{long}\r\nb OK\r\n").as_bytes(), &[]),
            ["refused Some(\"a\") The literal is too big", "command b OK\r\n"]
        );
        // The client of a synchronising literal sends nothing without our word.
        assert_eq!(
            run(b"a X {60}\r\nb OK\r\n", &[]),
            ["refused Some(\"a\") The literal is too big", "command b OK\r\n"]
        );
        assert_eq!(
            run(b"a X {99999999999999999999}\r\n", &[]),
            ["refused Some(\"a\") The literal is beyond all bounds"]
        );
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(
            input in "(([a-c]| |\\{[0-9]{1,2}\\+?\\}|APPEND |NOOP){0,9}\r?\n){0,6}",
            cuts in proptest::collection::vec(0usize..200, 0..8),
        ) {
            let input = input.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
            cuts.sort_unstable();
            prop_assert_eq!(run(input, &cuts), run(input, &[]));
        }

        #[test]
        fn never_panics(input in proptest::collection::vec(any::<u8>(), 0..300)) {
            run(&input, &[input.len() / 2]);
        }
    }
}
