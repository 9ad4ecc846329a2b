//! The types whose changes are told, and how each is seen to have changed.

use std::ops::BitOr;

use mail::ThreadId;

use crate::changes::{Change, Kind, Since};

/// An account, and its Emails that changed.
pub(super) struct Seen<'s> {
    pub(super) since: &'s Since,
    pub(super) emails: Vec<(Change, ThreadId)>,
    pub(super) beside: Beside,
}

/// What of an account changed beside its mail.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beside {
    pub(super) identities: bool,
    pub(super) submissions: bool,
    pub(super) away: bool,
}

/// Whether anything of a type changed.
type IsChanged = fn(&Seen<'_>) -> bool;

/// Each type. What is the account's order of changes is the state of all of them.
const TABLE: &[(&str, IsChanged)] = &[
    ("Mailbox", |seen| !seen.since.mailboxes_of(&seen.emails).is_empty()),
    ("Email", |seen| !seen.emails.is_empty()),
    // RFC 8621 §1.5: something new came, whatever else happened to what was there.
    (DELIVERY, |seen| seen.emails.iter().any(|(change, _)| change.kind == Kind::Created)),
    ("Thread", |seen| !seen.since.threads_of(&seen.emails).is_empty()),
    ("Identity", |seen| seen.beside.identities),
    ("EmailSubmission", |seen| seen.beside.submissions),
    ("VacationResponse", |seen| seen.beside.away),
    // These have states of their own: see `Places`.
    (JOURNEY, |_| false),
];

/// RFC 8621 §1.5
pub(super) const DELIVERY: &str = "EmailDelivery";

/// Our own: docs/jmap.md
pub(super) const JOURNEY: &str = "Journey";

/// The first of them are told of accounts of others, too.
pub(super) const SHARED: usize = 4;

/// How many there are.
pub(super) const COUNT: usize = TABLE.len();

/// The name of each, in the table's order.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

/// Some of the types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Types(u32);

impl Types {
    /// Each that there is.
    pub const ALL: Self = Self(u32::MAX);

    /// None.
    pub const NONE: Self = Self(0);

    /// Those that are named; a name that is not known here is nothing that could change.
    pub fn named<'n>(wanted: impl IntoIterator<Item = &'n str>) -> Self {
        wanted.into_iter().fold(Self::NONE, |some, wanted| {
            let at = names().position(|name| name == wanted);
            some | at.map_or(Self::NONE, |at| Self(1 << at))
        })
    }

    /// RFC 8620 §7.3: `*`, or names with commas between.
    pub fn listed(list: &str) -> Self {
        if list == "*" { Self::ALL } else { Self::named(list.split(',')) }
    }

    /// Those of them whose states mean the same after the server began anew.
    #[must_use]
    pub fn lasting(self) -> Self {
        Self(self.0 & !Self::named([JOURNEY]).0)
    }

    /// Those that changed.
    pub(super) fn of(since: &Since, beside: Beside) -> Self {
        let seen = Seen { since, emails: since.emails(), beside };
        let changed = TABLE.iter().enumerate().filter(|(_, (_, changed))| changed(&seen));
        changed.fold(Self::NONE, |some, (at, _)| some | Self(1 << at))
    }

    /// Whether the one at this place of the table is among them.
    pub(super) const fn has(self, at: usize) -> bool {
        self.0 & (1 << at) != 0
    }
}

impl BitOr for Types {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_names() {
        const { assert!(COUNT < 32) };
        let some = Types::listed("Thread,Mailbox,CalendarEvent,");
        let named: Vec<_> = names().enumerate().filter(|(at, _)| some.has(*at)).map(|(_, name)| name).collect();
        assert_eq!(named, ["Mailbox", "Thread"]);
        assert_eq!((Types::listed(""), Types::listed("email")), (Types::NONE, Types::NONE));
        assert_eq!(Types::listed("*"), Types::ALL);
        assert_eq!(Types::listed("Journey,Email").lasting(), Types::listed("Email"));
    }
}
