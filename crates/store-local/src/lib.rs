//! The embedded engine of the store: a message log and SQLite.
//!
//! **Does:** implements [`store::Store`] on one directory: *bytes first* (an append-only log of messages,
//! synced in groups: `log`), *then the truth* (one SQLite transaction for all that waits, and the sync of
//! SQLite's log: `truth`), *then the answer* (indexes in memory, wake-ups, acknowledgements: `publish`). Each
//! stage has a thread, so that one batch's bytes are synced while SQLite runs another and a third's rows are
//! synced. Nothing is ever replayed: a row never points to bytes that are not on stable storage, and nobody
//! is shown a row that is not.
//!
//! **Does not:** know protocols, decide policy, or keep two processes on one directory: the second is
//! refused ([`OpenError::Locked`]). Looking on beside a running server is allowed ([`inspect`]).
//!
//! **Data** comes in through [`LocalStore`]'s methods; it lives in `store.db` (the only truth), `log/`
//! (the bytes of messages) `index.db` and `digests.db` (made anew when deleted) and `junk.db` (what was taught, which begins anew), and goes out through
//! [`store::Body`], [`store::MailboxWatch`] and [`store::QueueFeed`].

mod check;
mod codec;
mod digests;
mod directory;
mod disk;
mod error;

mod finder;
mod lessons;
mod log;
mod names;
mod open;
mod options;
mod publish;
mod readers;
mod reclaim;
mod stage;
mod store_impl;
mod submit;
mod truth;
mod version;
mod views;

pub use check::inspect;
pub use disk::{Disk, RealDisk};
pub use error::OpenError;

pub use open::LocalStore;
pub use options::Options;
