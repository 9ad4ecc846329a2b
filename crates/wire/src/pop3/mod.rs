//! POP3 from the server's side (RFC 1939), without I/O: [`Engine`] takes a client's octets, asks its pump what only
//! the store or the directory knows, and says what to send.
//!
//! **Does:** the three states, the grammar, every reply, dot-stuffing, TOP's cut, SASL exchanges, STLS.
//! **Does not:** know accounts or the store (crate `pop3` answers the questions), sockets, or time.
//!
//! Left out on purpose: APOP (RFC 1939 §7): it needs passwords kept in clear and is MD5; it is refused.
//! Messages with UTF-8 in their header are sent as they are also to clients that did not say UTF8
//! (RFC 6856 §2 would have them refused or rewritten: every client in use reads them, and no octet changes).

mod command;
mod engine;
mod maildrop;
mod transfer;

pub use command::{Command, CommandError, parse};
pub use engine::{Answer, Engine, LoginFailure, Question, Settings, Step};
pub use maildrop::Listing;
