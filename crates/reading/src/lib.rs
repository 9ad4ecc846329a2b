//! What is found out of stored messages, for every protocol that shows them.
//!
//! **Does:** reads a message in pieces, as little of it as is asked for ([`body`]), and keeps what was found out of it for
//! others ([`cache`]): its MIME structure, and the facts by which messages are sorted and put into conversations
//! ([`facts`]). Finds the texts that a search looks into ([`texts`]), the marks by which digests rule messages out
//! ([`marks`]), and how a message begins ([`preview`]). Where many are asked for, the store reads ahead ([`ahead`]).
//!
//! **Does not:** know a protocol, or write anything for a client: that is `imap` and `jmap`, which both stand on it so that
//! the same search finds the same messages. It looks into no MIME itself; that is `message`.
//!
//! **Data** comes in as [`store::Body`] and goes out as values.

pub mod ahead;
pub mod body;
pub mod cache;
pub mod facts;
pub mod marks;
pub mod preview;
pub mod texts;
