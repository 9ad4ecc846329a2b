//! What a session needs of the world: a connection, a clock, and somebody who knows passwords.

use async_trait::async_trait;
use mail::{AccountId, Timestamp};
use wire::sasl::ChannelBinding;
use wire::sasl::scram::Keys;

/// Who has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub account: AccountId,
    /// Its name, for logs.
    pub name: String,
}

/// Why somebody was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginRefused {
    /// Wrong name or password, or an account that may not be used: not told apart.
    Credentials,
    /// Too many failures before: not even looked at.
    TooMany,
    /// We can't tell now.
    Temporary,
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Octets, appended.
    Bytes,
    /// Nothing for a while: in IDLE, a good time for a sign of life.
    Quiet,
    /// The client has closed.
    Closed,
    /// Nothing for too long: autologout (RFC 3501 §5.4).
    TimedOut,
    /// The server stops.
    Stopping,
}

/// How long a client may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Before log-in.
    Unauthenticated,
    /// Between commands, and within one.
    Authenticated,
    /// In IDLE: [`Input::Quiet`] now and then.
    Idle,
}

/// What protects the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Security {
    /// TLS is on.
    pub tls: bool,
    /// STARTTLS can be done.
    pub starttls: bool,
    /// Passwords may be sent as it is now: TLS is on, or it is loopback and configured so.
    pub passwords: bool,
    /// SCRAM is offered.
    pub scram: bool,
}

/// How a session's connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Both sides agreed, or the client just left.
    Closed,
    /// The connection failed, or was given up because the answer could not be finished.
    Failed,
}

/// The world of one session.
#[async_trait]
pub trait Host: Send + Sync {
    /// Waits for input and appends it. May be dropped at any time without losing octets. Holds no buffer while it waits.
    async fn read(&mut self, input: &mut Vec<u8>, patience: Patience) -> Result<Input, End>;
    /// Sends; returns once the connection took it all.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), End>;
    /// Begins TLS, dropping what was received and not yet read (STARTTLS injection).
    async fn start_tls(&mut self) -> Result<(), End>;
    /// Whether the connection can be compressed, and is not yet (RFC 4978).
    fn can_compress(&self) -> bool;
    /// From here on both directions are compressed; `received` is what the client sent compressed already.
    fn compress(&mut self, received: &[u8]);
    /// What protects the connection now.
    fn security(&self) -> Security;
    /// What TLS gives to bind a log-in to.
    fn binding(&self) -> ChannelBinding;
    /// Octets of a message at most.
    fn message_size(&self) -> u64;
    /// What time it is.
    fn now(&self) -> Timestamp;
    /// The URL of JMAP's session object, where what this client logged in with is good there, too (RFC 9698).
    fn jmap_session(&self) -> Option<String>;
    /// Octets that nobody can guess, other ones each time.
    fn secret(&self) -> [u8; 32];
    /// Checks a password. Takes its time after failures.
    async fn log_in(&mut self, user: &str, password: &str) -> Result<Identity, LoginRefused>;
    /// A user's SCRAM keys, made up where there are none, and a fresh nonce of 18 octets or more.
    async fn scram_keys(&mut self, user: &str) -> Result<(Keys, Vec<u8>), LoginRefused>;
    /// How the SCRAM exchange that [`Host::scram_keys`] began went.
    async fn scram_ended(&mut self, user: &str, right: bool) -> Result<Identity, LoginRefused>;
}
