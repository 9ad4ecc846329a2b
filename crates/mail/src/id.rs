//! Identifiers. None is ever used again for something else (design: "ids are never reused").

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

macro_rules! numeric_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);
    };
}

numeric_id!(
    /// An account: a person or a role with a password and mailboxes.
    AccountId
);
numeric_id!(
    /// A mailbox of an account; survives renaming (OBJECTID's MAILBOXID, RFC 8474).
    MailboxId
);
numeric_id!(
    /// Stored bytes of one message; copies in several mailboxes share it (EMAILID, RFC 8474).
    BodyId
);
numeric_id!(
    /// A conversation (THREADID, RFC 8474).
    ThreadId
);

numeric_id!(
    /// A session of a browser or an app password.
    TokenId
);

numeric_id!(
    /// A name and address that an account sends under (RFC 8621 §6).
    IdentityId
);

numeric_id!(
    /// A filter of an account (RFC 5228).
    ScriptId
);

numeric_id!(
    /// Where a client is told of changes (RFC 8620 §7.2).
    PushSubscriptionId
);

numeric_id!(
    /// A message that was submitted (RFC 8621 §7).
    SubmissionId
);

/// A change's place in an account's one order of changes (RFC 7162 mod-sequence). Starts at 1; 63 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ModSeq(pub u64);

/// A message's number in its mailbox: only grows, is never reused (RFC 3501 §2.3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(NonZeroU32);

impl Uid {
    /// The first UID of a mailbox.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// A UID, if not zero.
    pub const fn new(uid: u32) -> Option<Self> {
        match NonZeroU32::new(uid) {
            Some(uid) => Some(Self(uid)),
            None => None,
        }
    }

    /// As a number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The next one, unless the 32 bits are used up.
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(uid) => Some(Self(uid)),
            None => None,
        }
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// With the mailbox's name and a UID this names a message for ever (RFC 3501 §2.3.1.1). A stored counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UidValidity(pub u32);

/// One accepted message on its way: the name under which logs, the queue and the journey know it.
///
/// 64 bits that grow with time: milliseconds since 1970 in the upper 44, a counter in the lower 20,
/// so that queue rows are written in the order in which they are read. Shown as 13 characters of
/// Crockford's base 32 in lower case, which sort like the number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(u64);

/// A text is no [`QueueId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a queue id: it has 13 characters of 0-9 and a-z without i, l, o and u")
    }
}

impl std::error::Error for InvalidId {}

impl QueueId {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    const LEN: usize = 13;

    /// From its number, as stored.
    pub const fn from_u64(id: u64) -> Self {
        Self(id)
    }

    /// Its number, for storage.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The next id after `last` for a message that arrives at `now`: never equal to or below `last`, even
    /// when the clock goes back.
    pub fn after(last: Self, now: crate::Timestamp) -> Self {
        let by_time = u64::try_from(now.millis()).unwrap_or(0) << 20;
        Self(by_time.max(last.0 + 1))
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; Self::LEN];
        for (place, digit) in text.iter_mut().enumerate() {
            let shift = 5 * (Self::LEN - 1 - place);
            *digit = Self::DIGITS[(self.0 >> shift) as usize & 31];
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for QueueId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.len() != Self::LEN {
            return Err(InvalidId);
        }
        let mut id: u128 = 0;
        for byte in text.bytes() {
            let digit = Self::DIGITS.iter().position(|d| *d == byte.to_ascii_lowercase());
            id = id << 5 | digit.ok_or(InvalidId)? as u128;
        }
        u64::try_from(id).map(Self).map_err(|_| InvalidId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn queue_id_reads_back_what_it_shows() {
        for id in [0, 1, 31, 32, 1 << 20, u64::MAX] {
            let id = QueueId::from_u64(id);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for bad in ["", "0", "000000000000i", "zzzzzzzzzzzzz", "00000000000000"] {
            assert_eq!(bad.parse::<QueueId>(), Err(InvalidId), "{bad}");
        }
    }

    #[test]
    fn queue_id_grows_even_when_the_clock_goes_back() {
        let first = QueueId::after(QueueId::from_u64(0), Timestamp::from_millis(1_700_000_000_000));
        let second = QueueId::after(first, Timestamp::from_millis(1_600_000_000_000));
        assert!(second > first);
        assert!(second.to_string() > first.to_string());
    }
}
