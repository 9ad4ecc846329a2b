//! What a client that sends through the account's own protocol keeps here: the names it sends under (RFC 8621 §6), and what
//! became of what it sent (§7).

use mail::{AccountId, Address, BodyId, IdentityId, ModSeq, QueueId, SubmissionId, ThreadId, Timestamp};

use crate::Event;

/// Somebody by name and address, as a client wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name, where there is one.
    pub name: Option<String>,
    /// The address.
    pub email: String,
}

/// What an identity says, but for its address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// The name of who sends.
    pub name: String,
    /// Where answers go.
    pub reply_to: Option<Vec<Named>>,
    /// Who gets a blind copy of what is new.
    pub bcc: Option<Vec<Named>>,
    /// Put below a text.
    pub text_signature: String,
    /// Put below HTML.
    pub html_signature: String,
}

/// A name and address to send under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its id; never used again.
    pub id: IdentityId,
    /// The address; never another.
    pub email: Address,
    /// All else.
    pub profile: Profile,
    /// When it was made, in the account's order of changes.
    pub created: ModSeq,
    /// When it changed last.
    pub changed: ModSeq,
}

/// A change of one identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityChange {
    /// A new one.
    Make(Address, Profile),
    /// Another profile.
    Change(IdentityId, Profile),
    /// Away, and not to come again by itself.
    Remove(IdentityId),
}

/// Something that is no more: its id, when it was made, and when it went.
pub type Gone<I> = (I, ModSeq, ModSeq);

/// What there is of a kind in an account, and what went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept<T, I> {
    /// The last place in the account's order of changes.
    pub modseq: ModSeq,
    /// By id.
    pub there: Vec<T>,
    /// Those that went lately.
    pub gone: Vec<Gone<I>>,
    /// What went up to here is no longer known.
    pub known_since: ModSeq,
}

/// An address of an envelope as a client gave it, with SMTP's parameters (decoded).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressed {
    /// The address; empty: null.
    pub email: String,
    /// Names and values; `None`: none were given.
    pub parameters: Option<Vec<(String, Option<String>)>>,
}

/// The envelope of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmittedEnvelope {
    /// MAIL FROM.
    pub from: Addressed,
    /// RCPT TO.
    pub to: Vec<Addressed>,
}

/// A message that is submitted, beside its acceptance.
#[derive(Clone, Debug)]
pub struct NewSubmission {
    /// Who sends.
    pub account: AccountId,
    /// As whom.
    pub identity: IdentityId,
    /// Which of the account's messages.
    pub email: BodyId,
    /// Its conversation.
    pub thread: ThreadId,
    /// The envelope as it was given or found.
    pub envelope: SubmittedEnvelope,
    /// What is known of each way that the message takes.
    pub ways: Vec<Way>,
}

/// How far a message came for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It waits.
    Queued,
    /// It is in his mailbox.
    Delivered,
    /// It will not get there.
    Failed,
    /// Another server has it.
    Unknown,
}

/// The way to one of those that a recipient stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Which recipient of the envelope.
    pub recipient: u32,
    /// Its number in the queue; `None`: it never was there.
    pub queued: Option<u32>,
    /// How far.
    pub progress: Progress,
    /// The last words about it.
    pub words: String,
}

/// Whether a submission can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// Nothing has left yet.
    Pending,
    /// It is too late.
    Final,
    /// It was taken back.
    Canceled,
}

/// A message that was submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Its id; never used again.
    pub id: SubmissionId,
    /// Its name in the queue and the journey.
    pub queue: QueueId,
    /// As whom it was sent.
    pub identity: IdentityId,
    /// Which of the account's messages.
    pub email: BodyId,
    /// Its conversation.
    pub thread: ThreadId,
    /// The envelope.
    pub envelope: SubmittedEnvelope,
    /// When it leaves or left.
    pub send_at: Timestamp,
    /// Whether it can be taken back.
    pub undo: Undo,
    /// What became of it.
    pub ways: Vec<Way>,
    /// Reports about it that we made, where they are in the account.
    pub reports: Vec<BodyId>,
    /// When it was made, in the account's order of changes.
    pub created: ModSeq,
    /// When it changed last.
    pub changed: ModSeq,
}

/// Taking back: of which submission, and what is written into its journey for each recipient.
#[derive(Clone, Debug)]
pub struct Cancellation {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub id: SubmissionId,
    /// In the journey.
    pub events: Vec<Event>,
}
