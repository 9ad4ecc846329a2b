//! The truth: the one SQLite database, and the one thread that changes it.
//!
//! [`Truth`] is the writer's side of a transaction: the connection, and the counters that every delivery
//! touches, kept in memory and written once for each batch. Each file beside this one has one family
//! of changes. A change checks first and writes then: one that fails before it wrote costs the others nothing.

mod accept;
mod annotations;
mod arrivals;
mod audit;
mod away;
mod care;
mod credentials;
mod directory;
mod grants;
mod history;
mod identities;
mod lessons;
mod mailboxes;
mod messages;
mod push;
mod queue;
pub(crate) mod schema;
mod scripts;
mod signing;
mod submissions;
mod syncer;
mod url_keys;
mod writer;

use std::collections::HashMap;
use std::sync::Arc;

use mail::{AccountId, Address, Flags, Keyword, MailboxId, ModSeq, QueueId, Uid, UidValidity};
use rusqlite::{Connection, OptionalExtension, Params, params};
use store::{AccountNews, MessageRow, QueueNews, StoreError, StoreResult};

pub(crate) use accept::Plan;
pub(crate) use annotations::NO_MAILBOX;
use arrivals::Arrivals;
pub(crate) use care::FORGET_AT_ONCE;
pub(crate) use credentials::{TOKEN_SELECT, token};
pub(crate) use grants::read_grant;
pub(crate) use identities::IDENTITY;
pub(crate) use lessons::waiting as waiting_lessons;
pub(crate) use mailboxes::checked_name;
pub(crate) use messages::{ROW, read_row};
pub(crate) use push::{PUSH_SELECT, push_subscription};
pub(crate) use queue::SettlePlan;
pub(crate) use signing::signing_keys;
pub(crate) use submissions::{FORGET_AT_ONCE as SUBMISSIONS_AT_ONCE, SUBMISSION};
pub(crate) use syncer::{Committed, Stable, Syncer};
pub(crate) use writer::{Placed, Writer};

use crate::codec;
use crate::directory::DirectoryChange;
use crate::error::db;
use crate::log::{BLOBS, Place};
use crate::options::Options;

/// Cells kept in memory between batches; beyond that they are read anew.
const CELLS: usize = 200_000;

/// What is published after COMMIT.
pub(crate) enum Effect {
    /// Messages are new.
    Came(MailboxId, Vec<MessageRow>),
    /// Messages have these flags and keywords now, with one modseq.
    Flags(MailboxId, ModSeq, Vec<(Uid, Flags, u64)>),
    /// Messages are gone.
    Gone(MailboxId, Vec<Uid>),
    /// Something of the mailbox but its messages changed.
    Mailbox(MailboxId),
    /// URLs into the mailbox are signed with another key, or none.
    Rekeyed(MailboxId),
    /// The mailbox is gone.
    Deleted(MailboxId),
    /// News of the queue.
    Queue(QueueNews),
    /// News of the directory.
    Directory(Box<DirectoryChange>),
    /// Annotations or names of the account changed.
    Account(AccountId, Arc<AccountNews>),
    /// Somebody may do more or less in a mailbox than before.
    Granted,
    /// No row points to this blob any more.
    BlobGone(u64),
    /// Accounts have taught something about junk.
    Lessons,
    /// Something happened on a message's way.
    Journey(QueueId),
    /// An account sent a message: its address.
    Sent(QueueId, String),
}

/// The row `counters`: ids to give out next, and totals since the store was made (design: conservation).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) account: u64,
    pub(crate) mailbox: u64,
    pub(crate) body: u64,
    pub(crate) uid_validity: u32,
    pub(crate) segment: u32,
    pub(crate) refusal: u64,
    /// Journeys up to this queue id may be in the finder's index; later ones with a lower id go to `late`.
    pub(crate) covered: u64,
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    pub(crate) relayed: u64,
    pub(crate) bounced: u64,
    pub(crate) expired: u64,
    pub(crate) discarded: u64,
}

impl Counters {
    pub(crate) fn read(conn: &Connection) -> rusqlite::Result<Self> {
        conn.query_row(
            "SELECT account, mailbox, body, uid_validity, segment, refusal, covered,
                    accepted, delivered, relayed, bounced, expired, discarded FROM counters",
            [],
            |row| {
                Ok(Self {
                    account: row.get(0)?,
                    mailbox: row.get(1)?,
                    body: row.get(2)?,
                    uid_validity: row.get(3)?,
                    segment: row.get(4)?,
                    refusal: row.get(5)?,
                    covered: row.get(6)?,
                    accepted: row.get(7)?,
                    delivered: row.get(8)?,
                    relayed: row.get(9)?,
                    bounced: row.get(10)?,
                    expired: row.get(11)?,
                    discarded: row.get(12)?,
                })
            },
        )
    }
}

/// An account as deliveries need it.
pub(crate) struct AccountCell {
    pub(crate) address: Address,
    pub(crate) active: bool,
    pub(crate) quota: Option<u64>,
    pub(crate) used: u64,
    pub(crate) messages: u64,
    /// The last place in the account's order of changes.
    pub(crate) modseq: u64,
    pub(crate) inbox: MailboxId,
}

/// The row of a mailbox.
pub(crate) struct MailboxCell {
    pub(crate) account: AccountId,
    pub(crate) uid_validity: UidValidity,
    pub(crate) uid_next: u32,
    pub(crate) modseq: u64,
    pub(crate) recent_from: u32,
    pub(crate) messages: u32,
    pub(crate) unseen: u32,
    pub(crate) deleted: u32,
    pub(crate) size: u64,
    /// Read when first needed.
    pub(crate) keywords: Option<Arc<[Keyword]>>,
    /// Something changed that arrivals don't tell: its row must be written.
    dirty: bool,
    /// Changed in this batch.
    touched: bool,
}

struct SegmentCell {
    tail: u64,
    live: u64,
    dirty: bool,
}

/// The database and the writer's memory of it.
pub(crate) struct Truth {
    pub(crate) conn: Connection,
    pub(crate) counters: Counters,
    counters_dirty: bool,
    accounts: HashMap<AccountId, AccountCell>,
    mailboxes: HashMap<MailboxId, MailboxCell>,
    touched_mailboxes: Vec<MailboxId>,
    arrivals: Arrivals,
    segments: HashMap<u32, SegmentCell>,
    dirty_segments: Vec<u32>,
    /// Whether the change that runs has written anything.
    pub(crate) wrote: bool,
    /// In order; published after COMMIT.
    pub(crate) effects: Vec<Effect>,
    /// Accounts whose use changed in this batch.
    pub(crate) used: Vec<AccountId>,
    /// Journeys begun in this batch.
    pub(crate) journeys: u64,
}

impl Truth {
    pub(crate) fn new(conn: Connection, options: &Options) -> rusqlite::Result<Self> {
        let counters = Counters::read(&conn)?;
        let arrivals = Arrivals::read(&conn, options.arrivals, options.settle_after)?;
        Ok(Self {
            conn,
            counters,
            arrivals,
            counters_dirty: false,
            accounts: HashMap::new(),
            mailboxes: HashMap::new(),
            touched_mailboxes: Vec::new(),
            segments: HashMap::new(),
            dirty_segments: Vec::new(),
            wrote: false,
            effects: Vec::new(),
            used: Vec::new(),
            journeys: 0,
        })
    }

    /// Runs a statement that changes something.
    fn exec(&mut self, sql: &str, params: impl Params) -> StoreResult<usize> {
        self.wrote = true;
        self.conn.prepare_cached(sql).map_err(db)?.execute(params).map_err(db)
    }

    /// Runs one statement for each of `items`.
    fn exec_each<T, P: Params>(
        &mut self,
        sql: &str,
        items: impl IntoIterator<Item = T>,
        values: impl Fn(T) -> P,
    ) -> StoreResult<()> {
        self.wrote = true;
        let mut statement = self.conn.prepare_cached(sql).map_err(db)?;
        for item in items {
            statement.execute(values(item)).map_err(db)?;
        }
        Ok(())
    }

    /// Reads one row, where there is one.
    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> StoreResult<Option<T>> {
        self.conn.prepare_cached(sql).map_err(db)?.query_row(params, read).optional().map_err(db)
    }

    /// Reads all rows.
    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> StoreResult<Vec<T>> {
        let mut statement = self.conn.prepare_cached(sql).map_err(db)?;
        let rows = statement.query_map(params, read).map_err(db)?;
        rows.collect::<rusqlite::Result<_>>().map_err(db)
    }

    /// The counters, to change them.
    pub(crate) fn count(&mut self) -> &mut Counters {
        self.wrote = true;
        self.counters_dirty = true;
        &mut self.counters
    }

    /// An account, from memory or disk.
    fn account(&mut self, id: AccountId) -> StoreResult<Option<&mut AccountCell>> {
        if !self.accounts.contains_key(&id) {
            let Some(cell) = self.load_account(id)? else { return Ok(None) };
            self.accounts.insert(id, cell);
        }
        Ok(self.accounts.get_mut(&id))
    }

    fn load_account(&mut self, id: AccountId) -> StoreResult<Option<AccountCell>> {
        let sql = "SELECT a.address, a.state, a.quota, a.modseq, n.mailbox FROM accounts a
                   JOIN names n ON n.account = a.id AND n.name = 'INBOX' WHERE a.id = ?1";
        let row = self.one(sql, [id.0], |row| {
            let inbox = MailboxId(row.get(4)?);
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get(2)?, row.get::<_, u64>(3)?, inbox))
        })?;
        let Some((address, state, quota, floor, inbox)) = row else { return Ok(None) };
        let (mut used, mut messages, mut modseq) = (0, 0, floor);
        let sql = "SELECT id, size, messages, modseq FROM mailboxes WHERE account = ?1";
        let ids = self.all(sql, [id.0], |row| {
            Ok((MailboxId(row.get(0)?), row.get::<_, u64>(1)?, row.get::<_, u64>(2)?, row.get::<_, u64>(3)?))
        })?;
        for (mailbox, size, count, change) in ids {
            // Cells in memory are ahead of the disk within a batch, and a row is behind its arrivals.
            let now = if self.mailboxes.contains_key(&mailbox) || self.arrivals.has(mailbox) {
                Some(self.mailbox(mailbox)?)
            } else {
                None
            };
            used += now.as_ref().map_or(size, |cell| cell.size);
            messages += now.as_ref().map_or(count, |cell| cell.messages.into());
            modseq = modseq.max(now.map_or(change, |cell| cell.modseq));
        }
        let address = codec::address(&address)?;
        Ok(Some(AccountCell { address, active: state == 0, quota, used, messages, modseq, inbox }))
    }

    /// A mailbox, from memory or disk.
    pub(crate) fn mailbox(&mut self, id: MailboxId) -> StoreResult<&mut MailboxCell> {
        if !self.mailboxes.contains_key(&id) {
            // Those without arrivals need not look for them.
            let from = if self.arrivals.has(id) { "mailboxes_now" } else { "mailboxes" };
            let sql = format!(
                "SELECT account, uid_validity, uid_next, modseq, recent_from, messages, unseen, deleted, size
                 FROM {from} WHERE id = ?1"
            );
            let cell = self.one(&sql, [id.0], |row| {
                Ok(MailboxCell {
                    account: AccountId(row.get(0)?),
                    uid_validity: UidValidity(row.get(1)?),
                    uid_next: row.get(2)?,
                    modseq: row.get(3)?,
                    recent_from: row.get(4)?,
                    messages: row.get(5)?,
                    unseen: row.get(6)?,
                    deleted: row.get(7)?,
                    size: row.get(8)?,
                    keywords: None,
                    dirty: false,
                    touched: false,
                })
            })?;
            self.mailboxes.insert(id, cell.ok_or(StoreError::MailboxGone(id))?);
        }
        self.mailboxes.get_mut(&id).ok_or(StoreError::MailboxGone(id))
    }

    /// The mailbox, to change it.
    fn mailbox_mut(&mut self, id: MailboxId) -> StoreResult<&mut MailboxCell> {
        let cell = self.mailbox_to_count(id)?;
        cell.dirty = true;
        Ok(cell)
    }

    /// The mailbox, to change what a new message of it tells by itself.
    fn mailbox_to_count(&mut self, id: MailboxId) -> StoreResult<&mut MailboxCell> {
        self.wrote = true;
        self.mailbox(id)?;
        let cell = self.mailboxes.get_mut(&id).ok_or(StoreError::MailboxGone(id))?;
        if !cell.touched {
            cell.touched = true;
            self.touched_mailboxes.push(id);
        }
        Ok(cell)
    }

    /// The keywords of a mailbox.
    pub(crate) fn keywords(&mut self, id: MailboxId) -> StoreResult<Arc<[Keyword]>> {
        if let Some(keywords) = &self.mailbox(id)?.keywords {
            return Ok(keywords.clone());
        }
        let keywords = read_keywords(&self.conn, id).map_err(db)?;
        self.mailbox(id)?.keywords = Some(keywords.clone());
        Ok(keywords)
    }

    /// The next place in the account's order of changes, given to this mailbox.
    fn next_modseq(&mut self, id: MailboxId) -> StoreResult<ModSeq> {
        let modseq = self.modseq_of_arrival(id)?;
        self.mailbox_mut(id)?;
        Ok(modseq)
    }

    /// The same for messages that are put into the mailbox now.
    fn modseq_of_arrival(&mut self, id: MailboxId) -> StoreResult<ModSeq> {
        let account = self.mailbox(id)?.account;
        let gone = StoreError::MailboxGone(id);
        let cell = self.account(account)?.ok_or(gone)?;
        cell.modseq += 1;
        let modseq = cell.modseq;
        self.mailbox_to_count(id)?.modseq = modseq;
        Ok(ModSeq(modseq))
    }

    /// A new row for bytes in the log.
    fn add_body(&mut self, place: Place, refs: u64) -> StoreResult<u64> {
        let id = self.counters.body;
        self.count().body += 1;
        let sql = "INSERT INTO bodies(id, segment, offset, length, refs) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.exec(sql, params![id, place.segment, place.offset, place.length, refs])?;
        self.occupy(place)?;
        Ok(id)
    }

    /// Counts a place as alive in its segment.
    fn occupy(&mut self, place: Place) -> StoreResult<()> {
        if place.segment != BLOBS {
            let cell = self.segment(place.segment)?;
            cell.tail = cell.tail.max(place.offset + place.footprint());
            cell.live += place.footprint();
            if place.segment > self.counters.segment {
                self.count().segment = place.segment;
            }
        }
        Ok(())
    }

    /// Takes references from a body; the last one frees it.
    fn release_body(&mut self, id: u64, by: u64) -> StoreResult<()> {
        self.release_bodies(vec![(id, by)])
    }

    /// Takes from each body so many references, each body once, by id; the last one frees it.
    fn release_bodies(&mut self, bodies: Vec<(u64, u64)>) -> StoreResult<()> {
        self.wrote = true;
        let mut freed = Vec::new();
        {
            let sql = "DELETE FROM bodies WHERE id BETWEEN ?1 AND ?2 AND refs <= ?3 RETURNING segment, offset, length";
            let mut free = self.conn.prepare_cached(sql).map_err(db)?;
            let sql = "UPDATE bodies SET refs = refs - ?3 WHERE id BETWEEN ?1 AND ?2";
            let mut release = self.conn.prepare_cached(sql).map_err(db)?;
            for (run, first, last, by) in body_runs(&bodies) {
                let place = |row: &rusqlite::Row<'_>| {
                    Ok(Place { segment: row.get(0)?, offset: row.get(1)?, length: row.get(2)? })
                };
                let before = freed.len();
                for place in free.query_map([first, last, by], place).map_err(db)? {
                    freed.push(place.map_err(db)?);
                }
                if freed.len() - before < run {
                    release.execute([first, last, by]).map_err(db)?;
                }
            }
        }
        freed.into_iter().try_for_each(|place| self.vacate(place))
    }

    /// Gives each body so many references more, each body once, by id.
    fn hold_bodies(&mut self, bodies: &[(u64, u64)]) -> StoreResult<()> {
        let sql = "UPDATE bodies SET refs = refs + ?3 WHERE id BETWEEN ?1 AND ?2";
        self.exec_each(sql, body_runs(bodies), |(_, first, last, by)| (first, last, by))
    }

    /// No row points to this place any more.
    fn vacate(&mut self, place: Place) -> StoreResult<()> {
        if place.segment == BLOBS {
            self.effects.push(Effect::BlobGone(place.offset));
        } else {
            let cell = self.segment(place.segment)?;
            cell.live = cell.live.saturating_sub(place.footprint());
        }
        Ok(())
    }

    fn segment(&mut self, number: u32) -> StoreResult<&mut SegmentCell> {
        if !self.segments.contains_key(&number) {
            let sql = "SELECT tail, live FROM segments WHERE number = ?1";
            let read = self.one(sql, [number], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let (tail, live) = read.unwrap_or_default();
            self.segments.insert(number, SegmentCell { tail, live, dirty: false });
        }
        self.wrote = true;
        let dirty_segments = &mut self.dirty_segments;
        let cell = self.segments.get_mut(&number).ok_or_else(|| StoreError::Failed("no segment".into()))?;
        if !cell.dirty {
            cell.dirty = true;
            dirty_segments.push(number);
        }
        Ok(cell)
    }

    /// Writes what changed in memory. The effects tell whom to publish to.
    fn flush(&mut self) -> StoreResult<()> {
        self.flush_mailboxes()?;
        for number in std::mem::take(&mut self.dirty_segments) {
            let Some(cell) = self.segments.get_mut(&number) else { continue };
            cell.dirty = false;
            let sql = "INSERT INTO segments(number, tail, live) VALUES (?1, ?2, ?3)
                       ON CONFLICT(number) DO UPDATE SET tail = excluded.tail, live = excluded.live";
            let mut statement = self.conn.prepare_cached(sql).map_err(db)?;
            statement.execute(params![number, cell.tail, cell.live]).map_err(db)?;
        }
        if std::mem::take(&mut self.counters_dirty) {
            let now = &self.counters;
            let sql = "UPDATE counters SET account = ?1, mailbox = ?2, body = ?3, uid_validity = ?4, segment = ?5,
                       refusal = ?6, covered = ?7, accepted = ?8, delivered = ?9, relayed = ?10, bounced = ?11,
                       expired = ?12, discarded = ?13";
            let mut statement = self.conn.prepare_cached(sql).map_err(db)?;
            let values = params![
                now.account,
                now.mailbox,
                now.body,
                now.uid_validity,
                now.segment,
                now.refusal,
                now.covered,
                now.accepted,
                now.delivered,
                now.relayed,
                now.bounced,
                now.expired,
                now.discarded
            ];
            statement.execute(values).map_err(db)?;
        }
        Ok(())
    }

    fn flush_mailboxes(&mut self) -> StoreResult<()> {
        for id in std::mem::take(&mut self.touched_mailboxes) {
            if self.mailboxes.get(&id).is_some_and(|cell| cell.dirty) {
                self.settle_mailbox(id)?;
            }
            let Some(cell) = self.mailboxes.get_mut(&id) else { continue };
            cell.touched = false;
            self.used.push(cell.account);
            if !std::mem::take(&mut cell.dirty) {
                continue;
            }
            let sql = "UPDATE mailboxes SET uid_next = ?2, modseq = ?3, recent_from = ?4, messages = ?5, unseen = ?6,
                       deleted = ?7, size = ?8 WHERE id = ?1";
            let values = params![
                id.0,
                cell.uid_next,
                cell.modseq,
                cell.recent_from,
                cell.messages,
                cell.unseen,
                cell.deleted,
                cell.size
            ];
            self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).map_err(db)?;
        }
        self.settle_due()
    }

    /// Forgets what is in memory: the disk says something else.
    fn forget(&mut self) -> StoreResult<()> {
        self.accounts.clear();
        self.mailboxes.clear();
        self.touched_mailboxes.clear();
        self.arrivals = self.arrivals.again(&self.conn).map_err(db)?;
        self.segments.clear();
        self.dirty_segments.clear();
        self.counters = Counters::read(&self.conn).map_err(db)?;
        self.counters_dirty = false;
        Ok(())
    }

    /// After what time the arrivals are to be settled, if there are any and nothing else is to do.
    fn settle_in(&self) -> Option<std::time::Duration> {
        self.arrivals.settle_in()
    }

    /// Keeps the memory of the truth bounded; between batches.
    fn trim(&mut self) {
        if self.mailboxes.len() + self.accounts.len() > CELLS {
            self.mailboxes.clear();
            self.accounts.clear();
        }
    }

    /// Use of an account as of now, for the directory: octets and messages.
    pub(crate) fn account_use(&self, id: AccountId) -> Option<(u64, u64)> {
        self.accounts.get(&id).map(|cell| (cell.used, cell.messages))
    }
}

/// Ids that follow each other with the same number beside them, as how many there are, the first, the last, and the number:
/// one statement does for them what it does for one.
fn body_runs(bodies: &[(u64, u64)]) -> impl Iterator<Item = (usize, u64, u64, u64)> {
    let runs = bodies.chunk_by(|(a, by), (b, also_by)| a + 1 == *b && by == also_by);
    runs.filter_map(|run| Some((run.len(), run.first()?.0, run.last()?.0, run.first()?.1)))
}

/// The keywords of a mailbox, in the order of their numbers.
pub(crate) fn read_keywords(conn: &Connection, id: MailboxId) -> rusqlite::Result<Arc<[Keyword]>> {
    let mut statement = conn.prepare_cached("SELECT keyword FROM keywords WHERE mailbox = ?1 ORDER BY n")?;
    let names = statement.query_map([id.0], |row| row.get::<_, String>(0))?;
    let names = names.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(names.iter().filter_map(|name| Keyword::new(name)).collect())
}
