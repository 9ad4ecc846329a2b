//! Who else may do what in a mailbox (RFC 4314).

use mail::{AccountId, MailboxId, Rights, limits};
use rusqlite::{Row, params};
use store::{Grant, GrantChange, GrantOperation, StoreError, StoreResult};

use super::{Effect, Truth};

/// Stands for anyone: no account has this id.
const ANYONE: u64 = 0;

/// A row of `grants`: grantee, rights, without.
pub(crate) fn read_grant(row: &Row<'_>) -> rusqlite::Result<Grant> {
    let grantee = row.get::<_, u64>(0)?;
    Ok(Grant {
        grantee: (grantee != ANYONE).then_some(AccountId(grantee)),
        rights: Rights::from_bits(row.get(1)?),
        without: Rights::from_bits(row.get(2)?),
    })
}

impl Truth {
    /// Changes what one has in a mailbox.
    pub(crate) fn grant(&mut self, mailbox: MailboxId, change: GrantChange) -> StoreResult<()> {
        let owner = self.mailbox(mailbox)?.account;
        if let Some(grantee) = change.grantee
            && self.account(grantee)?.is_none()
        {
            return Err(StoreError::NotFound(format!("the account with id {}", grantee.0)));
        }
        let grantee = change.grantee.map_or(ANYONE, |account| account.0);
        let sql = "SELECT grantee, rights, without FROM grants WHERE mailbox = ?1 AND grantee = ?2";
        let before = self.one(sql, params![mailbox.0, grantee], read_grant)?;
        let mut grant =
            before.unwrap_or(Grant { grantee: change.grantee, rights: Rights::NONE, without: Rights::NONE });
        let side = if change.negative { &mut grant.without } else { &mut grant.rights };
        *side = match change.operation {
            GrantOperation::Set => change.rights,
            GrantOperation::Add => side.with(change.rights),
            GrantOperation::Remove => side.without(change.rights),
        };
        if grant.rights.is_empty() && grant.without.is_empty() {
            self.exec("DELETE FROM grants WHERE mailbox = ?1 AND grantee = ?2", params![mailbox.0, grantee])?;
        } else {
            let sql = "SELECT count(*) FROM grants WHERE mailbox = ?1";
            let count: usize = self.one(sql, [mailbox.0], |row| row.get(0))?.unwrap_or(0);
            if before.is_none() && count >= limits::GRANTS_PER_MAILBOX {
                return Err(StoreError::Limit("GRANTS_PER_MAILBOX"));
            }
            let sql = "INSERT INTO grants(mailbox, grantee, rights, without) VALUES (?1, ?2, ?3, ?4)
                       ON CONFLICT DO UPDATE SET rights = excluded.rights, without = excluded.without";
            self.exec(sql, params![mailbox.0, grantee, grant.rights.bits(), grant.without.bits()])?;
        }
        if before.is_none_or(|before| before != grant) {
            let modseq = self.note_account(owner)?;
            self.note_at(owner, mailbox, modseq)?;
        }
        self.effects.push(Effect::Granted);
        Ok(())
    }

    /// A new mailbox is for those whom the one above it is for.
    pub(super) fn inherit_grants(&mut self, from: u64, to: u64) -> StoreResult<()> {
        let sql = "INSERT INTO grants SELECT ?2, grantee, rights, without FROM grants WHERE mailbox = ?1";
        if self.exec(sql, params![from, to])? > 0 {
            self.effects.push(Effect::Granted);
        }
        Ok(())
    }

    /// The mailbox goes, and what others had in it.
    pub(super) fn drop_grants(&mut self, mailbox: MailboxId) -> StoreResult<()> {
        self.exec("DELETE FROM grants WHERE mailbox = ?1", [mailbox.0]).map(drop)
    }

    /// An account goes, and what it had in others' mailboxes: a later one of its address inherits nothing.
    pub(super) fn drop_grants_of(&mut self, account: AccountId) -> StoreResult<()> {
        self.exec("DELETE FROM grants WHERE grantee = ?1", [account.0]).map(drop)
    }
}
