//! A message on its way in: in memory while small, in a file of its own when large.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use mail::{ThreadId, limits};
use message::header::Header;
use sha2::{Digest, Sha256};
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
    /// Known once the message is large.
    thread: Option<ThreadId>,
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
            thread: None,
            failed: false,
        }
    }

    /// The conversation, by what is held of the message's beginning: so much of it as is held in any case, whatever else is in
    /// memory, that the same message has the same conversation always.
    fn find_thread(&self) -> Option<ThreadId> {
        let held = &self.held.bytes;
        let header = Header::of(&held[..held.len().min(limits::BODY_IN_MEMORY_CROWDED)]);
        header.conversation().map(|begins| thread_that_begins(&begins))
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
        if self.blob.is_none() {
            self.thread = self.find_thread();
        }
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

    /// The body as the appender takes it, and its conversation if it names one; a blob is synced here.
    pub(crate) async fn into_pending(mut self) -> StoreResult<(Pending, Option<ThreadId>)> {
        if self.failed {
            return Err(StoreError::Failed("the message was not written whole".into()));
        }
        if self.blob.is_some() && !self.held.bytes.is_empty() {
            self.spill().await?;
        }
        match self.blob {
            None => {
                let thread = self.find_thread();
                Ok((Pending::Memory(self.held), thread))
            }
            Some(blob) => {
                let place = joined(tokio::task::spawn_blocking(move || blob.finish()).await)?;
                Ok((Pending::Blob(place), self.thread))
            }
        }
    }
}

/// The conversation that begins with this msg-id. All its messages name it, so none needs to be looked for in a table, which
/// would cost each delivery a page at a random place. With 48 bits two of a million conversations fall together once in 560
/// accounts; in six octets they fit into the index of a mailbox.
fn thread_that_begins(msg_id: &[u8]) -> ThreadId {
    let [a, b, c, d, e, f, ..] = <[u8; 32]>::from(Sha256::digest(msg_id));
    ThreadId(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
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

    fn in_memory(&self) -> Option<&[u8]> {
        self.blob.is_none().then_some(&self.held.bytes)
    }

    async fn read(&mut self, range: Range<u64>) -> StoreResult<Bytes> {
        if self.failed {
            return Err(StoreError::Failed("the message was not written whole".into()));
        }
        if self.blob.is_some() && !self.held.bytes.is_empty() {
            self.spill().await?;
        }
        let end = range.end.min(self.length).min(range.start.saturating_add(limits::READ_CHUNK as u64));
        let range = range.start.min(end)..end;
        match &self.blob {
            None => {
                let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
                let bytes = self.held.bytes.get(within(range.start)..within(range.end)).unwrap_or_default();
                Ok(Bytes::copy_from_slice(bytes))
            }
            Some(blob) => {
                let reader = blob.reader().map_err(|error| os("reading a message", &error))?;
                joined(tokio::task::spawn_blocking(move || reader.read(range)).await).map(Bytes::from)
            }
        }
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
