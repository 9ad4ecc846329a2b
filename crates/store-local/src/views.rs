//! Open mailboxes in memory: one snapshot each, shared by all who look, kept current after each commit.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail::{BodyId, Keyword, MailboxId, ModSeq, Uid, UidValidity};
use rusqlite::{Connection, OptionalExtension};
use store::{MailboxWatch, MessageRow, Snapshot, StoreError, StoreResult};
use tokio::sync::watch;

use crate::error::db;
use crate::truth::{ROW, read_keywords, read_row};

/// Rows read into a snapshot at once: whole chunks of it.
const AT_ONCE: usize = 1024;

/// What one commit did to one mailbox.
pub(crate) struct Update {
    /// By UID; `None`: gone.
    pub(crate) rows: BTreeMap<Uid, Option<MessageRow>>,
    /// The mailbox afterwards; `None`: deleted.
    pub(crate) after: Option<After>,
    /// Its URLs have another key, or none.
    pub(crate) rekeyed: bool,
}

/// A mailbox's own values.
pub(crate) struct After {
    pub(crate) uid_next: u32,
    pub(crate) modseq: u64,
    pub(crate) recent_from: u32,
    pub(crate) keywords: Arc<[Keyword]>,
}

enum View {
    /// Being read; what is committed meanwhile waits here.
    Loading(Vec<Update>),
    Open(watch::Sender<Option<Arc<Snapshot>>>),
}

/// All open mailboxes.
#[derive(Default)]
pub(crate) struct Views {
    views: Mutex<HashMap<MailboxId, View>>,
    /// One at a time reads a mailbox in, so that two who open the same one read it once.
    loading: tokio::sync::Mutex<()>,
}

/// Takes a half-read view away again, unless it was read whole.
struct Loading<'a> {
    views: &'a Views,
    id: MailboxId,
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        let mut views = self.views.lock();
        if matches!(views.get(&self.id), Some(View::Loading(_))) {
            views.remove(&self.id);
        }
    }
}

impl Views {
    fn lock(&self) -> MutexGuard<'_, HashMap<MailboxId, View>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribe(&self, id: MailboxId) -> Option<MailboxWatch> {
        match self.lock().get(&id) {
            Some(View::Open(sender)) => Some(MailboxWatch::new(sender.subscribe())),
            _ => None,
        }
    }

    /// A watch on a mailbox; `read` reads it where nobody has it open.
    pub(crate) async fn watch<F>(&self, id: MailboxId, read: impl FnOnce() -> F) -> StoreResult<MailboxWatch>
    where
        F: Future<Output = StoreResult<Snapshot>>,
    {
        if let Some(watch) = self.subscribe(id) {
            return Ok(watch);
        }
        let _one = self.loading.lock().await;
        if let Some(watch) = self.subscribe(id) {
            return Ok(watch);
        }
        {
            let mut views = self.lock();
            views.retain(|_, view| !matches!(view, View::Open(sender) if sender.receiver_count() == 0));
            views.insert(id, View::Loading(Vec::new()));
        }
        let half = Loading { views: self, id };
        let mut snapshot = Some(Arc::new(read().await?));
        let mut views = self.lock();
        if let Some(View::Loading(missed)) = views.remove(&id) {
            for update in missed {
                snapshot = snapshot.and_then(|old| next(&old, update));
            }
        }
        let snapshot = snapshot.ok_or(StoreError::MailboxGone(id))?;
        let (sender, receiver) = watch::channel(Some(snapshot));
        views.insert(id, View::Open(sender));
        drop(views);
        drop(half);
        Ok(MailboxWatch::new(receiver))
    }

    /// Whether anybody looks at any mailbox.
    pub(crate) fn any(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Whether anybody looks at this one.
    pub(crate) fn has(&self, id: MailboxId) -> bool {
        self.lock().contains_key(&id)
    }

    /// The bodies of messages, as far as somebody has the mailbox open.
    pub(crate) fn bodies(&self, id: MailboxId, uids: &[Uid]) -> Arc<[(Uid, Option<BodyId>)]> {
        let snapshot = match self.lock().get(&id) {
            Some(View::Open(sender)) => sender.borrow().clone(),
            _ => None,
        };
        let body = |uid: &Uid| Some(snapshot.as_ref()?.by_uid(*uid)?.body);
        uids.iter().map(|uid| (*uid, body(uid))).collect()
    }

    /// Publishes what a commit did.
    pub(crate) fn publish(&self, id: MailboxId, update: Update) {
        let mut views = self.lock();
        match views.get_mut(&id) {
            None => {}
            Some(View::Loading(missed)) => missed.push(update),
            Some(View::Open(sender)) if sender.receiver_count() == 0 => drop(views.remove(&id)),
            Some(View::Open(sender)) => {
                let old = sender.borrow().clone();
                let new = old.and_then(|old| next(&old, update));
                let deleted = new.is_none();
                sender.send_replace(new);
                if deleted {
                    views.remove(&id);
                }
            }
        }
    }
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
    let mut changed = Vec::new();
    let mut removed = Vec::new();
    if after.modseq > old.highest_modseq.0 {
        for (uid, row) in update.rows {
            match row {
                Some(row) => changed.push(row),
                None => removed.push(uid),
            }
        }
    }
    let mut new = old.apply(&changed, &removed);
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
