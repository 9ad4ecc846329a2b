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

    pub(super) const fn standing(&self) -> usize {
        match self.health {
            Health::Good => Standing::GOOD,
            Health::Unproven => Standing::UNTRIED,
            Health::Down { .. } | Health::Probing { .. } => Standing::FAILING,
        }
    }
}
