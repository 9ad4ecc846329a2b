//! An open file of the log.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use rustix::io::{ReadWriteFlags, preadv2};

use super::frame;
use super::{BLOBS, Log, Place};

/// An open segment or blob. While somebody holds it, its bytes can be read, also after it was unlinked.
pub(crate) struct Segment {
    pub(crate) number: u32,
    pub(crate) salt: u64,
    pub(crate) file: File,
}

impl Segment {
    /// Opens it and checks its header.
    pub(crate) fn open(path: &Path, number: u32) -> io::Result<Self> {
        let file = File::open(path)?;
        Self::with_file(file, number)
    }

    /// The same for writing.
    pub(crate) fn open_to_append(path: &Path, number: u32) -> io::Result<Self> {
        Self::with_file(OpenOptions::new().read(true).write(true).open(path)?, number)
    }

    fn with_file(file: File, number: u32) -> io::Result<Self> {
        let mut header = [0; frame::FILE_HEADER];
        file.read_exact_at(&mut header, 0)?;
        let salt = frame::read_file_header(&header, number)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the file's header is damaged"))?;
        Ok(Self { number, salt, file })
    }

    /// Makes segment `number`, with its header; both it and its name are synced.
    pub(crate) fn create(log: &Log, number: u32) -> io::Result<Self> {
        let path = log.path(number, 0);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        let salt = frame::new_salt();
        log.disk.write_at(&file, &mut [IoSlice::new(&frame::file_header(number, salt))], 0)?;
        log.disk.sync(&file)?;
        log.disk.sync_dir(log.dir())?;
        Ok(Self { number, salt, file })
    }

    /// Where the frame of `place` begins in this file.
    const fn frame_at(place: Place) -> u64 {
        if place.segment == BLOBS { frame::FILE_HEADER as u64 } else { place.offset }
    }

    /// Where its payload begins.
    pub(crate) const fn payload_at(place: Place) -> u64 {
        Self::frame_at(place) + frame::HEADER as u64
    }

    /// Reads part of the payload. `may_wait`: else only what is in memory already, `WouldBlock` otherwise.
    pub(crate) fn read_part(&self, place: Place, range: Range<u64>, may_wait: bool) -> io::Result<Bytes> {
        let mut buffer = BytesMut::zeroed(usize::try_from(range.end - range.start).unwrap_or(usize::MAX));
        self.read_into(&mut buffer, Self::payload_at(place) + range.start, may_wait)?;
        Ok(buffer.freeze())
    }

    /// Reads the whole frame and compares its checksums. `InvalidData`: they differ.
    pub(crate) fn read_whole(&self, place: Place, may_wait: bool) -> io::Result<Bytes> {
        let length = usize::try_from(place.length).unwrap_or(usize::MAX);
        let mut buffer = BytesMut::zeroed(length + frame::HEADER);
        self.read_into(&mut buffer, Self::frame_at(place), may_wait)?;
        let header = buffer.split_to(frame::HEADER);
        let sum = self.expected_sum(place, &header)?;
        let mut found = frame::checksum(self.salt);
        found.update(&buffer);
        if found.finalize() != sum {
            return Err(damaged("its checksum differs"));
        }
        Ok(buffer.freeze())
    }

    /// Compares the checksums, a piece at a time; for large messages.
    pub(crate) fn verify(&self, place: Place) -> io::Result<()> {
        let mut header = [0; frame::HEADER];
        self.read_into(&mut header, Self::frame_at(place), true)?;
        let sum = self.expected_sum(place, &header)?;
        let mut found = frame::checksum(self.salt);
        let mut piece = vec![0; mail::limits::READ_CHUNK];
        let mut at = 0;
        while at < place.length {
            let now = usize::try_from(place.length - at).unwrap_or(usize::MAX).min(piece.len());
            self.read_into(&mut piece[..now], Self::payload_at(place) + at, true)?;
            found.update(&piece[..now]);
            at += now as u64;
        }
        if found.finalize() == sum { Ok(()) } else { Err(damaged("its checksum differs")) }
    }

    /// Whether the frame's header is there, and the file is long enough for its payload.
    pub(crate) fn check_header(&self, place: Place) -> io::Result<()> {
        let mut header = [0; frame::HEADER];
        self.read_into(&mut header, Self::frame_at(place), true)?;
        self.expected_sum(place, &header)?;
        let end = Self::payload_at(place) + place.length;
        if self.file.metadata()?.len() >= end { Ok(()) } else { Err(damaged("the file is too short")) }
    }

    fn expected_sum(&self, place: Place, header: &[u8]) -> io::Result<u32> {
        let mut fixed = [0; frame::HEADER];
        fixed.copy_from_slice(header);
        match frame::read_header(&fixed, self.salt) {
            Some((length, sum)) if u64::from(length) == place.length => Ok(sum),
            _ => Err(damaged("its header is damaged")),
        }
    }

    fn read_into(&self, mut buffer: &mut [u8], mut at: u64, may_wait: bool) -> io::Result<()> {
        // A network file system or an old kernel may not know the flag: then we read as those who wait.
        let flags = if may_wait { ReadWriteFlags::empty() } else { ReadWriteFlags::NOWAIT };
        while !buffer.is_empty() {
            match preadv2(&self.file, &mut [io::IoSliceMut::new(buffer)], at, flags) {
                Ok(0) => return Err(damaged("the file is too short")),
                Ok(read) => {
                    at += read as u64;
                    buffer = &mut buffer[read..];
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::OPNOTSUPP) if !may_wait => return Err(io::ErrorKind::WouldBlock.into()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn damaged(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
