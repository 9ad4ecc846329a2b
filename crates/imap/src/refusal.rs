//! What the client is told when the store says no.

use store::StoreError;
use wire::imap::reply::{Code, Reply};

/// The reply for a store's error (RFC 5530's codes).
pub(crate) fn refusal(error: &StoreError) -> Reply {
    match error {
        StoreError::Poisoned(_) => Reply::no(Code::Unavailable, "The mail store has stopped, try again later"),
        StoreError::DiskFull => Reply::no(Code::OverQuota, "The server has too little free disk space"),
        StoreError::Busy => Reply::no(Code::Unavailable, "The server is busy, try again"),
        StoreError::OverQuota(_) => Reply::no(Code::OverQuota, "Your quota does not allow it: delete something first"),
        StoreError::AccountGone(_) => Reply::no(Code::AuthorizationFailed, "The account is gone or disabled"),
        StoreError::NotFound(_) | StoreError::NoMailbox(_) => Reply::no(Code::NonExistent, "There is no such mailbox"),
        StoreError::MailboxGone(_) => Reply::no(Code::NonExistent, "The mailbox was deleted"),
        StoreError::Exists(_) => Reply::no(Code::AlreadyExists, "There is such a mailbox already"),
        StoreError::BadMailboxName(why) => Reply::no(Code::Cannot, *why),
        StoreError::Forbidden => Reply::no(Code::NoPerm, "The mailbox's owner does not allow that"),
        StoreError::BadSpecialUse => Reply::no(Code::UseAttr, "There is no such special use here"),
        StoreError::HasChildren => Reply::no(Code::HasChildren, "The mailbox has children: delete them first"),
        StoreError::Limit(which) => Reply::no(Code::Limit, format!("Over the limit {which}")),
        StoreError::InUse => Reply::no(Code::InUse, "Another session uses it"),
        StoreError::Damaged(_) => Reply::no(Code::ServerBug, "A message is damaged on the server's disk"),
        error => {
            tracing::error!(%error, "a mailbox command failed");
            Reply::no(Code::ServerBug, "The server failed, the administrator will see why")
        }
    }
}

/// The same where a missing target may be made by the client (RFC 3501 §6.3.11, §6.4.7).
pub(crate) fn target_refusal(error: &StoreError) -> Reply {
    match error {
        StoreError::NotFound(_) | StoreError::NoMailbox(_) | StoreError::MailboxGone(_) => no_target(),
        error => refusal(error),
    }
}

/// The target mailbox is not there.
pub(crate) fn no_target() -> Reply {
    Reply::no(Code::TryCreate, "There is no such mailbox: CREATE it first")
}

#[cfg(test)]
mod tests {
    use mail::{Address, Domain, MailboxId};

    use super::*;

    /// What no client can bring about at will, in the words that he gets.
    #[test]
    fn what_the_store_says() {
        let alice = Address::new("alice", Domain::from_ascii("red.example").unwrap()).unwrap();
        for (error, said) in [
            (StoreError::Poisoned("x".into()), "NO [UNAVAILABLE] The mail store has stopped, try again later"),
            (StoreError::Busy, "NO [UNAVAILABLE] The server is busy, try again"),
            (StoreError::DiskFull, "NO [OVERQUOTA] The server has too little free disk space"),
            (StoreError::AccountGone(alice), "NO [AUTHORIZATIONFAILED] The account is gone or disabled"),
            (StoreError::MailboxGone(MailboxId(1)), "NO [NONEXISTENT] The mailbox was deleted"),
            (StoreError::Limit("X"), "NO [LIMIT] Over the limit X"),
            (StoreError::InUse, "NO [INUSE] Another session uses it"),
            (StoreError::Damaged("x".into()), "NO [SERVERBUG] A message is damaged on the server's disk"),
            (StoreError::Failed("x".into()), "NO [SERVERBUG] The server failed, the administrator will see why"),
        ] {
            let mut out = Vec::new();
            refusal(&error).write(&mut out, "a");
            assert_eq!(String::from_utf8(out).unwrap(), format!("a {said}\r\n"));
        }
    }
}

/// Why something of a message can't be told.
#[derive(Clone, Debug)]
pub(crate) enum Unread {
    /// It can't be read.
    Store(StoreError),
    /// Its transfer encoding is not known (RFC 3516 §4.3).
    Encoding,
}

impl From<StoreError> for Unread {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
