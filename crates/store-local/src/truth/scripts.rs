//! Scripts of accounts, and the marks that their runs leave.

use async_trait::async_trait;
use mail::{AccountId, Durable, ModSeq, ScriptId, Timestamp, limits};
use rusqlite::params;
use store::{Mark, ScriptChange, ScriptInfo, ScriptList, Scripts, StoreError, StoreResult};

use super::Truth;
use crate::error::db;
use crate::open::LocalStore;

impl Truth {
    fn change_scripts(&mut self, account: AccountId, changes: &[ScriptChange]) -> StoreResult<ModSeq> {
        self.known_account(account)?;
        let mut list = read(&self.conn, account)?;
        // All is tried on a copy first: a change that fails leaves no trace.
        for change in changes {
            try_on(&mut list, change)?;
        }
        if changes.is_empty() {
            return Ok(list.state);
        }
        let modseq = self.note_account(account)?;
        for change in changes {
            match change {
                ScriptChange::Put(name, text) => {
                    let sql = "INSERT INTO scripts(account, name, content, active, changed) VALUES (?1, ?2, ?3, 0, ?4)
                               ON CONFLICT(account, name) DO UPDATE SET content = ?3, changed = ?4";
                    self.exec(sql, params![account.0, name, text, modseq.0])?;
                }
                ScriptChange::Rename(from, to) => {
                    let sql = "UPDATE scripts SET name = ?3 WHERE account = ?1 AND name = ?2";
                    self.exec(sql, params![account.0, from, to])?;
                }
                ScriptChange::Activate(name) => {
                    self.exec("UPDATE scripts SET active = (name = ?2) WHERE account = ?1", params![account.0, name])?;
                }
                ScriptChange::Deactivate => {
                    self.exec("UPDATE scripts SET active = 0 WHERE account = ?1", [account.0])?;
                }
                ScriptChange::Remove(name) => {
                    self.exec("DELETE FROM scripts WHERE account = ?1 AND name = ?2", params![account.0, name])?;
                }
            }
        }
        let sql = "INSERT OR REPLACE INTO scripts_changed(account, changed) VALUES (?1, ?2)";
        self.exec(sql, [account.0, modseq.0])?;
        self.announce_account(account)?;
        Ok(modseq)
    }

    /// The account goes, and its scripts with it.
    pub(super) fn drop_scripts(&mut self, account: AccountId) -> StoreResult<()> {
        for table in ["scripts", "scripts_changed", "script_marks"] {
            self.exec(&format!("DELETE FROM {table} WHERE account = ?1"), [account.0])?;
        }
        Ok(())
    }

    /// Whether something with this mark happened not long ago.
    pub(super) fn is_marked(&mut self, account: AccountId, mark: &str, now: Timestamp) -> StoreResult<bool> {
        let sql = "SELECT 1 FROM script_marks WHERE account = ?1 AND mark = ?2 AND until > ?3";
        Ok(self.one(sql, params![account.0, mark, now.millis()], |_| Ok(()))?.is_some())
    }

    /// Remembers it; what is over, and the soonest over where there are too many, make room.
    pub(super) fn mark(&mut self, mark: &Mark, now: Timestamp) -> StoreResult<()> {
        let account = mark.account.0;
        self.exec("DELETE FROM script_marks WHERE account = ?1 AND until <= ?2", params![account, now.millis()])?;
        let sql = "INSERT OR REPLACE INTO script_marks(account, mark, until) VALUES (?1, ?2, ?3)";
        self.exec(sql, params![account, mark.mark, mark.until.millis()])?;
        let sql = "SELECT count(*) FROM script_marks WHERE account = ?1";
        if self.one(sql, [account], |row| row.get::<_, usize>(0))?.unwrap_or_default() <= limits::SIEVE_MARKS_KEPT {
            return Ok(());
        }
        let sql = "DELETE FROM script_marks WHERE account = ?1 AND mark IN (SELECT mark FROM script_marks
                   WHERE account = ?1 AND mark <> ?2 ORDER BY until DESC LIMIT -1 OFFSET ?3)";
        self.exec(sql, params![account, mark.mark, limits::SIEVE_MARKS_KEPT - 1]).map(drop)
    }
}

/// The list as it is after a change, or why that can't be.
fn try_on(list: &mut ScriptList, change: &ScriptChange) -> StoreResult<()> {
    let no_script = |name: &str| StoreError::NotFound(format!("the script “{name}”"));
    let place = |scripts: &[ScriptInfo], name: &str| {
        scripts.iter().position(|script| script.name == *name).ok_or_else(|| no_script(name))
    };
    let scripts = &mut list.scripts;
    match change {
        ScriptChange::Put(name, text) => {
            if text.len() > limits::SIEVE_SCRIPT_LEN {
                return Err(StoreError::Limit("SIEVE_SCRIPT_LEN"));
            }
            if place(scripts, name).is_err() {
                check_name(name)?;
                if scripts.len() >= limits::SIEVE_SCRIPTS {
                    return Err(StoreError::Limit("SIEVE_SCRIPTS"));
                }
                let (id, changed) = (ScriptId(0), list.state);
                scripts.push(ScriptInfo { id, name: name.clone(), size: text.len(), active: false, changed });
            }
        }
        ScriptChange::Rename(from, to) => {
            let at = place(scripts, from)?;
            check_name(to)?;
            if from != to && place(scripts, to).is_ok() {
                return Err(StoreError::Exists(format!("the script “{to}”")));
            }
            scripts[at].name.clone_from(to);
        }
        ScriptChange::Activate(name) => {
            let at = place(scripts, name)?;
            scripts.iter_mut().enumerate().for_each(|(n, script)| script.active = n == at);
        }
        ScriptChange::Deactivate => scripts.iter_mut().for_each(|script| script.active = false),
        ScriptChange::Remove(name) => {
            let at = place(scripts, name)?;
            if scripts[at].active {
                return Err(StoreError::ScriptActive);
            }
            scripts.remove(at);
        }
    }
    Ok(())
}

/// RFC 5804 §1.6: no control characters, nor what stands for the end of a line; and not without end.
fn check_name(name: &str) -> StoreResult<()> {
    let is_bad = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if name.is_empty() || name.len() > limits::SIEVE_SCRIPT_NAME_LEN || name.contains(is_bad) {
        return Err(StoreError::Limit("SIEVE_SCRIPT_NAME_LEN"));
    }
    Ok(())
}

fn read(conn: &rusqlite::Connection, account: AccountId) -> StoreResult<ScriptList> {
    let sql = "SELECT id, name, length(CAST(content AS BLOB)), active, changed FROM scripts WHERE account = ?1
               ORDER BY name";
    let mut statement = conn.prepare_cached(sql).map_err(db)?;
    let rows = statement.query_map([account.0], |row| {
        Ok(ScriptInfo {
            id: ScriptId(row.get(0)?),
            name: row.get(1)?,
            size: row.get(2)?,
            active: row.get(3)?,
            changed: ModSeq(row.get(4)?),
        })
    });
    let scripts = rows.map_err(db)?.collect::<rusqlite::Result<_>>().map_err(db)?;
    let sql = "SELECT coalesce(max(changed), 0) FROM scripts_changed WHERE account = ?1";
    let state = conn.prepare_cached(sql).and_then(|mut one| one.query_row([account.0], |row| row.get(0)));
    Ok(ScriptList { scripts, state: ModSeq(state.map_err(db)?) })
}

#[async_trait]
impl Scripts for LocalStore {
    async fn scripts(&self, account: AccountId) -> StoreResult<ScriptList> {
        self.readers.read(move |conn| read(conn, account)).await
    }

    async fn script(&self, account: AccountId, name: &str) -> StoreResult<Option<String>> {
        let name = name.to_owned();
        let read = move |conn: &rusqlite::Connection| {
            let sql = "SELECT content FROM scripts WHERE account = ?1 AND name = ?2";
            let mut statement = conn.prepare_cached(sql).map_err(db)?;
            let mut rows = statement.query_map(params![account.0, name], |row| row.get(0)).map_err(db)?;
            rows.next().transpose().map_err(db)
        };
        self.readers.read(read).await
    }

    async fn change_scripts(&self, account: AccountId, changes: Vec<ScriptChange>) -> StoreResult<Durable<ModSeq>> {
        self.change(move |truth, _| truth.change_scripts(account, &changes)).await
    }

    async fn marked_before(&self, account: AccountId, marks: Vec<String>, now: Timestamp) -> StoreResult<Vec<String>> {
        let read = move |conn: &rusqlite::Connection| {
            let sql = "SELECT 1 FROM script_marks WHERE account = ?1 AND mark = ?2 AND until > ?3";
            let mut statement = conn.prepare_cached(sql).map_err(db)?;
            let mut found = Vec::new();
            for mark in marks {
                if statement.exists(params![account.0, mark, now.millis()]).map_err(db)? {
                    found.push(mark);
                }
            }
            Ok(found)
        };
        self.readers.read(read).await
    }
}
