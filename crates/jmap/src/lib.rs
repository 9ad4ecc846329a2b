//! What the methods of JMAP (RFC 8620, RFC 8621) mean, on the store.
//!
//! **Does:** answers the octets of an API request with those of its response ([`Server::request`]); makes the session object,
//! takes uploads in, gives blobs out, says what changed for those who listen ([`push`]), and reads and writes the messages of a
//! WebSocket ([`socket`]). A folder per data type, a file
//! per family of methods; what is offered stands in one table (`method`).
//!
//! **Does not:** know HTTP, cookies or passwords: who asks was authenticated by the caller ([`User`]), and so is the time and
//! the randomness his ([`Moment`]). It looks into no MIME itself; that is `message` and `reading`.
//!
//! **Data** comes in as octets and goes out as octets; blobs go out in pieces.
//!
//! **One message, one id.** In IMAP a message in two mailboxes is two messages that share their octets, and EMAILID says so.
//! A JMAP Email is all of them: its id is EMAILID, its mailboxes are all that have it, and a keyword is its own where one of
//! them has it, but for `$seen`, which all must have (`index`).
//!
//! **States** are places in the account's one order of changes, the same that IMAP's mod-sequences are of; so a client that
//! was away learns exactly what changed, whichever protocol changed it (`changes`).

mod account;
mod args;
mod blob;
mod changes;
mod counts;
mod email;
mod error;
mod identity;
mod ids;
mod index;
mod journey;
mod json;
mod mailbox;
mod method;
mod problem;
pub mod push;
mod push_subscription;
mod query;
mod quota;
mod reference;
mod request;
mod sending;
mod server;
mod session;
mod set;
mod sieve_script;
mod snippet;
pub mod socket;
mod submission;
mod thread;
mod vacation;

pub use blob::Download;
pub use ids::account as account_id;
pub use method::METHODS;
pub use server::{Moment, Outbox, Reply, Server, Turn, User};
pub use session::Urls;
