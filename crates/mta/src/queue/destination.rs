//! What the scheduler knows of one destination.

use std::collections::BTreeSet;

use mail::{Domain, Timestamp};
use tokio::sync::oneshot;

use super::{Job, Key};

/// Whether a destination answers.
#[derive(Debug, Default)]
pub(super) enum Health {
    /// Nobody knows yet.
    #[default]
    Unproven,
    /// It does.
    Good,
    /// It doesn't, and is left alone.
    Down { until: Timestamp, failures: u32, words: String },
    /// Was down; one job finds out.
    Probing { failures: u32, words: String },
}

/// Whether a destination answers, as an operator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standings {
    /// Nobody has tried yet.
    Untried,
    /// It answers.
    Good,
    /// It did not answer when last asked, so often in a row.
    Failing(u32),
}

/// A destination as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: Domain,
    /// Whether it answers.
    pub standing: Standings,
    /// It is left alone until then.
    pub until: Option<Timestamp>,
    /// The first of its mail is due then; none: nothing waits.
    pub next: Option<Timestamp>,
    /// Its last words, or what failed, where it does not answer.
    pub words: Option<String>,
    /// Connections that are open or being opened.
    pub connections: usize,
    /// Of these, those that wait for a message.
    pub idle: usize,
    /// Recipients that are queued.
    pub recipients: usize,
    /// Of these, those that are due now.
    pub due: usize,
}

/// How much of the connections destinations may have, by what is known of them.
pub(super) struct Standing;

impl Standing {
    /// They have answered.
    pub(super) const GOOD: usize = 0;
    /// Nobody knows yet.
    pub(super) const UNTRIED: usize = 1;
    /// They did not answer when last asked.
    pub(super) const FAILING: usize = 2;
    pub(super) const COUNT: usize = 3;
}

#[derive(Debug)]
pub(super) struct Destination {
    pub(super) name: Domain,
    /// Due, and never tried.
    pub(super) fresh: BTreeSet<Key>,
    /// Due again.
    pub(super) retries: BTreeSet<Key>,
    /// Entries in all.
    pub(super) entries: usize,
    pub(super) workers: usize,
    /// Those of them whose try drags on.
    pub(super) slow: usize,
    /// Workers that hold a connection and wait for a job. One that is tired of waiting has dropped its end.
    pub(super) idle: Vec<oneshot::Sender<Job>>,
    pub(super) jobs: u32,
    pub(super) health: Health,
    /// The standing under which it has its turn; none: it waits for work.
    pub(super) listed: Option<usize>,
}

impl Destination {
    pub(super) fn new(name: Domain) -> Self {
        Self {
            name,
            fresh: BTreeSet::new(),
            retries: BTreeSet::new(),
            entries: 0,
            workers: 0,
            slow: 0,
            idle: Vec::new(),
            jobs: 0,
            health: Health::default(),
            listed: None,
        }
    }

    pub(super) fn seen(&self) -> Seen {
        let (standing, until, words) = match &self.health {
            Health::Unproven => (Standings::Untried, None, None),
            Health::Good => (Standings::Good, None, None),
            Health::Down { until, failures, words } => (Standings::Failing(*failures), Some(*until), Some(words)),
            Health::Probing { failures, words } => (Standings::Failing(*failures), None, Some(words)),
        };
        Seen {
            name: self.name.clone(),
            standing,
            until,
            next: None,
            words: words.cloned(),
            connections: self.workers,
            idle: self.idle.iter().filter(|worker| !worker.is_closed()).count(),
            recipients: self.entries,
            due: self.fresh.len() + self.retries.len(),
        }
    }

    pub(super) const fn standing(&self) -> usize {
        match self.health {
            Health::Good => Standing::GOOD,
            Health::Unproven => Standing::UNTRIED,
            Health::Down { .. } | Health::Probing { .. } => Standing::FAILING,
        }
    }
}
