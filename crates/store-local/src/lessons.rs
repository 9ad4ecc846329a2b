//! What accounts have taught about junk, as counts of words, in a database of its own: `junk.db`.
//!
//! Losing it costs no mail: what was taught is forgotten, and is taught again. So it is not synced with the truth. A message that
//! was counted is remembered with what it counted as, so that a lesson which is learnt twice, or taken back, counts right.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use mail::{AccountId, limits};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use store::{Learnt, Lesson, Lessons, StoreError, StoreResult, WordCounts};
use tokio::sync::Notify;

use crate::error::db;
use crate::open::LocalStore;
use crate::readers::remove;
use crate::truth::waiting_lessons;

/// The layout of the tables.
const FORMAT: i64 = 1;

/// The database, while it is open, and news of lessons.
pub(crate) struct Words {
    conn: Arc<Mutex<Option<Connection>>>,
    /// How much each account has taught: asked for with each delivery.
    taught: Mutex<HashMap<AccountId, WordCounts>>,
    news: Notify,
}

impl Words {
    /// Opens the database, or makes it anew where it can't be used.
    pub(crate) fn open(path: PathBuf) -> Self {
        let opened = open(&path).or_else(|_| {
            remove(&path);
            open(&path)
        });
        let opened = opened.and_then(|conn| Ok((all_taught(&conn)?, conn)));
        let opened = opened.inspect_err(|error| tracing::warn!(%error, "junk.db can't be used; nothing is learnt"));
        let (taught, conn) = opened.ok().unzip();
        Self { conn: Arc::new(Mutex::new(conn)), taught: Mutex::new(taught.unwrap_or_default()), news: Notify::new() }
    }

    fn taught(&self) -> MutexGuard<'_, HashMap<AccountId, WordCounts>> {
        self.taught.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lessons came.
    pub(crate) fn came(&self) {
        self.news.notify_one();
    }

    /// What an account that is gone had taught.
    pub(crate) async fn forget(&self, account: AccountId) {
        let forgotten = self.with(move |conn| {
            let transaction = conn.transaction()?;
            for table in ["taught", "messages", "words"] {
                transaction.execute(&format!("DELETE FROM {table} WHERE account = ?1"), [account.0])?;
            }
            transaction.commit()
        });
        self.taught().remove(&account);
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, "what a removed account had taught about junk can't be forgotten");
        }
    }

    pub(crate) fn close(&self) {
        drop(self.conn.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Runs `work` on a thread that may wait; `None`: the database is not open.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> StoreResult<Option<T>> {
        let conn = self.conn.clone();
        let task = tokio::task::spawn_blocking(move || {
            let mut conn = conn.lock().unwrap_or_else(PoisonError::into_inner);
            conn.as_mut().map(work).transpose().map_err(db)
        });
        task.await.unwrap_or_else(|error| Err(StoreError::Failed(format!("junk.db: {error}"))))
    }
}

fn open(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    let found: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found != FORMAT && found != 0 {
        return Err(rusqlite::Error::InvalidQuery);
    }
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -8192;
         CREATE TABLE IF NOT EXISTS taught(
           account INTEGER PRIMARY KEY, junk INTEGER NOT NULL, good INTEGER NOT NULL, words INTEGER NOT NULL);
         CREATE TABLE IF NOT EXISTS messages(
           account INTEGER NOT NULL, body INTEGER NOT NULL, junk INTEGER NOT NULL,
           PRIMARY KEY(account, body)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS words(
           account INTEGER NOT NULL, word INTEGER NOT NULL, junk INTEGER NOT NULL, good INTEGER NOT NULL,
           lesson INTEGER NOT NULL, PRIMARY KEY(account, word)) WITHOUT ROWID;
         PRAGMA user_version = {FORMAT};"
    ))?;
    Ok(conn)
}

/// One lesson, counted once whatever happens.
fn learn(conn: &Transaction<'_>, learnt: &Learnt) -> rusqlite::Result<()> {
    let Some((body, words)) = &learnt.message else { return Ok(()) };
    let Lesson { account, number, junk, .. } = learnt.lesson;
    let before: Option<bool> = conn
        .prepare_cached("SELECT junk FROM messages WHERE account = ?1 AND body = ?2")?
        .query_row([account.0, body.0], |row| row.get(0))
        .optional()?;
    if before == Some(junk) {
        return Ok(());
    }
    // What it was called before is taken back.
    let by = |what: bool| i64::from(junk == what) - i64::from(before == Some(what));
    let (more_junk, more_good) = (by(true), by(false));
    conn.prepare_cached("INSERT OR REPLACE INTO messages VALUES (?1, ?2, ?3)")?
        .execute(params![account.0, body.0, junk])?;
    let mut add = conn.prepare_cached(
        "INSERT INTO words VALUES (?1, ?2, max(?3, 0), max(?4, 0), ?5) ON CONFLICT DO UPDATE
         SET junk = max(junk + ?3, 0), good = max(good + ?4, 0), lesson = ?5",
    )?;
    let mut new = 0;
    let mut known = conn.prepare_cached("SELECT 1 FROM words WHERE account = ?1 AND word = ?2")?;
    for word in words {
        let word = word.cast_signed();
        new += i64::from(!known.exists(params![account.0, word])?);
        add.execute(params![account.0, word, more_junk, more_good, number])?;
    }
    conn.prepare_cached(
        "INSERT INTO taught VALUES (?1, max(?2, 0), max(?3, 0), ?4) ON CONFLICT DO UPDATE
         SET junk = max(junk + ?2, 0), good = max(good + ?3, 0), words = words + ?4",
    )?
    .execute(params![account.0, more_junk, more_good, new])?;
    make_room(conn, account)
}

/// Where an account has too many words, those go that were seen once and longest ago; then, if need be, the oldest.
fn make_room(conn: &Transaction<'_>, account: AccountId) -> rusqlite::Result<()> {
    let count = |conn: &Transaction<'_>| {
        conn.prepare_cached("SELECT words FROM taught WHERE account = ?1")?
            .query_row([account.0], |row| row.get::<_, i64>(0))
    };
    let most = limits::JUNK_WORDS_PER_ACCOUNT as i64;
    let too_many = count(conn)? - most;
    if too_many <= 0 {
        return Ok(());
    }
    // An eighth more, so that it is not done with each message.
    let gone = conn
        .prepare_cached(
            "DELETE FROM words WHERE account = ?1 AND word IN (
               SELECT word FROM words WHERE account = ?1 ORDER BY junk + good > 1, lesson LIMIT ?2)",
        )?
        .execute(params![account.0, too_many + most / 8])?;
    conn.prepare_cached("UPDATE taught SET words = words - ?2 WHERE account = ?1")?
        .execute(params![account.0, gone])?;
    Ok(())
}

/// How much an account has taught.
fn read_counts(row: &rusqlite::Row<'_>) -> rusqlite::Result<WordCounts> {
    Ok(WordCounts { junk: row.get("junk")?, good: row.get("good")? })
}

/// How much each account has taught.
fn all_taught(conn: &Connection) -> rusqlite::Result<HashMap<AccountId, WordCounts>> {
    let mut statement = conn.prepare("SELECT account, junk, good FROM taught")?;
    let rows = statement.query_map([], |row| Ok((AccountId(row.get("account")?), read_counts(row)?)))?;
    rows.collect()
}

#[async_trait]
impl Lessons for LocalStore {
    async fn lessons(&self, limit: usize) -> StoreResult<Vec<Lesson>> {
        loop {
            let news = self.published.words.news.notified();
            let found = self.readers.read(move |conn| waiting_lessons(conn, limit)).await?;
            if !found.is_empty() {
                return Ok(found);
            }
            news.await;
        }
    }

    async fn learn(&self, learnt: Vec<Learnt>) -> StoreResult<()> {
        let numbers: Vec<u64> = learnt.iter().map(|one| one.lesson.number).collect();
        let counted = self.published.words.with(move |conn| {
            let transaction = conn.transaction()?;
            learnt.iter().try_for_each(|one| learn(&transaction, one))?;
            let taught = all_taught(&transaction)?;
            transaction.commit()?;
            Ok(taught)
        });
        match counted.await {
            Ok(taught) => *self.published.words.taught() = taught.unwrap_or_default(),
            // What can't be counted is not counted; it must not stand in the way of what comes after it.
            Err(error) => tracing::warn!(%error, "lessons about junk can't be kept"),
        }
        self.change(move |truth, _| truth.forget_lessons(&numbers)).await.map(mail::Durable::into_inner)
    }

    fn taught(&self, account: AccountId) -> WordCounts {
        self.published.words.taught().get(&account).copied().unwrap_or_default()
    }

    async fn word_counts(&self, account: AccountId, words: Vec<u64>) -> StoreResult<Vec<WordCounts>> {
        let none = vec![WordCounts::default(); words.len()];
        let counted = self.published.words.with(move |conn| {
            let mut one = conn.prepare_cached("SELECT junk, good FROM words WHERE account = ?1 AND word = ?2")?;
            let count = |word: u64| one.query_row(params![account.0, word.cast_signed()], read_counts).optional();
            words.into_iter().map(count).map(|found| found.map(Option::unwrap_or_default)).collect()
        });
        Ok(counted.await?.unwrap_or(none))
    }
}
