//! Messages that have just come: they stand in `arrivals`, in the order in which they came, until they go to where they
//! are read, `messages`, ordered by mailbox and UID.
//!
//! A row among those of its mailbox costs a page of its own in SQLite's log, sixty times the row; one at the end of
//! `arrivals` shares its page with those that came beside it. They are settled (moved to `messages`, and their
//! mailboxes' rows brought up to date) many at once: when there are [`Options::arrivals`](crate::Options::arrivals) of
//! them, [`Options::settle_after`](crate::Options::settle_after) the first of them came, and when one of their mailboxes is to change in another way. So a row
//! of `mailboxes` counts what stands in `messages`, and arrivals count themselves (`mailboxes_now`); a mailbox's
//! arrivals have higher UIDs than its messages.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use mail::{Flags, MailboxId, Uid};
use rusqlite::{Connection, params};
use store::{MessageRow, StoreResult};

use super::{Effect, Truth};
use crate::error::db;

/// What stands in `arrivals`.
pub(super) struct Arrivals {
    count: usize,
    /// How many may be there.
    limit: usize,
    /// How long.
    patience: Duration,
    mailboxes: HashSet<MailboxId>,
    /// When the first of them came, as far as known.
    since: Instant,
}

impl Arrivals {
    pub(super) fn read(conn: &Connection, limit: usize, patience: Duration) -> rusqlite::Result<Self> {
        let mut statement = conn.prepare_cached("SELECT mailbox, count(*) FROM arrivals GROUP BY mailbox")?;
        let mut arrivals = Self { count: 0, limit, patience, mailboxes: HashSet::new(), since: Instant::now() };
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            arrivals.mailboxes.insert(MailboxId(row.get(0)?));
            arrivals.count += row.get::<_, usize>(1)?;
        }
        Ok(arrivals)
    }

    /// The same, read anew.
    pub(super) fn again(&self, conn: &Connection) -> rusqlite::Result<Self> {
        Self::read(conn, self.limit, self.patience)
    }

    /// Whether messages of this mailbox are among them.
    pub(super) fn has(&self, mailbox: MailboxId) -> bool {
        self.mailboxes.contains(&mailbox)
    }

    /// After what time they are to be settled; `None`: there are none.
    pub(super) fn settle_in(&self) -> Option<Duration> {
        (self.count > 0).then(|| self.patience.saturating_sub(self.since.elapsed()))
    }
}

impl Truth {
    /// Inserts a row at `uid_next` and counts it.
    pub(super) fn put_row(&mut self, mailbox: MailboxId, row: MessageRow, prefix: Option<&[u8]>) -> StoreResult<Uid> {
        let sql = "INSERT INTO arrivals VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        let values = params![
            row.body.0,
            mailbox.0,
            row.uid.get(),
            row.flags.bits(),
            row.keywords.cast_signed(),
            row.modseq.0,
            row.created.0,
            row.size,
            row.internal_date.millis(),
            row.saved.millis(),
            row.thread.0,
            prefix
        ];
        self.exec(sql, values)?;
        let uid = row.uid;
        self.arrived(mailbox, vec![row])?;
        Ok(uid)
    }

    /// Counts rows that were put at `uid_next`.
    fn arrived(&mut self, mailbox: MailboxId, rows: Vec<MessageRow>) -> StoreResult<()> {
        if self.arrivals.count == 0 {
            self.arrivals.since = Instant::now();
        }
        self.arrivals.count += rows.len();
        self.arrivals.mailboxes.insert(mailbox);
        let cell = self.mailbox_to_count(mailbox)?;
        let mut octets = 0;
        for row in &rows {
            cell.uid_next = row.uid.get().checked_add(1).unwrap_or(0);
            cell.messages += 1;
            cell.unseen += u32::from(!row.flags.contains(Flags::SEEN));
            cell.deleted += u32::from(row.flags.contains(Flags::DELETED));
            octets += u64::from(row.size);
        }
        cell.size += octets;
        let account = cell.account;
        if let Some(account) = self.account(account)? {
            account.used += octets;
            account.messages += rows.len() as u64;
        }
        self.effects.push(Effect::Came(mailbox, rows));
        Ok(())
    }

    /// Inserts copies of rows of another mailbox at `uid_next` and counts them. Each comes with its old UID; old UIDs
    /// ascend, new ones follow each other, and all that is new beside the UID and the keywords is the same for all.
    pub(super) fn put_copies(
        &mut self,
        from: MailboxId,
        to: MailboxId,
        copies: Vec<(Uid, MessageRow)>,
    ) -> StoreResult<()> {
        let sql = "INSERT INTO arrivals
                   SELECT body, ?4, uid + ?5, flags, 0, ?6, ?6, size, internal_date, ?7, thread, prefix
                   FROM messages WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3";
        let runs = copies.chunk_by(|(a, _), (b, _)| a.get() + 1 == b.get());
        self.exec_each(sql, runs.filter_map(|run| run.first().zip(run.last())), |((first, new), (last, _))| {
            let moved_by = i64::from(new.uid.get()) - i64::from(first.get());
            (from.0, first.get(), last.get(), to.0, moved_by, new.modseq.0, new.saved.millis())
        })?;
        let sql = "UPDATE arrivals SET keywords = ?4 WHERE body = ?1 AND mailbox = ?2 AND uid = ?3";
        let named = copies.iter().filter(|(_, row)| row.keywords != 0);
        self.exec_each(sql, named, |(_, row)| (row.body.0, to.0, row.uid.get(), row.keywords.cast_signed()))?;
        self.arrived(to, copies.into_iter().map(|(_, row)| row).collect())
    }

    /// Before messages of this mailbox are looked up or changed, or its row is written: they all stand in `messages`.
    pub(super) fn settle_mailbox(&mut self, mailbox: MailboxId) -> StoreResult<()> {
        if self.arrivals.has(mailbox) { self.settle_arrivals() } else { Ok(()) }
    }

    /// Settles them where it is time to.
    pub(super) fn settle_due(&mut self) -> StoreResult<()> {
        let due = self.arrivals.settle_in().is_some_and(|time| time.is_zero());
        if due || self.arrivals.count > self.arrivals.limit { self.settle_arrivals() } else { Ok(()) }
    }

    /// Moves all arrivals to `messages`. It changes no answer, so it is no part of the change that runs: a failure of
    /// that one leaves it as it is.
    fn settle_arrivals(&mut self) -> StoreResult<()> {
        for sql in [
            "UPDATE mailboxes SET uid_next = a.uid_next, modseq = max(mailboxes.modseq, a.modseq),
               messages = mailboxes.messages + a.messages, unseen = mailboxes.unseen + a.unseen,
               deleted = mailboxes.deleted + a.deleted, size = mailboxes.size + a.size
             FROM arrived a WHERE a.mailbox = mailboxes.id",
            "INSERT INTO messages(mailbox, uid, flags, keywords, modseq, created, size, internal_date, saved, body, thread,
               prefix)
             SELECT mailbox, uid, flags, keywords, modseq, created, size, internal_date, saved, body, thread, prefix
             FROM arrivals ORDER BY mailbox, uid",
            "DELETE FROM arrivals",
        ] {
            self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map_err(db)?;
        }
        self.arrivals.count = 0;
        self.arrivals.mailboxes.clear();
        Ok(())
    }
}
