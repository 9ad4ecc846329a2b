//! Changes that keep the store small: old journeys, freed space, the ring of refusals.

use mail::{Timestamp, limits};
use rusqlite::params;
use store::StoreResult;

use super::Truth;
use crate::log::Place;

/// Journeys forgotten in one change, so that nobody waits long behind it.
pub(crate) const FORGET_AT_ONCE: u64 = 1000;

impl Truth {
    /// Forgets some journeys of messages that came before `before` and are not queued; how many.
    pub(crate) fn forget_journeys(&mut self, before: Timestamp) -> StoreResult<u64> {
        // Ids grow with time (milliseconds in the upper 44 bits): the range keeps the search to the old end.
        let limit = u64::try_from(before.millis().max(0)).unwrap_or(0) << 20;
        let sql = "SELECT id FROM journey WHERE id < ?1 AND received_at < ?2
                   AND NOT EXISTS (SELECT 1 FROM queue WHERE queue.id = journey.id) ORDER BY id LIMIT ?3";
        let values = params![limit.max(1), before.millis(), FORGET_AT_ONCE];
        let ids: Vec<u64> = self.all(sql, values, |row| row.get(0))?;
        for id in &ids {
            self.exec("DELETE FROM journey WHERE id = ?1", [id])?;
            self.exec("DELETE FROM journey_more WHERE id = ?1", [id])?;
            self.exec("DELETE FROM late WHERE id = ?1", [id])?;
        }
        Ok(ids.len() as u64)
    }

    /// A body was copied within the log: points its row to the new place. False: the row went meanwhile or moved.
    pub(crate) fn relocate(&mut self, body: u64, from: Place, to: Place) -> StoreResult<bool> {
        let sql = "UPDATE bodies SET segment = ?2, offset = ?3 WHERE id = ?1 AND segment = ?4 AND offset = ?5";
        let values = params![body, to.segment, to.offset, from.segment, from.offset];
        let moved = self.exec(sql, values)? > 0;
        if moved {
            self.occupy(to)?;
            self.vacate(from)?;
        }
        Ok(moved)
    }

    /// Forgets a segment that nothing points to; false where something still does.
    pub(crate) fn forget_segment(&mut self, number: u32) -> StoreResult<bool> {
        // The one that is written stays, and one that the appender began meanwhile is newer still.
        if number >= self.counters.segment || self.segment(number)?.live > 0 {
            return Ok(false);
        }
        self.segments.remove(&number);
        self.exec("DELETE FROM segments WHERE number = ?1", [number])?;
        Ok(true)
    }

    /// Adds to the ring of refusals, encoded.
    pub(crate) fn add_refusals(&mut self, events: &[String]) -> StoreResult<()> {
        for event in events {
            let n = self.counters.refusal;
            self.count().refusal += 1;
            self.exec("INSERT INTO refusals(n, event) VALUES (?1, ?2)", params![n, event])?;
            self.exec("DELETE FROM refusals WHERE n <= ?1", [n.saturating_sub(limits::REFUSALS as u64)])?;
        }
        Ok(())
    }

    /// From now on journeys with ids up to `id` that come late are noted in `late`.
    pub(crate) fn cover(&mut self, id: u64) -> StoreResult<()> {
        if id > self.counters.covered {
            self.count().covered = id;
        }
        Ok(())
    }

    /// The finder has taken these late ones up.
    pub(crate) fn late_taken(&mut self, ids: &[u64]) -> StoreResult<()> {
        for id in ids {
            self.exec("DELETE FROM late WHERE id = ?1", [id])?;
        }
        Ok(())
    }
}
