//! The thread that commits: all changes that wait, in one transaction. What comes after COMMIT is `syncer`'s.

use std::cell::Cell;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use mail::limits;
use rusqlite::config::DbConfig;
use store::{StoreError, StoreResult};
use tokio::sync::oneshot;

use super::syncer::{Committed, Syncer};
use super::{Effect, Truth, schema};
use crate::error::db;

use crate::log::Place;
use crate::publish::Published;
use crate::submit::{Job, Queue, Work};

/// A change whose bodies are on stable storage.
pub(crate) struct Placed {
    pub(crate) places: Vec<Place>,
    pub(crate) job: Box<dyn Job>,
}

thread_local! {
    /// Pages in SQLite's log, as it told this thread at the last commit.
    static WAL_PAGES: Cell<u64> = const { Cell::new(0) };
}

/// Why a batch was not committed.
enum Trouble {
    /// A change failed after it had written: the batch is run again, each change by itself.
    Again,
    /// The transaction could not be made, and was taken back.
    Refused(StoreError),
    /// Nobody knows what is on the disk now.
    Fatal(String),
}

/// The writer's state.
pub(crate) struct Writer {
    truth: Truth,
    published: Arc<Published>,
    syncer: Arc<Syncer>,
    wal_pages: u64,
    /// Pages at which the next checkpoint is tried.
    checkpoint_at: u64,
}

/// How long a checkpoint waits for readers: reads are short, and everybody waits for the checkpoint.
const READERS_WAIT: Duration = Duration::from_millis(100);

impl Writer {
    pub(crate) fn new(truth: Truth, published: Arc<Published>, syncer: Arc<Syncer>, wal_len: u64) -> Self {
        let wal_pages = wal_len / 4096;
        Self { truth, published, syncer, wal_pages, checkpoint_at: wal_pages }
    }

    /// Until `input` is closed and empty; `syncing` is the thread that takes `output`. Leaves the database folded up.
    pub(crate) fn run(mut self, input: &Queue<Placed>, output: &Queue<Committed>, syncing: JoinHandle<()>) {
        self.truth.conn.wal_hook(Some(|_, pages| {
            WAL_PAGES.set(u64::try_from(pages).unwrap_or(0));
            Ok(())
        }));
        let mut batch = Vec::new();
        loop {
            // Where nothing comes, arrivals are settled in a batch of their own, which has no changes.
            let idle = self.settle_in().is_some_and(|time| !input.wait(time));
            if !idle && !input.take(&mut batch, limits::COMMIT_CHANGES) {
                break;
            }
            let mut results = Vec::with_capacity(batch.len());
            let number = self.published.stable.next();
            let outcome = match self.published.poison.reason() {
                Some(why) => Err(StoreError::Poisoned(why)),
                None => self.commit(&mut batch, &mut results),
            };
            let outcome = outcome.map(|()| self.published.gather(&mut self.truth));
            self.truth.effects.clear();
            self.truth.used.clear();
            self.truth.journeys = 0;
            let committed = Committed { number, outcome, batch: std::mem::take(&mut batch), results };
            // One that is alone gains nothing from another thread.
            if committed.batch.len() == 1 && input.is_empty() && self.published.stable.is_next(number) {
                self.syncer.end(&mut vec![committed]);
            } else {
                // A queue that is closed lost its thread, and who waits hears so.
                let _ = output.push(committed);
            }
            self.truth.trim();
            if WAL_PAGES.get() >= self.checkpoint_at {
                self.wait_for_syncs(output);
                // A checkpoint that failed has stopped the store, and is not tried again.
                if self.published.poison.reason().is_none() {
                    self.checkpoint();
                }
            }
        }
        output.close();
        // If it fell it has stopped the store.
        let _ = syncing.join();
        if self.published.poison.reason().is_none() {
            let _ = self.truth.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        } else {
            // After a failed sync nothing is synced again as if it could be trusted; the next start folds it up.
            let _ = self.truth.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }

    fn settle_in(&self) -> Option<Duration> {
        self.truth.settle_in().filter(|_| self.published.poison.reason().is_none())
    }

    fn commit(&mut self, batch: &mut [Placed], results: &mut Vec<StoreResult<()>>) -> StoreResult<()> {
        let mut trouble = self.attempt(batch, results, false);
        if matches!(trouble, Err(Trouble::Again)) {
            results.clear();
            trouble = self.attempt(batch, results, true);
        }
        match trouble {
            Ok(()) => Ok(()),
            Err(Trouble::Refused(why)) => Err(why),
            Err(Trouble::Again) => Err(StoreError::Failed("the change could not be made".into())),
            Err(Trouble::Fatal(why)) => {
                self.published.poison.set(why.clone());
                Err(StoreError::Poisoned(why))
            }
        }
    }

    /// One transaction for all. `careful`: each change in a savepoint of its own.
    fn attempt(
        &mut self,
        batch: &mut [Placed],
        results: &mut Vec<StoreResult<()>>,
        careful: bool,
    ) -> Result<(), Trouble> {
        self.statement("BEGIN IMMEDIATE").map_err(Trouble::Refused)?;
        let run = if careful { self.each(batch, results) } else { self.together(batch, results) };
        let ready = run.and_then(|()| self.truth.flush().map_err(Trouble::Refused));
        if let Err(trouble) = ready {
            return Err(self.roll_back(trouble));
        }
        store::failpoint("commit.before");
        if let Err(error) = self.statement("COMMIT") {
            // ENOSPC at the write of the log is taken back cleanly; whatever else failed leaves us not knowing what
            // a power loss would leave.
            return Err(match error {
                StoreError::DiskFull => self.roll_back(Trouble::Refused(error)),
                error => Trouble::Fatal(format!("a commit failed: {error}")),
            });
        }
        Ok(())
    }

    fn together(&mut self, batch: &mut [Placed], results: &mut Vec<StoreResult<()>>) -> Result<(), Trouble> {
        for placed in batch {
            self.truth.wrote = false;
            let result = placed.job.run(&mut self.truth, &placed.places);
            if result.is_err() && self.truth.wrote {
                return Err(Trouble::Again);
            }
            results.push(result);
        }
        Ok(())
    }

    fn each(&mut self, batch: &mut [Placed], results: &mut Vec<StoreResult<()>>) -> Result<(), Trouble> {
        for placed in batch {
            self.truth.flush().map_err(Trouble::Refused)?;
            self.statement("SAVEPOINT change").map_err(Trouble::Refused)?;
            let effects = self.truth.effects.len();
            let mut result = placed.job.run(&mut self.truth, &placed.places);
            if result.is_ok() {
                result = self.truth.flush();
            }
            if result.is_err() {
                self.truth.effects.truncate(effects);
                self.statement("ROLLBACK TO change").map_err(Trouble::Refused)?;
                self.truth.forget().map_err(Trouble::Refused)?;
            }
            self.statement("RELEASE change").map_err(Trouble::Refused)?;
            results.push(result);
        }
        Ok(())
    }

    fn roll_back(&mut self, trouble: Trouble) -> Trouble {
        self.truth.effects.clear();
        // Some errors have rolled back already; then this one fails and means nothing.
        if !self.truth.conn.is_autocommit()
            && let Err(error) = self.statement("ROLLBACK")
        {
            return Trouble::Fatal(format!("a transaction could not be taken back: {error}"));
        }
        match self.truth.forget() {
            Ok(()) => trouble,
            Err(error) => Trouble::Fatal(format!("the database can't be read: {error}")),
        }
    }

    fn statement(&self, sql: &str) -> StoreResult<()> {
        self.truth.conn.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map(drop).map_err(db)
    }

    /// Returns once every commit is synced, or its sync failed: pages whose sync failed look clean and may never reach the
    /// disk, and a checkpoint would write the database from them.
    fn wait_for_syncs(&self, output: &Queue<Committed>) {
        if self.published.stable.is_settled() {
            return;
        }
        let (answer, ended) = oneshot::channel();
        let last = Work { change: |_: &mut Truth, _: &[Place]| Ok(()), done: Some(()), answer };
        let batch = vec![Placed { places: Vec::new(), job: Box::new(last) }];
        let outcome = Err(StoreError::Failed("there is nothing to commit".into()));
        let number = self.published.stable.next();
        if output.push(Committed { number, outcome, batch, results: Vec::new() }).is_ok() {
            // A thread that fell has dropped the other end.
            let _ = ended.blocking_recv();
        }
    }

    /// Folds SQLite's log into the database. RESTART and not TRUNCATE: writing over a file's old blocks
    /// is cheaper to sync than growing it.
    fn checkpoint(&mut self) {
        store::failpoint("checkpoint.before");
        let sql = "PRAGMA wal_checkpoint(RESTART)";
        let conn = &self.truth.conn;
        let result = conn.busy_timeout(READERS_WAIT).and_then(|()| conn.query_row(sql, [], |row| row.get::<_, i64>(0)));
        let restored = conn.busy_timeout(schema::BUSY);
        match result.and_then(|busy| restored.map(|()| busy)) {
            Ok(0) => {
                WAL_PAGES.set(0);
                self.checkpoint_at = self.wal_pages;
            }
            // A long read is in the way: later again.
            Ok(_) => self.checkpoint_at = WAL_PAGES.get() + self.wal_pages / 4,
            Err(error) if matches!(db_kind(&error), Some(rusqlite::ErrorCode::DiskFull)) => {
                tracing::warn!(%error, "no space to fold up the database's log");
            }
            Err(error) => self.published.poison.set(format!("a checkpoint failed: {}", db(error))),
        }
        store::failpoint("checkpoint.after");
    }
}

fn db_kind(error: &rusqlite::Error) -> Option<rusqlite::ErrorCode> {
    error.sqlite_error_code()
}

impl Effect {
    /// What it is to those who hear of messages.
    pub(crate) fn add_to(&self, news: &mut store::MessageNews) {
        match self {
            Self::Came(..) => news.arrived = true,
            Self::Flags(..) => news.flags = true,
            Self::Gone(..) => news.expunged = true,
            _ => {}
        }
    }

    /// The mailbox that it is about.
    pub(crate) const fn mailbox(&self) -> Option<mail::MailboxId> {
        match self {
            Self::Came(id, _)
            | Self::Flags(id, ..)
            | Self::Gone(id, _)
            | Self::Mailbox(id)
            | Self::Rekeyed(id)
            | Self::Deleted(id) => Some(*id),
            Self::Queue(_) | Self::Directory(_) | Self::Account(..) | Self::Granted | Self::Lessons => None,
            Self::BlobGone(_) | Self::Journey(_) | Self::Sent(..) => None,
        }
    }
}
