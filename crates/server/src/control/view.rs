//! What answers look like as JSON; `--json` shows them as they are, so their names are an interface.

use mail::Timestamp;
use mta::queue::{Seen, Standings};
use serde::{Deserialize, Serialize};
use store::{Account, AccountState, Alias, Attempt, CheckFinding, QueueMessage, QueueRecipient, QueueState, Token};

use super::Secret;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// Log-in name.
    pub address: String,
    /// `active` or `disabled`.
    pub state: String,
    /// Octets allowed; null: no quota.
    pub quota: Option<u64>,
    /// Octets stored.
    pub used: u64,
    /// Messages stored.
    pub messages: u64,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// Whether SCRAM keys are kept.
    pub scram: bool,
    /// Whether it has a second factor.
    pub second_factor: bool,
}

/// An app password that was just made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AppPasswordMade {
    /// Its number.
    pub id: u64,
    /// Seen this once.
    pub password: Secret,
}

/// An app password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppPasswordView {
    /// Its number.
    pub id: u64,
    /// What its owner called it.
    pub name: String,
    /// Where it may be used.
    pub scopes: Vec<String>,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// When it is over; null: never.
    pub expires: Option<i64>,
    /// When it was used last; null: never.
    pub used: Option<i64>,
    /// From which address that was.
    pub used_from: Option<String>,
}

impl From<Token> for AppPasswordView {
    fn from(token: Token) -> Self {
        let (used, used_from) = token.used.map(|(at, from)| (at.millis(), from)).unzip();
        Self {
            id: token.id.0,
            name: token.name,
            scopes: token.scopes.names().into_iter().map(str::to_owned).collect(),
            created: token.created.millis(),
            expires: token.expires.map(Timestamp::millis),
            used,
            used_from,
        }
    }
}

/// A passkey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasskeyView {
    /// Its number.
    pub id: u64,
    /// What its owner called it.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// When it was used last; null: never.
    pub used: Option<i64>,
    /// From which address that was.
    pub used_from: Option<String>,
}

impl From<Token> for PasskeyView {
    fn from(token: Token) -> Self {
        let (used, used_from) = token.used.map(|(at, from)| (at.millis(), from)).unzip();
        Self { id: token.id.0, name: token.name, created: token.created.millis(), used, used_from }
    }
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        let state = match account.state {
            AccountState::Active => "active",
            AccountState::Disabled => "disabled",
        };
        Self {
            address: account.address.to_string(),
            state: state.into(),
            quota: account.quota,
            used: account.used,
            messages: account.messages,
            created: account.created.millis(),
            scram: account.scram.is_some(),
            second_factor: account.totp.is_some_and(|totp| totp.confirmed),
        }
    }
}

/// An alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasView {
    /// The alias.
    pub alias: String,
    /// Where its mail goes.
    pub targets: Vec<String>,
}

impl From<Alias> for AliasView {
    fn from(alias: Alias) -> Self {
        let targets = alias.targets.iter().map(ToString::to_string).collect();
        Self { alias: alias.address.to_string(), targets }
    }
}

/// A queued message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueView {
    /// Its id.
    pub id: String,
    /// When it was accepted, in milliseconds since 1970.
    pub received_at: i64,
    /// When its sender lets it leave, in milliseconds since 1970; until then he may take it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<i64>,
    /// The reverse-path without brackets; empty: null.
    pub sender: String,
    /// Octets.
    pub size: u64,
    /// Message-ID.
    pub message_id: Option<String>,
    /// Those still queued.
    pub recipients: Vec<QueueRecipientView>,
}

/// One of its recipients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRecipientView {
    /// To whom.
    pub address: String,
    /// What it is scheduled under.
    pub destination: String,
    /// `waiting` or `held`.
    pub state: String,
    /// Tries so far.
    pub attempts: u32,
    /// When it is tried next, in milliseconds since 1970.
    pub next_attempt: i64,
    /// The last try.
    pub last: Option<AttemptView>,
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptView {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The server that answered.
    pub host: Option<String>,
    /// Its words, or what failed.
    pub words: String,
}

impl From<QueueMessage> for QueueView {
    fn from(message: QueueMessage) -> Self {
        Self {
            id: message.id.to_string(),
            received_at: message.received_at.millis(),
            held_until: message.release_at.filter(|_| message.held).map(Timestamp::millis),
            sender: message.envelope.reverse_path.address().map_or_else(String::new, ToString::to_string),
            size: message.size,
            message_id: message.message_id,
            recipients: message.recipients.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<QueueRecipient> for QueueRecipientView {
    fn from(recipient: QueueRecipient) -> Self {
        let state = match recipient.state {
            QueueState::Waiting => "waiting",
            QueueState::Held => "held",
        };
        Self {
            address: recipient.address.to_string(),
            destination: recipient.destination.to_string(),
            state: state.into(),
            attempts: recipient.attempts,
            next_attempt: recipient.next_attempt.millis(),
            last: recipient.last.map(Into::into),
        }
    }
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        Self { at: Timestamp::millis(attempt.at), host: attempt.host, words: attempt.words }
    }
}

/// What was done to the queue, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueActed {
    /// Messages that were meant.
    pub messages: u64,
    /// Of them, recipients to which it was done.
    pub recipients: u64,
    /// The first of the messages.
    pub first: Vec<String>,
}

/// A destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationView {
    /// Its name.
    pub destination: String,
    /// `good`, `failing`, `untried`; `unknown` where no server runs.
    pub health: String,
    /// Tries in a row at which it did not answer.
    pub failures: u32,
    /// What it said last, or what failed, where it does not answer.
    pub words: Option<String>,
    /// When it, or the first of its mail, is tried next, in milliseconds since 1970; null: at once, or nothing waits.
    pub next_attempt: Option<i64>,
    /// Connections that are open or being opened.
    pub connections: usize,
    /// Of these, those that wait for a message.
    pub idle: usize,
    /// Recipients that are queued.
    pub recipients: usize,
    /// Of these, those that are due now.
    pub due: usize,
    /// The operator lets nothing be sent there since then, in milliseconds since 1970.
    pub paused_since: Option<i64>,
}

impl DestinationView {
    /// One of which nothing is known.
    pub(super) fn of(name: &mail::Domain) -> Self {
        Self {
            destination: name.to_string(),
            health: "unknown".into(),
            failures: 0,
            words: None,
            next_attempt: None,
            connections: 0,
            idle: 0,
            recipients: 0,
            due: 0,
            paused_since: None,
        }
    }
}

impl From<Seen> for DestinationView {
    fn from(seen: Seen) -> Self {
        let (health, failures) = match seen.standing {
            Standings::Untried => ("untried", 0),
            Standings::Good => ("good", 0),
            Standings::Failing(failures) => ("failing", failures),
        };
        Self {
            health: health.into(),
            failures,
            words: seen.words,
            next_attempt: seen.until.or(seen.next).map(Timestamp::millis),
            connections: seen.connections,
            idle: seen.idle,
            recipients: seen.recipients,
            due: seen.due,
            ..Self::of(&seen.name)
        }
    }
}

/// Something that the store's check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckView {
    /// An error, else advice.
    pub error: bool,
    /// What, on what, what to do.
    pub text: String,
}

impl From<CheckFinding> for CheckView {
    fn from(finding: CheckFinding) -> Self {
        Self { error: finding.error, text: finding.text }
    }
}

/// What would happen to a mail for an address now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteView {
    /// For whom.
    pub address: String,
    /// What was looked at, in this order.
    pub steps: Vec<StepView>,
    /// Whether a mail would be taken: `everyone`, `users` (only from those who are logged in) or `nobody`.
    pub from: String,
}

/// One rule that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// The rule.
    pub rule: String,
    /// What it said, or what follows.
    pub says: String,
}

/// What the doctor found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FindingView {
    /// Which check.
    pub name: String,
    /// Of what.
    pub of: String,
    /// `pass`, `not-checked`, `warn`, `fail`.
    pub state: String,
    /// What is.
    pub says: String,
    /// Why that matters.
    pub why: String,
    /// What puts it right.
    pub fix: String,
}

impl From<::doctor::Finding> for FindingView {
    fn from(found: ::doctor::Finding) -> Self {
        use ::doctor::State;
        let state = match found.state {
            State::Pass => "pass",
            State::NotChecked => "not-checked",
            State::Warn => "warn",
            State::Fail => "fail",
        };
        let ::doctor::Finding { name, of, says, why, fix, .. } = found;
        Self { name: name.into(), of, state: state.into(), says, why, fix }
    }
}

/// Values that are texts, as JSON texts.
pub(super) mod text {
    use super::{Deserialize, Text};
    use serde::{Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<T: Text, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.show())
    }

    pub(crate) fn deserialize<'de, T: Text, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        T::read(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// The same where there may be none.
pub(super) mod maybe_text {
    use super::{Deserialize, Serialize, Text};
    use serde::{Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<T: Text, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(Text::show).serialize(to)
    }

    pub(crate) fn deserialize<'de, T: Text, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| T::read(&text)).transpose().map_err(D::Error::custom)
    }
}

/// Lists of them.
pub(super) mod texts {
    use super::{Deserialize, Serialize, Text};
    use serde::{Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<T: Text, S: Serializer>(values: &[T], to: S) -> Result<S::Ok, S::Error> {
        values.iter().map(Text::show).collect::<Vec<_>>().serialize(to)
    }

    pub(crate) fn deserialize<'de, T: Text, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts.iter().map(|text| T::read(text)).collect::<Result<_, _>>().map_err(D::Error::custom)
    }
}

pub(crate) trait Text: Sized {
    fn show(&self) -> String;
    fn read(text: &str) -> Result<Self, String>;
}

impl Text for mail::Address {
    fn show(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Result<Self, String> {
        wire::address::mailbox(text).map_err(|error| error.to_string())
    }
}

impl Text for mail::Domain {
    fn show(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Result<Self, String> {
        wire::address::domain(text).map_err(|error| error.to_string())
    }
}

impl Text for mail::QueueId {
    fn show(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: mail::InvalidId| error.to_string())
    }
}
