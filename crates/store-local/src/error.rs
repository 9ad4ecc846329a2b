//! Errors: why a store does not open, and how SQLite's errors become the store's.

use std::path::PathBuf;

use store::StoreError;

/// Why a store was not opened. Nothing was written.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process (or another handle of this one) has it open: talk to that one.
    Locked(PathBuf),
    /// There is none, and making one was not asked for.
    Missing(PathBuf),
    /// It was written by a version of the program that this one does not know.
    UnknownVersion {
        /// Where.
        path: PathBuf,
        /// The version found.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// It was written by an earlier version; opening it for use brings it to this one's.
    OldVersion {
        /// Where.
        path: PathBuf,
        /// The version found.
        found: i64,
    },
    /// The file there is no store of ours.
    NotAStore(PathBuf),
    /// The disk or the database said no.
    Failed {
        /// Where.
        path: PathBuf,
        /// Its words.
        why: String,
    },
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Locked(path) => write!(f, "the store in {} is in use by another process", path.display()),
            Self::Missing(path) => write!(f, "there is no store in {}", path.display()),
            Self::UnknownVersion { path, found, known } => write!(
                f,
                "the store in {} has format {found}, this program knows up to {known}: use the newer program",
                path.display()
            ),
            Self::OldVersion { path, found } => write!(
                f,
                "the store in {} has the earlier format {found}: `postrider serve` brings it to this program's",
                path.display()
            ),
            Self::NotAStore(path) => write!(f, "{} is no store of this program", path.display()),
            Self::Failed { path, why } => write!(f, "cannot open the store in {}: {why}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

/// SQLite's error as the store's.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn db(error: rusqlite::Error) -> StoreError {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => StoreError::DiskFull,
        Some(rusqlite::ErrorCode::DatabaseBusy) => StoreError::Busy,
        // The extended code says what kind of call failed: a read, a write, a sync.
        Some(rusqlite::ErrorCode::SystemIoFailure) => {
            let code = error.sqlite_error().map_or(0, |error| error.extended_code);
            StoreError::Failed(format!("database: {error} (SQLite's code {code})"))
        }
        _ if matches!(
            error,
            FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..)
        ) =>
        {
            StoreError::Damaged(format!("store.db: {error}"))
        }
        _ => StoreError::Failed(format!("database: {error}")),
    }
}

/// The operating system's error as the store's.
pub(crate) fn os(what: &str, error: &std::io::Error) -> StoreError {
    if is_full(error) {
        StoreError::DiskFull
    } else if is_out_of_files(error) {
        StoreError::Busy
    } else {
        StoreError::Failed(format!("{what}: {error}"))
    }
}

/// Whether an error says that there is no space.
pub(crate) fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// Whether an error says that there are no file descriptors left, here or in the whole system: it comes from opening a
/// file, never from a write or a sync of one (open(2), EMFILE and ENFILE), and it passes.
pub(crate) fn is_out_of_files(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}
