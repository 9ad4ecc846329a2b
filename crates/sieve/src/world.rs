//! What a run knows of the outside.

use std::collections::BTreeMap;
use std::sync::Arc;

use mail::{ReversePath, Timestamp};

use crate::script::{Location, Script};

/// All that a script may ask about but for the message. A value: nothing is looked up in a run.
#[derive(Clone, Debug)]
pub struct World {
    /// The time.
    pub now: Timestamp,
    /// The server's zone, minutes east of UTC.
    pub zone: i16,
    /// MAIL FROM.
    pub sender: ReversePath,
    /// RCPT TO, as it was given.
    pub recipient: String,
    /// Who was logged in.
    pub account: Option<String>,
    /// The account's mailboxes.
    pub mailboxes: Vec<Mailbox>,
    /// Nobody knows them: every name is taken for one that exists (for trying a script out).
    pub every_mailbox: bool,
    /// Items of `environment` (RFC 5183 §4), names in lower case.
    pub environment: BTreeMap<String, String>,
    /// How surely it is junk, in percent; `None`: nobody looked.
    pub spam: Option<u8>,
    /// RFC 5235 §3.3: 1 (clean) to 5 (a virus for sure); `None`: nobody looked.
    pub virus: Option<u8>,
    /// Answers to [`Question::Seen`].
    pub seen: BTreeMap<String, bool>,
    /// Answers to [`Question::Script`].
    pub scripts: BTreeMap<(Location, String), Included>,
}

impl World {
    /// One in which only the envelope is known.
    pub fn new(now: Timestamp, sender: ReversePath, recipient: impl Into<String>) -> Self {
        Self {
            now,
            zone: 0,
            sender,
            recipient: recipient.into(),
            account: None,
            mailboxes: Vec::new(),
            every_mailbox: false,
            environment: BTreeMap::new(),
            spam: None,
            virus: None,
            seen: BTreeMap::new(),
            scripts: BTreeMap::new(),
        }
    }
}

impl World {
    /// What scripts may ask of the server itself (RFC 5183 §4.1): its name, its domain, and where they run.
    #[must_use]
    pub fn on(mut self, domain: &str) -> Self {
        let items = [
            ("name", "Postrider"),
            ("version", env!("CARGO_PKG_VERSION")),
            ("domain", domain),
            ("location", "MS"),
            ("phase", "during"),
        ];
        self.environment.extend(items.map(|(name, value)| (name.to_owned(), value.to_owned())));
        self
    }

    /// Whether there is a mailbox of this name.
    pub(crate) fn has_mailbox(&self, name: &str) -> bool {
        self.every_mailbox || self.mailboxes.iter().any(|one| one.name == name)
    }
}

/// A script that another one includes: `None`: there is none. The error is a sentence for people.
pub type Included = Option<Result<Arc<Script>, String>>;

/// A mailbox that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// UTF-8, levels separated by `/`.
    pub name: String,
    /// Its special use, with the backslash (`\Junk`).
    pub special_use: Option<String>,
}

/// What has to be looked up before a run can go on; its answer goes into the [`World`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether a message with this mark was delivered within its time (RFC 7352).
    Seen(String),
    /// An included script.
    Script(Location, String),
}

/// What is to be remembered of a message once it is delivered (RFC 7352 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The mark.
    pub mark: String,
    /// For so long.
    pub seconds: u64,
}
