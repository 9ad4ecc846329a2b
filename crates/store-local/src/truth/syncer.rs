//! The end of a commit: SQLite's log is synced, then others hear of it, then who waits gets the answer.
//!
//! SQLite itself would sync inside COMMIT and the writer would wait for the disk. It is told not to (`synchronous =
//! NORMAL` leaves only the syncs around a checkpoint to it), and the log is synced here, so that the writer runs the next
//! batch meanwhile. The log is read up to its first torn frame, so what is lost with power is the end of it: never a
//! batch before one that was synced.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use store::{StoreError, StoreResult};
use tokio::sync::watch;

use super::writer::Placed;
use crate::disk::Disk;
use crate::log::BLOBS;
use crate::publish::{News, Poison, Published};
use crate::submit::Queue;

/// Batches whose end is one sync.
const AT_ONCE: usize = 64;

/// How far the commits are on stable storage.
pub(crate) struct Stable {
    /// The number of the last batch that was committed, or is just now.
    committed: AtomicU64,
    /// Of the last one that is on stable storage and published.
    synced: watch::Sender<u64>,
    poison: Arc<Poison>,
}

impl Stable {
    pub(crate) fn new(poison: Arc<Poison>) -> Self {
        Self { committed: AtomicU64::new(0), synced: watch::Sender::new(0), poison }
    }

    /// The number of the batch that is committed next. Taken before COMMIT: whoever sees it sees its number too.
    pub(super) fn next(&self) -> u64 {
        self.committed.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Whether all batches before `number` are through.
    pub(super) fn is_next(&self, number: u64) -> bool {
        *self.synced.borrow() + 1 == number
    }

    /// Whether all batches are through.
    pub(super) fn is_settled(&self) -> bool {
        *self.synced.borrow() == self.committed.load(Ordering::SeqCst)
    }

    /// Returns once all that could be read until now is on stable storage; fails when it never will be.
    pub(crate) async fn wait(&self) -> StoreResult<()> {
        let committed = self.committed.load(Ordering::SeqCst);
        let mut synced = self.synced.subscribe();
        tokio::select! {
            biased;
            _ = synced.wait_for(|synced| *synced >= committed) => Ok(()),
            why = self.poison.wait() => Err(StoreError::Poisoned(why)),
        }
    }
}

/// A batch after its COMMIT.
pub(crate) struct Committed {
    pub(super) number: u64,
    /// What others are to hear; or why there was no COMMIT.
    pub(super) outcome: StoreResult<News>,
    pub(super) batch: Vec<Placed>,
    /// Of each change.
    pub(super) results: Vec<StoreResult<()>>,
}

/// Syncs, publishes, answers.
pub(crate) struct Syncer {
    /// SQLite's log. Opened when it is there, and kept: a file that was open when a write-back failed says so.
    path: PathBuf,
    wal: OnceLock<File>,
    disk: Arc<dyn Disk>,
    published: Arc<Published>,
}

impl Syncer {
    pub(crate) fn new(path: PathBuf, disk: Arc<dyn Disk>, published: Arc<Published>) -> Self {
        // With the descriptors that are there at the start; later there may be none.
        let wal = File::open(&path).map(OnceLock::from).unwrap_or_default();
        Self { path, wal, disk, published }
    }

    /// Until `input` is closed and empty.
    pub(crate) fn run(&self, input: &Queue<Committed>) {
        let mut batches = Vec::new();
        while input.take(&mut batches, AT_ONCE) {
            self.end(&mut batches);
        }
    }

    /// Ends batches that follow each other, and takes them out.
    pub(super) fn end(&self, batches: &mut Vec<Committed>) {
        // Where no COMMIT was there is nothing to sync, and who waits hears soon that it failed.
        let synced = if batches.iter().any(|batch| batch.outcome.is_ok()) { self.sync() } else { Ok(()) };
        for Committed { number, outcome, batch, results } in batches.drain(..) {
            let outcome = match (&synced, outcome) {
                (Err(why), Ok(_)) => Err(why.clone()),
                (_, Err(why)) => Err(why),
                (Ok(()), Ok(news)) => {
                    self.published.publish(news);
                    Ok(())
                }
            };
            if synced.is_ok() {
                self.published.stable.synced.send_replace(number);
            }
            self.answer(batch, results, &outcome);
        }
    }

    fn sync(&self) -> StoreResult<()> {
        if let Some(why) = self.published.poison.reason() {
            return Err(StoreError::Poisoned(why));
        }
        store::failpoint("commit.before-sync");
        let wal = match self.wal.get() {
            Some(wal) => Ok(wal),
            None => File::open(&self.path).map(|file| self.wal.get_or_init(|| file)),
        };
        // Pages that were not synced look clean after it: nothing may be built on them, so the store stops.
        if let Err(error) = wal.and_then(|wal| self.disk.sync(wal)) {
            let why = format!("a commit failed: syncing the database's log: {error}");
            self.published.poison.set(why.clone());
            return Err(StoreError::Poisoned(why));
        }
        store::failpoint("commit.after");
        Ok(())
    }

    fn answer(&self, batch: Vec<Placed>, results: Vec<StoreResult<()>>, outcome: &StoreResult<()>) {
        let mut results = results.into_iter();
        for placed in batch {
            let result = outcome.clone().and_then(|()| results.next().unwrap_or(Ok(())));
            if result.is_err() {
                for place in placed.places.iter().filter(|place| place.segment == BLOBS) {
                    self.published.blob_gone(place.offset);
                }
            }
            placed.job.finish(result);
        }
    }
}
