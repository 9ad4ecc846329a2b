//! The thread that writes the log: all bodies that wait, with one write and one sync.

use std::fs::OpenOptions;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mail::limits;
use store::StoreError;

use super::frame;
use super::{Log, Place, Segment};
use crate::error::{is_full, is_out_of_files};
use crate::publish::Poison;
use crate::submit::{Job, Queue};
use crate::truth::Placed;

/// A body that waits for its place.
pub(crate) enum Pending {
    /// In memory, counted in [`Log::in_memory`].
    Memory(Held),
    /// Already in a synced file of its own.
    Blob(Place),
}

/// Bytes in memory and their share of `limits::BODIES_IN_MEMORY`.
pub(crate) struct Held {
    pub(crate) bytes: Vec<u8>,
    /// What the caller has in memory besides.
    pub(crate) kept_back: usize,
    counted: usize,
    log: Arc<Log>,
}

impl Held {
    pub(crate) fn new(log: &Arc<Log>, expected: usize) -> Self {
        let mut held = Self { bytes: Vec::with_capacity(expected), kept_back: 0, counted: 0, log: log.clone() };
        held.count();
        held
    }

    /// Counts anew after `bytes` or what is kept back changed.
    pub(crate) fn count(&mut self) {
        let now = self.bytes.capacity() + self.kept_back;
        if now > self.counted {
            self.log.in_memory.fetch_add(now - self.counted, Ordering::Relaxed);
        } else {
            self.log.in_memory.fetch_sub(self.counted - now, Ordering::Relaxed);
        }
        self.counted = now;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.log.in_memory.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

/// Bodies and the change that needs them.
pub(crate) struct Submission {
    pub(crate) bodies: Vec<Pending>,
    pub(crate) job: Box<dyn Job>,
}

/// A batch up to this size is written with room behind it.
const SMALL_BATCH: u64 = 16 * 1024;

/// Zeros behind a small batch. What comes next is written over them: a file that grows costs its file system a commit of
/// its own with each sync, one that is written over does not. Large batches write each octet once.
static ROOM: [u8; 256 * 1024] = [0; 256 * 1024];

/// The appender's state.
pub(crate) struct Appender {
    log: Arc<Log>,
    segment_len: u64,
    /// The segment that is written, once something was; its number is `last` then.
    active: Option<Arc<Segment>>,
    last: u32,
    end: u64,
    /// The file's length; what stands behind `end` is to be written over.
    length: u64,
    poison: Arc<Poison>,
}

impl Appender {
    /// Goes on at `end` in segment `last` (0: there is none). What stands behind `end` is garbage and cut off.
    pub(crate) fn new(log: Arc<Log>, segment_len: u64, last: u32, end: u64, poison: Arc<Poison>) -> Self {
        Self { log, segment_len, active: None, last, end, length: end, poison }
    }

    /// Until `input` is closed and empty.
    pub(crate) fn run(mut self, input: &Queue<Submission>, output: &Queue<Placed>) {
        let mut batch = Vec::new();
        let mut placed = Vec::new();
        while input.take(&mut batch, limits::COMMIT_CHANGES) {
            match self.poison.reason() {
                Some(why) => refuse(batch.drain(..), &StoreError::Poisoned(why)),
                None => self.append(&mut batch, &mut placed),
            }
            output.push_all(&mut placed);
        }
        output.close();
    }

    fn append(&mut self, batch: &mut Vec<Submission>, placed: &mut Vec<Placed>) {
        match self.write(batch) {
            Ok(places) => {
                let mut places = places.into_iter();
                for submission in batch.drain(..) {
                    let places = places.by_ref().take(submission.bodies.len()).collect();
                    placed.push(Placed { places, job: submission.job });
                }
            }
            Err(Trouble::Passing(why)) => {
                self.cut_back();
                refuse(batch.drain(..), &why);
            }
            Err(Trouble::Failed(why)) => {
                self.poison.set(why.clone());
                refuse(batch.drain(..), &StoreError::Poisoned(why));
            }
        }
    }

    /// Writes and syncs all; the places in the order of the bodies.
    fn write(&mut self, batch: &[Submission]) -> Result<Vec<Place>, Trouble> {
        let mut places = Vec::new();
        let mut in_memory = Vec::new();
        for pending in batch.iter().flat_map(|submission| &submission.bodies) {
            match pending {
                Pending::Blob(place) => places.push(*place),
                Pending::Memory(held) => {
                    // The place is filled in below, once the segment is known.
                    in_memory.push((places.len(), held.bytes.as_slice()));
                    places.push(Place { segment: 0, offset: 0, length: held.bytes.len() as u64 });
                }
            }
        }
        let mut left = in_memory.as_slice();
        while !left.is_empty() {
            let segment = self.segment()?;
            let room = self.segment_len.saturating_sub(self.end);
            let mut length = 0;
            let mut take = 0;
            for (_, bytes) in left {
                let frame = (frame::HEADER + bytes.len()) as u64;
                // A message larger than a segment still gets one of its own.
                if take > 0 && length + frame > room {
                    break;
                }
                length += frame;
                take += 1;
            }
            let (now, rest) = left.split_at(take);
            self.write_frames(&segment, now, &mut places)?;
            left = rest;
        }
        Ok(places)
    }

    fn write_frames(
        &mut self,
        segment: &Segment,
        bodies: &[(usize, &[u8])],
        places: &mut [Place],
    ) -> Result<(), Trouble> {
        let mut headers = Vec::with_capacity(bodies.len());
        for (_, bytes) in bodies {
            let mut sum = frame::checksum(segment.salt);
            sum.update(bytes);
            let length = u32::try_from(bytes.len()).map_err(|_| Trouble::Failed("a frame over 4 GiB".into()))?;
            headers.push(frame::header(segment.salt, length, sum.finalize()));
        }
        let mut slices = Vec::with_capacity(bodies.len() * 2);
        let mut at = self.end;
        for ((index, bytes), header) in bodies.iter().zip(&headers) {
            slices.push(IoSlice::new(header));
            slices.push(IoSlice::new(bytes));
            places[*index].segment = segment.number;
            places[*index].offset = at;
            at += (frame::HEADER + bytes.len()) as u64;
        }
        let room = self.room(at);
        slices.push(IoSlice::new(&ROOM[..room]));
        self.log.disk.write_at(&segment.file, &mut slices, self.end).map_err(|error| Trouble::write(&error))?;
        self.length = self.length.max(at + room as u64);
        store::failpoint("log.before-sync");
        // A failed sync leaves pages that look clean and are not on the disk: nothing may be built on them.
        let synced = self.log.disk.sync(&segment.file);
        synced.map_err(|error| Trouble::Failed(format!("syncing the message log failed: {error}")))?;
        store::failpoint("log.after-sync");
        self.end = at;
        Ok(())
    }

    /// Octets of room to write behind what ends at `at`.
    fn room(&self, at: u64) -> usize {
        let is_small = at - self.end <= SMALL_BATCH && at > self.length;
        let left = usize::try_from(self.segment_len.saturating_sub(at)).unwrap_or(usize::MAX);
        if is_small { ROOM.len().min(left) } else { 0 }
    }

    /// The segment to write to: the last one, while it has room.
    fn segment(&mut self) -> Result<Arc<Segment>, Trouble> {
        if let Some(active) = &self.active {
            if self.end < self.segment_len {
                return Ok(active.clone());
            }
        } else if self.last > 0
            && self.end < self.segment_len
            && let Ok(segment) = Segment::open_to_append(&self.log.path(self.last, 0), self.last)
        {
            let segment = Arc::new(segment);
            self.log.share(&segment);
            return Ok(self.active.insert(segment).clone());
        }
        let segment = Segment::create(&self.log, self.last + 1).map_err(|error| {
            let _ = std::fs::remove_file(self.log.path(self.last + 1, 0));
            Trouble::write(&error)
        })?;
        store::failpoint("log.new-segment");
        let segment = Arc::new(segment);
        self.log.share(&segment);
        self.last += 1;
        self.end = frame::FILE_HEADER as u64;
        self.length = self.end;
        Ok(self.active.insert(segment).clone())
    }

    /// Takes back what a write that failed left behind the end. What was written whole before it in the same
    /// batch stays: nothing points to it.
    fn cut_back(&mut self) {
        let Some(active) = &self.active else { return };
        self.length = self.end;
        let file = OpenOptions::new().write(true).open(self.log.path(active.number, 0));
        if let Err(error) = file.and_then(|file| file.set_len(self.end)) {
            // The next append writes over it all the same.
            tracing::warn!(%error, "the message log could not be cut back");
        }
    }
}

/// Why a batch was not written.
enum Trouble {
    /// No space, or no file descriptor for a new segment: cut back, and go on later.
    Passing(StoreError),
    /// Anything else: the store stops.
    Failed(String),
}

impl Trouble {
    fn write(error: &io::Error) -> Self {
        if is_full(error) {
            Self::Passing(StoreError::DiskFull)
        } else if is_out_of_files(error) {
            Self::Passing(StoreError::Busy)
        } else {
            Self::Failed(format!("writing the message log failed: {error}"))
        }
    }
}

/// Tells all who wait.
fn refuse(batch: impl Iterator<Item = Submission>, why: &StoreError) {
    for submission in batch {
        submission.job.finish(Err(why.clone()));
    }
}
