//! The bytes of messages: on their way in ([`Stage`]) and as they are read ([`Body`]).

use std::any::Any;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use mail::BodyId;

use crate::StoreResult;

/// A message on its way in. It is kept in memory while small and streams to a file of its own above
/// `limits::BODY_IN_MEMORY`, or `BODY_IN_MEMORY_CROWDED` where memory is short. Dropping it forgets
/// it; it becomes a message only when [`crate::Store::accept`] or [`crate::Store::append`] takes it.
#[async_trait]
pub trait Stage: Send + Sync {
    /// Adds bytes at the end. Trace headers that all recipients share are simply written first.
    async fn write(&mut self, bytes: &[u8]) -> StoreResult<()>;

    /// So many octets of the message stay with the caller for now (its header, until that is whole): they count with
    /// those of all bodies in memory. [`crate::StoreError::Busy`] where what it may keep there is used up.
    fn keep_back(&mut self, octets: usize) -> StoreResult<()>;

    /// Octets so far.
    fn len(&self) -> u64;

    /// Whether nothing was written.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was written so far, while all of it is in memory; `None` once it streams to a file.
    fn in_memory(&self) -> Option<&[u8]>;

    /// What was written so far, before anybody answers for it: the octets in `range`, cut at the end and at
    /// `limits::READ_CHUNK` octets.
    async fn read(&mut self, range: Range<u64>) -> StoreResult<Bytes>;

    /// For the engine that made it, to take its own stage back.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

/// A stored message as one reader sees it; it stays readable while this handle lives, whatever is
/// deleted meanwhile.
///
/// Recipients of one message share its stored bytes. What differs for each (Return-Path and Delivered-To
/// at final delivery) is a prefix kept beside its row: what is read here is the prefix followed by
/// the stored bytes, and never changes.
#[async_trait]
pub trait Body: Send + Sync {
    /// The shared bytes' id.
    fn id(&self) -> BodyId;

    /// Octets in all, prefix included: exactly what [`Body::read`] can return.
    fn size(&self) -> u64;

    /// The octets in `range`, cut at the end and at `limits::READ_CHUNK` octets: a shorter answer than
    /// asked for is no end. Fails with [`crate::StoreError::Damaged`] where the bytes don't match their checksum.
    async fn read(&self, range: Range<u64>) -> StoreResult<Bytes>;
}
