//! A download under way.

use bytes::Bytes;
use store::StoreResult;

use super::content::{Content, Pieces};

/// The octets of a blob, to be sent piece by piece.
pub struct Download {
    size: Option<u64>,
    pieces: Pieces,
}

impl Download {
    pub(super) fn new(content: Content) -> Self {
        Self { size: content.known_size(), pieces: content.pieces() }
    }

    /// Octets in all, where that is known: what is decoded on the way has to be counted.
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// The next octets; `None` at the end.
    ///
    /// # Errors
    /// The store's: the message can't be read.
    pub async fn next(&mut self) -> StoreResult<Option<Bytes>> {
        self.pieces.next().await
    }
}
