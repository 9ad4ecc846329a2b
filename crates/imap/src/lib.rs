//! What the commands of IMAP mean, on the store.
//!
//! **Does:** leads one session from its greeting to its end ([`Session`]): log-in, mailboxes, messages, and what the
//! client must be told of what others do. One file per family of commands; what is advertised stands in one
//! table ([`capability`]).
//!
//! **Does not:** own a socket, a clock or TLS, or check passwords: that is the [`Host`]. It does not parse (that
//! is `wire::imap`) nor look into MIME (that is `message`).
//!
//! **Data** comes in through [`Host::read`] and leaves through [`Host::write`], in pieces of about
//! `limits::IMAP_OUTPUT`.
//!
//! **Why async functions and not an engine that asks:** one FETCH may read thousands of messages and send
//! gigabytes, with the store's answers, the client's pace and the session's own place in the middle of an answer all
//! waiting for each other. Written as a function that awaits, its place is the line it stands at; as an engine,
//! each of these places would be a state of its own. The session still has no socket: a test drives it through a [`Host`]
//! in memory, and states between commands are values ([`session`]) that each command consumes.
//!
//! **The view.** A session sees a mailbox as a [`store::Snapshot`] that never changes; sequence numbers are places in
//! it. What it must tell the client is the difference to the newest one, told only where RFC 3501 §7.4.1 allows it.

mod access;
mod acl;
mod append;
mod authenticate;
mod batches;
mod binary;
mod capability;
mod catenate;
mod change;
mod context;
pub mod digest;
mod enable;
mod facts;
mod fetch;
mod fuzzy;
mod glance;
mod host;
mod idle;
mod io;
mod language;
mod list;
mod mailbox;
mod metadata;
mod multisearch;
mod narrow;
mod notify;
mod progress;
mod qresync;
mod quota;
mod refusal;
mod replace;
mod search;
mod session;
mod sort;
mod structure;
mod thread;
mod url;
mod urlauth;
mod view;

pub use host::{End, Host, Identity, Input, LoginRefused, Patience, Security};
pub use session::{Service, Session};
pub use url::{Astray, Content};
