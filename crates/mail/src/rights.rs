//! What somebody may do in a mailbox (RFC 4314 §2.1).

use std::fmt;

/// A set of rights as a small integer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rights(u16);

impl Rights {
    /// None.
    pub const NONE: Self = Self(0);
    /// `l`: the mailbox is seen in LIST, and can be subscribed to.
    pub const LOOKUP: Self = Self(1);
    /// `r`: SELECT, STATUS, FETCH, SEARCH, COPY from it.
    pub const READ: Self = Self(2);
    /// `s`: \Seen may be set and taken away.
    pub const SEEN: Self = Self(4);
    /// `w`: flags other than \Seen and \Deleted may.
    pub const WRITE: Self = Self(8);
    /// `i`: messages may be put into it.
    pub const INSERT: Self = Self(16);
    /// `p`: mail may be sent to its address. Kept and told; no mailbox here has an address.
    pub const POST: Self = Self(32);
    /// `k`: mailboxes may be made below it.
    pub const CREATE: Self = Self(64);
    /// `x`: it may be deleted and renamed.
    pub const DELETE_MAILBOX: Self = Self(128);
    /// `t`: \Deleted may be set and taken away.
    pub const DELETED: Self = Self(256);
    /// `e`: EXPUNGE.
    pub const EXPUNGE: Self = Self(512);
    /// `a`: who has which rights may be read and changed.
    pub const ADMINISTER: Self = Self(1024);
    /// All.
    pub const ALL: Self = Self(2047);

    /// The letters, in the order in which they are told.
    pub const LETTERS: [(Self, u8); 11] = [
        (Self::LOOKUP, b'l'),
        (Self::READ, b'r'),
        (Self::SEEN, b's'),
        (Self::WRITE, b'w'),
        (Self::INSERT, b'i'),
        (Self::POST, b'p'),
        (Self::CREATE, b'k'),
        (Self::DELETE_MAILBOX, b'x'),
        (Self::DELETED, b't'),
        (Self::EXPUNGE, b'e'),
        (Self::ADMINISTER, b'a'),
    ];

    /// RFC 4314 §2.1.1: the two rights of RFC 2086 that were split, and what they stand for here.
    pub const VIRTUAL: [(Self, u8); 2] =
        [(Self::CREATE, b'c'), (Self(Self::DELETE_MAILBOX.0 | Self::DELETED.0 | Self::EXPUNGE.0), b'd')];

    /// The bits, for storage.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// From stored bits; unknown ones are dropped.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// From letters, old ones too; `None`: one is no right.
    pub fn from_letters(letters: &[u8]) -> Option<Self> {
        let mut rights = Self::NONE;
        for letter in letters {
            let known = Self::LETTERS.iter().chain(&Self::VIRTUAL).find(|(_, known)| known == letter)?;
            rights = rights.with(known.0);
        }
        Some(rights)
    }

    /// Whether all of `other` are there.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether one of `other` is there.
    pub const fn any_of(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether there is none.
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
}

/// RFC 4314 §2.1.1: `c` and `d` are told where one of what they stand for is there.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let old = Self::VIRTUAL.iter().filter(|(rights, _)| self.any_of(*rights));
        let new = Self::LETTERS.iter().filter(|(right, _)| self.contains(*right));
        new.chain(old).try_for_each(|(_, letter)| write!(f, "{}", char::from(*letter)))
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rights({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters() {
        assert_eq!(Rights::ALL.to_string(), "lrswipkxteacd");
        assert_eq!(Rights::from_letters(b"lrswipkxtea"), Some(Rights::ALL));
        assert_eq!(Rights::from_letters(b"cd").unwrap().to_string(), "kxtecd");
        assert_eq!(Rights::from_letters(b"t").unwrap().to_string(), "td");
        assert_eq!(Rights::from_letters(b""), Some(Rights::NONE));
        for bad in [&b"lz"[..], b"L", b"0", b" "] {
            assert_eq!(Rights::from_letters(bad), None);
        }
        assert_eq!(Rights::from_bits(u16::MAX), Rights::ALL);
    }
}
