//! Giving space back, a segment at a time.

use std::sync::Arc;

use rusqlite::Connection;
use store::{StoreError, StoreResult};

use crate::error::{db, os};

use crate::log::{Held, Log, Pending, Place};
use crate::open::LocalStore;

/// A segment with less than this share alive (in percent) is copied.
const SPARSE: u64 = 30;

/// Octets copied with one commit.
const COPY_AT_ONCE: u64 = 8 << 20;

impl LocalStore {
    /// Unlinks segments that nothing points to; copies what is alive in sparse ones and unlinks those.
    pub(crate) async fn reclaim_segments(&self) -> StoreResult<u64> {
        let _one = self.reclaiming.lock().await;
        let candidates = self.readers.read(candidates).await?;
        let mut freed = 0;
        for number in candidates {
            // One that has a damaged message stays, and the others do not wait for it.
            if let Err(error) = self.empty_segment(number).await {
                tracing::warn!(number, %error, "a segment of the message log can't be emptied; it stays");
                continue;
            }
            if !*self.change(move |truth, _| truth.forget_segment(number)).await?.get() {
                continue;
            }
            store::failpoint("reclaim.committed");
            let path = self.log.path(number, 0);
            let length = std::fs::metadata(&path).map_or(0, |file| file.len());
            self.log.forget(number, 0);
            match std::fs::remove_file(&path) {
                Ok(()) => freed += length,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(os("removing a segment", &error)),
            }
        }
        Ok(freed)
    }

    /// Copies what is alive in a segment to the end of the log. What is deleted meanwhile stays deleted; nothing is
    /// ever added to a segment that is not the last.
    async fn empty_segment(&self, number: u32) -> StoreResult<()> {
        let all = self.readers.read(move |conn| alive(conn, number)).await?;
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let mut length = 0;
            let take = rest.iter().take_while(|(_, place)| {
                let before = length;
                length += place.length;
                before < COPY_AT_ONCE
            });
            let (some, later) = rest.split_at(take.count());
            rest = later;
            let (log, some) = (self.log.clone(), some.to_vec());
            let read = move || read_all(&log, some);
            let copies = tokio::task::spawn_blocking(read)
                .await
                .unwrap_or_else(|error| Err(StoreError::Failed(format!("copying messages: {error}"))))?;
            let (from, bodies): (Vec<_>, Vec<_>) =
                copies.into_iter().map(|(id, place, held)| ((id, place), Pending::Memory(held))).unzip();
            store::failpoint("reclaim.copied");
            let moved = self.change_with(bodies, move |truth, places| {
                for ((id, old), new) in from.iter().zip(places) {
                    truth.relocate(*id, *old, *new)?;
                }
                Ok(())
            });
            moved.await?.into_inner();
        }
        Ok(())
    }
}

/// The bytes of bodies, compared with their checksums. A damaged one stays where it is, and so does its segment:
/// somebody may yet rescue it.
fn read_all(log: &Arc<Log>, bodies: Vec<(u64, Place)>) -> StoreResult<Vec<(u64, Place, Held)>> {
    let mut copies = Vec::with_capacity(bodies.len());
    for (id, place) in bodies {
        let bytes = log.open(place).and_then(|segment| segment.read_whole(place, true));
        let bytes = bytes.map_err(|error| os("copying a message", &error))?;
        let mut held = Held::new(log, bytes.len());
        held.bytes.extend_from_slice(&bytes);
        held.count();
        copies.push((id, place, held));
    }
    Ok(copies)
}

/// Closed segments that are empty or sparse.
fn candidates(conn: &Connection) -> StoreResult<Vec<u32>> {
    let sql = "SELECT number FROM segments WHERE number < (SELECT segment FROM counters) AND live * 100 < tail * ?1";
    let mut statement = conn.prepare_cached(sql).map_err(db)?;
    let rows = statement.query_map([SPARSE], |row| row.get(0)).map_err(db)?;
    rows.collect::<rusqlite::Result<_>>().map_err(db)
}

/// The bodies in a segment. Reads through all bodies, since deliveries would pay for an index by segment.
fn alive(conn: &Connection, number: u32) -> StoreResult<Vec<(u64, Place)>> {
    let sql = "SELECT id, segment, offset, length FROM bodies WHERE segment = ?1";
    let mut statement = conn.prepare_cached(sql).map_err(db)?;
    let rows = statement.query_map([number], |row| {
        Ok((row.get(0)?, Place { segment: row.get(1)?, offset: row.get(2)?, length: row.get(3)? }))
    });
    rows.map_err(db)?.collect::<rusqlite::Result<_>>().map_err(db)
}
