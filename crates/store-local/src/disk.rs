//! The few things that the engine asks of a file system, as a trait, so that tests can make them fail.
//! SQLite's own files don't pass here.

use std::fs::File;
use std::io::{self, IoSlice};
use std::path::Path;

/// Writing, syncing and free space.
pub trait Disk: Send + Sync + 'static {
    /// Writes all buffers one after the other from `offset` on.
    fn write_at(&self, file: &File, buffers: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Makes a file's data stable.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Makes a directory's entries stable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Octets that may still be written here.
    fn free(&self, dir: &Path) -> io::Result<u64>;
}

/// The operating system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// Buffers in one system call (Linux's IOV_MAX).
const BUFFERS: usize = 1024;

impl Disk for RealDisk {
    fn write_at(&self, file: &File, mut buffers: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        while !buffers.is_empty() {
            let now = buffers.len().min(BUFFERS);
            match rustix::io::pwritev(file, &buffers[..now], offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut buffers, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn free(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}
