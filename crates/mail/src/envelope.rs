//! The envelope: who sends, who receives, and what was asked for on the way.

use std::time::Duration;

use crate::{Address, ReversePath, Timestamp};

/// What MAIL and RCPT said, for a whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// MAIL FROM: where reports of failure go.
    pub reverse_path: ReversePath,
    /// RCPT TO, in the order given. Never empty once accepted.
    pub recipients: Vec<Recipient>,
    /// BODY= (RFC 6152, RFC 3030).
    pub body: BodyType,
    /// SMTPUTF8 was given (RFC 6531 §3.4): header fields or addresses may be UTF-8.
    pub smtputf8: bool,
    /// RET= (RFC 3461 §4.3).
    pub dsn_return: Option<DsnReturn>,
    /// ENVID=, xtext decoded (RFC 3461 §4.4).
    pub envelope_id: Option<String>,
    /// HOLDFOR= or HOLDUNTIL= (RFC 4865 §3), of a submission.
    pub hold: Option<Hold>,
}

impl Envelope {
    /// Before this nothing of a message that was accepted at `received_at` leaves; `None`: it need not wait.
    pub fn release_at(&self, received_at: Timestamp) -> Option<Timestamp> {
        let at = match self.hold? {
            Hold::For(seconds) => received_at.plus(Duration::from_secs(seconds.into())),
            Hold::Until(at) => at,
        };
        // What has come already is not waited for.
        (at > received_at).then_some(at)
    }
}

/// How long its sender wants a message to be held back (RFC 4865 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// For so many seconds from its acceptance.
    For(u32),
    /// Until then.
    Until(Timestamp),
}

/// One RCPT TO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The address as given, domain normalised.
    pub address: Address,
    /// NOTIFY= (RFC 3461 §4.1).
    pub notify: Notify,
    /// ORCPT= as `type;address`, xtext decoded (RFC 3461 §4.2).
    pub original: Option<String>,
}

impl Recipient {
    /// A recipient without DSN parameters.
    pub fn new(address: Address) -> Self {
        Self { address, notify: Notify::default(), original: None }
    }
}

/// What the body may contain, as the client declared it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BodyType {
    /// 7BIT or not said.
    #[default]
    SevenBit,
    /// 8BITMIME (RFC 6152).
    EightBitMime,
    /// BINARYMIME (RFC 3030): only with BDAT.
    BinaryMime,
}

/// RET=: how much of the message a failure report returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DsnReturn {
    /// The whole message.
    Full,
    /// The header only.
    Headers,
}

/// NOTIFY=: when a report is wanted. The default, nothing said, is failure and, at our discretion,
/// delay (RFC 3461 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notify {
    /// Said at all; passed on to the next hop only then.
    pub given: bool,
    /// On delivery.
    pub success: bool,
    /// On failure.
    pub failure: bool,
    /// On delay.
    pub delay: bool,
}

impl Notify {
    /// NOTIFY=NEVER.
    pub const NEVER: Self = Self { given: true, success: false, failure: false, delay: false };
}

impl Default for Notify {
    fn default() -> Self {
        Self { given: false, success: false, failure: true, delay: true }
    }
}
