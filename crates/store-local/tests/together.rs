//! Many at once: deliveries, flags, expunges, readers, watches that come and go, space given back, and `check`.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic, also in what it calls")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mail::{Flags, MailboxId, Uid};
use store::conformance::{self as suite, NOW};
use store::{FlagChange, FlagOperation, MessageRow, Snapshot, Store, StoreError};
use store_local::{LocalStore, Options, inspect};
use support::Random;

const WRITERS: usize = 8;
const MESSAGES: usize = 120;

/// A message's bytes say which they are: a length and a filling that follow from one number.
fn bytes(n: u64) -> Vec<u8> {
    let mut bytes = n.to_le_bytes().to_vec();
    bytes.resize(8 + (n % 5000) as usize, n as u8);
    bytes
}

async fn write(store: Arc<LocalStore>, mailboxes: Arc<Vec<MailboxId>>, writer: usize) {
    let mut random = Random(77 + writer as u64 * 1_000_003);
    for n in 0..MESSAGES {
        let mailbox = mailboxes[random.below(mailboxes.len() as u64) as usize];
        let uid = suite::append(&*store, mailbox, &bytes((writer * MESSAGES + n) as u64 * 131)).await;
        let some: Vec<Uid> = (0..3).filter_map(|_| Uid::new(1 + random.below(uid.get().into()) as u32)).collect();
        let change = FlagChange {
            operation: FlagOperation::Add,
            flags: Flags::SEEN,
            keywords: Vec::new(),
            unchanged_since: None,
        };
        store.set_flags(mailbox, &some, change).await.unwrap().into_inner();
        store.expunge(mailbox, &some).await.unwrap().into_inner();
        let to = mailboxes[random.below(mailboxes.len() as u64) as usize];
        store.copy(mailbox, &[uid], to, NOW).await.unwrap().into_inner();
    }
}

/// What a reader gets is a whole message of ours, or says that it is gone.
async fn read(store: Arc<LocalStore>, mailboxes: Arc<Vec<MailboxId>>, stop: Arc<AtomicBool>) -> u64 {
    let mut all = 0;
    while !stop.load(Ordering::Relaxed) {
        for mailbox in mailboxes.iter() {
            let snapshot = store.watch(*mailbox).await.unwrap().newest().unwrap();
            let uids: Vec<Uid> = snapshot.iter().map(|row| row.uid).collect();
            for (_, body) in store.bodies(*mailbox, &uids).await.unwrap() {
                let found = suite::read(&body).await;
                let n = u64::from_le_bytes(found[..8].try_into().unwrap());
                assert!(found == bytes(n));
                all += 1;
            }
        }
    }
    all
}

fn rows(snapshot: &Snapshot) -> BTreeMap<Uid, MessageRow> {
    snapshot.iter().map(|row| (row.uid, row)).collect()
}

/// Follows a mailbox by differences alone, as an IMAP session does.
async fn follow(store: Arc<LocalStore>, mailbox: MailboxId, stop: Arc<AtomicBool>) {
    let mut watch = store.watch(mailbox).await.unwrap();
    let mut view = watch.newest().unwrap();
    let mut known = rows(&view);
    while !stop.load(Ordering::Relaxed) {
        watch.changed().await;
        let newest = watch.newest().unwrap();
        assert!(newest.highest_modseq >= view.highest_modseq && newest.uid_next >= view.uid_next);
        for (old, new) in view.differences(&newest) {
            match (old, new) {
                (_, Some(row)) => drop(known.insert(row.uid, row)),
                (Some(row), None) => drop(known.remove(&row.uid)),
                (None, None) => {}
            }
        }
        assert_eq!(known, rows(&newest));
        view = newest;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_len: 100_000, wal_len: 1_000_000, arrivals: 50, ..support::options() };
    let store = LocalStore::open(dir.path(), options).unwrap();
    let account = suite::account(&*store, "a@x.example").await;
    let mut mailboxes = Vec::new();
    for name in ["INBOX", "Archive", "Trash"] {
        mailboxes.push(store.mailbox(account, name).await.unwrap().unwrap());
    }
    let mailboxes = Arc::new(mailboxes);
    let stop = Arc::new(AtomicBool::new(false));
    let readers = [(); 2].map(|()| tokio::spawn(read(store.clone(), mailboxes.clone(), stop.clone())));
    let followers = [0, 1].map(|n| tokio::spawn(follow(store.clone(), mailboxes[n], stop.clone())));
    let care = tokio::spawn({
        let (store, stop, dir) = (store.clone(), stop.clone(), dir.path().to_owned());
        async move {
            let mut freed = 0;
            while !stop.load(Ordering::Relaxed) {
                freed += store.reclaim().await.unwrap();
                suite::check(&*store).await;
                let beside = dir.clone();
                let findings = tokio::task::spawn_blocking(move || inspect(&beside, true)).await.unwrap().unwrap();
                assert_eq!(findings, []);
            }
            freed
        }
    });
    let writers: Vec<_> = (0..WRITERS).map(|n| tokio::spawn(write(store.clone(), mailboxes.clone(), n))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    // Followers wait for news.
    for mailbox in mailboxes.iter() {
        suite::append(&*store, *mailbox, &bytes(1)).await;
    }
    for follower in followers {
        follower.await.unwrap();
    }
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    let freed = care.await.unwrap() + store.reclaim().await.unwrap();
    assert!(freed > 0, "no space was given back");
    suite::check(&*store).await;
    store.close().await;
    assert!(matches!(store.status(mailboxes[0]).await, Err(StoreError::Poisoned(_))));
}
