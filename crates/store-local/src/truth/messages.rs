//! What is done to messages in their mailbox: flags, copies, moves, removal.

use mail::{BodyId, Flags, Keyword, MailboxId, ModSeq, ThreadId, Timestamp, Uid, limits};
use rusqlite::params;
use store::{CopyOutcome, FlagChange, FlagOperation, MessageRow, StoreError, StoreOutcome, StoreResult};

use super::{Effect, Truth};
use crate::error::db;

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

/// Of a row what a change of its flags asks.
struct Marked {
    uid: Uid,
    flags: Flags,
    keywords: u64,
    modseq: ModSeq,
}

impl Marked {
    const COLUMNS: &str = "uid, flags, keywords, modseq";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            uid: Uid::new(row.get(0)?).unwrap_or(Uid::FIRST),
            flags: Flags::from_bits(row.get(1)?),
            keywords: row.get::<_, i64>(2)?.cast_unsigned(),
            modseq: ModSeq(row.get(3)?),
        })
    }
}

/// Of a row what its removal asks.
struct Counted {
    uid: Uid,
    flags: Flags,
    size: u32,
    body: BodyId,
}

impl Counted {
    const COLUMNS: &str = "uid, flags, size, body";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            uid: Uid::new(row.get(0)?).unwrap_or(Uid::FIRST),
            flags: Flags::from_bits(row.get(1)?),
            size: row.get(2)?,
            body: BodyId(row.get(3)?),
        })
    }
}

/// UIDs in order, each once.
fn ascending(uids: &[Uid]) -> Vec<Uid> {
    let mut uids = uids.to_vec();
    uids.sort_unstable();
    uids.dedup();
    uids
}

/// Ascending UIDs as runs that follow each other: one statement does for a run what it does for one.
fn runs(uids: impl IntoIterator<Item = Uid>) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for uid in uids {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == uid.get() => *last = uid.get(),
            _ => runs.push((uid.get(), uid.get())),
        }
    }
    runs
}

/// Of an operation on flags: what stays of those that are there, and what is added. Flags, then keywords.
const fn masks(operation: FlagOperation, flags: Flags, keywords: u64) -> ((u8, u8), (u64, u64)) {
    match operation {
        FlagOperation::Add => ((u8::MAX, flags.bits()), (u64::MAX, keywords)),
        FlagOperation::Remove => ((!flags.bits(), 0), (!keywords, 0)),
        FlagOperation::Replace => ((0, flags.bits()), (0, keywords)),
        FlagOperation::ReplaceAmong { flags: among, keywords: all } => {
            ((!among.bits(), flags.bits()), if all { (0, keywords) } else { (u64::MAX, 0) })
        }
    }
}

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

    /// What `read` makes of these columns of the rows with these UIDs, as far as they are there; ascending.
    fn look_up<T>(
        &self,
        columns: &str,
        mailbox: MailboxId,
        uids: &[Uid],
        read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> StoreResult<Vec<T>> {
        let sql = format!("SELECT {columns} FROM messages WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid");
        let mut statement = self.conn.prepare_cached(&sql).map_err(db)?;
        let mut found = Vec::with_capacity(uids.len());
        for (first, last) in runs(uids.iter().copied()) {
            let mut rows = statement.query(params![mailbox.0, first, last]).map_err(db)?;
            while let Some(row) = rows.next().map_err(db)? {
                found.push(read(row).map_err(db)?);
            }
        }
        Ok(found)
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
        let bits = self.keyword_bits(mailbox, &change.keywords, change.operation != FlagOperation::Remove)?;
        let ((keep, add), (keep_keywords, add_keywords)) = masks(change.operation, change.flags, bits);
        let mut outcome = StoreOutcome::default();
        let (mut changed, mut restored, mut unseen, mut deleted) = (Vec::new(), Vec::new(), 0, 0);
        for row in self.look_up(Marked::COLUMNS, mailbox, &ascending(uids), Marked::read)? {
            // RFC 7162 §3.1.3: only messages that changed after the given mod-sequence are left alone.
            if change.unchanged_since.is_some_and(|since| row.modseq > since) {
                outcome.modified.push(row.uid);
                continue;
            }
            outcome.stored.push(row.uid);
            let flags = Flags::from_bits(row.flags.bits() & keep | add);
            let keywords = row.keywords & keep_keywords | add_keywords;
            if (flags, keywords) != (row.flags, row.keywords) {
                let count = |flags: Flags| (flags.contains(Flags::SEEN), flags.contains(Flags::DELETED));
                let ((was_seen, was_deleted), (is_seen, is_deleted)) = (count(row.flags), count(flags));
                unseen += i64::from(was_seen) - i64::from(is_seen);
                deleted += i64::from(is_deleted) - i64::from(was_deleted);
                if was_deleted && !is_deleted {
                    restored.push(row.uid.get());
                }
                changed.push((row.uid, flags, keywords));
            }
        }
        if changed.is_empty() {
            return Ok(outcome);
        }
        let modseq = self.next_modseq(mailbox)?;
        let sql = "UPDATE messages SET flags = (flags & ?4) | ?5, keywords = (keywords & ?6) | ?7, modseq = ?8
                   WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3";
        let runs = runs(changed.iter().map(|(uid, ..)| *uid));
        let (keep_keywords, add_keywords) = (keep_keywords.cast_signed(), add_keywords.cast_signed());
        self.exec_each(sql, runs, |(first, last)| {
            (mailbox.0, first, last, keep, add, keep_keywords, add_keywords, modseq.0)
        })?;
        let sql = "INSERT INTO restored(mailbox, modseq, uid) VALUES (?1, ?2, ?3)";
        self.exec_each(sql, restored, |uid| (mailbox.0, modseq.0, uid))?;
        let cell = self.mailbox_mut(mailbox)?;
        let by = |count: u32, by: i64| u32::try_from((i64::from(count) + by).max(0)).unwrap_or(u32::MAX);
        (cell.unseen, cell.deleted) = (by(cell.unseen, unseen), by(cell.deleted, deleted));
        let uids: Vec<Uid> = changed.iter().map(|(uid, ..)| *uid).collect();
        self.effects.push(Effect::Flags(mailbox, modseq, changed));
        self.taught_by_mark(mailbox, change, &uids)?;
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
        let rows = self.look_up(ROW, from, &ascending(uids), read_row)?;
        let more: u64 = rows.iter().map(|row| u64::from(row.size)).sum();
        let cell = self.account(account)?.ok_or(StoreError::MailboxGone(to))?;
        if cell.quota.is_some_and(|quota| cell.used + more > quota) {
            return Err(StoreError::OverQuota(cell.address.clone()));
        }
        if rows.is_empty() {
            return Ok(CopyOutcome { uid_validity, uids: Vec::new() });
        }
        let names = self.keywords(from)?;
        let used = rows.iter().fold(0, |all, row| all | row.keywords);
        // What each keyword's bit is in the target.
        let mut bits = Vec::new();
        for (n, name) in names.iter().enumerate().filter(|(n, _)| used & (1 << n) != 0) {
            bits.push((1 << n, self.keyword_bits(to, std::slice::from_ref(name), true)?));
        }
        let modseq = self.modseq_of_arrival(to)?;
        let next = self.mailbox(to)?.uid_next;
        let last = u32::try_from(rows.len()).ok().and_then(|count| next.checked_add(count - 1));
        if next == 0 || last.is_none() {
            return Err(StoreError::Limit("UIDs of a mailbox"));
        }
        let moved = |(old, uid): (MessageRow, Uid)| {
            let keywords = bits.iter().filter(|(bit, _)| old.keywords & bit != 0).fold(0, |all, (_, new)| all | new);
            (old.uid, MessageRow { uid, keywords, modseq, created: modseq, saved: now, ..old })
        };
        let copies: Vec<_> = rows.into_iter().zip((next..).filter_map(Uid::new)).map(moved).collect();
        let refs = bodies(copies.iter().map(|(_, row)| row.body));
        self.hold_bodies(&refs)?;
        let uids = copies.iter().map(|(old, row)| (*old, row.uid)).collect();
        self.put_copies(from, to, copies)?;
        let outcome = CopyOutcome { uid_validity, uids };
        self.taught_by_copy(from, to, &outcome)?;
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
        let rows = self.look_up(Counted::COLUMNS, mailbox, &ascending(uids), Counted::read)?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let modseq = self.next_modseq(mailbox)?;
        let gone: Vec<_> = rows.iter().map(|row| row.uid).collect();
        let runs = runs(gone.iter().copied());
        let sql = "INSERT INTO expunged(mailbox, modseq, uid, body, thread, created, flags)
                   SELECT mailbox, ?4, uid, body, thread, created, flags FROM messages
                   WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3";
        self.exec_each(sql, runs.clone(), |(first, last)| (mailbox.0, first, last, modseq.0))?;
        let sql = "DELETE FROM messages WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3";
        self.exec_each(sql, runs, |(first, last)| (mailbox.0, first, last))?;
        self.uncount(mailbox, &rows)?;
        self.release_bodies(bodies(rows.iter().map(|row| row.body)))?;
        self.effects.push(Effect::Gone(mailbox, gone.clone()));
        Ok(gone)
    }

    /// Takes messages out of the counts of their mailbox and account.
    fn uncount(&mut self, mailbox: MailboxId, rows: &[Counted]) -> StoreResult<()> {
        let cell = self.mailbox_mut(mailbox)?;
        let mut octets = 0;
        for row in rows {
            cell.messages = cell.messages.saturating_sub(1);
            cell.unseen = cell.unseen.saturating_sub(u32::from(!row.flags.contains(Flags::SEEN)));
            cell.deleted = cell.deleted.saturating_sub(u32::from(row.flags.contains(Flags::DELETED)));
            octets += u64::from(row.size);
        }
        cell.size = cell.size.saturating_sub(octets);
        let account = cell.account;
        if let Some(account) = self.account(account)? {
            account.used = account.used.saturating_sub(octets);
            account.messages = account.messages.saturating_sub(rows.len() as u64);
        }
        Ok(())
    }

    /// \Recent: all below `next` are shown from here on.
    pub(crate) fn take_recent(&mut self, mailbox: MailboxId, next: Uid) -> StoreResult<()> {
        if self.mailbox(mailbox)?.recent_from < next.get() {
            self.mailbox_mut(mailbox)?.recent_from = next.get();
            self.effects.push(Effect::Mailbox(mailbox));
        }
        Ok(())
    }
}

/// Bodies by id, and how often each is among them.
fn bodies(bodies: impl Iterator<Item = BodyId>) -> Vec<(u64, u64)> {
    let mut all: Vec<u64> = bodies.map(|body| body.0).collect();
    all.sort_unstable();
    all.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_uids() {
        let runs = |uids: &[u32]| runs(ascending(&uids.iter().filter_map(|uid| Uid::new(*uid)).collect::<Vec<_>>()));
        assert_eq!(runs(&[]), []);
        assert_eq!(runs(&[7]), [(7, 7)]);
        assert_eq!(runs(&[3, 1, 2, 2, 9, 8, 11, u32::MAX]), [(1, 3), (8, 9), (11, 11), (u32::MAX, u32::MAX)]);
    }
}
