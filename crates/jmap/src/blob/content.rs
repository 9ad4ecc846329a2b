//! The octets of a blob, piece by piece: a part of something stored, decoded on the way.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mail::{BodyId, limits};
use message::transfer::{Decoder, Encoding};
use store::{Body, StoreResult};

/// See above.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) body: Arc<dyn Body>,
    pub(crate) range: Range<u64>,
    pub(crate) encoding: Encoding,
}

impl Content {
    /// All of it, as it is.
    pub(crate) fn whole(body: Arc<dyn Body>) -> Self {
        let range = 0..body.size();
        Self { body, range, encoding: Encoding::of(b"binary") }
    }

    /// The stored octets, where it is all of them.
    pub(crate) fn as_body(&self) -> Option<Arc<dyn Body>> {
        (self.range == (0..self.body.size()) && self.is_plain()).then(|| self.body.clone())
    }

    /// Whether nothing needs to be decoded.
    fn is_plain(&self) -> bool {
        !matches!(self.encoding, Encoding::Base64 | Encoding::QuotedPrintable)
    }

    /// How many octets it has, where that is known without reading.
    pub(crate) fn known_size(&self) -> Option<u64> {
        self.is_plain().then_some(self.range.end - self.range.start)
    }

    /// How many octets it has.
    pub(crate) async fn size(&self) -> StoreResult<u64> {
        if let Some(size) = self.known_size() {
            return Ok(size);
        }
        let (mut pieces, mut size) = (self.pieces(), 0);
        while let Some(piece) = pieces.next().await? {
            size += piece.len() as u64;
        }
        Ok(size)
    }

    /// All octets: no more than what is stored has.
    pub(crate) async fn read(&self) -> StoreResult<Bytes> {
        let (mut pieces, mut all) = (self.pieces(), Vec::new());
        while let Some(piece) = pieces.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.into())
    }

    /// From the beginning.
    pub(crate) fn pieces(&self) -> Pieces {
        Pieces {
            body: self.body.clone(),
            at: self.range.start,
            end: self.range.end,
            decoder: (!self.is_plain()).then(|| Decoder::new(self.encoding)),
        }
    }
}

/// What is left of some octets.
pub(crate) struct Pieces {
    body: Arc<dyn Body>,
    at: u64,
    end: u64,
    decoder: Option<Decoder>,
}

impl Pieces {
    /// The next octets; `None` at the end.
    pub(crate) async fn next(&mut self) -> StoreResult<Option<Bytes>> {
        loop {
            // What is in memory comes without waiting: others have their turn all the same.
            tokio::task::consume_budget().await;
            let piece = if self.at < self.end {
                self.body.read(self.at..self.end.min(self.at + limits::READ_CHUNK as u64)).await?
            } else {
                Bytes::new()
            };
            self.at += piece.len() as u64;
            let Some(decoder) = &mut self.decoder else { return Ok(Some(piece).filter(|piece| !piece.is_empty())) };
            let mut out = Vec::with_capacity(piece.len());
            if piece.is_empty() {
                if let Some(decoder) = self.decoder.take() {
                    decoder.finish(&mut out);
                }
                return Ok((!out.is_empty()).then(|| out.into()));
            }
            decoder.push(&piece, &mut out);
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
        }
    }
}

/// Octets in memory, as something stored.
pub(crate) struct Octets(Bytes);

impl Octets {
    pub(crate) fn body(octets: Bytes) -> Arc<dyn Body> {
        Arc::new(Self(octets))
    }
}

#[async_trait]
impl Body for Octets {
    /// No stored body has this id.
    fn id(&self) -> BodyId {
        BodyId(0)
    }

    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    async fn read(&self, range: Range<u64>) -> StoreResult<Bytes> {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.0.len());
        let (start, end) = (place(range.start), place(range.end));
        Ok(self.0.slice(start..end.max(start).min(start.saturating_add(limits::READ_CHUNK))))
    }
}
