//! A disk that fails, is full, or flips bits; a store that is not ours.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic, also in what it calls")]

mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use mail::limits;
use store::conformance as suite;
use store::{Store, StoreError};
use store_local::{Disk, LocalStore, OpenError, Options, RealDisk, inspect};

/// A disk whose faults are switched on and off.
struct Faulty {
    sync_fails: AtomicBool,
    full: AtomicBool,
    no_descriptors: AtomicBool,
    free: AtomicU64,
    /// Files (by their inode) that were written since their last sync.
    unsynced: Mutex<BTreeSet<u64>>,
    dirs_synced: AtomicU64,
}

impl Faulty {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            sync_fails: AtomicBool::new(false),
            full: AtomicBool::new(false),
            no_descriptors: AtomicBool::new(false),
            free: AtomicU64::new(u64::MAX),
            unsynced: Mutex::default(),
            dirs_synced: AtomicU64::new(0),
        })
    }
}

impl Disk for Faulty {
    fn write_at(&self, file: &File, buffers: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        if self.full.load(Ordering::Relaxed) {
            // As the kernel does: part of it is written.
            let half = buffers[0].len().min(10);
            RealDisk.write_at(file, &mut [IoSlice::new(&buffers[0][..half])], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.unsynced.lock().unwrap().insert(file.metadata()?.ino());
        RealDisk.write_at(file, buffers, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        if self.sync_fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk is gone"));
        }
        RealDisk.sync(file)?;
        self.unsynced.lock().unwrap().remove(&file.metadata()?.ino());
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.dirs_synced.fetch_add(1, Ordering::Relaxed);
        if self.no_descriptors.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(24)); // EMFILE, of opening the directory
        }
        RealDisk.sync_dir(dir)
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(self.free.load(Ordering::Relaxed))
    }
}

fn open_on(dir: &Path, disk: &Arc<Faulty>) -> Arc<LocalStore> {
    LocalStore::open(dir, Options { disk: disk.clone(), ..Options::default() }).unwrap()
}

/// Of the message log; that SQLite syncs its own before it answers is seen in the order of system calls.
#[tokio::test]
async fn an_answer_comes_after_the_syncs_that_cover_it() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Faulty::new());
    let store = LocalStore::open(dir.path(), Options { disk: disk.clone(), segment_len: 9000, ..Options::default() });
    let store = store.unwrap();
    let a = suite::account(&*store, "a@x.example").await;
    let inbox = suite::inbox(&*store, a).await;
    let large = vec![b'x'; limits::BODY_IN_MEMORY + 1];
    // A new segment, the same, the next one, a file of its own: the directory is synced where a name is new.
    for (bytes, new_names) in [(&large[..5000], 1), (&large[..5000], 0), (&large[..10], 1), (&large[..], 1)] {
        let before = disk.dirs_synced.load(Ordering::Relaxed);
        suite::append(&*store, inbox, bytes).await;
        assert!(disk.unsynced.lock().unwrap().is_empty());
        assert_eq!(disk.dirs_synced.load(Ordering::Relaxed) - before, new_names);
    }
}

#[tokio::test]
async fn a_failed_sync_stops_the_store() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Faulty::new());
    let store = open_on(dir.path(), &disk);
    let a = suite::account(&*store, "a@x.example").await;
    let inbox = suite::inbox(&*store, a).await;
    suite::append(&*store, inbox, b"one").await;
    disk.sync_fails.store(true, Ordering::Relaxed);
    let mut message = suite::acceptance(store.next_queue_id(suite::NOW), "s@far.example", "<1@far.example>");
    suite::deliver_to(&mut message, a, "a@x.example");
    let refused = store.accept(suite::staged(&*store, b"two").await, message).await;
    assert!(matches!(&refused, Err(StoreError::Poisoned(why)) if why.contains("the disk is gone")), "{refused:?}");
    assert!(store.poisoned().await.contains("the disk is gone"));
    // A disk that works again changes nothing: what the kernel has thrown away is gone.
    disk.sync_fails.store(false, Ordering::Relaxed);
    assert!(matches!(store.stage(None).await, Err(StoreError::Poisoned(_))));
    let uid = mail::Uid::FIRST;
    assert!(matches!(store.expunge(inbox, &[uid]).await, Err(StoreError::Poisoned(_))));
    drop(store);

    let store = support::open(dir.path());
    assert_eq!(store.status(inbox).await.unwrap().messages, 1);
    suite::append(&*store, inbox, b"three").await;
    suite::check(&*store).await;
}

/// A new segment and a message's own file need descriptors: without one nothing was written that a sync could fail for.
#[tokio::test]
async fn without_descriptors_it_refuses_and_recovers() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Faulty::new());
    let store = LocalStore::open(dir.path(), Options { disk: disk.clone(), segment_len: 9000, ..Options::default() });
    let store = store.unwrap();
    let a = suite::account(&*store, "a@x.example").await;
    let inbox = suite::inbox(&*store, a).await;
    suite::append(&*store, inbox, &[b'x'; 9000]).await;
    for length in [3000, limits::BODY_IN_MEMORY + 1] {
        let row = || store::AppendMessage { flags: mail::Flags::NONE, keywords: Vec::new(), internal_date: suite::NOW };
        disk.no_descriptors.store(true, Ordering::Relaxed);
        let stage = suite::staged(&*store, &vec![b'y'; length]).await;
        let refused = store.append(inbox, vec![(stage, row())], suite::NOW).await.unwrap_err();
        assert_eq!(refused, StoreError::Busy);
        disk.no_descriptors.store(false, Ordering::Relaxed);
        suite::append(&*store, inbox, &vec![b'z'; length]).await;
    }
    assert_eq!(store.status(inbox).await.unwrap().messages, 3);
    suite::check(&*store).await;
}

/// Room that is only promised counts: here no memory is used.
#[tokio::test]
async fn with_too_many_small_bodies_in_memory_no_message_is_begun() {
    let dir = tempfile::tempdir().unwrap();
    let store = support::open(dir.path());
    let room = limits::BODY_IN_MEMORY_CROWDED;
    let mut stages = Vec::new();
    for _ in 0..=limits::BODIES_IN_MEMORY_MOST / room {
        stages.push(store.stage(Some(room as u64)).await.unwrap());
    }
    assert_eq!(store.stage(None).await.err(), Some(StoreError::Busy));
    drop(stages.pop());
    assert!(store.stage(None).await.is_ok());

    // What a caller has of a message besides counts too: it may be small, and goes.
    let mut last = stages.pop().unwrap();
    assert_eq!(last.keep_back(room), Ok(()));
    assert_eq!(store.stage(None).await.err(), Some(StoreError::Busy));
    assert_eq!(last.keep_back(room + 1), Err(StoreError::Busy));
    assert_eq!(last.keep_back(0), Ok(()));
    assert!(store.stage(None).await.is_ok());
    drop(stages);
    assert_eq!(last.keep_back(limits::BODY_IN_MEMORY), Ok(()));
    assert_eq!(last.keep_back(limits::BODY_IN_MEMORY + 1), Err(StoreError::Busy));
}

fn seen() -> store::FlagChange {
    let (operation, flags) = (store::FlagOperation::Add, mail::Flags::SEEN);
    store::FlagChange { operation, flags, keywords: Vec::new(), unchanged_since: None }
}

/// A change without bytes: what fails is the sync of the database's log, after its COMMIT.
#[tokio::test]
async fn a_commit_that_is_not_synced_is_not_acknowledged_and_not_shown() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Faulty::new());
    let store = open_on(dir.path(), &disk);
    let a = suite::account(&*store, "a@x.example").await;
    let inbox = suite::inbox(&*store, a).await;
    let uid = suite::append(&*store, inbox, b"one").await;
    let mut watch = store.watch(inbox).await.unwrap();
    disk.sync_fails.store(true, Ordering::Relaxed);
    let refused = store.set_flags(inbox, &[uid], seen()).await;
    assert!(matches!(&refused, Err(StoreError::Poisoned(why)) if why.contains("a commit failed")), "{refused:?}");
    assert!(matches!(store.status(inbox).await, Err(StoreError::Poisoned(_))), "nobody may see what may not be there");
    assert_eq!(watch.newest().unwrap().get(0).unwrap().flags, mail::Flags::NONE);
    disk.sync_fails.store(false, Ordering::Relaxed);
    assert!(matches!(store.expunge(inbox, &[uid]).await, Err(StoreError::Poisoned(_))));
    drop(store);
    suite::check(&*support::open(dir.path())).await;
}

/// Asks, once there are answers to be had, of each sync whether it works.
#[derive(Default)]
struct Asking {
    answers: Mutex<Option<mpsc::Receiver<bool>>>,
    asked: tokio::sync::Notify,
}

impl Asking {
    /// From now on each sync waits for its answer.
    fn answers(&self) -> mpsc::Sender<bool> {
        let (answer, answers) = mpsc::channel();
        *self.answers.lock().unwrap() = Some(answers);
        answer
    }
}

impl Disk for Asking {
    fn write_at(&self, file: &File, buffers: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        RealDisk.write_at(file, buffers, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        if let Some(answers) = &*self.answers.lock().unwrap() {
            self.asked.notify_one();
            // Who is to answer may have gone.
            if !answers.recv().unwrap_or(true) {
                return Err(io::Error::other("the disk is gone"));
            }
        }
        RealDisk.sync(file)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }

    fn free(&self, dir: &Path) -> io::Result<u64> {
        RealDisk.free(dir)
    }
}

#[tokio::test]
async fn what_is_committed_and_not_yet_synced_is_not_shown() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(Asking::default()));
    // One reader: what is asked first is read first.
    let options = Options { disk: disk.clone(), readers: 1, ..support::options() };
    let store = LocalStore::open(dir.path(), options).unwrap();
    let a = suite::account(&*store, "a@x.example").await;
    let inbox = suite::inbox(&*store, a).await;
    let uid = suite::append(&*store, inbox, b"one").await;
    assert_eq!(store.status(inbox).await.unwrap().unseen, 1);
    let answer = disk.answers();
    let (one, two) = (store.clone(), store.clone());
    let change = tokio::spawn(async move { one.set_flags(inbox, &[uid], seen()).await });
    disk.asked.notified().await;
    let look = tokio::spawn(async move { two.status(inbox).await });
    tokio::task::yield_now().await;
    // What is published can be read all the same.
    let body = store.bodies(inbox, &[uid]).await.unwrap().remove(0).1;
    assert_eq!(suite::read(&body).await, b"one");
    tokio::task::yield_now().await;
    assert!(!look.is_finished() && !change.is_finished());
    answer.send(true).unwrap();
    assert_eq!(look.await.unwrap().unwrap().unseen, 0);
    change.await.unwrap().unwrap().into_inner();
}

#[tokio::test]
async fn no_checkpoint_takes_what_a_sync_may_yet_fail_for() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(Asking::default()));
    // A checkpoint after every commit.
    let store = LocalStore::open(dir.path(), Options { disk: disk.clone(), wal_len: 0, ..support::options() }).unwrap();
    let a = suite::account(&*store, "a@x.example").await;
    let inbox = suite::inbox(&*store, a).await;
    let mut uids = Vec::new();
    for body in [b"one", b"two", b"thr"] {
        uids.push(suite::append(&*store, inbox, body).await);
    }
    let answer = disk.answers();
    let change = |uid| {
        tokio::spawn({
            let store = store.clone();
            async move { store.set_flags(inbox, &[uid], seen()).await }
        })
    };
    let one = change(uids[0]);
    disk.asked.notified().await;
    // Both wait now, and are one batch, whose sync the writer does not do itself.
    let rest = [change(uids[1]), change(uids[2])];
    tokio::task::yield_now().await;
    answer.send(true).unwrap();
    one.await.unwrap().unwrap().into_inner();
    disk.asked.notified().await;
    let database = dir.path().join("store.db");
    let before = std::fs::read(&database).unwrap();
    for _ in 0..20 {
        store.bodies(inbox, &uids[..1]).await.unwrap();
    }
    answer.send(false).unwrap();
    for change in rest {
        assert!(matches!(change.await.unwrap(), Err(StoreError::Poisoned(_))));
    }
    drop(store);
    assert!(
        std::fs::read(&database).unwrap() == before,
        "the database was written from pages that never reached the disk"
    );
    suite::check(&*support::open(dir.path())).await;
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Faulty::new());
    let store = open_on(dir.path(), &disk);
    let a = suite::account(&*store, "a@x.example").await;
    let inbox = suite::inbox(&*store, a).await;
    let uid = suite::append(&*store, inbox, &[b'x'; 5000]).await;
    let segment = dir.path().join("log/00000001.seg");
    // Its header, and one message with its own. A small one has room behind it, which is cut off too.
    let length = 32 + 16 + 5000;
    for large in [false, true] {
        let bytes = vec![b'y'; if large { limits::BODY_IN_MEMORY + 1 } else { 3000 }];
        let row = || store::AppendMessage { flags: mail::Flags::NONE, keywords: Vec::new(), internal_date: suite::NOW };
        let mut stage = store.stage(None).await.unwrap();
        disk.full.store(true, Ordering::Relaxed);
        // A large message meets the end while it is written, a small one when it is taken.
        let written = stage.write(&bytes).await;
        let refused = match written {
            Err(error) => error,
            Ok(()) => store.append(inbox, vec![(stage, row())], suite::NOW).await.unwrap_err(),
        };
        assert_eq!(refused, StoreError::DiskFull);
        disk.full.store(false, Ordering::Relaxed);
        assert_eq!(std::fs::metadata(&segment).unwrap().len(), length, "what was written of it is cut off");
    }
    assert_eq!(std::fs::read_dir(dir.path().join("log/blob")).unwrap().count(), 0);

    // Little is left: nothing is accepted, deleting works.
    disk.free.store(1, Ordering::Relaxed);
    let full = loop {
        // An answer about free space is believed for a moment.
        match store.stage(None).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert_eq!(full, StoreError::DiskFull);
    store.expunge(inbox, &[uid]).await.unwrap().into_inner();
    // `DISK_RESERVE`, and room for the WAL: as much as that is enough, an octet less is not.
    let enough = (limits::DISK_RESERVE + limits::WAL_LEN) as u64;
    for (free, taken) in [(enough, true), (enough - 1, false), (u64::MAX, true)] {
        disk.free.store(free, Ordering::Relaxed);
        while store.stage(None).await.is_ok() != taken {
            tokio::task::yield_now().await;
        }
    }
    suite::append(&*store, inbox, b"again").await;
    suite::check(&*store).await;
}

fn flip(path: &Path, at: u64) {
    let mut file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[byte[0] ^ 4]).unwrap();
}

#[tokio::test]
async fn flipped_bits_are_found_and_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let store = support::open(dir.path());
    let a = suite::account(&*store, "a@x.example").await;
    let inbox = suite::inbox(&*store, a).await;
    let large = vec![b'x'; limits::BODY_IN_MEMORY + 99];
    let first = suite::append(&*store, inbox, b"first").await;
    let second = suite::append(&*store, inbox, b"second").await;
    let third = suite::append(&*store, inbox, &large).await;
    store.close().await;
    drop(store);
    // Of the first message, the last octet: behind the file's and the frame's header.
    flip(&dir.path().join("log/00000001.seg"), 32 + 16 + 4);
    let blob = std::fs::read_dir(dir.path().join("log/blob")).unwrap().next().unwrap().unwrap();
    flip(&blob.path(), 900_000);

    let shallow = inspect(dir.path(), false).unwrap();
    assert!(shallow.is_empty(), "{shallow:?}");
    let deep = inspect(dir.path(), true).unwrap();
    assert_eq!(deep.len(), 2, "{deep:?}");
    assert!(deep.iter().any(|finding| finding.text.contains("message 1 in INBOX of a@x.example")));
    let store = support::open(dir.path());
    for uid in [first, third] {
        let body = store.bodies(inbox, &[uid]).await.unwrap().remove(0).1;
        for _ in 0..2 {
            assert!(matches!(body.read(0..3).await, Err(StoreError::Damaged(_))));
        }
    }
    let body = store.bodies(inbox, &[second]).await.unwrap().remove(0).1;
    assert_eq!(suite::read(&body).await, b"second");
}

#[tokio::test]
async fn a_file_that_is_gone_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let store = support::open(dir.path());
    let a = suite::account(&*store, "a@x.example").await;
    let inbox = suite::inbox(&*store, a).await;
    let uid = suite::append(&*store, inbox, b"first").await;
    store.close().await;
    drop(store);
    std::fs::remove_file(dir.path().join("log/00000001.seg")).unwrap();
    assert_eq!(inspect(dir.path(), false).unwrap().len(), 1);
    let store = support::open(dir.path());
    let body = store.bodies(inbox, &[uid]).await.unwrap().remove(0).1;
    assert_eq!(body.size(), 5);
    assert!(matches!(body.read(0..5).await, Err(StoreError::Damaged(_))));
    // The rest goes on, in a new segment.
    let next = suite::append(&*store, inbox, b"second").await;
    let body = store.bodies(inbox, &[next]).await.unwrap().remove(0).1;
    assert_eq!(suite::read(&body).await, b"second");
}

#[tokio::test]
async fn one_process_at_a_time_and_looking_on_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let missing = LocalStore::open(dir.path(), Options { create: false, ..Options::default() });
    assert!(matches!(missing, Err(OpenError::Missing(_))));
    assert!(matches!(inspect(dir.path(), true), Err(OpenError::Missing(_))));
    let store = support::open(dir.path());
    let a = suite::account(&*store, "a@x.example").await;
    suite::deliver(&*store, a, "a@x.example", b"hello").await;
    assert!(matches!(LocalStore::open(dir.path(), Options::default()), Err(OpenError::Locked(_))));
    assert_eq!(inspect(dir.path(), true).unwrap(), []);
    store.close().await;
    assert!(matches!(store.stage(None).await, Err(StoreError::Poisoned(_))));
    let again = support::open(dir.path());
    assert_eq!(again.account(a).await.unwrap().unwrap().messages, 1);
}

#[tokio::test]
async fn an_unknown_version_is_refused_before_a_byte_is_written() {
    let dir = tempfile::tempdir().unwrap();
    support::open(dir.path()).close().await;
    let database = dir.path().join("store.db");
    // SQLite keeps user_version in four octets at 60, big-endian.
    let mut bytes = std::fs::read(&database).unwrap();
    bytes[63] = 99;
    std::fs::write(&database, &bytes).unwrap();
    // As from a backup: not even a lock is there.
    std::fs::remove_file(dir.path().join("lock")).unwrap();
    let before = support::files(dir.path());
    for _ in 0..2 {
        let refused = LocalStore::open(dir.path(), Options::default());
        assert!(matches!(refused, Err(OpenError::UnknownVersion { found: 99, .. })), "{:?}", refused.err());
        assert!(matches!(inspect(dir.path(), true), Err(OpenError::UnknownVersion { .. })));
    }
    assert_eq!(support::files(dir.path()), before);
    std::fs::remove_file(&database).unwrap();
    std::fs::write(dir.path().join("log/00000001.seg"), "messages").unwrap();
    let refused = LocalStore::open(dir.path(), Options::default()).err().unwrap().to_string();
    assert!(refused.contains("restore store.db from a backup"), "{refused}");
    assert!(dir.path().join("log/00000001.seg").exists());
    for other in [b"this is no database, but a text that is long enough to look like a file".repeat(99), vec![0; 4096]]
    {
        std::fs::write(&database, &other).unwrap();
        assert!(LocalStore::open(dir.path(), Options::default()).is_err());
        assert_eq!(std::fs::read(&database).unwrap(), other);
    }
}

/// A newer program's step to its format may stand in SQLite's log alone, where a crash left it.
#[tokio::test]
async fn an_unknown_version_in_the_database_s_log_is_refused_too() {
    let (live, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = support::open(live.path());
    suite::account(&*store, "a@x.example").await;
    let newer = rusqlite::Connection::open(live.path().join("store.db")).unwrap();
    newer.execute_batch("PRAGMA user_version = 99").unwrap();
    support::copy_dir(live.path(), dir.path());
    assert!(std::fs::metadata(dir.path().join("store.db-wal")).unwrap().len() > 0);
    let before = support::files(dir.path());
    for _ in 0..2 {
        let refused = LocalStore::open(dir.path(), Options::default());
        assert!(matches!(refused, Err(OpenError::UnknownVersion { found: 99, .. })), "{:?}", refused.err());
    }
    assert_eq!(support::files(dir.path()), before);
}

#[tokio::test]
async fn an_unreadable_queue_record_is_set_aside_and_the_others_flow() {
    let dir = tempfile::tempdir().unwrap();
    let store = support::open(dir.path());
    let mut ids = Vec::new();
    for text in ["one", "two", "three", "four"] {
        let mut message = suite::acceptance(store.next_queue_id(suite::NOW), "s@far.example", "<q@far.example>");
        suite::relay_to(&mut message, "c@far.example");
        ids.push(message.id);
        store.accept(suite::staged(&*store, text.as_bytes()).await, message).await.unwrap().into_inner();
    }
    store.close().await;
    drop(store);
    let database = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    let spoil = |sql: &str, id: mail::QueueId| assert_eq!(database.execute(sql, [id.as_u64()]).unwrap(), 1);
    spoil("UPDATE queue_recipients SET destination = 'no domain' WHERE queue = ?1", ids[0]);
    spoil("UPDATE queue SET envelope = '{' WHERE id = ?1", ids[1]);
    spoil("UPDATE queue_recipients SET attempts = 'many' WHERE queue = ?1", ids[2]);
    drop(database);

    let store = support::open(dir.path());
    let items = store.queue_items(None, 1).await.unwrap();
    assert_eq!(items.iter().map(|item| item.id).collect::<Vec<_>>(), [ids[1]], "the first is passed over");
    let last = store.queue_items(Some((items[0].id, 0)), 1).await.unwrap();
    assert_eq!(last[0].id, ids[3]);
    let listed = store.queue_messages(None, 9).await.unwrap();
    assert_eq!(listed.iter().map(|message| message.id).collect::<Vec<_>>(), [ids[3]]);
    let work = store.queue_work(ids.clone()).await.unwrap();
    let damaged = |work: &store::StoreResult<_>| matches!(work, Err(StoreError::Damaged(_)));
    assert_eq!(work.iter().map(|(_, work)| damaged(work)).collect::<Vec<_>>(), [true, true, true, false]);
    let found = store.check(false).await.unwrap();
    assert_eq!(found.len(), 3, "{found:?}");
    for (finding, id) in found.iter().zip(&ids) {
        assert!(finding.error && finding.text.contains(&id.to_string()), "{finding:?}");
    }
}
