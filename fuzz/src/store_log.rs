//! Frames of the message log: the store's own reader on files that a disk, or somebody, has changed.

#![allow(dead_code, clippy::all, reason = "the crate's own files; the rest is used there")]

#[rustfmt::skip]
#[path = "../../crates/store-local/src/log/frame.rs"]
mod frame;
#[rustfmt::skip]
#[path = "../../crates/store-local/src/log/segment.rs"]
mod segment;

use std::cell::RefCell;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use segment::Segment;

/// As in the store.
pub(crate) const BLOBS: u32 = 0;

/// As in the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// What `segment` needs of it.
pub(crate) struct Log {
    dir: PathBuf,
    pub(crate) disk: Arc<dyn store_local::Disk>,
}

impl Log {
    fn path(&self, _: u32, _: u64) -> PathBuf {
        self.dir.join("segment")
    }

    fn dir(&self) -> &PathBuf {
        &self.dir
    }
}

thread_local! {
    static FILE: RefCell<Option<tempfile::NamedTempFile>> = const { RefCell::new(None) };
}

/// A segment with three messages, changed as the input says: four octets each, where (2), what with (1), how (1).
/// What is read back is what was written, or an error; a blob likewise. The rest of the input is a file as it is.
pub fn log(data: &[u8]) {
    const SALT: u64 = 0x5a17;
    let messages: [&[u8]; 3] = [b"Subject: one\r\n\r\n", b"", &[b'x'; 300]];
    let mut file = frame::file_header(1, SALT).to_vec();
    let mut places = Vec::new();
    for message in messages {
        places.push(Place { segment: 1, offset: file.len() as u64, length: message.len() as u64 });
        let mut sum = frame::checksum(SALT);
        sum.update(message);
        file.extend_from_slice(&frame::header(SALT, message.len() as u32, sum.finalize()));
        file.extend_from_slice(message);
    }
    let whole = file.clone();
    let (changes, rest) = data.split_at(data.len().min(64));
    for change in changes.chunks_exact(4) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % (file.len() + 1);
        match change[3] % 5 {
            0 => file.truncate(at),
            1 => file.insert(at, change[2]),
            2 => drop(file.drain(at..(at + usize::from(change[2])).min(file.len()))),
            3 => {
                let from = usize::from(change[2]) % (file.len() + 1);
                let piece = file[from..(from + 16).min(file.len())].to_vec();
                drop(file.splice(at..at, piece));
            }
            _ if at < file.len() => file[at] ^= change[2],
            _ => {}
        }
    }
    read(&file, &places, |n, bytes| {
        assert_eq!(bytes, messages[n]);
        // A frame that is accepted stands where it was written.
        let (from, to) = (places[n].offset as usize, (places[n].offset + places[n].length) as usize + frame::HEADER);
        assert_eq!(file[from..to], whole[from..to]);
    });
    if file == whole {
        return;
    }
    // Any octets as a file, and places that somebody made up.
    let number = |at: usize| u64::from(u32::from_le_bytes(std::array::from_fn(|n| *rest.get(at + n).unwrap_or(&0))));
    let made_up = [
        Place { segment: 1, offset: number(0), length: number(4) % 100_000 },
        Place { segment: BLOBS, offset: number(0), length: number(4) % 100_000 },
    ];
    read(rest, &made_up, |_, _| ());
}

fn read(bytes: &[u8], places: &[Place], check: impl Fn(usize, &[u8])) {
    FILE.with_borrow_mut(|kept| {
        let file = kept.get_or_insert_with(|| {
            tempfile::NamedTempFile::new_in(crate::session::world::memory()).expect("a temporary file")
        });
        let std_file = file.as_file_mut();
        std_file.set_len(0).expect("a file in memory");
        std::io::Seek::rewind(std_file).expect("a file in memory");
        std_file.write_all(bytes).expect("a file in memory");
        let Ok(segment) = Segment::open(file.path(), 1) else { return };
        for (n, place) in places.iter().enumerate() {
            let whole = segment.read_whole(*place, true);
            assert_eq!(whole.is_ok(), segment.verify(*place).is_ok());
            if let Ok(found) = whole {
                assert!(segment.check_header(*place).is_ok());
                check(n, &found);
            }
        }
    });
}
