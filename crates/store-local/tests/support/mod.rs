//! What the tests of this engine share: a store to fill, and everything in it as text.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "a test's own module: each test uses a part")]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use store::conformance::read;
use store::{JourneyQuery, Store};
use store_local::{LocalStore, Options};

/// Options for a test: the machine's free space does not matter.
pub fn options() -> Options {
    Options { reserve: 0, ..Options::default() }
}

/// Opens the store in `dir`.
pub fn open(dir: &Path) -> Arc<LocalStore> {
    LocalStore::open(dir, options()).unwrap()
}

/// All that clients could see, as text: two stores with the same text are the same to everybody.
pub async fn dump(store: &LocalStore) -> String {
    let mut text = String::new();
    for account in store.accounts(None, 1000).await.unwrap() {
        writeln!(text, "{account:?}").unwrap();
        for info in store.mailboxes(account.id).await.unwrap() {
            writeln!(text, " {info:?}").unwrap();
            let Some(id) = info.id else { continue };
            let status = store.status(id).await.unwrap();
            writeln!(text, "  {status:?}").unwrap();
            if status.highest_modseq.0 < 8 {
                continue;
            }
            let snapshot = store.watch(id).await.unwrap().newest().unwrap();
            let vanished = store.vanished(id, mail::ModSeq(0)).await.unwrap();
            writeln!(text, "  {:?} {vanished:?}", snapshot.keywords).unwrap();
            for row in snapshot.iter() {
                let body = store.bodies(id, &[row.uid]).await.unwrap().remove(0).1;
                let bytes = read(&body).await;
                assert_eq!(bytes.len(), row.size as usize);
                writeln!(text, "  {row:?} {:08x}", crc32fast::hash(&bytes)).unwrap();
            }
        }
    }
    for message in store.queue_messages(None, 1000).await.unwrap() {
        writeln!(text, "{message:?}").unwrap();
        for recipient in &message.recipients {
            let body = store.queue_body(message.id, recipient.index).await.unwrap();
            writeln!(text, " {:08x}", crc32fast::hash(&read(&body).await)).unwrap();
        }
        for journey in store.journeys(&JourneyQuery::Id(message.id), 1).await.unwrap() {
            writeln!(text, " {journey:?}").unwrap();
        }
    }
    writeln!(text, "{:?}", store.balance().await.unwrap()).unwrap();
    text
}

/// Copies a store's directory as it is on disk, but what is only memory (`-shm`) or a lock.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to.join(name));
        } else if !name.to_str().unwrap().ends_with("-shm")
            && name != "lock"
            && !name.to_str().unwrap().starts_with("index")
        {
            std::fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

/// Every file under `dir`, its length and its bytes' checksum, but what is only memory (`-shm`).
pub fn files(dir: &Path) -> std::collections::BTreeMap<std::path::PathBuf, (usize, u32)> {
    let mut all = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            all.extend(files(&entry.path()));
        } else if !entry.file_name().to_str().unwrap().ends_with("-shm") {
            let bytes = std::fs::read(entry.path()).unwrap();
            all.insert(entry.path(), (bytes.len(), crc32fast::hash(&bytes)));
        }
    }
    all
}

/// xorshift: the same numbers for the same seed.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}
