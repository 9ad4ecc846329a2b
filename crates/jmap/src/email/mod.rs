//! Emails (RFC 8621 §4).

mod body;
pub(crate) mod changes;
mod compose;
pub(crate) mod copy;
pub(crate) mod filter;
pub(crate) mod get;
mod header;
pub(crate) mod import;
pub(crate) mod object;
pub(crate) mod parse;
mod placing;
pub(crate) mod query;
pub(crate) mod set;
mod write;

pub(crate) use object::utc;
