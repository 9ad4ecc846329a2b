//! DKIM (RFC 6376, RFC 8301, RFC 8463): signatures by a domain.
//!
//! [`verify`] checks those of a message that came, [`sign`] makes those of a message that goes, [`key`] knows both halves of a
//! key and its record.

pub mod key;
pub mod sign;
pub mod verify;

pub use verify::{Checked, verify};
