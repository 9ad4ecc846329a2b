//! How a store is opened.

use std::sync::Arc;
use std::time::Duration;

use mail::limits;

use crate::disk::{Disk, RealDisk};

/// How a store is opened. `Options::default()` is what a server uses.
#[derive(Clone)]
pub struct Options {
    /// Make the store where there is none; else [`crate::OpenError::Missing`].
    pub create: bool,
    /// Free octets below which nothing is accepted; deleting still works.
    pub reserve: u64,
    /// Octets after which the log goes on in a new segment.
    pub segment_len: u64,
    /// Octets of SQLite's log at which it is folded into the database.
    pub wal_len: u64,
    /// Messages that may stand in the order in which they came before they go to their mailboxes' places.
    pub arrivals: usize,
    /// How long they may stand there.
    pub settle_after: Duration,
    /// Readers at once, each with a connection of its own.
    pub readers: usize,
    /// The version of the digests that are made of messages; those of another are forgotten. `None`: there are none.
    pub digests: Option<u32>,
    /// What writes and syncs; tests put in one that fails.
    pub disk: Arc<dyn Disk>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: true,
            reserve: (limits::DISK_RESERVE + limits::WAL_LEN) as u64,
            segment_len: limits::SEGMENT_LEN as u64,
            wal_len: limits::WAL_LEN as u64,
            arrivals: limits::ARRIVALS,
            settle_after: limits::SETTLE_AFTER,
            readers: 4,
            digests: None,
            disk: Arc::new(RealDisk),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("create", &self.create).finish_non_exhaustive()
    }
}
