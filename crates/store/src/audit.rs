//! The audit log: what was done to a system by those who run it, and who logged in from where.

use async_trait::async_trait;
use mail::Timestamp;
use serde::{Deserialize, Serialize};

use crate::StoreResult;

/// One thing that was done. Names and fields are an interface: `audit --json` shows them as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// When; of several alike when the last one was. In milliseconds since 1970.
    pub at: i64,
    /// Who: an account's address as it was said, or `operator`.
    pub who: String,
    /// From where: a network address, or the user id of who ran the command.
    pub from: String,
    /// What: `log-in imap`, `account-add`.
    pub act: String,
    /// Of what, without secrets.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// `ok`, or why not.
    pub outcome: String,
    /// How often, one like the other.
    pub times: u32,
}

impl Act {
    /// Once, now.
    pub fn new(at: Timestamp, who: String, from: String, act: String) -> Self {
        Self { at: at.millis(), who, from, act, about: String::new(), outcome: "ok".to_owned(), times: 1 }
    }
}

/// An [`Act`] with its place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    /// Grows with each.
    pub number: u64,
    /// What was done.
    #[serde(flatten)]
    pub act: Act,
}

/// The log. An engine that keeps none says that there is nothing in it.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Adds to it; the oldest make room (`limits::AUDIT_ACTS`).
    async fn note_acts(&self, _acts: Vec<Act>) -> StoreResult<()> {
        Ok(())
    }

    /// The newest before `before`, newest first: all, or those whose `who` or `about` has `name` in it.
    async fn acts(&self, _name: Option<String>, _before: Option<u64>, _limit: usize) -> StoreResult<Vec<Audited>> {
        Ok(Vec::new())
    }
}
