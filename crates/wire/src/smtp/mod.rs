//! SMTP (RFC 5321) from both sides.

pub mod client;
pub mod reply;
pub mod server;
pub mod xtext;
