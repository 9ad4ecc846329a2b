//! Words of a script (RFC 5228 §2, §8.1), each with its place.

use std::fmt;

use mail::limits;

/// A place in a script: both count from 1; columns are characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why a script can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// Where.
    pub at: Position,
    /// A sentence for people.
    pub message: String,
}

impl CompileError {
    pub(crate) fn new(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

impl std::error::Error for CompileError {}

/// A word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// In lower case.
    Identifier(String),
    /// Without its colon, in lower case.
    Tag(String),
    Number(u64),
    Text(String),
    /// One of `{ } ( ) [ ] , ;`
    Mark(char),
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identifier(name) => write!(f, "“{name}”"),
            Self::Tag(name) => write!(f, "“:{name}”"),
            Self::Number(number) => write!(f, "the number {number}"),
            Self::Text(_) => f.write_str("a string"),
            Self::Mark(mark) => write!(f, "“{mark}”"),
            Self::End => f.write_str("the end of the script"),
        }
    }
}

pub(crate) struct Lexer<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    at: Position,
}

impl<'a> Lexer<'a> {
    /// Some editors put a byte order mark in front.
    pub(crate) fn new(script: &'a str) -> Self {
        let script = script.strip_prefix('\u{feff}').unwrap_or(script);
        Self { rest: script.chars().peekable(), at: Position { line: 1, column: 1 } }
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.at = Position { line: self.at.line + 1, column: 1 };
        } else {
            self.at.column += 1;
        }
        Some(c)
    }

    fn peek(&mut self) -> Option<char> {
        self.rest.peek().copied()
    }

    /// The next word and where it begins.
    pub(crate) fn next(&mut self) -> Result<(Token, Position), CompileError> {
        self.skip()?;
        let at = self.at;
        let Some(c) = self.peek() else { return Ok((Token::End, at)) };
        let token = match c {
            '{' | '}' | '(' | ')' | '[' | ']' | ',' | ';' => {
                self.bump();
                Token::Mark(c)
            }
            '"' => Token::Text(self.quoted(at)?),
            ':' => {
                self.bump();
                match self.word() {
                    name if name.is_empty() => {
                        return Err(CompileError::new(at, "a colon begins a tag, but no name follows it"));
                    }
                    name => Token::Tag(name),
                }
            }
            '0'..='9' => Token::Number(self.number(at)?),
            'a'..='z' | 'A'..='Z' | '_' => match self.word() {
                // RFC 5228 §8.1 `multi-line`: "text:" and nothing between.
                name if name == "text" && self.peek() == Some(':') => Token::Text(self.multi_line(at)?),
                name => Token::Identifier(name),
            },
            other => return Err(CompileError::new(at, format!("{other:?} has no meaning here"))),
        };
        Ok((token, at))
    }

    /// White space and comments (RFC 5228 §2.2, §2.3).
    fn skip(&mut self) -> Result<(), CompileError> {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r' | '\n') => {
                    self.bump();
                }
                Some('#') => while self.bump().is_some_and(|c| c != '\n') {},
                Some('/') => {
                    let at = self.at;
                    self.bump();
                    if self.peek() != Some('*') {
                        return Err(CompileError::new(at, "\"/\" begins a comment only together with \"*\""));
                    }
                    self.bump();
                    let mut star = false;
                    loop {
                        match self.bump() {
                            None => return Err(CompileError::new(at, "this comment has no end (\"*/\")")),
                            Some('/') if star => break,
                            Some(c) => star = c == '*',
                        }
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
            word.push(c.to_ascii_lowercase());
            self.bump();
        }
        word
    }

    /// RFC 5228 §2.4.1: K, M and G are powers of 1,024.
    fn number(&mut self, at: Position) -> Result<u64, CompileError> {
        let mut digits = String::new();
        while let Some(c) = self.peek().filter(char::is_ascii_digit) {
            digits.push(c);
            self.bump();
        }
        let factor: u64 = match self.peek().map(|c| c.to_ascii_uppercase()) {
            Some('K') => 1 << 10,
            Some('M') => 1 << 20,
            Some('G') => 1 << 30,
            _ => 1,
        };
        if factor > 1 {
            self.bump();
        }
        if self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(CompileError::new(at, "a number is digits, and K, M or G after them at most"));
        }
        let value = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        value
            .filter(|value| *value <= limits::SIEVE_NUMBER)
            .ok_or_else(|| CompileError::new(at, format!("the number is too large: {} at most", limits::SIEVE_NUMBER)))
    }

    /// RFC 5228 §2.4.2: a backslash only guards what follows it. Line ends are CRLF, whatever the editor wrote.
    fn quoted(&mut self, at: Position) -> Result<String, CompileError> {
        self.bump();
        let mut text = String::new();
        loop {
            match self.bump() {
                None => return Err(CompileError::new(at, "this string has no end (a quotation mark)")),
                Some('"') => return Ok(text),
                Some('\\') => match self.bump() {
                    Some(c) => text.push(c),
                    None => return Err(CompileError::new(at, "this string has no end (a quotation mark)")),
                },
                Some(c) => push(&mut text, c),
            }
            if text.len() > limits::SIEVE_STRING_LEN {
                return Err(too_long(at));
            }
        }
    }

    /// RFC 5228 §2.4.2 `multi-line`, to a line with one dot.
    fn multi_line(&mut self, at: Position) -> Result<String, CompileError> {
        self.bump();
        while let Some(' ' | '\t') = self.peek() {
            self.bump();
        }
        if self.peek() == Some('#') {
            while self.peek().is_some_and(|c| c != '\n' && c != '\r') {
                self.bump();
            }
        }
        if self.peek() == Some('\r') {
            self.bump();
        }
        if self.peek() != Some('\n') {
            return Err(CompileError::new(self.at, "the text begins on the line after \"text:\""));
        }
        self.bump();
        let mut text = String::new();
        loop {
            let mut line = String::new();
            loop {
                match self.bump() {
                    None if line == "." => return Ok(text),
                    None => return Err(CompileError::new(at, "this text has no end (a line with one dot)")),
                    Some('\n') => break,
                    Some(c) => line.push(c),
                }
                if text.len() + line.len() > limits::SIEVE_STRING_LEN {
                    return Err(too_long(at));
                }
            }
            let line = line.strip_suffix('\r').unwrap_or(&line);
            if line == "." {
                return Ok(text);
            }
            // `dotstuff`: a dot in front of a dot goes.
            text.push_str(if line.starts_with("..") { &line[1..] } else { line });
            text.push_str("\r\n");
        }
    }
}

fn too_long(at: Position) -> CompileError {
    CompileError::new(at, format!("this string is too long: {} octets at most", limits::SIEVE_STRING_LEN))
}

/// A character of a string; an end of line of any kind is CRLF.
fn push(text: &mut String, c: char) {
    if c == '\n' && !text.ends_with('\r') {
        text.push('\r');
    }
    text.push(c);
}
