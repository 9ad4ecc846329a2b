//! `index.db`: from a term's hash to the queue ids of journeys, filled behind the deliveries.
//!
//! It may be deleted at will, and holds nothing that `store.db` does not. It *covers* journeys up to a queue id.
//! Ids are given out when a message begins to arrive, so one may be committed after a higher one was covered:
//! the writer notes such a journey in `late` (see `Truth::cover`), and it is read there until it is taken up.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, params};
use store::{StoreError, StoreResult};
use tokio::sync::{Notify, oneshot};

use super::{ROW, hash, terms};
use crate::error::db;
use crate::readers::{connect, remove};
use crate::submit::{Queue, Work};
use crate::truth::{Placed, Truth};

/// Journeys read at once.
const AT_ONCE: usize = 1000;

/// Entries added at once, in their order. They are spread over the whole index, so that each page is written once for
/// all that go into it.
const ENTRIES: usize = 1 << 18;

/// No message for so long is leftover time.
const IDLE: Duration = Duration::from_millis(300);

/// With so many journeys not covered, some are taken up although messages come: looking through them takes long.
const TOO_MANY: u64 = 200_000;

/// A term's hash and the queue id of a journey that has the term.
type Entry = (i64, u64);

/// The index, and what its thread must know.
pub(crate) struct Index {
    path: PathBuf,
    conn: Mutex<Option<Connection>>,
    state: Mutex<State>,
    news: Condvar,
    /// The index has caught up.
    caught_up: Notify,
}

#[derive(Default)]
struct State {
    stop: bool,
    /// Journeys that came since the store was opened.
    came: u64,
    /// Of those, how many had come when the index last had everything.
    done: u64,
    /// Old journeys went: their entries may go too.
    forgotten: bool,
}

impl Index {
    /// Opens the index, or makes it anew where it is damaged or another store's.
    pub(crate) fn open(path: PathBuf, truth: &Connection) -> Self {
        let may_cover = truth.query_row("SELECT covered FROM counters", [], |row| row.get::<_, u64>(0));
        let may_cover = may_cover.unwrap_or(0);
        let opened = open(&path).and_then(|conn| {
            let covered = covered(&conn)?;
            // It covers more than its store ever let it: it was made beside another store, or a later life of this one.
            if covered > may_cover { Err(rusqlite::Error::InvalidQuery) } else { Ok(conn) }
        });
        let conn = opened.or_else(|_| {
            remove(&path);
            open(&path)
        });
        if let Err(error) = &conn {
            tracing::warn!(%error, "index.db can't be used; searches take longer");
        }
        // One journey is assumed to wait, so that what an earlier run left is taken up.
        let state = State { came: 1, ..State::default() };
        Self {
            path,
            conn: Mutex::new(conn.ok()),
            state: Mutex::new(state),
            news: Condvar::new(),
            caught_up: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn conn(&self) -> MutexGuard<'_, Option<Connection>> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Journeys were committed.
    pub(crate) fn came(&self, count: u64) {
        if count > 0 {
            let mut state = self.state();
            let was_done = state.came == state.done;
            state.came += count;
            drop(state);
            if was_done {
                self.news.notify_one();
            }
        }
    }

    /// Old journeys went.
    pub(crate) fn forgotten(&self, some: bool) {
        if some {
            let mut state = self.state();
            state.forgotten = true;
            state.came += 1;
            drop(state);
            self.news.notify_one();
        }
    }

    /// Returns once all that has come until now was taken up.
    pub(crate) async fn wait(&self) {
        let came = self.state().came;
        loop {
            let next = self.caught_up.notified();
            tokio::pin!(next);
            next.as_mut().enable();
            if self.state().done >= came {
                return;
            }
            next.await;
        }
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.state().stop = true;
        self.news.notify_all();
    }

    /// How far the index covers, and the ids under a hash. Where it can't be read it covers nothing.
    pub(super) fn look_up(&self, hash: i64) -> (u64, Vec<u64>) {
        let conn = self.conn();
        let Some(conn) = &*conn else { return (0, Vec::new()) };
        let read = || {
            let mut statement = conn.prepare_cached("SELECT id FROM found WHERE term = ?1")?;
            let ids = statement.query_map([hash], |row| row.get(0))?;
            Ok::<_, rusqlite::Error>((covered(conn)?, ids.collect::<rusqlite::Result<Vec<u64>>>()?))
        };
        read().unwrap_or_else(|error| {
            tracing::warn!(%error, path = %self.path.display(), "index.db can't be read");
            (0, Vec::new())
        })
    }

    /// Adds entries, and covers up to `covered`.
    fn add(&self, entries: &[Entry], covered: u64) -> StoreResult<()> {
        let mut conn = self.conn();
        let Some(conn) = &mut *conn else { return Ok(()) };
        let transaction = conn.transaction().map_err(db)?;
        {
            let sql = "INSERT OR IGNORE INTO found(term, id) VALUES (?1, ?2)";
            let mut statement = transaction.prepare_cached(sql).map_err(db)?;
            for (term, id) in entries {
                statement.execute(params![term, id]).map_err(db)?;
            }
        }
        transaction.execute("UPDATE state SET covered = max(covered, ?1)", [covered]).map_err(db)?;
        transaction.commit().map_err(db)
    }

    /// Drops entries of journeys below `id`.
    fn drop_below(&self, id: u64) -> StoreResult<()> {
        let conn = self.conn();
        let Some(conn) = &*conn else { return Ok(()) };
        conn.execute("DELETE FROM found WHERE id < ?1", [id]).map(drop).map_err(db)
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(Duration::from_secs(10))?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -4096;
         CREATE TABLE IF NOT EXISTS state(one INTEGER PRIMARY KEY CHECK (one = 1), covered INTEGER NOT NULL);
         INSERT OR IGNORE INTO state VALUES (1, 0);
         CREATE TABLE IF NOT EXISTS found(term INTEGER, id INTEGER, PRIMARY KEY(term, id)) WITHOUT ROWID;",
    )?;
    Ok(conn)
}

fn covered(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT covered FROM state")?.query_row([], |row| row.get(0))
}

/// The thread that fills the index.
pub(crate) struct Filler {
    index: Arc<Index>,
    database: PathBuf,
    to_commit: Arc<Queue<Placed>>,
}

impl Filler {
    pub(crate) fn new(index: Arc<Index>, database: PathBuf, to_commit: Arc<Queue<Placed>>) -> Self {
        Self { index, database, to_commit }
    }

    /// Until the index is stopped.
    pub(crate) fn run(self) {
        let Ok(conn) = connect(&self.database) else { return };
        loop {
            let came = {
                let mut state = self.index.state();
                while state.came == state.done && !state.stop {
                    state = self.index.news.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                // Messages come: wait for a pause, unless too much has gathered.
                let mut before = 0;
                while before != state.came && state.came - state.done < TOO_MANY && !state.stop {
                    before = state.came;
                    let waited = self.index.news.wait_timeout(state, IDLE);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                if state.stop {
                    return;
                }
                state.came
            };
            match self.catch_up(&conn) {
                Ok(()) | Err(StoreError::Poisoned(_)) => {}
                Err(error) => tracing::warn!(%error, "index.db is not filled now"),
            }
            // Also after an error: the next journey is the next chance.
            self.index.state().done = came;
            self.index.caught_up.notify_waiters();
        }
    }

    /// Takes up all journeys that are there now.
    fn catch_up(&self, conn: &Connection) -> StoreResult<()> {
        if self.index.conn().is_none() {
            return Ok(());
        }
        let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, u64>(0)).map_err(db);
        if std::mem::take(&mut self.index.state().forgotten) {
            self.index.drop_below(number("SELECT coalesce(min(id), 0) FROM journey")?)?;
        }
        let target = number("SELECT coalesce(max(id), 0) FROM journey")?;
        // From the commit of this on, a journey that comes below the target is in `late`.
        self.change(move |truth| truth.cover(target))?;
        let mut from = self.index.look_up(0).0;
        while from < target && !self.index.state().stop {
            let mut gathered = Vec::new();
            while from < target && gathered.len() < ENTRIES && !self.index.state().stop {
                let sql = format!("{ROW} WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3");
                let (entries, ids) = read(conn, &sql, params![from, target, AT_ONCE])?;
                from = ids.last().copied().filter(|_| ids.len() == AT_ONCE).unwrap_or(target);
                gathered.extend(entries);
            }
            gathered.sort_unstable();
            self.index.add(&gathered, from)?;
        }
        loop {
            let sql = format!("{ROW} WHERE id IN (SELECT id FROM late) LIMIT ?1");
            let (entries, ids) = read(conn, &sql, [AT_ONCE])?;
            if ids.is_empty() {
                return Ok(());
            }
            self.index.add(&entries, 0)?;
            self.change(move |truth| truth.late_taken(&ids))?;
        }
    }

    fn change(&self, mut change: impl FnMut(&mut Truth) -> StoreResult<()> + Send + 'static) -> StoreResult<()> {
        let (answer, committed) = oneshot::channel();
        let job = Box::new(Work { change: move |truth: &mut Truth, _: &[_]| change(truth), done: None, answer });
        self.to_commit.push(Placed { places: Vec::new(), job }).map_err(|(_, why)| why)?;
        committed.blocking_recv().unwrap_or_else(|_| Err(StoreError::Poisoned("its writer has stopped".into())))
    }
}

/// Entries of the journeys that `sql` gives, and their ids.
fn read(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> StoreResult<(Vec<Entry>, Vec<u64>)> {
    let mut statement = conn.prepare_cached(sql).map_err(db)?;
    let mut rows = statement.query(params).map_err(db)?;
    let (mut entries, mut ids) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next().map_err(db)? {
        let (id, terms) = terms(row)?;
        entries.extend(terms.iter().map(|term| (hash(term), id)));
        ids.push(id);
    }
    Ok((entries, ids))
}
