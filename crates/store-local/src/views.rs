//! Mailboxes in memory: one snapshot each, shared by all who look, current after each commit. Those that nobody looks at any
//! more stay for a while, and those whose first message has just come begin here: both are often asked for next.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail::{BodyId, Flags, Keyword, MailboxId, ModSeq, Uid, UidValidity};
use rusqlite::{Connection, OptionalExtension};
use store::{MailboxWatch, MessageRow, Snapshot, StoreError, StoreResult};
use tokio::sync::watch;

use crate::error::db;
use crate::truth::{ROW, read_keywords, read_row};

/// Rows read into a snapshot at once: whole chunks of it.
const AT_ONCE: usize = 4 * Snapshot::CHUNK;

/// Changes of a mailbox that nobody looks at which wait to be taken into its snapshot.
const WAITING: usize = 1024;

/// What one commit, or some in a row, did to one mailbox.
#[derive(Default)]
pub(crate) struct Update {
    /// In order.
    changes: Vec<Change>,
    /// The mailbox afterwards; `None`: deleted.
    pub(crate) after: Option<After>,
    /// Its URLs have another key, or none.
    pub(crate) rekeyed: bool,
}

/// What happened to messages.
pub(crate) enum Change {
    /// They are new; by UID.
    Came(Vec<MessageRow>),
    /// They have these flags and keywords now, with one modseq; by UID.
    Flags(ModSeq, Vec<(Uid, Flags, u64)>),
    /// They are gone; by UID.
    Gone(Vec<Uid>),
}

/// A mailbox's own values.
pub(crate) struct After {
    pub(crate) uid_validity: UidValidity,
    pub(crate) uid_next: u32,
    pub(crate) modseq: u64,
    pub(crate) recent_from: u32,
    pub(crate) keywords: Arc<[Keyword]>,
}

impl Update {
    /// Puts a change behind the others. New messages have higher UIDs than those before them.
    pub(crate) fn add(&mut self, change: Change) {
        match (self.changes.last_mut(), change) {
            (Some(Change::Came(rows)), Change::Came(mut more)) => rows.append(&mut more),
            (_, change) => self.changes.push(change),
        }
    }

    /// Puts what a later commit did behind it.
    fn followed_by(&mut self, later: Self) {
        later.changes.into_iter().for_each(|change| self.add(change));
        self.after = later.after;
        self.rekeyed |= later.rekeyed;
    }

    /// How many messages it is about.
    fn len(&self) -> usize {
        let len = |change: &Change| match change {
            Change::Came(rows) => rows.len(),
            Change::Flags(_, rows) => rows.len(),
            Change::Gone(uids) => uids.len(),
        };
        self.changes.iter().map(len).sum()
    }
}

enum View {
    /// Its first message is being committed: all that is in it is known without reading it.
    Begun,
    /// Being read; what is committed meanwhile waits here.
    Loading(Vec<Update>),
    Open(Open),
}

/// A mailbox whose index is in memory.
struct Open {
    newest: watch::Sender<Option<Arc<Snapshot>>>,
    /// What was committed while nobody looked, as far as `newest` does not have it.
    behind: Option<Update>,
    /// When it was opened last.
    used: u64,
    octets: usize,
}

impl Open {
    fn new(snapshot: Arc<Snapshot>, used: u64) -> Self {
        let octets = octets(&snapshot);
        Self { newest: watch::Sender::new(Some(snapshot)), behind: None, used, octets }
    }

    fn is_looked_at(&self) -> bool {
        self.newest.receiver_count() > 0
    }

    /// Takes an update in, at once or when somebody wants to know. False: the mailbox is gone.
    fn take(&mut self, update: Update) -> bool {
        let is_gone = update.after.is_none();
        match &mut self.behind {
            Some(behind) => behind.followed_by(update),
            None => self.behind = Some(update),
        }
        if is_gone || self.is_looked_at() || self.behind.as_ref().is_some_and(|behind| behind.len() > WAITING) {
            self.catch_up();
        }
        !is_gone
    }

    /// Takes into `newest` what is behind.
    fn catch_up(&mut self) {
        let Some(update) = self.behind.take() else { return };
        let old = self.newest.borrow().clone();
        let new = old.and_then(|old| next(&old, update));
        self.octets = new.as_ref().map_or(0, |new| octets(new));
        self.newest.send_replace(new);
    }
}

/// Octets that an index takes, and what belongs to it.
fn octets(snapshot: &Snapshot) -> usize {
    const ITSELF: usize = 1024;
    snapshot.octets() + ITSELF
}

/// Mailboxes whose index is in memory: those that somebody looks at, and of the others those that were looked at last, up to
/// `limits::INDEXES_KEPT`.
pub(crate) struct Views {
    views: Mutex<Known>,
    /// One at a time reads a mailbox in, so that two who open the same one read it once.
    loading: tokio::sync::Mutex<()>,
}

struct Known {
    views: HashMap<MailboxId, View>,
    /// Octets of all of them, and at how many it is looked for some to let go of.
    octets: usize,
    trim_at: usize,
    kept: usize,
    /// How many were opened.
    opened: u64,
}

impl Known {
    /// Lets go of those that nobody looks at, the longest unused first, where they are too many. Where one grew it looks
    /// for them only now and then.
    fn trim(&mut self, grew: bool) {
        if self.octets <= self.kept || (grew && self.octets < self.trim_at) {
            return;
        }
        let idle = self.views.iter().filter_map(|(id, view)| match view {
            View::Open(open) if !open.is_looked_at() => Some((open.used, *id, open.octets)),
            _ => None,
        });
        let mut idle: Vec<_> = idle.collect();
        idle.sort_unstable();
        let mut octets: usize = idle.iter().map(|(.., octets)| octets).sum();
        let most = if octets > self.kept { self.kept / 8 * 7 } else { self.kept };
        for (_, id, less) in idle {
            if octets <= most {
                break;
            }
            octets -= less;
            self.remove(id);
        }
        self.trim_at = self.octets + self.kept / 8;
    }

    fn put(&mut self, id: MailboxId, view: View) {
        self.remove(id);
        if let View::Open(open) = &view {
            self.octets += open.octets;
        }
        self.views.insert(id, view);
    }

    fn remove(&mut self, id: MailboxId) -> Option<View> {
        let view = self.views.remove(&id)?;
        if let View::Open(open) = &view {
            self.octets -= open.octets;
        }
        Some(view)
    }

    /// Opens one for somebody, where its index is in memory.
    fn subscribe(&mut self, id: MailboxId) -> Option<MailboxWatch> {
        let Some(View::Open(open)) = self.views.get_mut(&id) else { return None };
        self.opened += 1;
        open.used = self.opened;
        let before = open.octets;
        open.catch_up();
        self.octets = self.octets - before + open.octets;
        Some(MailboxWatch::new(open.newest.subscribe()))
    }
}

/// Takes a half-read view away again, unless it was read whole.
struct Loading<'a> {
    views: &'a Views,
    id: MailboxId,
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        let mut known = self.views.lock();
        if matches!(known.views.get(&self.id), Some(View::Loading(_))) {
            known.remove(self.id);
        }
    }
}

impl Views {
    /// `kept`: octets of those that nobody looks at, at most.
    pub(crate) fn new(kept: usize) -> Self {
        let known = Known { views: HashMap::new(), octets: 0, trim_at: kept, kept, opened: 0 };
        Self { views: Mutex::new(known), loading: tokio::sync::Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A watch on a mailbox; `read` reads it where its index is not in memory.
    pub(crate) async fn watch<F>(&self, id: MailboxId, read: impl FnOnce() -> F) -> StoreResult<MailboxWatch>
    where
        F: Future<Output = StoreResult<Snapshot>>,
    {
        if let Some(watch) = self.lock().subscribe(id) {
            return Ok(watch);
        }
        let _one = self.loading.lock().await;
        {
            let mut known = self.lock();
            if let Some(watch) = known.subscribe(id) {
                return Ok(watch);
            }
            known.put(id, View::Loading(Vec::new()));
        }
        let half = Loading { views: self, id };
        let mut snapshot = Some(Arc::new(read().await?));
        let mut known = self.lock();
        if let Some(View::Loading(missed)) = known.remove(id) {
            for update in missed {
                snapshot = snapshot.and_then(|old| next(&old, update));
            }
        }
        let snapshot = snapshot.ok_or(StoreError::MailboxGone(id))?;
        let used = known.opened;
        known.put(id, View::Open(Open::new(snapshot, used)));
        let watch = known.subscribe(id);
        known.trim(false);
        drop(known);
        drop(half);
        watch.ok_or(StoreError::MailboxGone(id))
    }

    /// Takes \Recent of a mailbox that somebody looks at. Those who look are not woken: it is no news to them.
    pub(crate) fn take_recent(&self, id: MailboxId) -> Option<Range<Uid>> {
        let known = self.lock();
        let Some(View::Open(open)) = known.views.get(&id) else { return None };
        let newest = open.newest.borrow().clone()?;
        let taken = newest.recent_from..newest.uid_next;
        if !taken.is_empty() {
            let mut shown = Snapshot::clone(&newest);
            shown.recent_from = taken.end;
            open.newest.send_if_modified(|newest| {
                *newest = Some(Arc::new(shown));
                false
            });
        }
        Some(taken)
    }

    /// Below which UID messages are not \Recent any more, as far as that is known in memory.
    pub(crate) fn shown(&self, id: MailboxId) -> u32 {
        match self.lock().views.get(&id) {
            Some(View::Open(open)) => open.newest.borrow().as_ref().map_or(0, |newest| newest.recent_from.get()),
            _ => 0,
        }
    }

    /// Whether the index of a mailbox is in memory.
    pub(crate) fn has(&self, id: MailboxId) -> bool {
        self.lock().views.contains_key(&id)
    }

    /// The first message that a mailbox ever had was committed; the update that has it will be published.
    pub(crate) fn begin(&self, id: MailboxId) {
        let mut known = self.lock();
        if known.kept > 0 && !known.views.contains_key(&id) {
            known.put(id, View::Begun);
        }
    }

    /// The bodies of messages, as far as they are known in memory.
    pub(crate) fn bodies(&self, id: MailboxId, uids: &[Uid]) -> Arc<[(Uid, Option<BodyId>)]> {
        let snapshot = match self.lock().views.get(&id) {
            Some(View::Open(open)) => open.newest.borrow().clone(),
            _ => None,
        };
        let body = |uid: &Uid| Some(snapshot.as_ref()?.by_uid(*uid)?.body);
        uids.iter().map(|uid| (*uid, body(uid))).collect()
    }

    /// Publishes what a commit did.
    pub(crate) fn publish(&self, id: MailboxId, update: Update) {
        let mut known = self.lock();
        let used = known.opened;
        match known.views.get_mut(&id) {
            None => return,
            Some(View::Loading(missed)) => return missed.push(update),
            Some(View::Begun) => match begun(id, update) {
                Some(snapshot) => known.put(id, View::Open(Open::new(snapshot, used))),
                None => drop(known.remove(id)),
            },
            Some(View::Open(open)) => {
                let before = open.octets;
                let stays = open.take(update);
                let after = open.octets;
                known.octets = known.octets - before + after;
                if !stays {
                    known.remove(id);
                }
                if after <= before {
                    return;
                }
            }
        }
        known.trim(true);
    }
}

/// A mailbox of which all that it ever had is in this update.
fn begun(id: MailboxId, update: Update) -> Option<Arc<Snapshot>> {
    let mut empty = Snapshot::empty(id, update.after.as_ref()?.uid_validity);
    empty.highest_modseq = ModSeq(0);
    next(&Arc::new(empty), update)
}

/// The snapshot after `update`; `None`: the mailbox is gone.
fn next(old: &Arc<Snapshot>, update: Update) -> Option<Arc<Snapshot>> {
    let after = update.after?;
    // What was read already contains this commit.
    if !update.rekeyed
        && after.modseq <= old.highest_modseq.0
        && after.recent_from <= old.recent_from.get()
        && after.keywords.len() <= old.keywords.len()
    {
        return Some(old.clone());
    }
    let mut new = Snapshot::clone(old);
    if after.modseq > old.highest_modseq.0 {
        for change in update.changes {
            new = match change {
                Change::Came(rows) => new.apply(&rows, &[]),
                Change::Flags(modseq, flags) => new.with_flags(modseq, &flags),
                Change::Gone(uids) => new.apply(&[], &uids),
            };
        }
    }
    new.highest_modseq = new.highest_modseq.max(ModSeq(after.modseq));
    new.uid_next = new.uid_next.max(uid(after.uid_next));
    new.recent_from = new.recent_from.max(uid(after.recent_from));
    if after.keywords.len() > new.keywords.len() {
        new.keywords = after.keywords;
    }
    new.rekeyed = old.rekeyed.wrapping_add(u32::from(update.rekeyed));
    Some(Arc::new(new))
}

/// UIDs that are used up stand as 0 in the database.
pub(crate) fn uid(number: u32) -> Uid {
    Uid::new(number).or(Uid::new(u32::MAX)).unwrap_or(Uid::FIRST)
}

/// Reads a mailbox whole, inside one read transaction.
pub(crate) fn read_snapshot(conn: &Connection, id: MailboxId) -> StoreResult<Snapshot> {
    let sql = "SELECT uid_validity, uid_next, modseq, recent_from FROM mailboxes_now WHERE id = ?1";
    let head = conn
        .prepare_cached(sql)
        .and_then(|mut statement| {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            statement.query_row([id.0], read).optional()
        })
        .map_err(db)?;
    let (uid_validity, uid_next, modseq, recent_from) = head.ok_or(StoreError::MailboxGone(id))?;
    let mut snapshot = Snapshot::empty(id, UidValidity(uid_validity));
    // Arrivals have the highest UIDs.
    for table in ["messages", "arrivals"] {
        let sql = format!("SELECT {ROW} FROM {table} WHERE mailbox = ?1 ORDER BY uid");
        let mut statement = conn.prepare_cached(&sql).map_err(db)?;
        let mut rows = statement.query_map([id.0], read_row).map_err(db)?;
        loop {
            // A piece at a time: a large mailbox stands in memory once.
            let some = rows.by_ref().take(AT_ONCE).collect::<rusqlite::Result<Vec<_>>>().map_err(db)?;
            snapshot.push(&some);
            if some.len() < AT_ONCE {
                break;
            }
        }
    }
    snapshot.uid_next = uid(uid_next);
    snapshot.highest_modseq = ModSeq(modseq);
    snapshot.recent_from = uid(recent_from);
    snapshot.keywords = read_keywords(conn, id).map_err(db)?;
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use mail::{ThreadId, Timestamp, limits};

    use super::*;

    fn row(uid: u32, modseq: u64) -> MessageRow {
        MessageRow {
            uid: Uid::new(uid).unwrap(),
            flags: Flags::NONE,
            keywords: 0,
            modseq: ModSeq(modseq),
            created: ModSeq(modseq),
            size: 1,
            internal_date: Timestamp::from_secs(0),
            saved: Timestamp::from_secs(0),
            body: BodyId(1),
            thread: ThreadId(1),
        }
    }

    fn after(uid_next: u32, modseq: u64) -> Option<After> {
        Some(After { uid_validity: UidValidity(7), uid_next, modseq, recent_from: 1, keywords: Arc::from([]) })
    }

    fn update(changes: Vec<Change>, uid_next: u32, modseq: u64) -> Update {
        Update { changes, after: after(uid_next, modseq), rekeyed: false }
    }

    fn whole(mailbox: MailboxId, messages: u32) -> Snapshot {
        let mut snapshot = Snapshot::empty(mailbox, UidValidity(7));
        snapshot.push(&(1..=messages).map(|uid| row(uid, 5)).collect::<Vec<_>>());
        snapshot.highest_modseq = ModSeq(5);
        snapshot
    }

    async fn opened(views: &Views, mailbox: MailboxId, messages: u32) -> Option<MailboxWatch> {
        let mut read = false;
        let watch = views.watch(mailbox, || {
            read = true;
            async move { Ok(whole(mailbox, messages)) }
        });
        let watch = watch.await.unwrap();
        read.then_some(watch)
    }

    async fn no_read() -> StoreResult<Snapshot> {
        panic!("it is in memory")
    }

    /// A mailbox whose first message comes is known without reading it, and what comes while nobody looks is there for who
    /// looks then, whether it was taken in by and by or waited.
    #[tokio::test]
    async fn a_mailbox_that_begins_is_known() {
        let (views, mailbox) = (Views::new(limits::INDEXES_KEPT), MailboxId(3));
        views.publish(mailbox, update(vec![Change::Came(vec![row(9, 9)])], 10, 9));
        assert!(!views.has(mailbox));
        views.begin(mailbox);
        assert!(views.has(mailbox));
        views.publish(mailbox, update(vec![Change::Came(vec![row(1, 2)])], 2, 2));
        let count = 2 * WAITING as u32;
        for uid in 2..=count {
            let modseq = 1 + u64::from(uid);
            views.publish(mailbox, update(vec![Change::Came(vec![row(uid, modseq)])], uid + 1, modseq));
        }
        let flags = (1..=count).filter_map(Uid::new).map(|uid| (uid, Flags::SEEN, 0)).collect();
        let modseq = u64::from(count) + 2;
        let changes = vec![Change::Flags(ModSeq(modseq), flags), Change::Gone(vec![Uid::FIRST])];
        views.publish(mailbox, update(changes, count + 1, modseq + 1));
        let mut watch = views.watch(mailbox, no_read).await.unwrap();
        let newest = watch.newest().unwrap();
        assert_eq!((newest.uid_validity, newest.highest_modseq), (UidValidity(7), ModSeq(modseq + 1)));
        let seen = |row: MessageRow| (row.uid.get(), row.flags, row.modseq.0);
        assert!(newest.iter().map(seen).eq((2..=count).map(|uid| (uid, Flags::SEEN, modseq))));
        // Who looks hears at once.
        views.publish(mailbox, update(vec![Change::Came(vec![row(count + 1, modseq + 2)])], count + 2, modseq + 2));
        assert_eq!(watch.newest().unwrap().len(), count as usize);
        drop(watch);
        views.publish(mailbox, Update::default());
        assert!(!views.has(mailbox));
    }

    /// What nobody looks at stays up to so many octets, those that were opened last; what somebody looks at stays.
    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let one = octets(&whole(MailboxId(1), 1000));
        let views = Views::new(8 * one);
        let looked_at = opened(&views, MailboxId(100), 1000).await.unwrap();
        for n in 1..=7 {
            assert!(opened(&views, MailboxId(n), 1000).await.is_some());
        }
        // With the one that is looked at they are as much as may be kept; that one does not count.
        assert!(opened(&views, MailboxId(1), 1000).await.is_none());
        assert!(opened(&views, MailboxId(8), 1000).await.is_some());
        assert!((1..=8).all(|n| views.has(MailboxId(n))));
        assert!(opened(&views, MailboxId(9), 1000).await.is_some());
        // The one that was opened just now was looked at when the room was made.
        assert!(opened(&views, MailboxId(10), 1000).await.is_some());
        assert!(views.has(MailboxId(100)) && views.has(MailboxId(1)) && !views.has(MailboxId(2)));
        let idle = (1..=10).filter(|n| views.has(MailboxId(*n))).count();
        assert!((7..=8).contains(&idle), "{idle}");
        drop(looked_at);
        // One that grows makes room too.
        let mut rows = (1001..=9000).map(|uid| row(uid, 6)).collect::<Vec<_>>();
        views.publish(MailboxId(10), update(vec![Change::Came(std::mem::take(&mut rows))], 9001, 6));
        assert!(!views.has(MailboxId(1)) && !views.has(MailboxId(10)));
        // Where nothing is kept, nothing begins.
        let views = Views::new(0);
        views.begin(MailboxId(1));
        assert!(!views.has(MailboxId(1)));
    }
}
