//! The doctor: what is right and wrong around a mail system, and what to do about it.
//!
//! **Does:** says what must be asked ([`questions`]), what DNS should have ([`zone`]), and judges what was found
//! ([`examine`]): each finding says what is, why it matters, and the exact record or command that puts it right.
//!
//! **Does not:** ask anybody, open a socket or a file: `server::doctor` gathers [`Facts`]. So every judgement is tested with
//! facts made up.
//!
//! **Data** comes in as [`Facts`] and leaves as a list of [`Finding`].

mod checks;
mod facts;
mod zone;

use serde::Serialize;

pub use checks::{examine, questions};
pub use facts::{Answers, Facts, Kind, Listener, Machine, Plan, Probed, Shown, Told};
pub use zone::{Record, wanted, written};

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it should be.
    Pass,
    /// Nobody looked, or could look.
    NotChecked,
    /// It works, and some mail or some client will have trouble.
    Warn,
    /// Broken.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check: `mx`, `spf`, `disk-sync`.
    pub name: &'static str,
    /// Of which domain, host, listener or folder.
    pub of: String,
    /// How it is.
    pub state: State,
    /// What is.
    pub says: String,
    /// Why that matters; nothing where all is well.
    pub why: String,
    /// The record, the line or the command that puts it right; nothing where there is nothing to do.
    pub fix: String,
}

impl Finding {
    fn pass(name: &'static str, of: &str, says: impl Into<String>) -> Self {
        Self { name, of: of.into(), state: State::Pass, says: says.into(), why: String::new(), fix: String::new() }
    }

    fn not_checked(name: &'static str, of: &str, says: impl Into<String>, fix: impl Into<String>) -> Self {
        let (says, fix) = (says.into(), fix.into());
        Self { name, of: of.into(), state: State::NotChecked, says, why: String::new(), fix }
    }

    fn warn(name: &'static str, of: &str, says: impl Into<String>, why: &str, fix: impl Into<String>) -> Self {
        Self { name, of: of.into(), state: State::Warn, says: says.into(), why: why.into(), fix: fix.into() }
    }

    fn fail(name: &'static str, of: &str, says: impl Into<String>, why: &str, fix: impl Into<String>) -> Self {
        Self { state: State::Fail, ..Self::warn(name, of, says, why, fix) }
    }
}
