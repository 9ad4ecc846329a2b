//! Lessons about junk that wait to be learnt.

use mail::{AccountId, MailboxId, Uid, limits};
use rusqlite::{Connection, params};
use store::{CopyOutcome, FlagChange, FlagOperation, Lesson, SpecialUse, StoreResult};

use super::{Effect, Truth};
use crate::error::db;

/// What a mailbox says of the messages in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Junk,
    Good,
    /// Trash, drafts, sent mail.
    Nothing,
}

impl Truth {
    /// Messages came from one mailbox of an account into another of the same: that may teach something.
    pub(super) fn taught_by_copy(&mut self, from: MailboxId, to: MailboxId, outcome: &CopyOutcome) -> StoreResult<()> {
        let account = self.mailbox(to)?.account;
        if from == to || self.mailbox(from)?.account != account {
            return Ok(());
        }
        let (before, after) = (self.says(account, from)?, self.says(account, to)?);
        if after == Says::Nothing || before == after && !self.is_inbox(account, from)? {
            return Ok(());
        }
        let uids: Vec<Uid> = outcome.uids.iter().map(|(_, uid)| *uid).collect();
        self.teach(account, to, &uids, after == Says::Junk)
    }

    /// Messages were marked: quirk of Thunderbird and Apple Mail, which know `$Junk` and `$NotJunk`.
    pub(super) fn taught_by_mark(&mut self, mailbox: MailboxId, change: &FlagChange, uids: &[Uid]) -> StoreResult<()> {
        if change.operation != FlagOperation::Add {
            return Ok(());
        }
        let has = |name: &str| change.keywords.iter().any(|keyword| keyword.as_str().eq_ignore_ascii_case(name));
        let (junk, good) = (has("$Junk"), has("$NotJunk"));
        if junk == good {
            return Ok(());
        }
        let account = self.mailbox(mailbox)?.account;
        self.teach(account, mailbox, uids, junk)
    }

    /// The newest of many: they say as much as all, and a change of a whole mailbox stays quick.
    fn teach(&mut self, account: AccountId, mailbox: MailboxId, uids: &[Uid], junk: bool) -> StoreResult<()> {
        let newest = &uids[uids.len().saturating_sub(limits::LESSONS_AT_ONCE)..];
        let sql = "INSERT INTO lessons(account, mailbox, uid, junk) VALUES (?1, ?2, ?3, ?4)";
        self.exec_each(sql, newest, |uid| (account.0, mailbox.0, uid.get(), junk))?;
        self.effects.push(Effect::Lessons);
        Ok(())
    }

    fn is_inbox(&mut self, account: AccountId, mailbox: MailboxId) -> StoreResult<bool> {
        Ok(self.account(account)?.is_some_and(|cell| cell.inbox == mailbox))
    }

    fn says(&self, account: AccountId, mailbox: MailboxId) -> StoreResult<Says> {
        let sql = "SELECT special_use FROM names WHERE account = ?1 AND mailbox = ?2";
        let named = self.one(sql, params![account.0, mailbox.0], |row| row.get::<_, Option<String>>(0))?.flatten();
        let known = |name: &String| SpecialUse::ALL.iter().find(|(_, attribute, _)| attribute == name).map(|one| one.0);
        Ok(match named.as_ref().and_then(known) {
            Some(SpecialUse::Junk) => Says::Junk,
            None | Some(SpecialUse::Archive) => Says::Good,
            Some(SpecialUse::Drafts | SpecialUse::Sent | SpecialUse::Trash) => Says::Nothing,
        })
    }

    /// They are learnt.
    pub(crate) fn forget_lessons(&mut self, numbers: &[u64]) -> StoreResult<()> {
        self.exec_each("DELETE FROM lessons WHERE number = ?1", numbers, |number| [*number])
    }

    /// Those of an account that goes.
    pub(super) fn drop_lessons(&mut self, account: AccountId) -> StoreResult<()> {
        self.exec("DELETE FROM lessons WHERE account = ?1", [account.0]).map(drop)
    }
}

/// The first that wait.
pub(crate) fn waiting(conn: &Connection, limit: usize) -> StoreResult<Vec<Lesson>> {
    let sql = "SELECT number, account, mailbox, uid, junk FROM lessons ORDER BY number LIMIT ?1";
    let mut statement = conn.prepare_cached(sql).map_err(db)?;
    let rows = statement.query_map([limit], |row| {
        Ok(Lesson {
            number: row.get(0)?,
            account: AccountId(row.get(1)?),
            mailbox: MailboxId(row.get(2)?),
            uid: Uid::new(row.get(3)?).unwrap_or(Uid::FIRST),
            junk: row.get(4)?,
        })
    });
    rows.map_err(db)?.collect::<rusqlite::Result<_>>().map_err(db)
}
