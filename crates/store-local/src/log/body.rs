//! A stored message as a reader sees it.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use mail::{BodyId, limits};
use store::{Body, StoreError, StoreResult};

use super::{Log, Place, Segment};
use crate::error::os;

/// A prefix and the stored bytes behind it. Holds its file open.
pub(crate) struct LocalBody {
    pub(crate) id: BodyId,
    pub(crate) prefix: Bytes,
    pub(crate) place: Place,
    pub(crate) segment: Arc<Segment>,
    pub(crate) log: Arc<Log>,
}

impl LocalBody {
    /// Part of the stored bytes, at most `READ_CHUNK`; never bytes whose checksum was not compared.
    async fn stored(&self, range: Range<u64>) -> StoreResult<Bytes> {
        match self.stored_now(range.clone(), false) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return self.judge(result),
        }
        let (log, segment, place) = (self.log.clone(), self.segment.clone(), self.place);
        let result = tokio::task::spawn_blocking(move || read(&log, &segment, place, range, true)).await;
        self.judge(result.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())))
    }

    fn stored_now(&self, range: Range<u64>, may_wait: bool) -> io::Result<Bytes> {
        read(&self.log, &self.segment, self.place, range, may_wait)
    }

    fn judge(&self, result: io::Result<Bytes>) -> StoreResult<Bytes> {
        result.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => {
                let file = self.log.path(self.place.segment, self.place.offset);
                let place = format!("{} at {}: {error}", file.display(), Segment::payload_at(self.place));
                tracing::error!(body = self.id.0, place, "a stored message is damaged; it is not served");
                StoreError::Damaged(place)
            }
            _ => os("reading a message", &error),
        })
    }
}

fn read(log: &Log, segment: &Segment, place: Place, range: Range<u64>, may_wait: bool) -> io::Result<Bytes> {
    if log.is_verified(place) {
        return segment.read_part(place, range, may_wait);
    }
    if place.length <= limits::READ_CHUNK as u64 {
        let whole = segment.read_whole(place, may_wait)?;
        log.set_verified(place);
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        return Ok(whole.slice(index(range.start)..index(range.end)));
    }
    if !may_wait {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    segment.verify(place)?;
    log.set_verified(place);
    segment.read_part(place, range, may_wait)
}

#[async_trait]
impl Body for LocalBody {
    fn id(&self) -> BodyId {
        self.id
    }

    fn size(&self) -> u64 {
        self.prefix.len() as u64 + self.place.length
    }

    async fn read(&self, range: Range<u64>) -> StoreResult<Bytes> {
        let start = range.start.min(self.size());
        let end = range.end.min(self.size()).min(start + limits::READ_CHUNK as u64);
        if start >= end {
            return Ok(Bytes::new());
        }
        let ahead = self.prefix.len() as u64;
        let index = |at: u64| usize::try_from(at.min(ahead)).unwrap_or(usize::MAX);
        let prefix = self.prefix.slice(index(start)..index(end));
        if end <= ahead {
            return Ok(prefix);
        }
        let stored = self.stored(start.saturating_sub(ahead)..end - ahead).await?;
        if prefix.is_empty() {
            return Ok(stored);
        }
        let mut both = BytesMut::with_capacity(prefix.len() + stored.len());
        both.extend_from_slice(&prefix);
        both.extend_from_slice(&stored);
        Ok(both.freeze())
    }
}
