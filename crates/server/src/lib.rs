//! Everything with a socket: listeners, TLS, HTTP, timers, and the pumps that drive the engines.
//!
//! **Does:** accepts connections within the limits ([`listen`]), makes bytes of them with or without TLS
//! ([`conn`], [`tls`]), gives every pump what it needs of the system ([`Shared`]), checks passwords
//! and passkeys ([`auth`], [`passkey`]), gets certificates ([`acme`]) and counts ([`metrics`]).
//!
//! **Does not:** know what a command means (the engines of `wire`, `pop3` and `imap` do), nor read
//! configuration files (the program does, and hands over [`Settings`]).
//!
//! **Data** comes in over sockets and leaves over sockets. A pump moves it between a [`Connection`] and an
//! engine, and puts the engine's questions to the store.

pub mod acme;
pub mod audit;
pub mod auth;
mod buffer;
pub mod certificate;
mod clock;
pub mod conn;
pub mod connect;
pub mod control;
mod deflate;
mod descriptors;
pub mod dns;
pub mod doctor;
pub mod http;
pub mod imap;
pub mod junk;
pub mod listen;
pub mod lmtp;
pub mod managesieve;
pub mod metrics;
mod milter;
pub mod outbound;
pub mod passkey;
pub mod pop3;
pub mod push;
pub mod settings;
pub mod shared;
pub mod signing;
pub mod smtp;
pub mod tls;
pub mod trusted;
pub mod webpush;

pub use auth::{Auth, LoginError, is_weak};
pub use clock::SystemClock;
pub use conn::{Connection, TlsInfo};
pub use settings::Settings;
pub use shared::{Shared, Shutdown, ShutdownSwitch};
