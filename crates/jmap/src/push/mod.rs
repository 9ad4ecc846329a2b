//! What changed, for those who listen (RFC 8620 §7): which types of which accounts have another state now.
//!
//! Does: hear that something changed ([`Ear`], by the store's news), find out which types did, by what the methods `/changes` would
//! answer, and word it (`StateChange`). A type that is to be told of is a line of the table in `types`.
//!
//! Does not: send anything: how listeners are reached, when they are told, and whether they still may be, is the caller's.

mod ear;
mod states;
mod types;

pub use ear::{Ear, Heard};
pub use states::{Changed, States};
pub use types::Types;
