//! Names and addresses that accounts send under.

use mail::{AccountId, Address, IdentityId, ModSeq, limits};
use rusqlite::params;
use store::{AccountNews, IdentityChange, Profile, StoreError, StoreResult};

use super::Truth;
use crate::codec;

/// Of `sending_gone`.
pub(crate) const IDENTITY: i64 = 0;

/// It is there.
const THERE: i64 = 0;
/// Somebody removed it.
const REMOVED: i64 = 1;
/// Its address is no longer the account's.
const WITHDRAWN: i64 = 2;

impl Truth {
    pub(crate) fn identify(&mut self, account: AccountId, addresses: &[Address]) -> StoreResult<()> {
        self.known_account(account)?;
        let sql = "SELECT id, email, state, created FROM identities WHERE account = ?1";
        let rows: Vec<(u64, String, i64, u64)> =
            self.all(sql, [account.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        let wanted: Vec<String> = addresses.iter().map(codec::address_text).collect();
        let is_wanted = |email: &String| wanted.contains(email);
        let mut there = rows.iter().filter(|(_, email, state, _)| *state == THERE && is_wanted(email)).count();
        let withdrawn = rows.iter().filter(|(_, email, state, _)| *state == THERE && !is_wanted(email));
        let returned = rows.iter().filter(|(_, email, state, _)| *state == WITHDRAWN && is_wanted(email));
        let new = wanted.iter().filter(|email| !rows.iter().any(|(_, other, ..)| other == *email));
        let (withdrawn, returned, new): (Vec<_>, Vec<_>, Vec<_>) =
            (withdrawn.collect(), returned.collect(), new.collect());
        if withdrawn.is_empty() && returned.is_empty() && new.is_empty() {
            return Ok(());
        }
        let modseq = self.note_account(account)?;
        for (id, _, _, created) in withdrawn {
            let sql = "UPDATE identities SET state = ?2, changed = ?3 WHERE id = ?1";
            self.exec(sql, params![id, WITHDRAWN, modseq.0])?;
            self.note_gone(account, IDENTITY, *id, ModSeq(*created), modseq)?;
        }
        for (id, ..) in returned {
            // New to who heard that it went.
            let sql = "UPDATE identities SET state = ?2, created = ?3, changed = ?3 WHERE id = ?1";
            self.exec(sql, params![id, THERE, modseq.0])?;
            there += 1;
        }
        for email in new {
            if there >= limits::IDENTITIES_PER_ACCOUNT {
                break;
            }
            self.insert(account, email, &Profile::default(), true, modseq)?;
            there += 1;
        }
        self.tell(account, AccountNews::Identities);
        Ok(())
    }

    pub(crate) fn change_identity(&mut self, account: AccountId, change: &IdentityChange) -> StoreResult<IdentityId> {
        self.known_account(account)?;
        let id = match change {
            IdentityChange::Make(email, profile) => {
                let sql = "SELECT count(*) FROM identities WHERE account = ?1 AND state = 0";
                let count: usize = self.one(sql, [account.0], |row| row.get(0))?.unwrap_or_default();
                if count >= limits::IDENTITIES_PER_ACCOUNT {
                    return Err(StoreError::Limit("IDENTITIES_PER_ACCOUNT"));
                }
                let modseq = self.note_account(account)?;
                self.insert(account, &codec::address_text(email), profile, false, modseq)?
            }
            IdentityChange::Change(id, profile) => {
                self.identity(account, *id)?;
                let modseq = self.note_account(account)?;
                let sql = "UPDATE identities SET profile = ?2, changed = ?3 WHERE id = ?1";
                self.exec(sql, params![id.0, codec::profile_text(profile), modseq.0])?;
                *id
            }
            IdentityChange::Remove(id) => {
                let (is_automatic, created) = self.identity(account, *id)?;
                let modseq = self.note_account(account)?;
                if is_automatic {
                    let sql = "UPDATE identities SET state = ?2, changed = ?3 WHERE id = ?1";
                    self.exec(sql, params![id.0, REMOVED, modseq.0])?;
                } else {
                    self.exec("DELETE FROM identities WHERE id = ?1", [id.0])?;
                }
                self.note_gone(account, IDENTITY, id.0, created, modseq)?;
                *id
            }
        };
        self.tell(account, AccountNews::Identities);
        Ok(id)
    }

    /// Whether it was made because the account has the address, and when.
    fn identity(&self, account: AccountId, id: IdentityId) -> StoreResult<(bool, ModSeq)> {
        let sql = "SELECT automatic, created FROM identities WHERE id = ?1 AND account = ?2 AND state = 0";
        let found = self.one(sql, [id.0, account.0], |row| Ok((row.get(0)?, ModSeq(row.get(1)?))))?;
        found.ok_or_else(|| StoreError::NotFound(format!("the identity {}", id.0)))
    }

    fn insert(
        &mut self,
        account: AccountId,
        email: &str,
        profile: &Profile,
        automatic: bool,
        modseq: ModSeq,
    ) -> StoreResult<IdentityId> {
        let sql = "INSERT INTO identities(account, email, profile, automatic, state, created, changed)
                   VALUES (?1, ?2, ?3, ?4, 0, ?5, ?5)";
        self.exec(sql, params![account.0, email, codec::profile_text(profile), automatic, modseq.0])?;
        Ok(IdentityId(self.last_id()?))
    }

    /// The id of the row that was just made.
    pub(super) fn last_id(&self) -> StoreResult<u64> {
        Ok(self.one("SELECT last_insert_rowid()", [], |row| row.get(0))?.unwrap_or_default())
    }

    /// Something of a kind is no more; the oldest such are forgotten.
    pub(super) fn note_gone(
        &mut self,
        account: AccountId,
        kind: i64,
        id: u64,
        created: ModSeq,
        gone: ModSeq,
    ) -> StoreResult<()> {
        let sql = "INSERT INTO sending_gone(account, kind, gone, id, created) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.exec(sql, params![account.0, kind, gone.0, id, created.0])?;
        // One too many stays, with those of its commit: it says since when all are known.
        let sql = "DELETE FROM sending_gone WHERE account = ?1 AND kind = ?2 AND gone <
                     (SELECT gone FROM sending_gone WHERE account = ?1 AND kind = ?2
                      ORDER BY gone DESC, id DESC LIMIT 1 OFFSET ?3)";
        self.exec(sql, params![account.0, kind, limits::SENDING_GONE]).map(drop)
    }
}
