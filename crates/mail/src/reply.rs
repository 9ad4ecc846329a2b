//! SMTP replies as values: what we say, and what the other side said.

use std::fmt;

/// A three-digit reply code (RFC 5321 §4.2), 200 to 599.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyCode(u16);

impl ReplyCode {
    /// A code whose digits the grammar allows: first 2–5, second 0–5 (RFC 5321 §4.2 `Reply-code`).
    /// The third may be any digit.
    pub const fn new(code: u16) -> Option<Self> {
        if code >= 200 && code <= 599 && (code / 10) % 10 <= 5 { Some(Self(code)) } else { None }
    }

    /// As a number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// 2yz: done.
    pub const fn is_positive(self) -> bool {
        self.0 < 300
    }

    /// 3yz: go on.
    pub const fn is_intermediate(self) -> bool {
        self.0 >= 300 && self.0 < 400
    }

    /// 4yz: try again later.
    pub const fn is_transient(self) -> bool {
        self.0 >= 400 && self.0 < 500
    }

    /// 5yz: never.
    pub const fn is_permanent(self) -> bool {
        self.0 >= 500
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An enhanced status code, `class.subject.detail` (RFC 3463).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedCode {
    /// 2 success, 4 persistent transient failure, 5 permanent failure.
    pub class: u8,
    /// 0–999: what it is about (1 address, 2 mailbox, 3 system, 4 network, 5 protocol, 6 content, 7 policy).
    pub subject: u16,
    /// 0–999: which case of it.
    pub detail: u16,
}

impl EnhancedCode {
    /// `class.subject.detail`.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self { class, subject, detail }
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl fmt::Debug for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A whole reply: code, enhanced code where one is given, and the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The three digits.
    pub code: ReplyCode,
    /// `5.1.1`, where the speaker uses ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced: Option<EnhancedCode>,
    /// The words, without codes; lines are separated by `\n`. Printable; the wire's writer splits long lines.
    pub text: String,
}

impl Reply {
    /// A reply of ours. `code` and `enhanced` are constants at every call, so a wrong one is a
    /// programming error that the first test of that reply finds; it then reads 451.
    pub fn new(code: u16, enhanced: (u8, u16, u16), text: impl Into<String>) -> Self {
        Self {
            code: ReplyCode::new(code).unwrap_or(ReplyCode(451)),
            enhanced: Some(EnhancedCode::new(enhanced.0, enhanced.1, enhanced.2)),
            text: text.into(),
        }
    }

    /// A reply that carries no enhanced code: the greeting, EHLO, 354 and 334 (RFC 2034 §4).
    pub fn plain(code: u16, text: impl Into<String>) -> Self {
        Self { code: ReplyCode::new(code).unwrap_or(ReplyCode(451)), enhanced: None, text: text.into() }
    }
}

/// `250 2.1.0 Sender ok`, lines joined by a space: for logs and people, not for the wire.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for line in self.text.lines() {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}
