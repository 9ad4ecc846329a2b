//! Push subscriptions (RFC 8620 §7.2): where a client that holds no connection is told of changes.

use mail::{AccountId, PushSubscriptionId, Timestamp, limits};

use crate::{PasswordHash, TokenHash};

/// By what a client was let in; what it makes for itself ends with that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The account's own password, as it was kept then.
    Password(PasswordHash),
    /// A session or an app password.
    Token(TokenHash),
}

/// With what a message to a client is encrypted (RFC 8291 §2.1). Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct PushKeys {
    /// The client's public key: a point of P-256, uncompressed.
    pub p256dh: [u8; 65],
    /// Shared with the client.
    pub auth: [u8; 16],
}

impl std::fmt::Debug for PushKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PushKeys(…)")
    }
}

/// A subscription to keep. Its `Debug` shows nothing by which somebody could push.
#[derive(Clone, PartialEq, Eq)]
pub struct NewPushSubscription {
    /// Whose.
    pub account: AccountId,
    /// By what its client was let in.
    pub credential: Credential,
    /// The client's own name for itself.
    pub device: String,
    /// Where it is told.
    pub url: String,
    /// None: it is told in the clear.
    pub keys: Option<PushKeys>,
    /// What the client must say to show that it is told there.
    pub code: String,
    /// It is over then.
    pub expires: Option<Timestamp>,
    /// Of what it is told; none: of all.
    pub types: Option<Vec<String>>,
    /// The states that the client knows, in the words of who tells it.
    pub told: String,
}

impl std::fmt::Debug for NewPushSubscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewPushSubscription(of {:?}, …, expires: {:?}, types: {:?})", self.account, self.expires, self.types)
    }
}

/// A subscription as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushSubscription {
    /// Never that of another, also when it is gone.
    pub id: PushSubscriptionId,
    /// When it was made.
    pub created: Timestamp,
    /// Whether the client has said the code. Before it is told nothing but that.
    pub verified: bool,
    /// What was given, as changed since.
    pub given: NewPushSubscription,
}

impl PushSubscription {
    /// When it is good no more.
    pub fn end(&self) -> Option<Timestamp> {
        let unverified = (!self.verified).then(|| self.created.plus(limits::PUSH_UNVERIFIED));
        unverified.into_iter().chain(self.given.expires).min()
    }

    /// Whether it is good no more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.end().is_some_and(|end| now >= end)
    }
}

/// A change of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushChange {
    /// The client says what it wants.
    Set {
        /// Whether it has said the code, now or before.
        verified: bool,
        /// See [`NewPushSubscription`].
        expires: Option<Timestamp>,
        /// See [`NewPushSubscription`].
        types: Option<Vec<String>>,
    },
    /// The client was told, and knows these states.
    Told(String),
    /// It is over. URL and keys are wiped from the disk (RFC 8620 §7.2).
    Removed,
}
