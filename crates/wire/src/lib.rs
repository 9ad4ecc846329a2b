//! The conversations of SMTP, POP3 and IMAP, without I/O.

pub mod dot;
pub mod imap;
pub mod pop3;
pub mod smtp;
