//! SMTP (RFC 5321) from both sides.

pub mod client;
