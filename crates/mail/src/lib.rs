//! The words that every part of Postrider uses; those for the parts of Internet mail are RFC 5598's (§2, §3).
//!
//! **Does:** names the values that cross the borders between crates: [`Address`], [`ReversePath`],
//! [`Envelope`], [`QueueId`], [`Uid`], [`ModSeq`], [`Flags`], [`Reply`], the witness [`Durable`],
//! and, in [`limits`], every bound of the whole system.
//!
//! **Does not:** parse wire syntax (that is `wire`), read files, know the time, or depend on
//! anything but std.
//!
//! **Data** comes in through constructors that check it and goes out through `Display`. A value of
//! a type in this crate is valid by construction.

mod address;
mod durable;
mod envelope;
mod flags;
mod id;
pub mod limits;
mod reply;
mod rights;
mod time;

pub use address::{Address, Domain, InvalidAddress, ReversePath};
pub use durable::Durable;
pub use envelope::{BodyType, DsnReturn, Envelope, Hold, Notify, Recipient};
pub use flags::{Flags, Keyword};
pub use id::{
    AccountId, BodyId, IdentityId, InvalidId, MailboxId, ModSeq, PushSubscriptionId, QueueId, ScriptId, SubmissionId,
    ThreadId, TokenId, Uid, UidValidity,
};
pub use reply::{EnhancedCode, Reply, ReplyCode};
pub use rights::Rights;
pub use time::Timestamp;
