//! Which format a store has, found out without writing a byte.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rusqlite::Connection;

use crate::error::OpenError;
use crate::readers::connect;
use crate::truth::schema;

/// Where SQLite keeps user_version and application_id in a database's header, each four octets, big-endian.
const USER_VERSION: usize = 60;
const APPLICATION_ID: usize = 68;

/// The version of the store in `dir`, which is one that we know; `None`: there is none, or one that was never made
/// whole (a process that died while it made the store leaves an empty file).
pub(crate) fn look(dir: &Path) -> Result<Option<i64>, OpenError> {
    let path = dir.join("store.db");
    let failed = |why: String| OpenError::Failed { path: dir.into(), why };
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    if length(&path) == 0 {
        return Ok(None);
    }
    if length(&dir.join("store.db-wal")) > 0 {
        // A crash left a log, which may know more than the header.
        let conn = connect(&path).map_err(|error| damaged(dir, &error))?;
        return check(dir, &conn).map(Some);
    }
    // SQLite itself would make files to look.
    let mut header = Vec::with_capacity(100);
    let file = File::open(&path).and_then(|file| file.take(100).read_to_end(&mut header));
    file.map_err(|error| failed(error.to_string()))?;
    let at = |from: usize| header.get(from..from + 4).and_then(|four| four.try_into().ok()).map(i32::from_be_bytes);
    match (header.starts_with(b"SQLite format 3\0"), at(APPLICATION_ID), at(USER_VERSION)) {
        (true, Some(application), Some(version)) => judge(dir, application.into(), version.into()).map(Some),
        _ => Err(OpenError::NotAStore(dir.into())),
    }
}

/// The version as the database itself says it.
fn check(dir: &Path, conn: &Connection) -> Result<i64, OpenError> {
    let pragma = |name: &str| conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let read = || Ok::<_, rusqlite::Error>((pragma("application_id")?, pragma("user_version")?));
    let (application, version) = read().map_err(|error| damaged(dir, &error))?;
    judge(dir, application, version)
}

fn judge(dir: &Path, application: i64, found: i64) -> Result<i64, OpenError> {
    match (application, found) {
        (schema::APPLICATION, 1..=schema::VERSION) => Ok(found),
        (schema::APPLICATION, _) => Err(OpenError::UnknownVersion { path: dir.into(), found, known: schema::VERSION }),
        _ => Err(OpenError::NotAStore(dir.into())),
    }
}

fn damaged(dir: &Path, error: &rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => OpenError::NotAStore(dir.into()),
        _ => OpenError::Failed { path: dir.into(), why: error.to_string() },
    }
}
