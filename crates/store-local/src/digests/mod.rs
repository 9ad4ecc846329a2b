//! Digests of messages, in a database of their own: `digests.db`.
//!
//! It may be deleted at will, and holds nothing that can't be found out of `store.db` and the log again. Who makes digests
//! asks which messages lack one, mailbox by mailbox, whenever nothing else is to do. What it knows of a UID stays true, since
//! messages never change and UIDs never come again; only a store that was set back to an earlier state gives UIDs anew, and is
//! known by its lower UIDNEXT.

mod pack;
mod table;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mail::{MailboxId, Uid};
use rusqlite::Connection;
use store::{DigestPart, Digested, StoreError, StoreResult, Undigested};
use tokio::sync::Notify;

use crate::error::db;
use crate::open::LocalStore;
use crate::readers::{Readers, connect, remove};
use crate::store_impl::read;
use crate::truth::Stable;

/// Messages without a digest that are given out at once.
const AT_ONCE: usize = 64;

/// No new message for so long is leftover time.
const QUIET: Duration = Duration::from_millis(300);

/// Where new messages never stop coming some get a digest all the same, so often.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of digests.
pub(crate) struct Digests {
    conn: Arc<Mutex<Option<Connection>>>,
    readers: Readers,
    state: Mutex<State>,
    news: Notify,
    /// There is a digest of everything.
    caught_up: Notify,
}

struct State {
    /// Mailboxes that may have messages without a digest or digests without a message, and how often that was said.
    behind: BTreeMap<MailboxId, u64>,
    /// Up to which UID messages have been looked at.
    covered: HashMap<MailboxId, u32>,
    /// Mailboxes that are gone.
    gone: Vec<MailboxId>,
    /// Mailboxes that lost messages.
    shrunk: Vec<MailboxId>,
    /// When the last message came, and when the last digests were begun.
    came: Instant,
    began: Instant,
}

impl Digests {
    /// Opens the database, or makes it anew where it is damaged or not this store's. `version`: of the digests; without one
    /// there are none.
    pub(crate) fn open(path: PathBuf, truth: &Connection, version: Option<u32>, stable: Arc<Stable>) -> Self {
        let uid_next = uid_next(truth).unwrap_or_default();
        let open = |version| {
            let conn = table::open(&path, version)?;
            let covered = table::covered(&conn)?;
            let is_ours = |(mailbox, next): (&MailboxId, &u32)| uid_next.get(mailbox).is_none_or(|most| next <= most);
            if covered.iter().all(is_ours) { Ok((conn, covered)) } else { Err(rusqlite::Error::InvalidQuery) }
        };
        let opened = version.map(|version| {
            open(version).or_else(|_| {
                remove(&path);
                open(version)
            })
        });
        let (conn, covered) = match opened {
            Some(Ok((conn, covered))) => (Some(conn), covered),
            Some(Err(error)) => {
                tracing::warn!(%error, "digests.db can't be used; messages are read instead");
                (None, HashMap::new())
            }
            None => (None, HashMap::new()),
        };
        let (mut behind, mut gone) = (BTreeMap::new(), Vec::new());
        if conn.is_some() {
            let lacks =
                |(mailbox, next): &(&MailboxId, &u32)| covered.get(mailbox).is_none_or(|covered| covered < next);
            behind.extend(uid_next.iter().filter(lacks).map(|(mailbox, _)| (*mailbox, 0)));
            gone.extend(covered.keys().filter(|mailbox| !uid_next.contains_key(mailbox)));
        }
        let now = Instant::now();
        Self {
            conn: Arc::new(Mutex::new(conn)),
            readers: Readers::new(path, 4, stable),
            state: Mutex::new(State { behind, covered, gone, shrunk: Vec::new(), came: now, began: now }),
            news: Notify::new(),
            caught_up: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are any.
    fn is_open(&self) -> bool {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// How many mailboxes have messages that are to get a digest.
    pub(crate) fn behind(&self) -> u64 {
        self.state().behind.len() as u64
    }

    /// Messages came into mailboxes, or left them, or the mailboxes went.
    pub(crate) fn changed(&self, came: &[MailboxId], left: &[MailboxId], gone: &[MailboxId]) {
        if came.is_empty() && left.is_empty() && gone.is_empty() || !self.is_open() {
            return;
        }
        let mut state = self.state();
        for mailbox in came.iter().chain(left).chain(gone) {
            *state.behind.entry(*mailbox).or_default() += 1;
        }
        state.shrunk.extend(left);
        state.gone.extend(gone);
        if !came.is_empty() {
            state.came = Instant::now();
        }
        drop(state);
        self.news.notify_one();
    }

    /// Waits for leftover time and a mailbox that lacks digests: which, how often that was said, and the first UID.
    async fn next(&self) -> (MailboxId, u64, u32) {
        loop {
            let wait = {
                let mut state = self.state();
                let (came, began) = (state.came.elapsed(), state.began.elapsed());
                let wait = QUIET.saturating_sub(came).min(PATIENCE.saturating_sub(began));
                match state.behind.first_key_value().map(|(mailbox, said)| (*mailbox, *said)) {
                    None => None,
                    Some((mailbox, said)) if wait.is_zero() => {
                        state.began = Instant::now();
                        return (mailbox, said, state.covered.get(&mailbox).copied().unwrap_or(1));
                    }
                    Some(_) => Some(wait),
                }
            };
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => self.news.notified().await,
            }
        }
    }

    /// All messages of a mailbox have been looked at, unless something was said since.
    fn is_done(&self, mailbox: MailboxId, said: u64) {
        let mut state = self.state();
        if state.behind.get(&mailbox) == Some(&said) {
            state.behind.remove(&mailbox);
            if state.behind.is_empty() {
                self.caught_up.notify_waiters();
            }
        }
    }

    /// Returns once no mailbox lacks digests, which somebody must make.
    pub(crate) async fn wait(&self) {
        loop {
            let next = self.caught_up.notified();
            tokio::pin!(next);
            next.as_mut().enable();
            if self.behind() == 0 {
                return;
            }
            next.await;
        }
    }

    async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> StoreResult<Option<T>> {
        let conn = self.conn.clone();
        let task = tokio::task::spawn_blocking(move || {
            let mut conn = conn.lock().unwrap_or_else(PoisonError::into_inner);
            conn.as_mut().map(write).transpose().map_err(db)
        });
        task.await.unwrap_or_else(|error| Err(StoreError::Failed(format!("digests: {error}"))))
    }

    pub(crate) async fn keep(&self, digests: Vec<Digested>) -> StoreResult<()> {
        {
            let mut state = self.state();
            for Digested { mailbox, uid, .. } in &digests {
                let next = state.covered.entry(*mailbox).or_insert(1);
                *next = uid.get().saturating_add(1).max(*next);
            }
        }
        self.write(move |conn| table::keep(conn, &digests)).await.map(drop)
    }

    pub(crate) async fn parts(
        &self,
        mailbox: MailboxId,
        part: DigestPart,
        uids: Vec<Uid>,
    ) -> StoreResult<Vec<(Uid, Bytes)>> {
        if !self.state().covered.contains_key(&mailbox) {
            return Ok(Vec::new());
        }
        self.readers.read_known(move |conn| table::parts(conn, mailbox, part, &uids).map_err(db)).await
    }

    pub(crate) async fn marked(&self, mailbox: MailboxId, uids: Vec<Uid>, marks: Vec<u16>) -> StoreResult<Vec<Uid>> {
        if !self.state().covered.contains_key(&mailbox) {
            return Ok(uids);
        }
        self.readers.read_known(move |conn| table::marked(conn, mailbox, uids, &marks).map_err(db)).await
    }

    /// Forgets what belongs to nothing any more; `database`: where the messages stand.
    async fn tidy(&self, mailbox: MailboxId, database: PathBuf) -> StoreResult<()> {
        let (is_gone, has_shrunk) = {
            let mut state = self.state();
            let has = |list: &mut Vec<MailboxId>| {
                let before = list.len();
                list.retain(|other| *other != mailbox);
                list.len() < before
            };
            (has(&mut state.gone), has(&mut state.shrunk))
        };
        if is_gone {
            self.state().covered.remove(&mailbox);
            self.write(move |conn| table::forget(conn, mailbox)).await?;
        } else if has_shrunk {
            self.write(move |conn| {
                let truth = connect(&database)?;
                let mut rows = truth.prepare(
                    "SELECT uid FROM messages WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3 UNION
                     SELECT uid FROM arrivals WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid",
                )?;
                table::tidy(conn, mailbox, |first, last| {
                    rows.query_map((mailbox.0, first, last), |row| row.get(0))?.collect()
                })
            })
            .await?;
        }
        Ok(())
    }

    /// Reads no more.
    pub(crate) fn close(&self) {
        self.readers.close();
        *self.conn.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// UIDNEXT of all mailboxes.
fn uid_next(truth: &Connection) -> rusqlite::Result<HashMap<MailboxId, u32>> {
    let mut statement = truth.prepare("SELECT id, (uid_next - 1) & 4294967295 FROM mailboxes_now")?;
    let rows = statement.query_map([], |row| Ok((MailboxId(row.get(0)?), row.get::<_, u32>(1)?.saturating_add(1))))?;
    rows.collect()
}

impl LocalStore {
    /// Some messages that have no digest, of one mailbox, ascending.
    pub(crate) async fn without_digest(&self) -> StoreResult<Vec<Undigested>> {
        loop {
            let (mailbox, said, from) = self.digests.next().await;
            let log = self.log.clone();
            let read = move |conn: &Connection| read::bodies_from(conn, &log, mailbox, from, AT_ONCE);
            let bodies = self.read_bodies(read).await?;
            // What a power loss could take back gets no digest.
            self.published.stable.wait().await?;
            if !bodies.is_empty() {
                return Ok(bodies.into_iter().map(|(uid, body)| Undigested { mailbox, uid, body }).collect());
            }
            self.digests.tidy(mailbox, self.dir.join("store.db")).await?;
            self.digests.is_done(mailbox, said);
        }
    }
}
