//! Message flags: the system flags of RFC 3501 §2.3.2 and keywords.

use std::fmt;

/// A set of system flags as a small integer. `\Recent` is not here: it belongs to a session's view,
/// not to the message. Keywords ([`Keyword`]) are kept beside it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Flags(u8);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// `\Seen`: it was read.
    pub const SEEN: Self = Self(1);
    /// `\Answered`: it was replied to.
    pub const ANSWERED: Self = Self(2);
    /// `\Flagged`: marked for attention.
    pub const FLAGGED: Self = Self(4);
    /// `\Deleted`: EXPUNGE will remove it.
    pub const DELETED: Self = Self(8);
    /// `\Draft`: not finished.
    pub const DRAFT: Self = Self(16);
    /// All system flags.
    pub const ALL: Self = Self(31);

    /// The names on the wire, in the order in which they are listed.
    pub const NAMES: [(Self, &'static str); 5] = [
        (Self::ANSWERED, "\\Answered"),
        (Self::FLAGGED, "\\Flagged"),
        (Self::DELETED, "\\Deleted"),
        (Self::SEEN, "\\Seen"),
        (Self::DRAFT, "\\Draft"),
    ];

    /// The bits, for storage.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From stored bits; unknown ones are dropped.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// The flag that a client calls `name` (any case), backslash included.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(flag, _)| *flag)
    }

    /// Whether all of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no flag is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These and `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These but not `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The names of the flags that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| *name)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// A keyword (`$Junk`, `NonJunk`, `work`): an atom that a client gave a meaning to. The first
/// spelling is kept; comparison ignores ASCII case (RFC 9051 §2.3.2).
#[derive(Clone, Debug, Eq)]
pub struct Keyword(Box<str>);

impl Keyword {
    /// The longest keyword, in octets.
    pub const MAX_LEN: usize = crate::limits::KEYWORD_LEN;

    /// A keyword, if `name` is an atom (RFC 3501 §9 `flag-keyword`) within the length limit.
    pub fn new(name: &str) -> Option<Self> {
        let atom = |b: u8| b > b' ' && b < 0x7f && !b"(){%*\"\\]".contains(&b);
        (!name.is_empty() && name.len() <= Self::MAX_LEN && name.bytes().all(atom)).then(|| Self(name.into()))
    }

    /// As the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `KEYWORD_LEN`: at the limit and one above.
    #[test]
    fn keywords_are_bounded() {
        assert!(Keyword::new(&"k".repeat(crate::limits::KEYWORD_LEN)).is_some());
        assert!(Keyword::new(&"k".repeat(crate::limits::KEYWORD_LEN + 1)).is_none());
        assert!(Keyword::new("").is_none() && Keyword::new("a b").is_none());
    }
}
