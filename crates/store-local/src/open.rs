//! Opening and closing a store.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use mail::{AccountId, Timestamp, TokenId, limits};
use rusqlite::{Connection, OpenFlags};
use store::StoreError;

use crate::digests::Digests;
use crate::directory::Directory;
use crate::error::OpenError;
use crate::finder::{Filler, Index};
use crate::lessons::Words;
use crate::log::{Appender, BLOBS, Log, Place, Submission};
use crate::names::Names;
use crate::options::Options;
use crate::publish::{Poison, Published};
use crate::readers::Readers;
use crate::submit::Queue;
use crate::truth::{Committed, Placed, Stable, Syncer, Truth, Writer, schema};
use crate::version;
use crate::views::Views;

/// Octets of the log's end that are compared with their checksums at every start.
const TAIL_CHECKED: u64 = 64 << 20;

/// An open store. Dropping it waits until what was taken in is done.
pub struct LocalStore {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) published: Arc<Published>,
    pub(crate) readers: Readers,
    pub(crate) digests: Arc<Digests>,
    pub(crate) log: Arc<Log>,
    pub(crate) to_append: Arc<Queue<Submission>>,
    pub(crate) to_commit: Arc<Queue<Placed>>,
    pub(crate) queue_id: AtomicU64,
    pub(crate) maildrops: Arc<Mutex<std::collections::HashSet<AccountId>>>,
    pub(crate) refusals: Mutex<Vec<String>>,
    /// When tokens were used last, and from where: not yet written.
    pub(crate) uses: Mutex<HashMap<TokenId, (Timestamp, String)>>,
    pub(crate) space: Mutex<(Option<Instant>, bool)>,
    pub(crate) reclaiming: tokio::sync::Mutex<()>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held while the store is open: one process at a time.
    lock: Mutex<Option<File>>,
}

impl LocalStore {
    /// Opens the store in `dir`, or makes one there.
    ///
    /// Before it returns, what a crash left behind is put in order: bytes that no row points to are cut
    /// off, and the end of the log is compared with its checksums.
    pub fn open(dir: impl Into<PathBuf>, options: Options) -> Result<Arc<Self>, OpenError> {
        let dir = dir.into();
        let failed = |why: String| OpenError::Failed { path: dir.clone(), why };
        let database = dir.join("store.db");
        if !database.exists() && !options.create {
            return Err(OpenError::Missing(dir));
        }
        // Before anything is written, and once more when nobody else can change it.
        version::look(&dir)?;
        std::fs::create_dir_all(&dir).map_err(|error| failed(error.to_string()))?;
        let lock = lock(&dir)?;
        let conn = open_database(&dir, &database, version::look(&dir)?)?;
        let log = Arc::new(Log::new(dir.join("log"), options.disk.clone()));
        log.make_dirs().map_err(|error| failed(error.to_string()))?;
        options.disk.sync_dir(&dir).map_err(|error| failed(error.to_string()))?;
        let (last, end) = tidy(&conn, &log).map_err(|error| failed(error.to_string()))?;
        let directory = Directory::load(&conn).map_err(|error| failed(error.to_string()))?;
        let queue_id = conn.query_row("SELECT coalesce(max(id), 0) FROM journey", [], |row| row.get::<_, u64>(0));
        let queue_id = queue_id.map_err(|error| failed(error.to_string()))?;
        let truth = Truth::new(conn, &options).map_err(|error| failed(error.to_string()))?;

        let poison = Arc::new(Poison::new());
        let stable = Arc::new(Stable::new(poison.clone()));
        let digests = Digests::open(dir.join("digests.db"), &truth.conn, options.digests, stable.clone());
        let digests = Arc::new(digests);
        let published = Arc::new(Published {
            directory: RwLock::new(directory),
            views: Views::new(limits::INDEXES_KEPT),
            names: Names::default(),
            feed: Mutex::default(),
            listeners: Arc::default(),
            rights: std::sync::atomic::AtomicU64::default(),
            poison: poison.clone(),
            stable: stable.clone(),
            log: log.clone(),
            index: Arc::new(Index::open(dir.join("index.db"), &truth.conn)),
            digests: digests.clone(),
            words: Words::open(dir.join("junk.db")),
        });
        let (to_append, to_commit, to_sync) = (Arc::new(Queue::new()), Arc::new(Queue::new()), Arc::new(Queue::new()));
        let appender = Appender::new(log.clone(), options.segment_len, last, end, poison);
        let syncer = Arc::new(Syncer::new(dir.join("store.db-wal"), options.disk.clone(), published.clone()));
        let writer = Writer::new(truth, published.clone(), syncer.clone(), options.wal_len);
        let (input, output) = (to_append.clone(), to_commit.clone());
        let guard = || Guard(published.poison.clone(), to_append.clone(), to_commit.clone(), to_sync.clone());
        let (append_guard, commit_guard, sync_guard) = (guard(), guard(), guard());
        let append = thread("store-log", move || {
            let _guard = append_guard;
            appender.run(&input, &output);
        });
        let input = to_sync.clone();
        let sync = thread("store-sync", move || {
            let _guard = sync_guard;
            syncer.run(&input);
        });
        let sync = sync.map_err(|error| failed(error.to_string()))?;
        let input = to_commit.clone();
        let commit = thread("store-commit", move || {
            let _guard = commit_guard;
            writer.run(&input, &to_sync, sync);
        });
        let filler = Filler::new(published.index.clone(), database.clone(), to_commit.clone());
        let fill = thread("store-index", move || filler.run());
        let threads = [append, commit, fill].into_iter().collect::<std::io::Result<Vec<_>>>();
        Ok(Arc::new(Self {
            readers: Readers::new(database, options.readers, stable),
            digests,
            options,
            published,
            log,
            to_append,
            to_commit,
            queue_id: AtomicU64::new(queue_id),
            maildrops: Arc::default(),
            refusals: Mutex::default(),
            uses: Mutex::default(),
            space: Mutex::default(),
            reclaiming: tokio::sync::Mutex::default(),
            threads: Mutex::new(threads.map_err(|error| failed(error.to_string()))?),
            lock: Mutex::new(Some(lock)),
            dir,
        }))
    }

    /// Returns once `index.db` has taken up all that was accepted until now. Nothing but time depends on it: what
    /// the index does not cover is found too.
    pub async fn indexed(&self) {
        self.published.index.wait().await;
    }

    /// Returns once all that was accepted until now has a digest, which somebody must make ([`store::Store::undigested`]).
    pub async fn digested(&self) {
        self.digests.wait().await;
    }

    /// Takes nothing more in; the threads that finish what is under way.
    pub(crate) fn stop_taking(&self) -> Vec<JoinHandle<()>> {
        self.published.index.stop();
        // Before the writer's connection goes: the last one to go folds the database up, and only that one can.
        self.readers.close();
        self.digests.close();
        self.published.words.close();
        self.to_append.close();
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// After the threads have ended: lets others have the directory.
    pub(crate) fn stopped(&self, fault: bool) {
        if fault {
            self.published.poison.set("a thread of the store ended by a fault".into());
        }
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.published.poison.set(crate::publish::CLOSED.into());
    }
}

/// Waits for threads; whether one of them panicked.
pub(crate) fn join(threads: Vec<JoinHandle<()>>) -> bool {
    let ended: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
    ended.iter().any(Result::is_err)
}

impl Drop for LocalStore {
    fn drop(&mut self) {
        let fault = join(self.stop_taking());
        self.stopped(fault);
    }
}

/// Held by each thread: one that ends by a panic stops the store, so that nobody waits for it for ever.
struct Guard(Arc<Poison>, Arc<Queue<Submission>>, Arc<Queue<Placed>>, Arc<Queue<Committed>>);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set("a thread of the store ended by a fault of the program".into());
            self.1.abandon();
            self.2.abandon();
            self.3.abandon();
        }
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(run)
}

/// Takes the directory for this process.
fn lock(dir: &Path) -> Result<File, OpenError> {
    let failed = |why: String| OpenError::Failed { path: dir.into(), why };
    let path = dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|error| failed(error.to_string()))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked(dir.into())),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn open_database(dir: &Path, path: &Path, found: Option<i64>) -> Result<Connection, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::Failed { path: dir.into(), why: error.to_string() };
    if found.is_none() && holds_messages(&dir.join("log")) {
        // A new database would know none of them, and what no row points to is garbage.
        let why =
            "store.db is missing or empty, but log/ holds messages: restore store.db from a backup, or move log/ away";
        return Err(OpenError::Failed { path: dir.into(), why: why.into() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(failed)?;
    schema::prepare(&conn).map_err(failed)?;
    if found.is_none() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        schema::create(&conn, i64::try_from(now).unwrap_or(0)).map_err(failed)?;
    }
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
         PRAGMA cache_size = -65536; PRAGMA locking_mode = NORMAL;",
    )
    .map_err(failed)?;
    if let Some(found) = found.filter(|found| *found < schema::VERSION) {
        tracing::info!(from = found, to = schema::VERSION, "bringing the store to this version's format");
        schema::upgrade(&conn, found).map_err(failed)?;
    }
    fold(&conn).map_err(failed)?;
    // From here on each commit's sync is ours (`truth::Syncer`), those of a checkpoint are SQLite's.
    conn.execute_batch("PRAGMA synchronous = NORMAL").map_err(failed)?;
    Ok(conn)
}

/// Folds what a crash left in SQLite's log into the database, written and synced anew. After a sync that failed the log
/// may be whole in the kernel's cache and not on the disk; what is committed behind it would be lost with it.
fn fold(conn: &Connection) -> rusqlite::Result<()> {
    let busy = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    match busy {
        Ok(0) => Ok(()),
        Ok(_) => {
            tracing::warn!("somebody reads the database: its log can't be folded up at the start");
            Ok(())
        }
        // Deleting must work on a full disk.
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) => {
            tracing::warn!(%error, "no space to fold up the database's log");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Whether there are files of messages.
fn holds_messages(log: &Path) -> bool {
    [log.to_path_buf(), log.join("blob")].into_iter().any(|dir| {
        let mut entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.any(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
    })
}

/// Puts in order what a crash left: the last segment that rows point to and where it ends.
fn tidy(conn: &Connection, log: &Log) -> Result<(u32, u64), Box<dyn std::error::Error>> {
    let last: u32 = conn.query_row("SELECT segment FROM counters", [], |row| row.get(0))?;
    let sql = "SELECT coalesce((SELECT tail FROM segments WHERE number = ?1), 0)";
    let end: u64 = conn.query_row(sql, [last], |row| row.get(0))?;
    let mut known = conn.prepare("SELECT 1 FROM segments WHERE number = ?1")?;
    for entry in std::fs::read_dir(log.dir())? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".seg"));
        let Some(number) = number.and_then(|number| number.parse::<u32>().ok()) else { continue };
        // Nothing in it was ever committed, or it was given back and the crash came before it was unlinked.
        if !known.exists([number])? {
            std::fs::remove_file(&path)?;
        }
    }
    tidy_blobs(conn, log)?;
    if last > 0 {
        let path = log.path(last, 0);
        match OpenOptions::new().write(true).open(&path) {
            Ok(file) if file.metadata()?.len() > end => {
                file.set_len(end)?;
                file.sync_all()?;
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((last, u64::MAX)),
            Err(error) => return Err(error.into()),
        }
        check_tail(conn, log, last)?;
    }
    // A segment whose file is shorter than its rows say gets no more: the next goes into a new one.
    let whole = last == 0 || std::fs::metadata(log.path(last, 0)).is_ok_and(|file| file.len() == end);
    Ok((last, if whole { end } else { u64::MAX }))
}

fn tidy_blobs(conn: &Connection, log: &Log) -> Result<(), Box<dyn std::error::Error>> {
    let mut statement = conn.prepare("SELECT 1 FROM bodies WHERE segment = 0 AND offset = ?1")?;
    for entry in std::fs::read_dir(log.blob_dir())? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<u64>().ok());
        let Some(number) = number else { continue };
        log.blobs_begin_after(number);
        if !statement.exists([number])? {
            std::fs::remove_file(&path)?;
        }
    }
    let last: Option<u64> = conn.query_row("SELECT max(offset) FROM bodies WHERE segment = 0", [], |row| row.get(0))?;
    log.blobs_begin_after(last.unwrap_or(0));
    Ok(())
}

/// Compares what was written last with its checksums. Damage is reported, not fatal: the rest can be served.
fn check_tail(conn: &Connection, log: &Log, last: u32) -> Result<(), Box<dyn std::error::Error>> {
    let mut statement = conn.prepare("SELECT id, segment, offset, length FROM bodies ORDER BY id DESC")?;
    let mut rows = statement.query([])?;
    let mut left = TAIL_CHECKED;
    while let Some(row) = rows.next()? {
        let place = Place { segment: row.get(1)?, offset: row.get(2)?, length: row.get(3)? };
        if (place.segment != last && place.segment != BLOBS) || left < place.length {
            break;
        }
        left -= place.length;
        if let Err(error) = log.open(place).and_then(|segment| segment.verify(place)) {
            let id: u64 = row.get(0)?;
            let file = log.path(place.segment, place.offset);
            tracing::error!(body = id, file = %file.display(), %error, "a message is damaged; it will not be served");
        }
    }
    Ok(())
}

/// The most that one read of a body returns, as the caller knows it.
const _: () = assert!(limits::READ_CHUNK <= limits::BODY_IN_MEMORY);

/// A stage that another engine made.
pub(crate) fn foreign_stage() -> StoreError {
    StoreError::Failed("the message was staged by another store".into())
}
