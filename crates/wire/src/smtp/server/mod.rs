//! The server's side of SMTP (RFC 5321, submission RFC 6409), without I/O.
//!
//! **Does:** reads commands and message bodies, keeps the state of session and transaction, offers and honours
//! PIPELINING, 8BITMIME, SMTPUTF8, SIZE, CHUNKING, BINARYMIME, BURL, FUTURERELEASE, ENHANCEDSTATUSCODES, DSN, STARTTLS
//! and AUTH, and says every reply but those that a policy gives.
//!
//! **Does not:** know an address, a password or a disk: it asks ([`Question`]), one question at a time. The
//! positive reply to a message can only be made from a [`Durable<QueueId>`].
//!
//! **Data** comes in through [`Server::input`], which hands the bytes of a body back as slices of what was
//! given, and [`Server::answer`]; replies collect in [`Server::output`], which the pump sends before it waits.

mod auth;
mod body;
mod burl;
mod command;
mod commands;
mod engine;
mod parameters;
mod state;
#[cfg(test)]
mod tests;

use std::time::Duration;

use mail::{BodyType, Domain, DsnReturn, Durable, Envelope, QueueId, Recipient, Reply, ReversePath, limits};

use crate::dot::LineEnds;
use crate::sasl::{ChannelBinding, Password, scram::Keys};

pub use engine::Server;
pub use parameters::{ENVID_LEN, ORCPT_LEN, read_future_release, read_notify, too_big};

/// Which door a client came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Port 25: other servers. No AUTH.
    Mx,
    /// Ports 587 and 465: people's programs. Nothing without TLS and AUTH.
    Submission,
    /// A mail server in front of us, on this machine, by LMTP (RFC 2033). No AUTH.
    Lmtp,
}

/// What does not change during a session.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our name: greeting, EHLO.
    pub hostname: Domain,
    /// Which door.
    pub role: Role,
    /// Whether this client need not log in where others must.
    pub trusted: bool,
    /// Whether SCRAM is offered: only where all accounts keep its keys, for clients prefer it where it is.
    pub scram: bool,
    /// Whether who has logged in may name a body that is on the server already (BURL).
    pub burl: bool,
    /// How long who has logged in may have a message held back; `None`: not at all.
    pub future_release: Option<ReleaseLimits>,
    /// Octets of a message.
    pub message_size: u64,
    /// Recipients of a message.
    pub recipients: usize,
    /// Failed commands until the session ends.
    pub errors: usize,
    /// Commands until the session ends.
    pub commands: usize,
    /// Messages until the session ends.
    pub messages: usize,
    /// Wait for a command.
    pub command_timeout: Duration,
    /// Wait for the next piece of a message.
    pub data_timeout: Duration,
    /// Wait for a whole message.
    pub message_timeout: Duration,
}

impl Config {
    /// With every limit as in [`mail::limits`].
    pub fn new(hostname: Domain, role: Role) -> Self {
        Self {
            hostname,
            role,
            trusted: false,
            scram: false,
            burl: false,
            future_release: None,
            message_size: limits::MESSAGE_SIZE as u64,
            recipients: limits::SMTP_RECIPIENTS,
            errors: limits::SMTP_ERRORS,
            commands: limits::SMTP_COMMANDS,
            messages: limits::SMTP_MESSAGES,
            command_timeout: limits::SMTP_COMMAND_TIMEOUT,
            data_timeout: limits::SMTP_DATA_TIMEOUT,
            message_timeout: limits::SMTP_MESSAGE_TIMEOUT,
        }
    }
}

/// What EHLO says of FUTURERELEASE (RFC 4865 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseLimits {
    /// For how long; whole seconds, at most nine digits.
    pub longest: Duration,
    /// Until when: an RFC 3339 date-time in UTC.
    pub latest: String,
}

/// HOLDFOR= or HOLDUNTIL= (RFC 4865 §3), as it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FutureRelease {
    /// For so many seconds.
    For(u32),
    /// Until a date and time, which is not looked at here.
    Until(String),
}

/// What lies under the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Clear text.
    Plain {
        /// Whether there is a certificate to offer STARTTLS with.
        starttls: bool,
    },
    /// TLS, with what it gives to bind a log-in to.
    Tls(ChannelBinding),
}

/// How the client introduced itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The name that it gave: not checked, printable.
    pub name: String,
    /// EHLO; else HELO.
    pub extended: bool,
}

/// MAIL FROM with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The path.
    pub reverse_path: ReversePath,
    /// SIZE=, where given; not above the limit.
    pub size: Option<u64>,
    /// BODY=.
    pub body: BodyType,
    /// SMTPUTF8.
    pub smtputf8: bool,
    /// RET=.
    pub dsn_return: Option<DsnReturn>,
    /// ENVID=, decoded.
    pub envelope_id: Option<String>,
    /// HOLDFOR= or HOLDUNTIL=.
    pub future_release: Option<FutureRelease>,
}

/// What the engine can't know.
#[derive(Debug)]
pub enum Question {
    /// May this sender begin a message, from who introduced itself like that? Answer: [`Answer::Permission`].
    Sender(Sender, Hello),
    /// Is this recipient taken? Answer: [`Answer::Permission`].
    Recipient(Recipient),
    /// The body comes: is there room? Answer: [`Answer::Permission`]; then pieces follow from [`Server::input`].
    Body {
        /// How the client introduced itself, for the trace header.
        hello: Hello,
        /// SIZE=.
        expected: Option<u64>,
    },
    /// What does this URL lead to? It is to be stored behind what came before. Answer: [`Answer::Fetched`].
    Fetch {
        /// As the client wrote it.
        url: Vec<u8>,
        /// Octets that the message may still get; where it would be more, [`too_big`] is the answer.
        room: u64,
        /// The line ends of what came before, to go on with.
        ends: LineEnds,
    },
    /// The body is whole: store it. Answer: [`Answer::Committed`].
    Commit(Box<Envelope>),
    /// Is the password right? Answer: [`Answer::LoggedIn`].
    Password {
        /// As whom the client wants to act, where it said so: must be the same account.
        authorize_as: Option<String>,
        /// The log-in name.
        user: String,
        /// What to check.
        password: Password,
    },
    /// The SCRAM keys of an account? Answer: [`Answer::Keys`].
    ScramKeys {
        /// The log-in name.
        user: String,
    },
    /// How SCRAM ended: a proof was right, or wrong (to be counted). Answer: [`Answer::LoggedIn`].
    ScramEnd {
        /// As whom the client wants to act.
        authorize_as: Option<String>,
        /// Whether the client knows the password.
        proved: bool,
    },
}

/// The answer to a [`Question`].
#[derive(Debug)]
pub enum Answer {
    /// Yes, or a refusal (4yz or 5yz) in these words.
    Permission(Result<(), Reply>),
    /// What was fetched, or why nothing was (4yz or 5yz).
    Fetched(Result<Fetched, Reply>),
    /// Stored, or not and why (4yz or 5yz).
    Committed(Result<Durable<QueueId>, Reply>),
    /// Logged in under this name, or not and why: 535 5.7.8, 454 4.7.0.
    LoggedIn(Result<String, Reply>),
    /// Keys to go on with, or 454 4.7.0.
    Keys(Result<ScramAnswer, Reply>),
}

/// What a URL led to.
#[derive(Debug)]
pub struct Fetched {
    /// Octets.
    pub size: u64,
    /// Some are above 127.
    pub eight_bit: bool,
    /// Line ends with it.
    pub ends: LineEnds,
}

/// Keys and chance for a SCRAM exchange; see [`crate::sasl::server::ScramStart::keys`].
#[derive(Debug)]
pub struct ScramAnswer {
    /// The account's keys, made-up ones, or none.
    pub keys: Option<Keys>,
    /// Fresh and random, 18 octets or more.
    pub nonce: Vec<u8>,
    /// A secret of this server, for who has no keys.
    pub decoy: Vec<u8>,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Answer this.
    Ask(Question),
    /// The transaction is over without a message: forget its bytes.
    Forget,
    /// Send the output, drop all unconsumed input, begin TLS, and call [`Server::tls_began`].
    StartTls,
    /// Send the output and close.
    Close,
    /// Give it input; send the output before waiting for some.
    Wait,
}

/// What [`Server::input`] took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken<'a> {
    /// Octets of the input. 0, and no body: ask [`Server::step`] first. 0 with a body: a CR that was held back, since it
    /// might have been the end's.
    pub used: usize,
    /// Bytes of the message, to be stored before the next call.
    pub body: &'a [u8],
}
