//! Commands of ManageSieve: lines with strings in them, of which some are literals that follow their line (RFC 5804 §4).

use mail::limits;

use crate::line::{Line, LineReader};

/// A word of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// `PUTSCRIPT`, `HAVESPACE`'s number.
    Atom(String),
    /// Quoted, or a literal.
    Text(String),
}

/// What a client says, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command(pub Vec<Argument>);

/// What came of the octets that were read.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// Its end is still to come.
    More,
    /// A command.
    Command(Command),
    /// None, and why.
    Bad(&'static str),
    /// A literal that nobody takes: where it ends is past what is waited for, so the session is over.
    TooLong,
}

/// Puts commands together. Holds no memory between them.
#[derive(Debug)]
pub struct CommandReader {
    lines: LineReader,
    words: Vec<Argument>,
    /// Octets of a literal that are still to come.
    missing: usize,
    literal: Vec<u8>,
    bad: Option<&'static str>,
}

impl CommandReader {
    pub(super) fn new() -> Self {
        Self {
            lines: LineReader::new(limits::MANAGESIEVE_LINE_LEN),
            words: Vec::new(),
            missing: 0,
            literal: Vec::new(),
            bad: None,
        }
    }

    /// What came before STARTTLS is not read after it (RFC 5804 §2.2).
    pub(super) fn forget(&mut self) {
        *self = Self::new();
    }

    /// How many octets were taken, and what came of them.
    pub fn read(&mut self, input: &[u8]) -> (usize, Read) {
        let mut taken = 0;
        while taken < input.len() {
            let rest = &input[taken..];
            if self.missing > 0 {
                let piece = &rest[..rest.len().min(self.missing)];
                self.literal.extend_from_slice(piece);
                (taken, self.missing) = (taken + piece.len(), self.missing - piece.len());
                if self.missing == 0 {
                    self.literal_came();
                }
                continue;
            }
            let (used, line) = self.lines.read(rest);
            taken += used;
            let line = match line {
                None => continue,
                Some(Line::TooLong) => {
                    self.words = Vec::new();
                    self.bad = None;
                    return (taken, Read::Bad("That line is too long"));
                }
                Some(Line::Text(line) | Line::BareLf(line)) => line.to_vec(),
            };
            match self.line(&line) {
                Ok(None) => {
                    let words = std::mem::take(&mut self.words);
                    return (taken, self.bad.take().map_or(Read::Command(Command(words)), Read::Bad));
                }
                // One literal is a script, others are names: together not more than both.
                Ok(Some(length)) if length + self.held() > limits::SIEVE_SCRIPT_LEN + limits::MANAGESIEVE_LINE_LEN => {
                    return (taken, Read::TooLong);
                }
                Ok(Some(length)) => {
                    self.missing = length;
                    if length == 0 {
                        self.literal_came();
                    }
                }
                Err(why) => {
                    self.words = Vec::new();
                    return (taken, Read::Bad(why));
                }
            }
        }
        (taken, Read::More)
    }

    fn held(&self) -> usize {
        let len = |word: &Argument| match word {
            Argument::Atom(text) | Argument::Text(text) => text.len() + 32,
        };
        self.words.iter().map(len).sum()
    }

    fn literal_came(&mut self) {
        match String::from_utf8(std::mem::take(&mut self.literal)) {
            Ok(text) => self.words.push(Argument::Text(text)),
            // RFC 5804 §1.2: strings are UTF-8.
            Err(_) => self.bad = Some("That is not UTF-8"),
        }
    }

    /// The words of a line, or of what is left of one after a literal; the length of the literal that it ends with.
    fn line(&mut self, line: &[u8]) -> Result<Option<usize>, &'static str> {
        let text = std::str::from_utf8(line).map_err(|_| "That is not UTF-8")?;
        let mut rest = text.trim_matches(' ');
        while !rest.is_empty() {
            if self.held() > limits::SIEVE_SCRIPT_LEN + limits::MANAGESIEVE_LINE_LEN {
                return Err("That command is too long");
            }
            if let Some(quoted) = rest.strip_prefix('"') {
                let (word, after) = unquoted(quoted)?;
                self.words.push(Argument::Text(word));
                rest = after;
            } else if let Some(length) = rest.strip_prefix('{') {
                // Quirk: some clients leave the plus out, and wait for nothing all the same.
                let length = length.strip_suffix('}').ok_or("A literal is the end of its line")?;
                let length = length.strip_suffix('+').unwrap_or(length);
                let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
                // RFC 5804 §4: numbers have 32 bits.
                return match length.parse::<u32>() {
                    Ok(length) if is_number => Ok(Some(usize::try_from(length).unwrap_or(usize::MAX))),
                    _ => Err("A literal's length is a number"),
                };
            } else {
                let end = rest.find([' ', '"', '{']).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                if word.chars().any(char::is_control) {
                    return Err("A command has no control characters");
                }
                self.words.push(Argument::Atom(word.to_owned()));
                rest = after;
            }
            rest = rest.trim_start_matches(' ');
        }
        Ok(None)
    }
}

/// `quoted`: up to its second quote; what comes after it.
fn unquoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut word = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((word, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, c @ ('"' | '\\'))) => word.push(c),
                _ => return Err("A backslash in a string goes before a quote or a backslash"),
            },
            c if c == '\0' || c == '\r' => return Err("A string has no such characters"),
            c => word.push(c),
        }
    }
    Err("A string has no end")
}
