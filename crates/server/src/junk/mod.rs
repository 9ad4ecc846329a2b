//! Junk, by what each account has taught.
//!
//! **Does:** learns from what accounts do with their mail ([`learn`]), and puts what looks like junk to an account into its
//! Junk mailbox ([`ByWords`]), with the words and all else that decided in the journey.
//!
//! **Does not:** refuse or throw away anything, or judge what accounts of this system send.
//!
//! **Data** comes in as lessons of the store and as copies of messages about to be put into mailboxes; it leaves as counts of
//! words and as a [`mta::accept::inspect::Filing`].

mod filter;
mod lessons;

pub use filter::ByWords;
pub use lessons::learn;
