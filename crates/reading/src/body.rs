//! One message being looked at: its bytes in pieces, its structure through the cache.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use mail::limits;
use message::header::HeaderEnd;
use message::structure::{Scanner, Structure};
use store::{Body, StoreError, StoreResult};

use crate::cache::Cache;

/// A message that is read. Small ones are read once and whole; of large ones only what is asked for.
pub struct Message<'s> {
    structures: &'s Cache<Structure>,
    body: Arc<dyn Body>,
    whole: Option<Bytes>,
    structure: Option<Arc<Structure>>,
    /// What is found out is kept for others.
    keeps: bool,
}

impl<'s> Message<'s> {
    /// One that somebody asked for.
    pub fn new(structures: &'s Cache<Structure>, body: Arc<dyn Body>) -> Self {
        let structure = structures.get((body.id(), body.size()));
        Self { structures, body, whole: None, structure, keeps: true }
    }

    /// One that nobody has asked for.
    pub fn passing(structures: &'s Cache<Structure>, body: Arc<dyn Body>) -> Self {
        Self { keeps: false, ..Self::new(structures, body) }
    }

    /// Octets in all.
    pub fn size(&self) -> u64 {
        self.body.size()
    }

    /// The octets of `range`, at least one and at most `limits::READ_CHUNK`, unless the range is empty.
    pub async fn read(&mut self, range: Range<u64>) -> StoreResult<Bytes> {
        // What is in memory comes without waiting: others have their turn all the same.
        tokio::task::consume_budget().await;
        let size = self.size();
        if self.whole.is_none() && size <= limits::READ_CHUNK as u64 {
            let bytes = read_all(self.body.as_ref(), 0..size).await?;
            self.whole = Some(bytes);
        }
        match &self.whole {
            Some(whole) => {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(whole.len());
                Ok(whole.slice(place(range.start)..place(range.end).max(place(range.start))))
            }
            None if range.is_empty() => Ok(Bytes::new()),
            None => self.body.read(range).await.and_then(not_empty),
        }
    }

    /// All octets of a bounded range.
    pub async fn read_whole(&mut self, range: Range<u64>) -> StoreResult<Bytes> {
        let first = self.read(range.clone()).await?;
        if first.len() as u64 >= range.end - range.start {
            return Ok(first);
        }
        read_all(self.body.as_ref(), range).await
    }

    /// The MIME structure.
    pub async fn structure(&mut self) -> StoreResult<Arc<Structure>> {
        if let Some(structure) = &self.structure {
            return Ok(structure.clone());
        }
        let mut scanner = Scanner::new();
        let (mut at, size) = (0, self.size());
        while at < size {
            let piece = self.read(at..size).await?;
            if piece.is_empty() {
                break;
            }
            scanner.push(&piece);
            at += piece.len() as u64;
        }
        let structure = Arc::new(scanner.finish());
        if self.keeps {
            self.structures.put((self.body.id(), size), structure.clone());
        }
        self.structure = Some(structure.clone());
        Ok(structure)
    }

    /// Where the message's own header is; found without looking at what follows it.
    pub async fn header(&mut self) -> StoreResult<Range<u64>> {
        if let Some(structure) = &self.structure {
            return Ok(structure.root().header.clone());
        }
        let mut end = HeaderEnd::default();
        let (mut at, size) = (0, self.size());
        while at < size {
            let piece = self.read(at..size.min(at + 64 * 1024)).await?;
            if let Some(end) = end.push(&piece) {
                return Ok(0..end);
            }
            if piece.is_empty() {
                break;
            }
            at += piece.len() as u64;
        }
        Ok(0..size)
    }
}

/// As much of a header as is looked at.
pub fn looked_at(header: Range<u64>) -> Range<u64> {
    header.start..header.end.min(header.start.saturating_add(limits::HEADER_LEN as u64))
}

fn not_empty(bytes: Bytes) -> StoreResult<Bytes> {
    if bytes.is_empty() { Err(StoreError::Failed("a message ended before its size".into())) } else { Ok(bytes) }
}

async fn read_all(body: &dyn Body, range: Range<u64>) -> StoreResult<Bytes> {
    let mut at = range.start;
    let first = body.read(at..range.end).await?;
    if first.len() as u64 >= range.end - range.start {
        return Ok(first);
    }
    let mut all = Vec::with_capacity(usize::try_from(range.end - range.start).unwrap_or(0));
    all.extend_from_slice(&first);
    at += first.len() as u64;
    while at < range.end {
        let piece = body.read(at..range.end).await.and_then(not_empty)?;
        all.extend_from_slice(&piece);
        at += piece.len() as u64;
    }
    Ok(all.into())
}
