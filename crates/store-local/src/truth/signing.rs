//! Keys with which domains sign their mail.

use std::sync::Arc;

use async_trait::async_trait;
use mail::{Domain, Durable, Timestamp, limits};
use rusqlite::{Connection, Row, params};
use store::{KeyChange, KeyKind, KeyState, PrivateKey, SigningKey, SigningKeys, StoreError, StoreResult};

use super::Truth;
use crate::codec;
use crate::directory::DirectoryChange;
use crate::error::db;
use crate::open::LocalStore;

const SELECT: &str = "SELECT id, domain, selector, kind, private, state, since FROM signing_keys";

fn key(row: &Row<'_>) -> rusqlite::Result<StoreResult<SigningKey>> {
    let (id, domain, selector) = (row.get(0)?, row.get::<_, String>(1)?, row.get(2)?);
    let kind = if row.get::<_, i64>(3)? == 0 { KeyKind::Rsa } else { KeyKind::Ed25519 };
    let private = PrivateKey(row.get::<_, Vec<u8>>(4)?.into());
    let state = match row.get::<_, i64>(5)? {
        0 => KeyState::Waiting,
        1 => KeyState::Signing,
        _ => KeyState::Retired,
    };
    let since = Timestamp::from_millis(row.get(6)?);
    Ok(codec::domain(&domain).map(|domain| SigningKey { id, domain, selector, kind, private, state, since }))
}

/// All, the oldest first.
pub(crate) fn signing_keys(conn: &Connection) -> StoreResult<Vec<SigningKey>> {
    let mut statement = conn.prepare(&format!("{SELECT} ORDER BY id")).map_err(db)?;
    let keys = statement.query_map([], key).map_err(db)?;
    keys.map(|key| key.map_err(db)?).collect()
}

impl Truth {
    fn change_signing_keys(&mut self, domain: &Domain, changes: &[KeyChange], now: Timestamp) -> StoreResult<()> {
        self.require_domain(domain)?;
        let now = now.millis();
        for change in changes {
            match change {
                KeyChange::Add { selector, kind, private, state } => {
                    let sql =
                        "SELECT count(*), count(*) FILTER (WHERE selector = ?2) FROM signing_keys WHERE domain = ?1";
                    let counted = self.one(sql, [domain.as_str(), selector], |row| Ok((row.get(0)?, row.get(1)?)))?;
                    let (all, same): (usize, usize) = counted.unwrap_or_default();
                    if same > 0 {
                        return Err(StoreError::Exists(format!("the key {selector} of {domain}")));
                    }
                    if all >= limits::SIGNING_KEYS {
                        return Err(StoreError::Limit("SIGNING_KEYS"));
                    }
                    let sql = "INSERT INTO signing_keys(domain, selector, kind, private, state, since)
                               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
                    let kind = i64::from(*kind == KeyKind::Ed25519);
                    self.exec(sql, params![domain.as_str(), selector, kind, &private.0[..], number(*state), now])?;
                }
                KeyChange::State(selector, state) => {
                    let sql = "UPDATE signing_keys SET state = ?3, since = ?4 WHERE domain = ?1 AND selector = ?2";
                    let changed = self.exec(sql, params![domain.as_str(), selector, number(*state), now])?;
                    found(changed, selector, domain)?;
                }
                KeyChange::Remove(selector) => {
                    let sql = "DELETE FROM signing_keys WHERE domain = ?1 AND selector = ?2";
                    let removed = self.exec(sql, [domain.as_str(), selector])?;
                    found(removed, selector, domain)?;
                }
            }
        }
        let sql = format!("{SELECT} WHERE domain = ?1 ORDER BY id");
        let keys = self.all(&sql, [domain.as_str()], key)?.into_iter().collect::<StoreResult<Vec<_>>>()?;
        self.announce(DirectoryChange::SigningKeys(domain.clone(), keys));
        Ok(())
    }

    /// The domain goes, and its keys with it.
    pub(super) fn drop_signing_keys(&mut self, domain: &Domain) -> StoreResult<()> {
        self.exec("DELETE FROM signing_keys WHERE domain = ?1", [domain.as_str()])?;
        self.announce(DirectoryChange::SigningKeys(domain.clone(), Vec::new()));
        Ok(())
    }
}

fn found(rows: usize, selector: &str, domain: &Domain) -> StoreResult<()> {
    if rows == 0 { Err(StoreError::NotFound(format!("the key {selector} of {domain}"))) } else { Ok(()) }
}

const fn number(state: KeyState) -> i64 {
    match state {
        KeyState::Waiting => 0,
        KeyState::Signing => 1,
        KeyState::Retired => 2,
    }
}

#[async_trait]
impl SigningKeys for LocalStore {
    async fn signing_keys(&self, domain: &Domain) -> StoreResult<Arc<[SigningKey]>> {
        Ok(self.directory().signing_keys(domain))
    }

    async fn change_signing_keys(
        &self,
        domain: Domain,
        changes: Vec<KeyChange>,
        now: Timestamp,
    ) -> StoreResult<Durable<()>> {
        self.change(move |truth, _| truth.change_signing_keys(&domain, &changes, now)).await
    }
}
