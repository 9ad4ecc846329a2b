//! A message on its way in: in memory while small, in a file of its own when large.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use mail::limits;
use store::{Stage, StoreError, StoreResult};

use crate::error::os;
use crate::log::{BlobWriter, Held, Log, Pending};

/// Room taken at first where the client did not say how large its message is.
const FIRST_ROOM: usize = 8 * 1024;

/// Octets gathered before a blob is written.
const BLOB_BUFFER: usize = limits::READ_CHUNK;

/// This engine's stage.
pub(crate) struct LocalStage {
    log: Arc<Log>,
    length: u64,
    held: Held,
    /// Present once the message is large; what is in `held` then follows what it has.
    blob: Option<BlobWriter>,
    failed: bool,
}

impl LocalStage {
    pub(crate) fn new(log: &Arc<Log>, expected: Option<u64>) -> Self {
        // SIZE= does not count the trace headers that are put on top; 1 KiB holds them.
        let room = expected.map_or(FIRST_ROOM, |size| usize::try_from(size).unwrap_or(usize::MAX).saturating_add(1024));
        Self {
            log: log.clone(),
            length: 0,
            held: Held::new(log, room.min(limits::BODY_IN_MEMORY_CROWDED)),
            blob: None,
            failed: false,
        }
    }

    fn must_spill(&self) -> bool {
        match self.blob {
            Some(_) => self.held.bytes.len() >= BLOB_BUFFER,
            None => self.is_too_much(self.held.bytes.len()),
        }
    }

    /// Whether a message may not have so many octets in memory.
    fn is_too_much(&self, octets: usize) -> bool {
        let crowded = self.log.in_memory.load(Ordering::Relaxed) > limits::BODIES_IN_MEMORY;
        octets > limits::BODY_IN_MEMORY || (crowded && octets > limits::BODY_IN_MEMORY_CROWDED)
    }

    /// Writes what is held to the blob, on a thread that may wait.
    async fn spill(&mut self) -> StoreResult<()> {
        let bytes = std::mem::take(&mut self.held.bytes);
        let (log, blob) = (self.log.clone(), self.blob.take());
        // Set first: when this future is dropped half-way the stage must not go on without its blob.
        self.failed = true;
        let written = tokio::task::spawn_blocking(move || {
            let mut blob = match blob {
                Some(blob) => blob,
                None => BlobWriter::create(&log)?,
            };
            blob.write(&bytes)?;
            Ok((blob, bytes))
        });
        let (blob, mut bytes) = joined(written.await)?;
        bytes.clear();
        self.held.bytes = bytes;
        self.blob = Some(blob);
        self.failed = false;
        Ok(())
    }

    /// The body as the appender takes it; a blob is synced here.
    pub(crate) async fn into_pending(mut self) -> StoreResult<Pending> {
        if self.failed {
            return Err(StoreError::Failed("the message was not written whole".into()));
        }
        if self.blob.is_some() && !self.held.bytes.is_empty() {
            self.spill().await?;
        }
        match self.blob {
            None => Ok(Pending::Memory(self.held)),
            Some(blob) => Ok(Pending::Blob(joined(tokio::task::spawn_blocking(move || blob.finish()).await)?)),
        }
    }
}

fn joined<T>(result: Result<std::io::Result<T>, tokio::task::JoinError>) -> StoreResult<T> {
    match result {
        Ok(result) => result.map_err(|error| os("writing a message", &error)),
        Err(error) => Err(StoreError::Failed(format!("writing a message: {error}"))),
    }
}

#[async_trait]
impl Stage for LocalStage {
    async fn write(&mut self, bytes: &[u8]) -> StoreResult<()> {
        if self.failed {
            return Err(StoreError::Failed("the message was not written whole".into()));
        }
        self.held.bytes.extend_from_slice(bytes);
        self.held.count();
        self.length += bytes.len() as u64;
        if self.must_spill() { self.spill().await } else { Ok(()) }
    }

    fn keep_back(&mut self, octets: usize) -> StoreResult<()> {
        self.held.kept_back = octets;
        self.held.count();
        if self.is_too_much(octets) { Err(StoreError::Busy) } else { Ok(()) }
    }

    fn len(&self) -> u64 {
        self.length
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
