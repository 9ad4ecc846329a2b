//! Push subscriptions, and the key that push services know us by.

use mail::{AccountId, PushSubscriptionId, Timestamp, limits};
use rusqlite::{Params, Row, params};
use store::{
    Credential, NewPushSubscription, PasswordHash, PushChange, PushKeys, PushSubscription, StoreError, StoreResult,
    TokenHash,
};

use super::{Truth, token};
use crate::codec;

/// Reads what [`push_subscription`] needs; a condition on `p` may follow.
pub(crate) const PUSH_SELECT: &str =
    "SELECT p.id, p.account, t.hash, a.password, p.device, p.url, p.p256dh, p.auth, p.code, p.verified, p.expires,
            p.types, p.created, p.told
     FROM push_subscriptions p JOIN accounts a ON a.id = p.account LEFT JOIN tokens t ON t.id = p.token";

/// A subscription from the columns of [`PUSH_SELECT`].
pub(crate) fn push_subscription(row: &Row<'_>) -> rusqlite::Result<PushSubscription> {
    let credential = match row.get::<_, Option<[u8; 32]>>(2)? {
        Some(hash) => Credential::Token(TokenHash(hash)),
        // A new password takes away what was made with the one before it.
        None => Credential::Password(PasswordHash(row.get(3)?)),
    };
    let keys = row.get::<_, Option<[u8; 65]>>(6)?.zip(row.get::<_, Option<[u8; 16]>>(7)?);
    Ok(PushSubscription {
        id: PushSubscriptionId(row.get(0)?),
        created: Timestamp::from_millis(row.get(12)?),
        verified: row.get(9)?,
        given: NewPushSubscription {
            account: AccountId(row.get(1)?),
            credential,
            device: row.get(4)?,
            url: row.get(5)?,
            keys: keys.map(|(p256dh, auth)| PushKeys { p256dh, auth }),
            code: row.get(8)?,
            expires: row.get::<_, Option<i64>>(10)?.map(Timestamp::from_millis),
            types: row.get::<_, Option<String>>(11)?.map(|types| codec::names(&types)).transpose()?,
            told: row.get(13)?,
        },
    })
}

fn types_text(types: Option<&Vec<String>>) -> Option<String> {
    types.map(|types| codec::names_text(types))
}

impl Truth {
    pub(crate) fn add_push_subscription(
        &mut self,
        new: &NewPushSubscription,
        now: Timestamp,
    ) -> StoreResult<PushSubscriptionId> {
        if !self.account(new.account)?.is_some_and(|account| account.active) {
            return Err(StoreError::NotFound(format!("an active account with id {}", new.account.0)));
        }
        let token = self.credential(new, now)?;
        let sql = format!("{PUSH_SELECT} WHERE p.account = ?1");
        let there = self.all(&sql, [new.account.0], push_subscription)?;
        let (over, there): (Vec<_>, Vec<_>) = there.into_iter().partition(|one| one.is_over(now));
        if there.len() >= limits::PUSH_SUBSCRIPTIONS_PER_ACCOUNT {
            return Err(StoreError::Limit("PUSH_SUBSCRIPTIONS_PER_ACCOUNT"));
        }
        for one in over {
            self.erase_push_subscriptions("id = ?1", [one.id.0])?;
        }
        let sql =
            "INSERT INTO push_subscriptions(account, token, device, url, p256dh, auth, code, verified, expires, types,
                     created, told) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, ?9, ?10, ?11)";
        let values = params![
            new.account.0,
            token,
            new.device,
            new.url,
            new.keys.as_ref().map(|keys| keys.p256dh),
            new.keys.as_ref().map(|keys| keys.auth),
            new.code,
            new.expires.map(Timestamp::millis),
            types_text(new.types.as_ref()),
            now.millis(),
            new.told
        ];
        self.exec(sql, values)?;
        let id = self.one("SELECT last_insert_rowid()", [], |row| row.get(0))?.unwrap_or_default();
        Ok(PushSubscriptionId(id))
    }

    /// The token that a subscription is made with, or 0; it must be good.
    fn credential(&mut self, new: &NewPushSubscription, now: Timestamp) -> StoreResult<u64> {
        let gone = || StoreError::NotFound("the log-in that it is made with".into());
        match &new.credential {
            Credential::Password(password) => {
                let sql = "SELECT 0 FROM accounts WHERE id = ?1 AND password = ?2";
                self.one(sql, params![new.account.0, password.0], |row| row.get(0))?.ok_or_else(gone)
            }
            Credential::Token(hash) => {
                let sql = format!("{} WHERE hash = ?1 AND account = ?2", super::TOKEN_SELECT);
                let found = self.one(&sql, params![hash.0, new.account.0], token)?;
                Ok(found.filter(|token| !token.is_over(now)).ok_or_else(gone)?.id.0)
            }
        }
    }

    pub(crate) fn change_push_subscription(
        &mut self,
        account: AccountId,
        id: PushSubscriptionId,
        change: &PushChange,
    ) -> StoreResult<()> {
        let changed = match change {
            PushChange::Set { verified, expires, types } => {
                // What was verified stays so, whatever somebody knew who read it before.
                let set = "verified = verified OR ?3, expires = ?4, types = ?5";
                let expires = expires.map(Timestamp::millis);
                self.rewrite(set, params![account.0, id.0, verified, expires, types_text(types.as_ref())])?
            }
            PushChange::Told(states) => self.rewrite("told = ?3", params![account.0, id.0, states])?,
            PushChange::Removed => self.erase_push_subscriptions("account = ?1 AND id = ?2", [account.0, id.0])?,
        };
        if changed > 0 { Ok(()) } else { Err(StoreError::NotFound(format!("the push subscription {}", id.0))) }
    }

    /// Forgets those that are over.
    pub(super) fn forget_push_subscriptions(&mut self, now: Timestamp) -> StoreResult<()> {
        let unverified = i64::try_from(limits::PUSH_UNVERIFIED.as_millis()).unwrap_or(i64::MAX);
        let values = [now.millis(), now.millis().saturating_sub(unverified)];
        self.erase_push_subscriptions("expires <= ?1 OR verified = 0 AND created <= ?2", values).map(drop)
    }

    /// Changes one: `?1` and `?2` are its account and itself.
    fn rewrite(&mut self, set: &str, values: impl Params) -> StoreResult<usize> {
        self.erasing(&format!("UPDATE push_subscriptions SET {set} WHERE account = ?1 AND id = ?2"), values)
    }

    /// Takes some away.
    pub(super) fn erase_push_subscriptions(&mut self, which: &str, values: impl Params) -> StoreResult<usize> {
        self.erasing(&format!("DELETE FROM push_subscriptions WHERE {which}"), values)
    }

    /// RFC 8620 §7.2: URL and keys are erased, and not only the way to them; also where a row moves because it became longer.
    fn erasing(&mut self, sql: &str, values: impl Params) -> StoreResult<usize> {
        self.secure_delete(true)?;
        let done = self.exec(sql, values);
        self.secure_delete(false)?;
        done
    }

    /// Whether what is deleted is overwritten with zeros.
    fn secure_delete(&self, on: bool) -> StoreResult<()> {
        let sql = if on { "PRAGMA secure_delete = 1" } else { "PRAGMA secure_delete = 0" };
        self.one(sql, [], |_| Ok(())).map(drop)
    }

    pub(crate) fn push_key(&mut self, fresh: &[u8]) -> StoreResult<Vec<u8>> {
        if let Some(key) = self.one("SELECT key FROM push_key", [], |row| row.get(0))? {
            return Ok(key);
        }
        self.exec("INSERT INTO push_key(one, key) VALUES (1, ?1)", [fresh])?;
        Ok(fresh.to_vec())
    }
}
