//! Mail that is accepted, waits, and leaves.

use std::sync::Arc;

use mail::{AccountId, Address, Domain, Envelope, Flags, Keyword, Notify, QueueId, Recipient, Timestamp};

use crate::{Body, Event, Mark, Once, Stage};

/// All that is promised with one 250: local deliveries and queue entries of one message, with its
/// journey so far. Happens whole or not at all.
#[derive(Debug)]
pub struct Acceptance {
    /// Its name from now on; fresh, see [`QueueId::after`].
    pub id: QueueId,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// The envelope as it was given to us, for reports. Where it says that the message is held back, nothing leaves before
    /// its time, and all recipients are in the queue, whoever they are; a submission may be taken back until then.
    pub envelope: Envelope,
    /// The Message-ID field's value with its brackets, where there is one: `trace` finds it by that.
    pub message_id: Option<String>,
    /// Recipients with a mailbox here.
    pub deliveries: Vec<LocalDelivery>,
    /// Recipients elsewhere.
    pub relays: Vec<QueueRelay>,
    /// Recipients that a named policy threw away (each has its event).
    pub discarded: u32,
    /// The journey so far.
    pub events: Vec<Event>,
    /// Reports that are due with the acceptance itself (success of a local delivery).
    pub dsns: Vec<NewDsn>,
    /// What scripts remember of it.
    pub marks: Vec<Mark>,
}

/// Into a mailbox of this store.
#[derive(Clone, Debug)]
pub struct LocalDelivery {
    /// Whose.
    pub account: AccountId,
    /// The account's address, for errors.
    pub address: Address,
    /// Mailbox name; `None`: INBOX. One that is not there is made.
    pub mailbox: Option<String>,
    /// Header lines for this recipient alone (Return-Path, Delivered-To), with CRLF.
    pub prefix: Vec<u8>,
    /// Flags that it gets.
    pub flags: Flags,
    /// Keywords that it gets; those for which its mailbox has no room are left out.
    pub keywords: Vec<Keyword>,
}

/// To another server.
#[derive(Clone, Debug)]
pub struct QueueRelay {
    /// To whom, and what reports are wanted.
    pub recipient: Recipient,
    /// Header lines put on top for this recipient alone (Delivered-To of the alias that sent it on).
    pub prefix: Vec<u8>,
    /// What it is queued under for scheduling: the domain, or the name of its fixed route.
    pub destination: Domain,
    /// When it may first be tried.
    pub next_attempt: Timestamp,
}

/// A report (RFC 3464) to send: a message of its own, committed with what it reports.
pub struct NewDsn {
    /// Its bytes, complete.
    pub body: Box<dyn Stage>,
    /// Where it goes; its reverse-path is null.
    pub acceptance: Acceptance,
    /// Whether the commit may leave it out; only beside a message that comes into a mailbox with it.
    pub once: Option<Once>,
}

impl std::fmt::Debug for NewDsn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.acceptance.fmt(f)
    }
}

/// What a committed acceptance made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The message.
    pub id: QueueId,
    /// Where the local deliveries are, in their order.
    pub delivered: Vec<(mail::MailboxId, mail::Uid)>,
}

/// Whether the scheduler may try a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueState {
    /// When its time has come.
    Waiting,
    /// An operator holds it.
    Held,
}

/// What the scheduler keeps of one recipient: small, since there may be a million.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueItem {
    /// The message.
    pub id: QueueId,
    /// Which of its recipients.
    pub recipient: u32,
    /// What it is scheduled under.
    pub destination: Domain,
    /// When it may be tried.
    pub next_attempt: Timestamp,
    /// Tries so far.
    pub attempts: u32,
    /// Whether it may be tried at all.
    pub state: QueueState,
}

/// News for the scheduler, published after COMMIT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueNews {
    /// New, or changed in any way.
    Changed(QueueItem),
    /// Settled, dropped: forget it.
    Gone(QueueId, u32),
    /// The operator paused a destination.
    Paused(Domain),
    /// The operator let a destination go on.
    Resumed(Domain),
}

/// Where the scheduler hears of new work: all of one commit at once, so that recipients that came together go
/// together. Without a bound, since what is in it will be in the scheduler's own memory a moment later.
pub type QueueFeed = tokio::sync::mpsc::UnboundedReceiver<Vec<QueueNews>>;

/// A recipient of a queued message, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRecipient {
    /// Its number in the message; stays the same.
    pub index: u32,
    /// To whom.
    pub address: Address,
    /// What reports are wanted.
    pub notify: Notify,
    /// ORCPT, decoded.
    pub original: Option<String>,
    /// Header lines for it alone.
    pub prefix: Vec<u8>,
    /// What it is scheduled under.
    pub destination: Domain,
    /// Whether it may be tried.
    pub state: QueueState,
    /// Tries so far.
    pub attempts: u32,
    /// When it may be tried next.
    pub next_attempt: Timestamp,
    /// Whether a delay was reported.
    pub warned: bool,
    /// The last try.
    pub last: Option<Attempt>,
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// The server that answered, where one did: name or address.
    pub host: Option<String>,
    /// `451 4.3.0 words`, or what failed where nobody answered; at most `limits::REMOTE_WORDS`.
    pub words: String,
    /// RFC 3463 code for reports: the remote's, else ours.
    pub status: (u8, u16, u16),
}

/// A queued message, whole, but its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueMessage {
    /// Its id.
    pub id: QueueId,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// When its sender lets it leave, where he said so (RFC 4865).
    pub release_at: Option<Timestamp>,
    /// Nothing of it has left: see [`crate::Store::begin_sending`].
    pub held: bool,
    /// The envelope as accepted. Its `recipients` are those given to us, not those still queued.
    pub envelope: Envelope,
    /// Message-ID.
    pub message_id: Option<String>,
    /// Octets of the stored bytes, without a recipient's prefix.
    pub size: u64,
    /// Those still queued.
    pub recipients: Vec<QueueRecipient>,
}

impl QueueMessage {
    /// Its lifetime counts from here (RFC 4865: not from when it began to be held).
    pub fn lives_from(&self) -> Timestamp {
        self.release_at.map_or(self.received_at, |at| at.max(self.received_at))
    }
}

/// A queued message with its bytes, ready to be tried.
#[derive(Clone)]
pub struct QueueWork {
    /// The message.
    pub message: QueueMessage,
    /// The bytes that its recipients share; each one's prefix goes before them.
    pub body: Arc<dyn Body>,
}

impl std::fmt::Debug for QueueWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.message.fmt(f)
    }
}

/// Accepted = delivered + relayed + bounced + expired + discarded + queued: recipients counted since
/// the store was made. The left side and each term of the right are kept by the transactions that
/// cause them; `queued` is counted from the queue itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Recipients that we answered for.
    pub accepted: u64,
    /// Put into a mailbox here.
    pub delivered: u64,
    /// Taken by another server.
    pub relayed: u64,
    /// Returned.
    pub bounced: u64,
    /// Returned for their age.
    pub expired: u64,
    /// Thrown away by a named policy or the operator.
    pub discarded: u64,
    /// Still here.
    pub queued: u64,
}

impl Balance {
    /// Whether nothing was lost or doubled.
    pub const fn holds(&self) -> bool {
        self.accepted == self.delivered + self.relayed + self.bounced + self.expired + self.discarded + self.queued
    }
}

/// What became of one recipient. Every queued recipient ends with exactly one of these but `Deferred`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The next server took it.
    Relayed,
    /// It is in the INBOX of an account here, with its prefix on top.
    Delivered {
        /// Whose.
        account: AccountId,
        /// When.
        at: Timestamp,
    },
    /// It failed for good; the report, where one is due, is in the same settlement.
    Bounced,
    /// It grew too old; likewise.
    Expired,
    /// A named policy or the operator threw it away.
    Discarded,
    /// It is tried again.
    Deferred {
        /// When.
        next_attempt: Timestamp,
        /// Whether a delay report went out now or before.
        warned: bool,
        /// How it ended this time.
        attempt: Attempt,
    },
}

/// The end of a try: outcomes, events and reports of one message, in one commit.
#[derive(Debug)]
pub struct Settlement {
    /// The message.
    pub id: QueueId,
    /// Outcome by recipient index.
    pub outcomes: Vec<(u32, Outcome)>,
    /// For whom it was tried, by index. What became of him is nothing to whom an operator has put in his place meanwhile: that
    /// one stays queued.
    pub tried: Vec<(u32, Address)>,
    /// What happened.
    pub events: Vec<Event>,
    /// Reports that are due because of it.
    pub dsns: Vec<NewDsn>,
}

/// What an operator changes of recipients of one message that wait.
#[derive(Clone, Debug)]
pub struct QueueChange {
    /// The message.
    pub id: QueueId,
    /// Which of its recipients; those no longer queued are passed over.
    pub recipients: Vec<u32>,
    /// Whether they may be tried.
    pub state: QueueState,
    /// When; none: as before.
    pub next_attempt: Option<Timestamp>,
    /// Whom they are from now on for; none: as before.
    pub to: Option<Redirection>,
    /// What happened; written where at least one of them was still queued.
    pub events: Vec<Event>,
}

/// Another recipient in the place of those that wait. Where there are several he gets it once: one stands for all of
/// them, and the others end as discarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirection {
    /// To whom.
    pub address: Address,
    /// Header lines for him alone.
    pub prefix: Vec<u8>,
    /// What it is scheduled under.
    pub destination: Domain,
}
