//! What mail storage *is*: the transactions of a mail server, in terms of mail.
//!
//! **Does:** states as the trait [`Store`] what every engine must do, the values that cross it
//! ([`Acceptance`], [`Snapshot`], [`Settlement`], [`Event`]) and what an engine promises. The
//! [`conformance`] suite is that promise in executable form; every engine passes it.
//!
//! **Does not:** know files, SQL, sockets or clocks. It never hands out a handle into an engine's
//! inside, nor takes a closure over a transaction, so that an engine over a network can exist.
//!
//! **Data** comes in as [`Stage`] (the bytes of a message under way) and as values; answers go out
//! after they are durable, as [`mail::Durable`] where somebody relies on it. What changed is
//! published through [`MailboxWatch`], [`AccountWatch`] and [`QueueFeed`], after COMMIT, never before.

mod acl;
mod annotation;
mod api;
mod audit;
mod away;
mod body;
pub mod conformance;
mod credential;
mod digest;
mod directory;
mod error;
mod failpoint;
mod history;
pub mod journey;
mod lessons;
mod listen;
mod mailbox;
mod push;
mod queue;
mod scripts;
mod sending;
mod signing;
mod snapshot;

pub use acl::{Grant, GrantChange, GrantOperation, OTHERS, SharedMailbox};
pub use annotation::{Annotation, AnnotationChange, SPECIAL_USE_ENTRY};
pub use api::{CheckFinding, MaildropLock, Store};
pub use audit::{Act, Audit, Audited};
pub use away::{AwayNotice, Once, WhyNot};
pub use body::{Body, Stage};
pub use credential::{NewToken, Passkey, Scopes, Token, TokenHash, TokenKind, Totp};
pub use digest::{Digest, DigestPart, Digested, Marks, Undigested};
pub use directory::{Account, AccountState, Alias, DirectoryEntry, DomainRecord, NewAccount, PasswordHash, ScramKeys};
pub use error::{StoreError, StoreResult};
pub use failpoint::failpoint;
pub use history::{Departed, DepartedMessage, MessageStep, SORT_ORDER_ENTRY, Survey, Surveyed};
pub use journey::{Event, Journey, JourneyQuery, Tls, Weighed, What};
pub use lessons::{Learnt, Lesson, Lessons, WordCounts};
pub use listen::{AccountNews, AccountWatch, Heard, Interest, Listeners, MessageNews};
pub use mailbox::{
    AppendMessage, Appended, CopyOutcome, FlagChange, FlagOperation, MailboxInfo, MailboxStatus, SpecialUse,
    StoreOutcome, UrlKey, canonical_name,
};
pub use push::{Credential, NewPushSubscription, PushChange, PushKeys, PushSubscription};
pub use queue::{
    Acceptance, Accepted, Attempt, Balance, LocalDelivery, NewDsn, Outcome, QueueChange, QueueFeed, QueueItem,
    QueueMessage, QueueNews, QueueRecipient, QueueRelay, QueueState, QueueWork, Redirection, Settlement,
};
pub use scripts::{Mark, ScriptChange, ScriptInfo, ScriptList, Scripts};
pub use sending::{
    Addressed, Cancellation, Gone, Identity, IdentityChange, Kept, Named, NewSubmission, Profile, Progress, Submission,
    SubmittedEnvelope, Undo, Way,
};
pub use signing::{KeyChange, KeyKind, KeyState, PrivateKey, SigningKey, SigningKeys};
pub use snapshot::{MailboxWatch, MessageRow, Snapshot};
