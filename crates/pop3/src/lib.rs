//! What the commands of POP3 mean, on the store.
//!
//! **Does:** answers what the engine in `wire::pop3` asks: opens a maildrop (the account's INBOX, locked for one
//! session, listed once), reads messages piece by piece, and removes at QUIT what was marked.
//!
//! **Does not:** check passwords (the server's pool does), know the protocol's words, or touch flags: what POP3
//! reads stays unseen for IMAP.
//!
//! **Data** comes in as an account that has proved who it is and as UIDs; it leaves as octets and as the proof
//! that a removal is durable. The numbers of a session never change: they are those of the snapshot at log-in.
//! What IMAP brings meanwhile is seen at the next log-in; what IMAP removes answers `Gone`. A session that ends
//! without [`Maildrop::update`] removes nothing and frees the lock.

mod maildrop;

pub use maildrop::{Maildrop, OpenError, ReadError};
