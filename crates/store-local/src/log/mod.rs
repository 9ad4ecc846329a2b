//! The message log: where the bytes of messages are.
//!
//! `log/00000001.seg`, …: a header, then frames, only ever appended. `log/blob/…`: a file for each large
//! message. Which bytes are a message, `store.db` says; a frame that no row points to is garbage.

mod appender;
mod blob;
mod body;
mod frame;
mod segment;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

pub(crate) use appender::{Appender, Held, Pending, Submission};
pub(crate) use blob::BlobWriter;
pub(crate) use body::LocalBody;
pub(crate) use segment::Segment;

use crate::disk::Disk;

/// The number under which blobs stand in the place of a segment.
pub(crate) const BLOBS: u32 = 0;

/// Bodies known to match their checksum; beyond that the set starts anew.
const VERIFIED: usize = 1 << 16;

/// Where a message's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// The segment, or [`BLOBS`].
    pub(crate) segment: u32,
    /// Where in the segment its frame begins; a blob's number.
    pub(crate) offset: u64,
    /// Octets of the message, without the frame's header.
    pub(crate) length: u64,
}

impl Place {
    /// Octets that it takes up on disk.
    pub(crate) const fn footprint(self) -> u64 {
        self.length + frame::HEADER as u64
    }
}

/// The log's directory, its open files and what is known of its bytes.
pub(crate) struct Log {
    dir: PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
    open: Mutex<HashMap<(u32, u64), Weak<Segment>>>,
    verified: Mutex<HashSet<Place>>,
    next_blob: AtomicU64,
    /// Octets of bodies that are held in memory now.
    pub(crate) in_memory: AtomicUsize,
}

impl Log {
    pub(crate) fn new(dir: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self {
            dir,
            disk,
            open: Mutex::default(),
            verified: Mutex::default(),
            next_blob: AtomicU64::new(1),
            in_memory: AtomicUsize::new(0),
        }
    }

    /// Makes the directories where they lack.
    pub(crate) fn make_dirs(&self) -> io::Result<()> {
        std::fs::create_dir_all(self.blob_dir())?;
        self.disk.sync_dir(&self.dir)
    }

    pub(crate) fn dir(&self) -> &PathBuf {
        &self.dir
    }

    pub(crate) fn blob_dir(&self) -> PathBuf {
        self.dir.join("blob")
    }

    /// The file that holds `place`.
    pub(crate) fn path(&self, segment: u32, offset: u64) -> PathBuf {
        if segment == BLOBS {
            self.blob_dir().join(format!("{offset:012}"))
        } else {
            self.dir.join(format!("{segment:08}.seg"))
        }
    }

    /// Numbers of blobs begin above `last`.
    pub(crate) fn blobs_begin_after(&self, last: u64) {
        self.next_blob.fetch_max(last + 1, Ordering::Relaxed);
    }

    /// Opens the file of `place`, or shares it with those that have it open.
    pub(crate) fn open(&self, place: Place) -> io::Result<Arc<Segment>> {
        let key = if place.segment == BLOBS { (BLOBS, place.offset) } else { (place.segment, 0) };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(segment) = open.get(&key).and_then(Weak::upgrade) {
            return Ok(segment);
        }
        let segment = Arc::new(Segment::open(&self.path(place.segment, place.offset), place.segment)?);
        if open.len() > 1024 {
            open.retain(|_, segment| segment.strong_count() > 0);
        }
        open.insert(key, Arc::downgrade(&segment));
        Ok(segment)
    }

    /// Makes a segment that was just made known to readers.
    fn share(&self, segment: &Arc<Segment>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert((segment.number, 0), Arc::downgrade(segment));
    }

    /// Forgets a file that was unlinked; those who read it keep it.
    pub(crate) fn forget(&self, segment: u32, offset: u64) {
        let key = if segment == BLOBS { (BLOBS, offset) } else { (segment, 0) };
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    fn is_verified(&self, place: Place) -> bool {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).contains(&place)
    }

    fn set_verified(&self, place: Place) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= VERIFIED {
            verified.clear();
        }
        verified.insert(place);
    }
}
