//! A mail client for the terminal: SMTP, POP3 and IMAP from the other side, against any server.
//!
//! **Does:** connects ([`ServerUrl`] says how), logs in, sends, lists, reads, saves a part and watches
//! ([`Maildrop`], over [`imap`] or [`pop3`]). TLS is checked against the system's authorities or
//! a file of one's own.
//!
//! **Does not:** parse arguments, ask for passwords or draw (that is `postrider mail`), keep mail or state, or
//! send a password over a connection without TLS off loopback.
//!
//! **Data** comes in from servers that may lie: every line, literal, list and count is bounded, and
//! [`safe_text`] stands between a stranger's words and the terminal.

mod connection;
mod error;
pub mod imap;
mod maildrop;
mod part;
pub mod pop3;
mod smtp;
mod text;
mod tls;
mod url;

pub use error::{MuaError, MuaResult};
pub use maildrop::{Maildrop, Message, Opened, Progress, Sink, Summary};
pub use part::PartInfo;
pub use smtp::{Outgoing, Sent, send};
pub use text::{is_obeyed, safe_text};
pub use tls::Trust;
pub use url::{Protocol, ServerUrl};
pub use wire::sasl::client::Login;
