//! IMAP's grammar and replies (RFC 3501, RFC 9051 and extensions), without I/O.
//!
//! **Does:** finds whole commands and their literals in a stream of bytes ([`frame`]), reads them into typed
//! values ([`command`], one file per family: [`mailbox`], [`fetch`], [`search`], [`change`]), and writes what a
//! server says ([`write`], [`reply`]). Functions are named after the ABNF productions that they read, which
//! stand above them.
//!
//! **Does not:** know what a command means, which state allows it, or what is in a mailbox: that is the `imap`
//! crate. Dates stay text here; `message::date` reads them.
//!
//! **Data** comes in as the bytes of a whole command, bounded by [`frame::Limits`], and leaves as a
//! [`command::Tagged`]; replies are appended to the caller's buffer.

mod account;
pub mod acl;
pub mod append;
pub mod batches;
pub mod change;
pub mod command;
pub mod cursor;
pub mod fetch;
pub mod frame;
pub mod mailbox;
pub mod metadata;
pub mod multisearch;
pub mod mutf7;
pub mod notify;
pub mod reply;
pub mod search;
pub mod sequence;
pub mod sort;
pub mod url;
pub mod urlauth;
pub mod write;

pub use command::{Command, Tagged};
pub use cursor::{Bad, Cursor};
pub use mutf7::Names;
pub use sequence::{MessageSet, Partial, SequenceSet};
