//! Filters of others (milters): rspamd, OpenDKIM, ClamAV and whoever speaks Sendmail's protocol with a mail server.
//!
//! **Does:** holds one conversation with each filter for each session of a client, opened when the first sender is named; tells
//! it client, envelope and message; and makes of its answers refusals, a changed message and sentences for the journey.
//!
//! **Does not:** open sockets ([`Dial`]) or know the store's tables. Nothing is changed that was answered for: the filters are
//! asked before the commit, and what they change is written anew.
//!
//! **Data** comes in as what a client said and the stage of its message; it leaves as [`Outcome`].

mod content;
mod conversation;
mod session;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use wire::smtp::server::Role;

use crate::world::{Clock, Stream};

pub use content::{Changed, FieldRule};
pub use session::{Filters, Outcome, Refused, Told};

/// A filter, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Milter {
    /// What it is called in journeys.
    pub name: String,
    /// Where it listens.
    pub place: Place,
    /// By which doors a message comes that it is asked about.
    pub on: Vec<Door>,
    /// Wait for an answer.
    pub timeout: Duration,
    /// What becomes of mail while it does not answer.
    pub when_down: WhenDown,
}

/// Where a filter listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Host, or address, and port.
    Inet(String, u16),
    /// A socket of this machine.
    Unix(PathBuf),
}

/// By which door a message comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// From other servers.
    Smtp,
    /// From our own users, by SMTP and by JMAP.
    Submission,
}

impl Door {
    const fn of(role: Role) -> Self {
        match role {
            Role::Mx | Role::Lmtp => Self::Smtp,
            Role::Submission => Self::Submission,
        }
    }

    /// As it is configured, and as filters hear it in `{daemon_name}`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Submission => "submission",
        }
    }
}

/// What becomes of mail while a filter does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenDown {
    /// It is taken without it.
    Accept,
    /// Its sender is to try again later.
    TempFail,
}

/// Opens conversations.
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    /// With whoever listens there. The caller bounds how long it waits.
    async fn dial(&self, place: &Place) -> io::Result<Box<dyn Stream>>;
}

/// All filters, in the order in which they are asked.
pub struct Milters {
    all: Vec<Arc<Milter>>,
    /// A field that one of them adds to what is junk.
    junk: FieldRule,
    dial: Arc<dyn Dial>,
    clock: Arc<dyn Clock>,
}

impl Milters {
    /// In this order.
    pub fn new(all: &[Milter], junk: FieldRule, dial: Arc<dyn Dial>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let all = all.iter().cloned().map(Arc::new).collect();
        Arc::new(Self { all, junk, dial, clock })
    }

    /// For the session of a client that came by this door; none: nobody is to be asked.
    pub fn session(self: &Arc<Self>, role: Role) -> Option<Filters> {
        let door = Door::of(role);
        let asked: Vec<_> = self.all.iter().filter(|milter| milter.on.contains(&door)).cloned().collect();
        (!asked.is_empty()).then(|| Filters::new(self.clone(), asked))
    }
}
