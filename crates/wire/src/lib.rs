//! The conversations of SMTP, POP3, IMAP and filters (milters), without I/O.
//!
//! **Does:** reads and writes what goes over the wire: lines ([`line`]), dot-stuffed bodies ([`dot`]), addresses
//! ([`address`]), log-ins ([`sasl`]), and the state machines of the protocols, each as an engine that is fed
//! bytes and answers, and says what to do next.
//!
//! **Does not:** own a socket, a clock, a file or a source of randomness. It knows no account and no message:
//! what a command means is asked for, one question at a time, and answered by the crates above.
//!
//! **Data** comes in through an engine's `input` and `answer` and goes out through its `step`.

pub mod address;
pub mod dot;
pub mod imap;
pub mod line;
pub mod managesieve;
pub mod milter;
pub mod pop3;
pub mod proxy;
pub mod sasl;
pub mod smtp;
