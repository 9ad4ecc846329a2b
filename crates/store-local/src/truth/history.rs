//! When mailboxes were made, changed and removed, in their account's order of changes; and changes that many of the others
//! make up.

use mail::{AccountId, BodyId, MailboxId, ModSeq, ThreadId, Timestamp, limits};
use rusqlite::params;
use store::{AppendMessage, MessageStep, StoreError, StoreResult};

use super::Truth;
use super::mailboxes::below;
use crate::log::Place;

impl Truth {
    /// The next place in the account's order, for a change of no mailbox's messages.
    pub(super) fn note_account(&mut self, account: AccountId) -> StoreResult<ModSeq> {
        let Some(cell) = self.account(account)? else { return Ok(ModSeq(1)) };
        cell.modseq += 1;
        let modseq = cell.modseq;
        self.exec("UPDATE accounts SET modseq = ?2 WHERE id = ?1", [account.0, modseq])?;
        Ok(ModSeq(modseq))
    }

    /// The mailbox changed, but not its messages.
    pub(super) fn note_at(&mut self, account: AccountId, mailbox: MailboxId, modseq: ModSeq) -> StoreResult<()> {
        let sql = "UPDATE mailbox_history SET changed = ?3 WHERE account = ?1 AND mailbox = ?2";
        self.exec(sql, params![account.0, mailbox.0, modseq.0]).map(drop)
    }

    /// The mailbox of this name changed, where there is one.
    pub(super) fn note_name(&mut self, account: AccountId, name: &str) -> StoreResult<()> {
        let sql = "SELECT mailbox FROM names WHERE account = ?1 AND name = ?2 AND mailbox IS NOT NULL";
        if let Some(id) = self.one(sql, params![account.0, name], |row| row.get(0))? {
            let modseq = self.note_account(account)?;
            self.note_at(account, MailboxId(id), modseq)?;
        }
        Ok(())
    }

    /// All mailboxes below this name changed: what they are below did.
    pub(super) fn note_below(&mut self, account: AccountId, name: &str) -> StoreResult<()> {
        let (low, high) = below(name);
        let sql = "SELECT 1 FROM names WHERE account = ?1 AND name >= ?2 AND name < ?3 AND mailbox IS NOT NULL LIMIT 1";
        if self.one(sql, params![account.0, low, high], |_| Ok(()))?.is_none() {
            return Ok(());
        }
        let modseq = self.note_account(account)?;
        let sql = "UPDATE mailbox_history SET changed = ?4 WHERE account = ?1 AND mailbox IN
                   (SELECT mailbox FROM names WHERE account = ?1 AND name >= ?2 AND name < ?3 AND mailbox IS NOT NULL)";
        self.exec(sql, params![account.0, low, high, modseq.0]).map(drop)
    }

    /// The mailbox is removed.
    pub(super) fn note_removal(&mut self, account: AccountId, mailbox: MailboxId) -> StoreResult<ModSeq> {
        let modseq = self.note_account(account)?;
        let sql = "UPDATE mailbox_history SET gone = ?3 WHERE account = ?1 AND mailbox = ?2";
        self.exec(sql, params![account.0, mailbox.0, modseq.0])?;
        Ok(modseq)
    }

    /// The account goes, and what was noted of it and kept for it.
    pub(super) fn drop_history(&mut self, account: AccountId) -> StoreResult<()> {
        for table in ["expunged", "restored"] {
            let of_account = "mailbox IN (SELECT mailbox FROM mailbox_history WHERE account = ?1)";
            self.exec(&format!("DELETE FROM {table} WHERE {of_account}"), [account.0])?;
        }
        for table in ["mailbox_history", "identities", "submissions", "sending_gone"] {
            self.exec(&format!("DELETE FROM {table} WHERE account = ?1"), [account.0])?;
        }
        let uploads = self.all("SELECT body FROM uploads WHERE account = ?1", [account.0], |row| row.get(0))?;
        self.drop_uploads(uploads)
    }

    /// Does all steps; the first that can't be done is the answer.
    pub(crate) fn change_messages(&mut self, steps: &[MessageStep], now: Timestamp) -> StoreResult<()> {
        for step in steps {
            let (asked, done) = match step {
                MessageStep::Flags(mailbox, uids, change) => {
                    let outcome = self.set_flags(*mailbox, uids, change)?;
                    (uids.len(), outcome.stored.len() + outcome.modified.len())
                }
                MessageStep::Copy(from, uids, to) => (uids.len(), self.copy(*from, uids, *to, now)?.uids.len()),
                MessageStep::Move(from, uids, to) => {
                    (uids.len(), self.move_messages(*from, uids, *to, now)?.uids.len())
                }
                MessageStep::Expunge(mailbox, uids) => (uids.len(), self.expunge(*mailbox, uids)?.len()),
            };
            if done < asked {
                return Err(StoreError::NotFound("a message".into()));
            }
        }
        Ok(())
    }

    /// A message in several mailboxes at once.
    pub(crate) fn append_to_all(
        &mut self,
        mailboxes: &[MailboxId],
        message: &(AppendMessage, Option<ThreadId>),
        places: &[Place],
        now: Timestamp,
    ) -> StoreResult<BodyId> {
        let (first, others) = mailboxes.split_first().ok_or_else(|| StoreError::NoMailbox("of no name".into()))?;
        let body = BodyId(self.counters.body);
        let uids = self.append(*first, std::slice::from_ref(message), places, now)?.uids;
        for other in others {
            self.copy(*first, &uids, *other, now)?;
        }
        Ok(body)
    }

    /// Octets that a client means to use soon.
    pub(crate) fn keep_upload(&mut self, account: AccountId, places: &[Place], now: Timestamp) -> StoreResult<BodyId> {
        self.known_account(account)?;
        let place = places.first().ok_or_else(|| StoreError::Failed("octets came without a place".into()))?;
        if place.length > limits::UPLOADS_PER_ACCOUNT {
            return Err(StoreError::Limit("UPLOADS_PER_ACCOUNT"));
        }
        let sql =
            "SELECT u.body, b.length, u.kept_at FROM uploads u JOIN bodies b ON b.id = u.body WHERE u.account = ?1
                   ORDER BY u.body DESC";
        let kept: Vec<(u64, u64, i64)> =
            self.all(sql, [account.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let mut room = limits::UPLOADS_PER_ACCOUNT - place.length;
        let mut late = Vec::new();
        for (at, (body, length, kept_at)) in kept.into_iter().enumerate() {
            let is_old = now.since(Timestamp::from_millis(kept_at)) > limits::UPLOAD_KEPT;
            match room.checked_sub(length) {
                Some(left) if !is_old && at + 1 < limits::UPLOADS_COUNT => room = left,
                // The newest stay: nothing older than what makes room does.
                _ => {
                    room = 0;
                    late.push(body);
                }
            }
        }
        self.drop_uploads(late)?;
        let body = self.add_body(*place, 1)?;
        let sql = "INSERT INTO uploads(body, account, kept_at) VALUES (?1, ?2, ?3)";
        self.exec(sql, params![body, account.0, now.millis()])?;
        Ok(BodyId(body))
    }

    fn drop_uploads(&mut self, bodies: Vec<u64>) -> StoreResult<()> {
        self.exec_each("DELETE FROM uploads WHERE body = ?1", &bodies, |body| [*body])?;
        self.release_bodies(bodies.into_iter().map(|body| (body, 1)).collect())
    }
}
