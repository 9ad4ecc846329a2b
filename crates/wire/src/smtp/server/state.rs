//! The state of a session as a value. A transition takes the old one and gives the new one.

use mail::{Envelope, Recipient, Reply, Timestamp};

use super::burl::Burl;
use super::{Hello, Sender};
use crate::dot::{LineEnds, Unstuffing};
use crate::sasl;

/// Who the client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// Nobody said.
    Stranger,
    /// Logged in under this name.
    Account(String),
}

/// What was agreed after EHLO or HELO.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) hello: Hello,
    pub(super) identity: Identity,
}

/// MAIL was accepted.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) sender: Sender,
    pub(super) recipients: Vec<Recipient>,
}

impl Transaction {
    pub(super) fn into_envelope(self) -> Envelope {
        let Sender { reverse_path, body, smtputf8, dsn_return, envelope_id, .. } = self.sender;
        // Until when it is held back is found out by who knows what time it is.
        Envelope { reverse_path, recipients: self.recipients, body, smtputf8, dsn_return, envelope_id, hold: None }
    }
}

/// What becomes of the body that is coming in.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is stored.
    Keep,
    /// It is read to its end and then refused.
    Refuse(Reply),
}

/// A body on its way in.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) transaction: Transaction,
    pub(super) size: u64,
    pub(super) fate: Fate,
    /// When its first byte could come.
    pub(super) since: Timestamp,
}

/// A chunk of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) size: u64,
    pub(super) last: bool,
}

#[derive(Debug)]
pub(super) enum State {
    /// Connected, or TLS has just begun: nothing is known of the client.
    Greeted,
    /// EHLO or HELO was said.
    Ready(Session),
    /// In AUTH, waiting for a response.
    Authenticating(Session, sasl::server::Exchange),
    /// MAIL was accepted, and some RCPTs perhaps.
    Mail(Session, Transaction),
    /// Between 354 and the final dot.
    Data(Session, Incoming, Unstuffing),
    /// In a chunk with so many octets to come.
    Chunk(Session, Incoming, LineEnds, Chunk, u64),
    /// Between chunks.
    Chunked(Session, Incoming, LineEnds),
    /// In a chunk of no transaction: so many octets to come, then this reply.
    Discard(Box<State>, u64, Reply),
    /// A question is open.
    Waiting(Waiting),
    /// The output is to be sent, then TLS begins.
    StartTls,
    /// Nothing more is read.
    Closed,
}

/// For the answer to which question.
#[derive(Debug)]
pub(super) enum Waiting {
    Sender(Session, Sender),
    Recipient(Session, Transaction, Recipient),
    Data(Session, Transaction),
    Chunk(Session, Transaction, Chunk),
    Burl(Session, Transaction, Burl),
    /// Whether it is the last of the body.
    Fetch(Session, Incoming, bool),
    /// How many recipients it has.
    Commit(Session, usize),
    LogIn(Session),
    Keys(Session, Box<sasl::server::ScramStart>),
    /// SCRAM failed with this reply, whatever the answer.
    LogInFailed(Session, Reply),
}
