//! A mailbox as it was at one moment, shared by all who look at it.
//!
//! A [`Snapshot`] never changes. After each commit the engine publishes a new one that shares all
//! untouched chunks with the last, so that many sessions on one mailbox cost one copy, and comparing
//! two snapshots skips what is the same by pointer. An IMAP session's view *is* the snapshot that
//! it last told its client of; what it must tell is the difference to the newest.

use std::sync::Arc;

use mail::{BodyId, Flags, Keyword, MailboxId, ModSeq, ThreadId, Timestamp, Uid, UidValidity};

/// Messages in a chunk at most.
const CHUNK: usize = 256;

/// One message, as the index in memory knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// Its UID.
    pub uid: Uid,
    /// System flags.
    pub flags: Flags,
    /// Keywords, as bits: numbers into [`Snapshot::keywords`].
    pub keywords: u64,
    /// Last change.
    pub modseq: ModSeq,
    /// The modseq with which it came.
    pub created: ModSeq,
    /// RFC822.SIZE, exact.
    pub size: u32,
    /// INTERNALDATE.
    pub internal_date: Timestamp,
    /// When it came into this mailbox (SAVEDATE, RFC 8514).
    pub saved: Timestamp,
    /// Its bytes (EMAILID).
    pub body: BodyId,
    /// Its conversation.
    pub thread: ThreadId,
}

/// A mailbox at one moment. Rows ascend by UID.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The next UID.
    pub uid_next: Uid,
    /// HIGHESTMODSEQ.
    pub highest_modseq: ModSeq,
    /// UIDs from here on were not yet shown to any session (\Recent, RFC 3501 §2.3.2).
    pub recent_from: Uid,
    /// The mailbox's keywords; a row's bit `n` is `keywords[n]`. Only grows.
    pub keywords: Arc<[Keyword]>,
    chunks: Vec<Arc<[MessageRow]>>,
    /// `starts[i]`: how many rows stand before chunk `i`.
    starts: Vec<u32>,
    len: u32,
}

impl Snapshot {
    /// An empty mailbox.
    pub fn empty(mailbox: MailboxId, uid_validity: UidValidity) -> Self {
        Self {
            mailbox,
            uid_validity,
            uid_next: Uid::FIRST,
            highest_modseq: ModSeq(1),
            recent_from: Uid::FIRST,
            keywords: Arc::from([]),
            chunks: Vec::new(),
            starts: Vec::new(),
            len: 0,
        }
    }

    /// How many messages.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The message with sequence number `index + 1`.
    pub fn get(&self, index: usize) -> Option<&MessageRow> {
        if index >= self.len() {
            return None;
        }
        let chunk = self.starts.partition_point(|start| *start as usize <= index) - 1;
        self.chunks[chunk].get(index - self.starts[chunk] as usize)
    }

    /// All messages, by UID.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &MessageRow> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// The messages with these indexes, in order; what is beyond the end is left out.
    pub fn range(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = &MessageRow> {
        let first = self.starts.partition_point(|start| *start as usize <= range.start).saturating_sub(1);
        let skip = range.start - self.starts.get(first).map_or(range.start, |start| *start as usize);
        self.chunks[first.min(self.chunks.len())..].iter().flat_map(|chunk| chunk.iter()).skip(skip).take(range.len())
    }

    /// The index of `uid`: `Ok` where it is, `Err` where it would be.
    pub fn find(&self, uid: Uid) -> Result<usize, usize> {
        let chunk = self.chunks.partition_point(|chunk| chunk[chunk.len() - 1].uid < uid);
        let Some(rows) = self.chunks.get(chunk) else { return Err(self.len()) };
        let start = self.starts[chunk] as usize;
        rows.binary_search_by_key(&uid, |row| row.uid).map(|at| start + at).map_err(|at| start + at)
    }

    /// The message with `uid`.
    pub fn by_uid(&self, uid: Uid) -> Option<&MessageRow> {
        self.get(self.find(uid).ok()?)
    }

    /// The keywords of a row.
    pub fn keywords_of<'a>(&'a self, row: &MessageRow) -> impl Iterator<Item = &'a Keyword> {
        let bits = row.keywords;
        self.keywords.iter().enumerate().filter(move |(n, _)| bits & (1 << n) != 0).map(|(_, k)| k)
    }

    /// Messages that are in only one of the two snapshots, or changed between: `(old, new)` by UID.
    /// Chunks that both share are skipped, so the cost follows the change, not the mailbox.
    pub fn differences<'a>(
        &'a self,
        newer: &'a Self,
    ) -> impl Iterator<Item = (Option<&'a MessageRow>, Option<&'a MessageRow>)> + 'a {
        let (mut old_chunks, mut new_chunks) = (self.chunks.as_slice(), newer.chunks.as_slice());
        let (mut old, mut new): (&[MessageRow], &[MessageRow]) = (&[], &[]);
        std::iter::from_fn(move || {
            loop {
                if old.is_empty() && new.is_empty() {
                    while let ([a, rest_a @ ..], [b, rest_b @ ..]) = (old_chunks, new_chunks) {
                        if !Arc::ptr_eq(a, b) {
                            break;
                        }
                        (old_chunks, new_chunks) = (rest_a, rest_b);
                    }
                }
                if old.is_empty()
                    && let [first, rest @ ..] = old_chunks
                {
                    (old, old_chunks) = (first, rest);
                }
                if new.is_empty()
                    && let [first, rest @ ..] = new_chunks
                {
                    (new, new_chunks) = (first, rest);
                }
                match (old, new) {
                    ([], []) => return None,
                    ([a, rest_a @ ..], [b, rest_b @ ..]) if a.uid == b.uid => {
                        (old, new) = (rest_a, rest_b);
                        if a != b {
                            return Some((Some(a), Some(b)));
                        }
                    }
                    ([a, rest @ ..], [b, ..]) if a.uid < b.uid => {
                        old = rest;
                        return Some((Some(a), None));
                    }
                    ([a, rest @ ..], []) => {
                        old = rest;
                        return Some((Some(a), None));
                    }
                    (_, [b, rest @ ..]) => {
                        new = rest;
                        return Some((None, Some(b)));
                    }
                }
            }
        })
    }

    /// For engines: the snapshot after a commit. `changed` ascends by UID and holds rows that are new
    /// or replace the row of that UID; `removed` ascends too. The other fields are the caller's to set.
    #[must_use]
    pub fn apply(&self, changed: &[MessageRow], removed: &[Uid]) -> Self {
        let mut next =
            Self { chunks: Vec::with_capacity(self.chunks.len() + 1), starts: Vec::new(), len: 0, ..self.clone() };
        let (mut changed, mut removed) = (changed, removed);
        for (n, chunk) in self.chunks.iter().enumerate() {
            let last = chunk[chunk.len() - 1].uid;
            // What comes after the mailbox's last row goes into its last chunk, up to its size.
            let is_last = n + 1 == self.chunks.len();
            let mine = if is_last { changed.len() } else { changed.partition_point(|row| row.uid <= last) };
            let gone = removed.partition_point(|uid| *uid <= last);
            if mine == 0 && gone == 0 {
                next.chunks.push(chunk.clone());
                continue;
            }
            let (now, later) = changed.split_at(mine);
            let rows = merge(chunk, now, &removed[..gone]);
            (changed, removed) = (later, &removed[gone..]);
            next.chunks.extend(rows.chunks(CHUNK).map(Arc::from));
        }
        // Only an empty mailbox comes here with rows left.
        next.chunks.extend(changed.chunks(CHUNK).map(Arc::from));
        for chunk in &next.chunks {
            next.starts.push(next.len);
            next.len += u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        }
        next
    }
}

/// `old` with the rows of `changed` put in by UID, without those `removed`; all three ascend.
fn merge(old: &[MessageRow], changed: &[MessageRow], removed: &[Uid]) -> Vec<MessageRow> {
    let mut rows = Vec::with_capacity(old.len() + changed.len());
    let mut changed = changed.iter().peekable();
    for row in old {
        while let Some(earlier) = changed.next_if(|new| new.uid < row.uid) {
            rows.push(earlier.clone());
        }
        let row = changed.next_if(|new| new.uid == row.uid).unwrap_or(row);
        if removed.binary_search(&row.uid).is_err() {
            rows.push(row.clone());
        }
    }
    rows.extend(changed.cloned());
    rows
}

/// A mailbox that somebody looks at: its newest snapshot, and the news that there is a newer one.
/// Cheap to clone; the engine keeps the index current while one exists.
#[derive(Clone, Debug)]
pub struct MailboxWatch {
    newest: tokio::sync::watch::Receiver<Option<Arc<Snapshot>>>,
}

impl MailboxWatch {
    /// For engines: a watch over what they publish; `None` says that the mailbox was deleted.
    pub const fn new(newest: tokio::sync::watch::Receiver<Option<Arc<Snapshot>>>) -> Self {
        Self { newest }
    }

    /// The newest snapshot, marked as seen; `None` once the mailbox is deleted.
    pub fn newest(&mut self) -> Option<Arc<Snapshot>> {
        self.newest.borrow_and_update().clone()
    }

    /// Returns once there is a snapshot that [`Self::newest`] has not yet returned.
    pub async fn changed(&mut self) {
        if self.newest.changed().await.is_err() {
            // The engine is gone: there will be no news.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(uid: u32, modseq: u64) -> MessageRow {
        MessageRow {
            uid: Uid::new(uid).unwrap(),
            flags: Flags::NONE,
            keywords: 0,
            modseq: ModSeq(modseq),
            created: ModSeq(1),
            size: 1,
            internal_date: Timestamp::from_secs(0),
            saved: Timestamp::from_secs(0),
            body: BodyId(uid.into()),
            thread: ThreadId(0),
        }
    }

    /// Random changes agree with a sorted map, and the difference of two snapshots with a naive one.
    #[test]
    fn snapshots_agree_with_a_map() {
        let mut seed = 7u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % below
        };
        let mut model = std::collections::BTreeMap::new();
        let mut snapshot = Snapshot::empty(MailboxId(1), UidValidity(1));
        let mut next_uid = 1;
        for modseq in 2..300 {
            let before = (snapshot.clone(), model.clone());
            let mut changed = std::collections::BTreeMap::new();
            let mut removed = Vec::new();
            for uid in model.keys().copied().collect::<Vec<u32>>() {
                match random(12) {
                    0 => removed.push(uid),
                    1 => drop(changed.insert(uid, row(uid, modseq))),
                    _ => {}
                }
            }
            for _ in 0..random(60) {
                changed.insert(next_uid, row(next_uid, modseq));
                next_uid += 1 + random(3) as u32;
            }
            model.extend(changed.clone());
            model.retain(|uid, _| !removed.contains(uid));
            let changed: Vec<_> = changed.into_values().collect();
            let removed: Vec<_> = removed.into_iter().filter_map(Uid::new).collect();
            snapshot = snapshot.apply(&changed, &removed);
            assert_eq!(snapshot.iter().cloned().collect::<Vec<_>>(), model.values().cloned().collect::<Vec<_>>());
            for (index, (uid, row)) in model.iter().enumerate() {
                assert_eq!(snapshot.get(index), Some(row));
                assert_eq!(snapshot.find(Uid::new(*uid).unwrap()), Ok(index));
            }
            assert_eq!(snapshot.get(model.len()), None);
            let (from, to) = (random(400) as usize, random(400) as usize);
            let naive: Vec<_> = (from..to.max(from)).filter_map(|at| snapshot.get(at)).collect();
            assert_eq!(snapshot.range(from..to.max(from)).collect::<Vec<_>>(), naive);
            let mut naive = Vec::new();
            for uid in 1..next_uid {
                let (a, b) = (before.1.get(&uid).cloned(), model.get(&uid).cloned());
                if a != b {
                    naive.push((a, b));
                }
            }
            let found: Vec<_> = before.0.differences(&snapshot).map(|(a, b)| (a.cloned(), b.cloned())).collect();
            assert_eq!(found, naive);
        }
    }
}
