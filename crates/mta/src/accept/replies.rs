//! The refusals, in one place.

use mail::{Address, Reply};
use store::StoreError;

use super::NotHeld;

/// RFC 3463 §3.8 X.7.1
pub(super) fn relaying_denied(address: &Address) -> Reply {
    Reply::new(550, (5, 7, 1), format!("<{address}>: relaying denied"))
}

pub(super) fn unknown(address: &Address) -> Reply {
    Reply::new(550, (5, 1, 1), format!("<{address}>: no such user here"))
}

pub(super) fn disabled(address: &Address) -> Reply {
    Reply::new(550, (5, 2, 1), format!("<{address}>: the mailbox is disabled"))
}

pub(super) fn full(address: &Address) -> Reply {
    Reply::new(452, (4, 2, 2), format!("<{address}>: the mailbox is full"))
}

pub(super) fn never_fits(address: &Address) -> Reply {
    Reply::new(552, (5, 2, 2), format!("<{address}>: the message is bigger than the mailbox"))
}

pub(super) fn alias_loop(address: &Address) -> Reply {
    Reply::new(550, (5, 4, 6), format!("<{address}>: the alias leads back to itself, or to too many"))
}

pub(super) fn not_yours(address: &Address) -> Reply {
    Reply::new(550, (5, 7, 1), format!("<{address}>: not an address of the account that is logged in"))
}

/// RFC 4865 §3
pub(super) fn not_held(why: NotHeld) -> Reply {
    match why {
        NotHeld::NoDate => Reply::new(501, (5, 5, 4), "HOLDUNTIL has a date and time like 2026-11-24T08:00:00Z"),
        NotHeld::TooLong => {
            Reply::new(501, (5, 5, 4), "The message can't be held that long; EHLO tells how long it can")
        }
    }
}

pub(super) fn mail_loop() -> Reply {
    Reply::new(554, (5, 4, 6), "The message goes round in circles")
}

/// Of more than `limits::HEADER_LEN` octets.
pub(super) fn long_header() -> Reply {
    Reply::new(552, (5, 3, 4), "The header is too long, or has no end")
}

/// What a client hears of a failure of ours. No word of the disk goes out.
pub(super) fn of_store(error: &StoreError) -> Reply {
    match error {
        StoreError::DiskFull => Reply::new(452, (4, 3, 1), "Insufficient system storage"),
        StoreError::OverQuota(address) => full(address),
        // Gone since RCPT: the next try is refused there.
        StoreError::AccountGone(address) => Reply::new(451, (4, 2, 1), format!("<{address}>: not available")),
        StoreError::Limit(_) => Reply::new(552, (5, 3, 4), "The message is over a limit of this system"),
        StoreError::Busy => Reply::new(451, (4, 3, 2), "The system is busy, try again"),
        _ => Reply::new(451, (4, 3, 0), "The message can't be stored now, try again later"),
    }
}
