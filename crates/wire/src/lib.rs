//! The conversations of SMTP, POP3 and IMAP, without I/O.

pub mod imap;
pub mod pop3;
