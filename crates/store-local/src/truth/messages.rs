//! What is done to messages in their mailbox: flags, copies, moves, removal.

use mail::{BodyId, Flags, Keyword, MailboxId, ModSeq, ThreadId, Timestamp, Uid, limits};
use rusqlite::params;
use store::{CopyOutcome, FlagChange, FlagOperation, MessageRow, StoreError, StoreOutcome, StoreResult};

use super::{Effect, Truth};

/// Reads a [`MessageRow`] from the columns of [`ROW`].
pub(crate) fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<MessageRow> {
    Ok(MessageRow {
        uid: Uid::new(row.get(0)?).unwrap_or(Uid::FIRST),
        flags: Flags::from_bits(row.get(1)?),
        keywords: row.get::<_, i64>(2)?.cast_unsigned(),
        modseq: ModSeq(row.get(3)?),
        created: ModSeq(row.get(4)?),
        size: row.get(5)?,
        internal_date: Timestamp::from_millis(row.get(6)?),
        saved: Timestamp::from_millis(row.get(7)?),
        body: BodyId(row.get(8)?),
        thread: ThreadId(row.get(9)?),
    })
}

/// A row's columns, in the order of [`read_row`].
pub(crate) const ROW: &str = "uid, flags, keywords, modseq, created, size, internal_date, saved, body, thread";

const ONE_ROW: &str = "SELECT uid, flags, keywords, modseq, created, size, internal_date, saved, body, thread, prefix
     FROM messages WHERE mailbox = ?1 AND uid = ?2";

impl Truth {
    /// The bits of keywords in a mailbox; `make`: new ones get a number.
    pub(super) fn keyword_bits(&mut self, mailbox: MailboxId, keywords: &[Keyword], make: bool) -> StoreResult<u64> {
        let mut bits = 0;
        for keyword in keywords {
            let known = self.keywords(mailbox)?;
            let number = match known.iter().position(|other| other == keyword) {
                Some(number) => number,
                None if !make => continue,
                None if known.len() >= limits::KEYWORDS_PER_MAILBOX => {
                    return Err(StoreError::Limit("KEYWORDS_PER_MAILBOX"));
                }
                None => {
                    let sql = "INSERT INTO keywords(mailbox, n, keyword) VALUES (?1, ?2, ?3)";
                    self.exec(sql, params![mailbox.0, known.len(), keyword.as_str()])?;
                    let more = known.iter().cloned().chain([keyword.clone()]).collect();
                    self.mailbox_mut(mailbox)?.keywords = Some(more);
                    self.effects.push(Effect::Mailbox(mailbox));
                    known.len()
                }
            };
            bits |= 1 << number;
        }
        Ok(bits)
    }

    fn row(&self, mailbox: MailboxId, uid: Uid) -> StoreResult<Option<(MessageRow, Option<Vec<u8>>)>> {
        self.one(ONE_ROW, params![mailbox.0, uid.get()], |row| Ok((read_row(row)?, row.get(10)?)))
    }

    /// STORE. All messages that it changes get one modseq.
    pub(crate) fn set_flags(
        &mut self,
        mailbox: MailboxId,
        uids: &[Uid],
        change: &FlagChange,
    ) -> StoreResult<StoreOutcome> {
        self.mailbox(mailbox)?;
        self.settle_mailbox(mailbox)?;
        let mut outcome = StoreOutcome::default();
        let bits = self.keyword_bits(mailbox, &change.keywords, change.operation != FlagOperation::Remove)?;
        let mut modseq = None;
        for uid in uids {
            let Some((mut row, _)) = self.row(mailbox, *uid)? else { continue };
            // RFC 7162 §3.1.3: only messages that changed after the given mod-sequence are left alone.
            if change.unchanged_since.is_some_and(|since| row.modseq > since) && Some(row.modseq) != modseq {
                outcome.modified.push(*uid);
                continue;
            }
            outcome.stored.push(*uid);
            let (flags, keywords) = match change.operation {
                FlagOperation::Add => (row.flags.with(change.flags), row.keywords | bits),
                FlagOperation::Remove => (row.flags.without(change.flags), row.keywords & !bits),
                FlagOperation::Replace => (change.flags, bits),
                FlagOperation::ReplaceAmong { flags: among, keywords } => {
                    (row.flags.without(among).with(change.flags), if keywords { bits } else { row.keywords })
                }
            };
            if (flags, keywords) == (row.flags, row.keywords) {
                continue;
            }
            let now = match modseq {
                Some(now) => now,
                None => *modseq.insert(self.next_modseq(mailbox)?),
            };
            let sql = "UPDATE messages SET flags = ?3, keywords = ?4, modseq = ?5 WHERE mailbox = ?1 AND uid = ?2";
            self.exec(sql, params![mailbox.0, uid.get(), flags.bits(), keywords.cast_signed(), now.0])?;
            let cell = self.mailbox_mut(mailbox)?;
            let count =
                |flags: Flags| (u32::from(!flags.contains(Flags::SEEN)), u32::from(flags.contains(Flags::DELETED)));
            let (old, new) = (count(row.flags), count(flags));
            cell.unseen = cell.unseen.saturating_sub(old.0) + new.0;
            cell.deleted = cell.deleted.saturating_sub(old.1) + new.1;
            (row.flags, row.keywords, row.modseq) = (flags, keywords, now);
            self.effects.push(Effect::Row(mailbox, row));
        }
        Ok(outcome)
    }

    /// COPY: rows that share the bytes. One modseq for all.
    pub(crate) fn copy(
        &mut self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
        now: Timestamp,
    ) -> StoreResult<CopyOutcome> {
        self.mailbox(from)?;
        self.settle_mailbox(from)?;
        let target = self.mailbox(to)?;
        let (account, uid_validity) = (target.account, target.uid_validity);
        let mut uids = uids.to_vec();
        uids.sort_unstable();
        uids.dedup();
        let mut rows = Vec::with_capacity(uids.len());
        for uid in uids {
            rows.extend(self.row(from, uid)?);
        }
        let more: u64 = rows.iter().map(|(row, _)| u64::from(row.size)).sum();
        let cell = self.account(account)?.ok_or(StoreError::MailboxGone(to))?;
        if cell.quota.is_some_and(|quota| cell.used + more > quota) {
            return Err(StoreError::OverQuota(cell.address.clone()));
        }
        let mut outcome = CopyOutcome { uid_validity, uids: Vec::with_capacity(rows.len()) };
        if rows.is_empty() {
            return Ok(outcome);
        }
        let names = self.keywords(from)?;
        let modseq = self.modseq_of_arrival(to)?;
        for (row, prefix) in rows {
            let old = row.uid;
            let keywords: Vec<_> = names
                .iter()
                .enumerate()
                .filter(|(n, _)| row.keywords & (1 << n) != 0)
                .map(|(_, k)| k.clone())
                .collect();
            let keywords = self.keyword_bits(to, &keywords, true)?;
            let next = self.mailbox(to)?.uid_next;
            let uid = Uid::new(next).ok_or(StoreError::Limit("UIDs of a mailbox"))?;
            self.exec("UPDATE bodies SET refs = refs + 1 WHERE id = ?1", [row.body.0])?;
            let row = MessageRow { uid, keywords, modseq, created: modseq, saved: now, ..row };
            outcome.uids.push((old, self.put_row(to, row, prefix.as_deref())?));
        }
        Ok(outcome)
    }

    /// MOVE: copies and removes (RFC 6851 §3.3). Within one account no quota is in the way.
    pub(crate) fn move_messages(
        &mut self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
        now: Timestamp,
    ) -> StoreResult<CopyOutcome> {
        let account = self.mailbox(to)?.account;
        let same = self.mailbox(from)?.account == account;
        let quota = match self.account(account)? {
            Some(cell) if same => cell.quota.take(),
            _ => None,
        };
        let copied = self.copy(from, uids, to, now);
        if let Some(cell) = self.account(account)? {
            cell.quota = quota.or(cell.quota);
        }
        let outcome = copied?;
        let old: Vec<_> = outcome.uids.iter().map(|(old, _)| *old).collect();
        self.expunge(from, &old)?;
        Ok(outcome)
    }

    /// Removes messages; those that were there, ascending. One modseq for all.
    pub(crate) fn expunge(&mut self, mailbox: MailboxId, uids: &[Uid]) -> StoreResult<Vec<Uid>> {
        self.mailbox(mailbox)?;
        self.settle_mailbox(mailbox)?;
        let mut uids = uids.to_vec();
        uids.sort_unstable();
        uids.dedup();
        let mut gone = Vec::new();
        let mut modseq = None;
        for uid in uids {
            let Some((row, _)) = self.row(mailbox, uid)? else { continue };
            let now = match modseq {
                Some(now) => now,
                None => *modseq.insert(self.next_modseq(mailbox)?),
            };
            self.exec("DELETE FROM messages WHERE mailbox = ?1 AND uid = ?2", params![mailbox.0, uid.get()])?;
            let sql = "INSERT INTO expunged(mailbox, modseq, uid) VALUES (?1, ?2, ?3)";
            self.exec(sql, params![mailbox.0, now.0, uid.get()])?;
            self.uncount(mailbox, &row)?;
            self.release_body(row.body.0, 1)?;
            self.effects.push(Effect::Gone(mailbox, uid));
            gone.push(uid);
        }
        Ok(gone)
    }

    /// Takes a message out of the counts of its mailbox and account.
    fn uncount(&mut self, mailbox: MailboxId, row: &MessageRow) -> StoreResult<()> {
        let cell = self.mailbox_mut(mailbox)?;
        cell.messages = cell.messages.saturating_sub(1);
        cell.unseen = cell.unseen.saturating_sub(u32::from(!row.flags.contains(Flags::SEEN)));
        cell.deleted = cell.deleted.saturating_sub(u32::from(row.flags.contains(Flags::DELETED)));
        cell.size = cell.size.saturating_sub(u64::from(row.size));
        let account = cell.account;
        if let Some(account) = self.account(account)? {
            account.used = account.used.saturating_sub(u64::from(row.size));
            account.messages = account.messages.saturating_sub(1);
        }
        Ok(())
    }

    /// \Recent: the first UID not yet shown; all up to now are shown from here on.
    pub(crate) fn take_recent(&mut self, mailbox: MailboxId) -> StoreResult<u32> {
        let cell = self.mailbox(mailbox)?;
        let (from, next) = (cell.recent_from, cell.uid_next);
        if from != next {
            self.mailbox_mut(mailbox)?.recent_from = next;
            self.effects.push(Effect::Mailbox(mailbox));
        }
        Ok(from)
    }
}
