//! A mailbox as it was at one moment, shared by all who look at it.
//!
//! A [`Snapshot`] never changes. After each commit the engine publishes a new one that shares all
//! untouched blocks and chunks with the last, so that a change costs about the same in a mailbox of any
//! size, many sessions on one mailbox cost one copy, and comparing two snapshots skips what is the same
//! by pointer. An IMAP session's view *is* the snapshot that it last told its client of; what it must
//! tell is the difference to the newest.

mod chunk;

use std::sync::Arc;

use chunk::Chunk;
use mail::{BodyId, Flags, Keyword, MailboxId, ModSeq, ThreadId, Timestamp, Uid, UidValidity};

/// Messages in a chunk at most; few in tests, so that small mailboxes have many. So many rows are 10 KiB, a size that
/// allocators have: with 256 a tenth of each would lie idle.
const CHUNK: usize = if cfg!(test) { 8 } else { 284 };

/// Chunks in a block at most. A change copies the chunk that it is in and two lists of pointers: with a million
/// messages some 60 blocks and the 64 chunks of one.
const BLOCK: usize = if cfg!(test) { 4 } else { 64 };

/// One message, as the index in memory knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Its conversation (THREADID): that of all messages whose headers name the same beginning.
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
    /// How often the key of its URLs became another one while it was open: between two snapshots, whether it did.
    pub rekeyed: u32,
    blocks: Vec<Arc<Block>>,
    /// `starts[i]`: how many rows stand before block `i`.
    starts: Vec<u32>,
    len: u32,
}

/// Chunks that follow each other. Neither it nor any of them is empty.
#[derive(Debug)]
struct Block {
    chunks: Vec<Arc<Chunk>>,
    /// `starts[i]`: how many rows of the block stand before chunk `i`.
    starts: Vec<u32>,
    len: u32,
    octets: usize,
    unseen: u32,
}

impl Block {
    fn new(chunks: &[Arc<Chunk>]) -> Arc<Self> {
        let (starts, len) = starts(chunks.iter().map(|chunk| chunk.len()));
        let octets = chunks.iter().map(|chunk| chunk.octets()).sum();
        let unseen = chunks.iter().map(|chunk| chunk.unseen()).sum();
        Arc::new(Self { chunks: chunks.to_vec(), starts, len, octets, unseen })
    }

    /// The highest UID.
    fn last(&self) -> Uid {
        self.chunks[self.chunks.len() - 1].last()
    }
}

/// Rows as chunks.
fn chunks(rows: &[MessageRow]) -> impl Iterator<Item = Arc<Chunk>> {
    rows.chunks(CHUNK).map(|rows| Arc::new(Chunk::new(rows)))
}

/// Where each of some parts with these lengths begins, and how long they are together.
fn starts(lengths: impl Iterator<Item = usize>) -> (Vec<u32>, u32) {
    let mut len = 0;
    let starts = lengths.map(|length| {
        let start = len;
        len += u32::try_from(length).unwrap_or(u32::MAX);
        start
    });
    (starts.collect(), len)
}

impl Snapshot {
    /// For engines: rows that are kept together; see [`Self::push`].
    pub const CHUNK: usize = CHUNK;

    /// An empty mailbox.
    pub fn empty(mailbox: MailboxId, uid_validity: UidValidity) -> Self {
        Self {
            mailbox,
            uid_validity,
            uid_next: Uid::FIRST,
            highest_modseq: ModSeq(1),
            recent_from: Uid::FIRST,
            keywords: Arc::from([]),
            rekeyed: 0,
            blocks: Vec::new(),
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
    pub fn get(&self, index: usize) -> Option<MessageRow> {
        if index >= self.len() {
            return None;
        }
        let (block, index) = self.block(index);
        let chunk = block.starts.partition_point(|start| *start as usize <= index) - 1;
        block.chunks[chunk].get(index - block.starts[chunk] as usize)
    }

    /// The block with this index, which is below the length, and the index in it.
    fn block(&self, index: usize) -> (&Block, usize) {
        let block = self.starts.partition_point(|start| *start as usize <= index) - 1;
        (&self.blocks[block], index - self.starts[block] as usize)
    }

    /// All messages, by UID.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = MessageRow> {
        self.blocks.iter().flat_map(|block| &block.chunks).flat_map(|chunk| chunk.rows(0))
    }

    /// The messages with these indexes, in order; what is beyond the end is left out.
    pub fn range(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = MessageRow> {
        let before = self.starts.partition_point(|start| *start as usize <= range.start).saturating_sub(1);
        let mut skip = range.start - self.starts.get(before).map_or(0, |start| *start as usize);
        let chunks = self.blocks[before.min(self.blocks.len())..].iter().flat_map(|block| &block.chunks);
        // Chunks before the range are passed over whole.
        let chunks = chunks.map(move |chunk| {
            let rows = chunk.rows(skip);
            skip = skip.saturating_sub(chunk.len());
            rows
        });
        chunks.flatten().take(range.len())
    }

    /// The index of `uid`: `Ok` where it is, `Err` where it would be.
    pub fn find(&self, uid: Uid) -> Result<usize, usize> {
        let before = self.blocks.partition_point(|block| block.last() < uid);
        let Some(block) = self.blocks.get(before) else { return Err(self.len()) };
        let chunk = block.chunks.partition_point(|chunk| chunk.last() < uid);
        let start = (self.starts[before] + block.starts[chunk]) as usize;
        let found = block.chunks[chunk].find(uid);
        found.map(|at| start + at).map_err(|at| start + at)
    }

    /// The message with `uid`.
    pub fn by_uid(&self, uid: Uid) -> Option<MessageRow> {
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
    ) -> impl Iterator<Item = (Option<MessageRow>, Option<MessageRow>)> {
        let (mut from, mut to) = (Cursor::new(self), Cursor::new(newer));
        std::iter::from_fn(move || {
            loop {
                Cursor::pass_shared(&mut from, &mut to);
                match (from.row(), to.row()) {
                    (None, None) => return None,
                    (Some(a), Some(b)) if a.uid == b.uid => {
                        from.at += 1;
                        to.at += 1;
                        if a != b {
                            return Some((Some(a), Some(b)));
                        }
                    }
                    (Some(a), b) if b.is_none_or(|b| a.uid < b.uid) => {
                        from.at += 1;
                        return Some((Some(a), None));
                    }
                    (_, b) => {
                        to.at += 1;
                        return Some((None, b));
                    }
                }
            }
        })
    }

    /// The index of the first message without \Seen; what is seen before it is passed over many at once.
    pub fn first_unseen(&self) -> Option<usize> {
        let (block, start) = self.blocks.iter().zip(&self.starts).find(|(block, _)| block.unseen > 0)?;
        let (chunk, more) = block.chunks.iter().zip(&block.starts).find(|(chunk, _)| chunk.unseen() > 0)?;
        let at = chunk.rows(0).position(|row| !row.flags.contains(Flags::SEEN))?;
        Some((start + more) as usize + at)
    }

    /// Octets that the rows take in memory, shared ones too.
    pub fn octets(&self) -> usize {
        self.blocks.iter().map(|block| block.octets).sum()
    }

    /// For engines: the snapshot after these messages, ascending, have got these flags and keywords with a change.
    #[must_use]
    pub fn with_flags(&self, modseq: ModSeq, flags: &[(Uid, Flags, u64)]) -> Self {
        let mut changed = Vec::with_capacity(flags.len());
        let mut rows = self.range(0..0).peekable();
        for (uid, flags, keywords) in flags {
            // Messages that follow each other are often changed together.
            let mut row = rows.next_if(|row| row.uid == *uid);
            if row.is_none()
                && let Ok(at) = self.find(*uid)
            {
                rows = self.range(at..self.len()).peekable();
                row = rows.next();
            }
            changed.extend(row.map(|row| MessageRow { flags: *flags, keywords: *keywords, modseq, ..row }));
        }
        self.apply(&changed, &[])
    }

    /// For engines: puts rows behind the last, by UID; whole chunks at a time make whole chunks.
    pub fn push(&mut self, rows: &[MessageRow]) {
        for chunk in chunks(rows) {
            let len = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            match self.blocks.last_mut().and_then(Arc::get_mut) {
                Some(block) if block.chunks.len() < BLOCK => {
                    block.octets += chunk.octets();
                    block.unseen += chunk.unseen();
                    block.chunks.push(chunk);
                    block.starts.push(block.len);
                    block.len += len;
                }
                _ => {
                    self.starts.push(self.len);
                    self.blocks.push(Block::new(&[chunk]));
                }
            }
            self.len += len;
        }
    }

    /// For engines: the snapshot after a commit. `changed` ascends by UID and holds rows that are new
    /// or replace the row of that UID; `removed` ascends too. The other fields are the caller's to set.
    #[must_use]
    pub fn apply(&self, changed: &[MessageRow], removed: &[Uid]) -> Self {
        let (mut changed, mut removed) = (changed, removed);
        let mut blocks = Vec::with_capacity(self.blocks.len() + 1);
        for (n, block) in self.blocks.iter().enumerate() {
            // What comes after the mailbox's last row goes into its last block.
            let is_last = n + 1 == self.blocks.len();
            let (now, gone) = up_to(&mut changed, &mut removed, (!is_last).then(|| block.last()));
            if now.is_empty() && gone.is_empty() {
                blocks.push(block.clone());
            } else {
                blocks.extend(apply_to(&block.chunks, now, gone).chunks(BLOCK).map(Block::new));
            }
        }
        // Only an empty mailbox comes here with rows left.
        blocks.extend(apply_to(&[], changed, &[]).chunks(BLOCK).map(Block::new));
        let (starts, len) = starts(blocks.iter().map(|block| block.len as usize));
        Self { blocks, starts, len, keywords: self.keywords.clone(), ..*self }
    }
}

/// Takes what is not above `last` (`None`: all) from the front of both.
fn up_to<'a, 'b>(
    changed: &mut &'a [MessageRow],
    removed: &mut &'b [Uid],
    last: Option<Uid>,
) -> (&'a [MessageRow], &'b [Uid]) {
    let mine = last.map_or(changed.len(), |last| changed.partition_point(|row| row.uid <= last));
    let gone = last.map_or(removed.len(), |last| removed.partition_point(|uid| *uid <= last));
    let (now, later) = changed.split_at(mine);
    let (gone, stays) = removed.split_at(gone);
    (*changed, *removed) = (later, stays);
    (now, gone)
}

/// The chunks after a change; those that it does not touch are shared. What comes after the last row goes into the
/// last chunk, up to its size.
fn apply_to(old: &[Arc<Chunk>], mut changed: &[MessageRow], mut removed: &[Uid]) -> Vec<Arc<Chunk>> {
    let mut next = Vec::with_capacity(old.len() + 1);
    for (n, chunk) in old.iter().enumerate() {
        let is_last = n + 1 == old.len();
        let (now, gone) = up_to(&mut changed, &mut removed, (!is_last).then(|| chunk.last()));
        if now.is_empty() && gone.is_empty() {
            next.push(chunk.clone());
        } else {
            next.extend(chunks(&merge(chunk, now, gone)));
        }
    }
    next.extend(chunks(changed));
    next
}

/// A place in a snapshot, for comparing: a row of a chunk, and what is left behind it of its block's chunks, and of the
/// blocks.
struct Cursor<'a> {
    blocks: &'a [Arc<Block>],
    chunks: &'a [Arc<Chunk>],
    chunk: Option<&'a Chunk>,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        Self { blocks: &snapshot.blocks, chunks: &[], chunk: None, at: 0 }
    }

    fn row(&self) -> Option<MessageRow> {
        self.chunk?.get(self.at)
    }

    /// Whether the chunk has no more rows.
    fn is_through(&self) -> bool {
        self.chunk.is_none_or(|chunk| self.at >= chunk.len())
    }

    /// Goes on to the next rows on each side that has none left. Where both are at the edge of the same block or chunk
    /// they pass over it.
    fn pass_shared(a: &mut Self, b: &mut Self) {
        if a.is_through() && b.is_through() {
            loop {
                if a.chunks.is_empty() && b.chunks.is_empty() {
                    (a.blocks, b.blocks) = after_shared(a.blocks, b.blocks);
                }
                let moved = a.take_block() | b.take_block();
                (a.chunks, b.chunks) = after_shared(a.chunks, b.chunks);
                if !moved {
                    break;
                }
            }
        }
        a.take_chunk();
        b.take_chunk();
    }

    /// False: there is no need, or no other.
    fn take_block(&mut self) -> bool {
        match self.blocks {
            [first, rest @ ..] if self.chunks.is_empty() => {
                (self.chunks, self.blocks) = (first.chunks.as_slice(), rest);
                true
            }
            _ => false,
        }
    }

    fn take_chunk(&mut self) {
        if self.is_through() {
            self.take_block();
            if let [first, rest @ ..] = self.chunks {
                (self.chunk, self.at, self.chunks) = (Some(&**first), 0, rest);
            }
        }
    }
}

/// Without what both share at their front.
fn after_shared<'a, T: ?Sized>(mut a: &'a [Arc<T>], mut b: &'a [Arc<T>]) -> (&'a [Arc<T>], &'a [Arc<T>]) {
    while let ([one, rest_a @ ..], [other, rest_b @ ..]) = (a, b) {
        if !Arc::ptr_eq(one, other) {
            break;
        }
        (a, b) = (rest_a, rest_b);
    }
    (a, b)
}

/// `old` with the rows of `changed` put in by UID, without those `removed`; all three ascend.
fn merge(old: &Chunk, changed: &[MessageRow], removed: &[Uid]) -> Vec<MessageRow> {
    let mut rows = Vec::with_capacity(old.len() + changed.len());
    let mut changed = changed.iter().copied().peekable();
    for row in old.rows(0) {
        while let Some(earlier) = changed.next_if(|new| new.uid < row.uid) {
            rows.push(earlier);
        }
        let row = changed.next_if(|new| new.uid == row.uid).unwrap_or(row);
        if removed.binary_search(&row.uid).is_err() {
            rows.push(row);
        }
    }
    rows.extend(changed);
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
            let rare = if random(2) == 0 { 12 } else { 300 };
            for uid in model.keys().copied().collect::<Vec<u32>>() {
                match random(rare) {
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
            let mut flags = Vec::new();
            for (uid, row) in &mut model {
                if random(rare) > 1 {
                    continue;
                }
                *row = MessageRow { flags: Flags::SEEN, keywords: modseq, modseq: ModSeq(modseq), ..*row };
                flags.push((row.uid, row.flags, row.keywords));
                // One that is not there is passed over.
                if random(4) == 0 {
                    flags.push((Uid::new(next_uid + uid).unwrap(), Flags::SEEN, 1));
                }
            }
            flags.sort_unstable_by_key(|(uid, ..)| *uid);
            snapshot = snapshot.with_flags(ModSeq(modseq), &flags);
            let rows: usize = snapshot.blocks.iter().flat_map(|block| &block.chunks).map(|chunk| chunk.octets()).sum();
            assert_eq!(snapshot.octets(), rows);
            assert_eq!(snapshot.iter().collect::<Vec<_>>(), model.values().cloned().collect::<Vec<_>>());
            for (index, (uid, row)) in model.iter().enumerate() {
                assert_eq!(snapshot.get(index), Some(*row));
                assert_eq!(snapshot.find(Uid::new(*uid).unwrap()), Ok(index));
            }
            assert_eq!(snapshot.get(model.len()), None);
            assert_eq!(snapshot.first_unseen(), model.values().position(|row| !row.flags.contains(Flags::SEEN)));
            let mut pushed = Snapshot::empty(MailboxId(1), UidValidity(1));
            let rows: Vec<_> = model.values().cloned().collect();
            rows.chunks(CHUNK).for_each(|chunk| pushed.push(chunk));
            assert!(
                pushed.iter().eq(snapshot.iter()) && (0..rows.len()).all(|at| pushed.get(at).as_ref() == rows.get(at))
            );
            assert!(pushed.differences(&snapshot).next().is_none());
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
            let found: Vec<_> = before.0.differences(&snapshot).collect();
            assert_eq!(found, naive);
        }
    }
}
