//! The machine: the disk under the store, and file descriptors.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Instant;

use ::doctor::{Machine, Told};
use mail::limits;
use rustix::fs::{fdatasync, statfs, statvfs};

use super::{shown, told};
use crate::descriptors;

/// A short run: the middle one of so many is what the disk does.
const SYNCS: usize = 15;
/// statfs(2): TMPFS_MAGIC, RAMFS_MAGIC.
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

pub(super) async fn look(folder: &Path, connections: usize) -> Machine {
    let measured = folder.to_owned();
    let measured = tokio::task::spawn_blocking(move || sync(&measured)).await;
    let room = statvfs(folder).map(|room| room.f_bavail.saturating_mul(room.f_frsize));
    Machine {
        folder: shown(folder),
        free: told(room.map_err(|error| error.to_string())),
        reserve: limits::DISK_RESERVE as u64,
        in_memory: statfs(folder).is_ok_and(|fs| IN_MEMORY.contains(&fs.f_type)),
        sync: measured.unwrap_or_else(|error| Told::Unknown(error.to_string())),
        connections: descriptors::for_connections() as u64,
        connections_allowed: connections as u64,
    }
}

/// Writes and syncs a few times, in a file that has no name afterwards.
fn sync(folder: &Path) -> Told<u64> {
    let path = folder.join("doctor.new");
    let measure = || -> std::io::Result<u64> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        let mut took = (0..SYNCS).map(|_| once(&mut file)).collect::<std::io::Result<Vec<u64>>>()?;
        took.sort_unstable();
        Ok(took.get(SYNCS / 2).copied().unwrap_or_default())
    };
    told(measure().map_err(|error| error.to_string()))
}

fn once(file: &mut File) -> std::io::Result<u64> {
    let since = Instant::now();
    file.write_all(&[7; 4096])?;
    fdatasync(&*file)?;
    Ok(u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_disk_is_measured_and_nothing_is_left_there() {
        let folder = tempfile::tempdir().unwrap();
        let machine = look(folder.path(), 10).await;
        assert!(matches!(machine.free, Told::Known(1..)), "{machine:?}");
        assert!(matches!(machine.sync, Told::Known(1..)), "{machine:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let nowhere = look(Path::new("/nowhere"), 10).await;
        assert!(matches!((nowhere.free, nowhere.sync), (Told::Unknown(_), Told::Unknown(_))));
    }
}
