//! Whether a mailbox's history makes deliveries into it slower.
//!
//! `store-history DIR [ROUNDS]` makes its files in DIR (on the disk to be measured, never tmpfs) and prints a row for a
//! mailbox with 10, 10,000 and 1,000,000 messages: deliveries/s of 64 writers into it, in rounds of 1,000 that are
//! expunged after each, first while nobody looks, then while a session follows all changes; how long the store takes to
//! open, how long the mailbox, and what its index takes in memory.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program that measures may fail loudly")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bench::{cpu, deliver, new_store, now, open, uids};
use mail::{AccountId, MailboxId};
use store::{MailboxWatch, Store};
use store_local::LocalStore;

const WRITERS: u64 = 64;
const ROUND: u64 = 1000;
const BYTES: [u8; 4096] = [b'x'; 4096];

async fn next_uid(store: &LocalStore, mailbox: MailboxId) -> u32 {
    store.status(mailbox).await.unwrap().uid_next.get()
}

/// Fills the mailbox: a few deliveries, and copies of them.
async fn fill(store: &LocalStore, account: AccountId, mailbox: MailboxId, messages: u32) {
    for _ in 0..10 {
        deliver(store, account, 0, &BYTES).await;
    }
    while next_uid(store, mailbox).await <= messages {
        let there = next_uid(store, mailbox).await - 1;
        let some = uids(1, 1 + there.min(10_000).min(messages - there));
        store.copy(mailbox, &some, mailbox, now()).await.unwrap().into_inner();
    }
}

/// Messages/s and processor time in microseconds for one.
async fn rounds(store: &Arc<LocalStore>, account: AccountId, mailbox: MailboxId, rounds: u64) -> (f64, f64) {
    let (mut time, mut busy) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..rounds {
        let first = next_uid(store, mailbox).await;
        let left = Arc::new(AtomicU64::new(ROUND));
        let (began, before) = (Instant::now(), cpu());
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let (store, left) = (store.clone(), left.clone());
                tokio::spawn(async move {
                    let one_less = |left: u64| left.checked_sub(1);
                    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
                        deliver(&store, account, 0, &BYTES).await;
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        time += began.elapsed();
        busy += cpu() - before;
        store.expunge(mailbox, &uids(first, next_uid(store, mailbox).await)).await.unwrap().into_inner();
    }
    let messages = (rounds * ROUND) as f64;
    (messages / time.as_secs_f64(), busy.as_secs_f64() * 1e6 / messages)
}

/// As an IMAP session does: each time there is news it goes through what is different.
async fn follow(mut watch: MailboxWatch) {
    let mut seen = watch.newest().unwrap();
    loop {
        watch.changed().await;
        let Some(newest) = watch.newest() else { return };
        std::hint::black_box(seen.differences(&newest).count());
        seen = newest;
    }
}

/// Memory of this process that belongs to nothing on the disk, in MB.
fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
}

async fn measure(dir: &Path, messages: u32, count: u64) {
    let dir = dir.join("history");
    let (store, accounts) = new_store(&dir, 1).await;
    let (account, name) = (accounts[0], "INBOX");
    let mailbox = store.mailbox(account, name).await.unwrap().unwrap();
    fill(&store, account, mailbox, messages).await;
    store.close().await;
    drop(store);

    let began = Instant::now();
    let store = open(&dir);
    let opens = began.elapsed();
    rounds(&store, account, mailbox, 1).await;
    let (alone, alone_cpu) = rounds(&store, account, mailbox, count).await;
    let before = memory();
    let began = Instant::now();
    let watch = store.watch(mailbox).await.unwrap();
    let mailbox_opens = began.elapsed();
    let index = memory() - before;
    let follower = tokio::spawn(follow(watch));
    let (followed, followed_cpu) = rounds(&store, account, mailbox, count).await;
    follower.abort();
    println!(
        "| {messages} | {alone:.0} | {alone_cpu:.0} | {followed:.0} | {followed_cpu:.0} | {:.0} ms | {:.0} ms | {index:.1} MB |",
        opens.as_secs_f64() * 1e3,
        mailbox_opens.as_secs_f64() * 1e3,
    );
    store.close().await;
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().unwrap());
    let count = arguments.next().map_or(20, |text| text.parse().unwrap());
    for messages in [10, 10_000, 1_000_000] {
        measure(&dir, messages, count).await;
    }
}
