//! What an account has and what went from it, for clients that hold a copy of all of it and were away (RFC 8620 §5.2), and
//! changes of messages that are one change to them.

use mail::{BodyId, Flags, MailboxId, ModSeq, ThreadId, Uid};

use crate::{FlagChange, SpecialUse};

/// The annotation that says where among its siblings a mailbox stands in a list: a number, in decimal digits.
pub const SORT_ORDER_ENTRY: &str = "/private/vendor/postrider/sort-order";

/// The mailboxes of an account at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The last place in the account's order of changes.
    pub modseq: ModSeq,
    /// When the away notice was set last; 0: never.
    pub away: ModSeq,
    /// By name, INBOX first.
    pub mailboxes: Vec<Surveyed>,
}

/// A mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// Its id.
    pub id: MailboxId,
    /// Its name, as [`crate::MailboxInfo`] has it.
    pub name: String,
    /// Special use.
    pub special_use: Option<SpecialUse>,
    /// Subscribed.
    pub subscribed: bool,
    /// As [`SORT_ORDER_ENTRY`] says.
    pub sort_order: Option<u32>,
    /// When it was made, in the account's order; 0: before that was noted.
    pub created: ModSeq,
    /// When anything of it but its messages changed last: its name or the names above it, use, subscription, who may do what.
    pub changed: ModSeq,
    /// The last change of its messages.
    pub highest_modseq: ModSeq,
}

/// What went from an account since a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Departed {
    /// Messages that were removed, those of mailboxes that were removed too. What came and went since is among them.
    pub messages: Vec<DepartedMessage>,
    /// Mailboxes that were removed, when each was made, and when removed.
    pub mailboxes: Vec<(MailboxId, ModSeq, ModSeq)>,
    /// Messages from which \Deleted was taken since, and when; some may have gone after it.
    pub restored: Vec<(MailboxId, Uid, ModSeq)>,
}

/// A message that was removed from its mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepartedMessage {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Its UID there.
    pub uid: Uid,
    /// Its bytes, which other mailboxes may still have.
    pub body: BodyId,
    /// Its conversation.
    pub thread: ThreadId,
    /// The modseq with which it had come.
    pub created: ModSeq,
    /// The modseq with which it went.
    pub modseq: ModSeq,
    /// Its system flags when it went.
    pub flags: Flags,
}

/// A part of a change of messages. All messages named must be there.
#[derive(Clone, Debug)]
pub enum MessageStep {
    /// Flags.
    Flags(MailboxId, Vec<Uid>, FlagChange),
    /// A copy in another mailbox.
    Copy(MailboxId, Vec<Uid>, MailboxId),
    /// To another mailbox.
    Move(MailboxId, Vec<Uid>, MailboxId),
    /// Away.
    Expunge(MailboxId, Vec<Uid>),
}
