//! Connections that only read, each on a thread that may wait for the disk.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use store::{StoreError, StoreResult};
use tokio::sync::Semaphore;

use crate::error::db;
use crate::truth::{Stable, schema};

/// A few connections; each read is one transaction, so it sees one moment.
pub(crate) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
    stable: Arc<Stable>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, count: usize, stable: Arc<Stable>) -> Self {
        Self { path, idle: Arc::default(), permits: Arc::new(Semaphore::new(count.max(1))), stable }
    }

    /// Runs `read` inside a read transaction. It may see what is committed and not yet on stable storage: nobody learns
    /// it before it is.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let result = self.read_known(read).await?;
        self.stable.wait().await?;
        Ok(result)
    }

    /// The same for what belongs to something that was published, and does not change: it waits for nothing.
    pub(crate) async fn read_known<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let stopped = || StoreError::Poisoned("it was closed".into());
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| stopped())?;
        let (idle, path, permits) = (self.idle.clone(), self.path.clone(), self.permits.clone());
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let conn = match taken {
                Some(conn) => conn,
                None => connect(&path).map_err(db)?,
            };
            let transaction = conn.unchecked_transaction().map_err(db)?;
            let result = read(&transaction);
            drop(transaction);
            if !permits.is_closed() {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
            }
            result
        });
        task.await.unwrap_or_else(|error| Err(StoreError::Failed(format!("a read failed: {error}"))))
    }

    /// Closes the idle connections; no more is read.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A connection for reading.
pub(crate) fn connect(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    schema::prepare(&conn)?;
    conn.execute_batch("PRAGMA cache_size = -8192;")?;
    Ok(conn)
}

/// Removes a database that can be made anew, with what SQLite keeps beside it.
pub(crate) fn remove(path: &std::path::Path) {
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        // It need not exist.
        let _ = std::fs::remove_file(name);
    }
}
