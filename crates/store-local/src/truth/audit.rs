//! The audit log.

use async_trait::async_trait;
use mail::{Durable, limits};
use rusqlite::params;
use store::{Act, Audit, Audited, StoreResult};

use super::Truth;
use crate::error::db;
use crate::open::LocalStore;

impl Truth {
    fn note_acts(&mut self, acts: &[Act]) -> StoreResult<()> {
        let sql = "INSERT INTO audit(at, who, origin, act, about, outcome, times) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        self.exec_each(sql, acts, |act| (act.at, &act.who, &act.from, &act.act, &act.about, &act.outcome, act.times))?;
        let sql = "DELETE FROM audit WHERE number <= (SELECT max(number) FROM audit) - ?1";
        self.exec(sql, [limits::AUDIT_ACTS]).map(drop)
    }
}

#[async_trait]
impl Audit for LocalStore {
    async fn note_acts(&self, acts: Vec<Act>) -> StoreResult<()> {
        self.change(move |truth, _| truth.note_acts(&acts)).await.map(Durable::into_inner)
    }

    async fn acts(&self, name: Option<String>, before: Option<u64>, limit: usize) -> StoreResult<Vec<Audited>> {
        let read = move |conn: &rusqlite::Connection| {
            let sql = "SELECT number, at, who, origin, act, about, outcome, times FROM audit
                       WHERE number < ?1 AND (?2 IS NULL OR instr(lower(who), ?2) OR instr(lower(about), ?2))
                       ORDER BY number DESC LIMIT ?3";
            let mut statement = conn.prepare_cached(sql).map_err(db)?;
            let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
            let rows = statement.query_map(params![before, name.map(|name| name.to_lowercase()), limit], |row| {
                let act = Act {
                    at: row.get(1)?,
                    who: row.get(2)?,
                    from: row.get(3)?,
                    act: row.get(4)?,
                    about: row.get(5)?,
                    outcome: row.get(6)?,
                    times: row.get(7)?,
                };
                Ok(Audited { number: row.get(0)?, act })
            });
            rows.map_err(db)?.collect::<rusqlite::Result<_>>().map_err(db)
        };
        self.readers.read(read).await
    }
}
