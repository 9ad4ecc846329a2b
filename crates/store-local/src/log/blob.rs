//! A large message on its way into a file of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::frame;
use super::{BLOBS, Log, Place};

/// Writes a blob from front to end. Dropped before [`BlobWriter::finish`], the file goes.
pub(crate) struct BlobWriter {
    log: Arc<Log>,
    file: File,
    number: u64,
    salt: u64,
    length: u64,
    sum: crc32fast::Hasher,
    finished: bool,
}

impl BlobWriter {
    pub(crate) fn create(log: &Arc<Log>) -> io::Result<Self> {
        let number = log.next_blob.fetch_add(1, Ordering::Relaxed);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(log.path(BLOBS, number))?;
        let salt = frame::new_salt();
        let sum = frame::checksum(salt);
        Ok(Self { log: log.clone(), file, number, salt, length: 0, sum, finished: false })
    }

    /// Appends; blocks on the disk.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let at = (frame::FILE_HEADER + frame::HEADER) as u64 + self.length;
        self.log.disk.write_at(&self.file, &mut [IoSlice::new(bytes)], at)?;
        self.sum.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Reads what was written, before it is finished.
    pub(crate) fn reader(&self) -> io::Result<Unfinished> {
        self.file.try_clone().map(Unfinished)
    }

    /// Writes the headers, syncs file and directory. From now on the file stays until it is reclaimed.
    pub(crate) fn finish(mut self) -> io::Result<Place> {
        let length = u32::try_from(self.length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let file_header = frame::file_header(BLOBS, self.salt);
        let header = frame::header(self.salt, length, self.sum.clone().finalize());
        let mut buffers = [IoSlice::new(&file_header), IoSlice::new(&header)];
        self.log.disk.write_at(&self.file, &mut buffers, 0)?;
        self.log.disk.sync(&self.file)?;
        self.log.disk.sync_dir(&self.log.blob_dir())?;
        self.finished = true;
        Ok(Place { segment: BLOBS, offset: self.number, length: self.length })
    }
}

/// A blob that is being written, as its own writer reads it: no checksum stands before what nobody has answered for.
pub(crate) struct Unfinished(File);

impl Unfinished {
    /// The octets in `range`, which were written; blocks on the disk.
    pub(crate) fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let length =
            usize::try_from(range.end - range.start).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, (frame::FILE_HEADER + frame::HEADER) as u64 + range.start)?;
        Ok(bytes)
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if !self.finished {
            let _ = std::fs::remove_file(self.log.path(BLOBS, self.number));
        }
    }
}
