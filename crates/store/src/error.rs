//! What can go wrong in a store, by what the caller must do about it.

use std::fmt;

use mail::{Address, MailboxId, QueueId};

/// What every transaction answers.
pub type StoreResult<T> = Result<T, StoreError>;

/// Why a transaction did not happen. Nothing of it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The store takes nothing more until it is opened anew (a failed sync, a stopped writer).
    /// Answer 451 / NO [UNAVAILABLE] and end the process: its words say why.
    Poisoned(String),
    /// Too little free space: 452 4.3.1 / NO [OVERQUOTA]-like. Recovers by itself.
    DiskFull,
    /// Too much waits already: 451 / NO [INUSE]; trying again soon helps.
    Busy,
    /// The account's quota does not hold the message: 452 4.2.2 / NO [OVERQUOTA].
    OverQuota(Address),
    /// The account is gone or disabled since it was looked up.
    AccountGone(Address),
    /// No such account, domain or alias.
    NotFound(String),
    /// It exists already.
    Exists(String),
    /// The mailbox is not there (any more): NO [NONEXISTENT].
    MailboxGone(MailboxId),
    /// No mailbox of this name: NO [NONEXISTENT] or, for APPEND and COPY, [TRYCREATE].
    NoMailbox(String),
    /// The mailbox's name can't be: too long, empty level, INBOX, or the like; the words say what.
    BadMailboxName(&'static str),
    /// The mailbox is somebody else's, who did not allow that: NO [NOPERM].
    Forbidden,
    /// There is no such special use: NO [USEATTR].
    BadSpecialUse,
    /// The mailbox has children, so it can't be deleted (RFC 3501 §6.3.4).
    HasChildren,
    /// The queue entry is not there (any more).
    NoQueueEntry(QueueId),
    /// The message can't be read: its bytes don't match their checksum, or its record makes no sense. It is quarantined
    /// and reported; the words name the place.
    Damaged(String),
    /// A named limit (`mail::limits`) would be passed.
    Limit(&'static str),
    /// The maildrop is locked by another session: -ERR [IN-USE].
    InUse,
    /// The filter is the active one, which can't be removed (RFC 5804 §2.10).
    ScriptActive,
    /// Anything else from the disk or the database, with its words. Answer 451 / NO [SERVERBUG].
    Failed(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poisoned(why) => write!(f, "the store has stopped: {why}"),
            Self::DiskFull => f.write_str("too little free disk space"),
            Self::Busy => f.write_str("the store is busy, try again"),
            Self::OverQuota(who) => write!(f, "the mailbox of {who} is full"),
            Self::AccountGone(who) => write!(f, "the account {who} is gone"),
            Self::NotFound(what) => write!(f, "{what} does not exist"),
            Self::Exists(what) => write!(f, "{what} exists already"),
            Self::MailboxGone(_) => f.write_str("the mailbox was deleted"),
            Self::NoMailbox(name) => write!(f, "there is no mailbox {name}"),
            Self::BadMailboxName(why) => f.write_str(why),
            Self::Forbidden => f.write_str("its owner does not allow that"),
            Self::BadSpecialUse => f.write_str("there is no such special use"),
            Self::HasChildren => f.write_str("the mailbox has children: delete them first"),
            Self::NoQueueEntry(id) => write!(f, "there is no {id} in the queue"),
            Self::Damaged(place) => write!(f, "the message is damaged on disk ({place})"),
            Self::Limit(which) => write!(f, "over the limit {which}"),
            Self::ScriptActive => f.write_str("it is the active script: deactivate it first"),
            Self::InUse => f.write_str("another session uses the maildrop"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for StoreError {}
