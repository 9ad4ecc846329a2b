//! How much of the bare-append limit the store's API reaches.
//!
//! `store-bench DIR [SECONDS [CASE]]` makes its files in DIR (on the disk to be measured, never tmpfs) and prints a
//! row for each case whose name has CASE in it: for mixed sizes (median 6 KB, mean 20 KB) and 4 KB with 64 writers, and for one writer alone, the messages/s of
//! bare append (the same bytes, one append and one fdatasync for all that wait, acknowledged to each writer), of
//! the store, and the ratio; further the CPU time of all threads together for one message. Each writer waits for
//! its own acknowledgement.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program that measures may fail loudly"
)]

use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use bench::{MAILBOXES, Outcome, Sizes, deliver, measure, new_store};
use store::Store;
use tokio::sync::oneshot;

type Waiting = Arc<(Mutex<Vec<(usize, oneshot::Sender<()>)>>, Condvar)>;

/// One append and one fdatasync for all that wait, acknowledged to each.
fn bare_appender(path: &Path, bytes: &'static [u8], waiting: Waiting, stop: Arc<AtomicBool>) {
    let mut file: File = OpenOptions::new().create(true).truncate(true).write(true).open(path).unwrap();
    loop {
        let batch = {
            let mut list = waiting.0.lock().unwrap();
            while list.is_empty() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                list = waiting.1.wait(list).unwrap();
            }
            std::mem::take(&mut *list)
        };
        let mut slices: Vec<_> = batch.iter().map(|(size, _)| IoSlice::new(&bytes[..*size])).collect();
        let mut slices = slices.as_mut_slice();
        while !slices.is_empty() {
            let now = slices.len().min(1024);
            let written = file.write_vectored(&slices[..now]).unwrap();
            IoSlice::advance_slices(&mut slices, written);
        }
        file.sync_data().unwrap();
        for (_, done) in batch {
            done.send(()).unwrap();
        }
    }
}

async fn bare(dir: &Path, bytes: &'static [u8], writers: usize, seconds: u64, sizes: Sizes) -> Outcome {
    let path = dir.join("bare");
    let waiting: Waiting = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let thread = {
        let (path, waiting, stop) = (path.clone(), waiting.clone(), stop.clone());
        std::thread::spawn(move || bare_appender(&path, bytes, waiting, stop))
    };
    let queue = waiting.clone();
    let outcome = measure(writers, seconds, sizes, move |size, _| {
        let queue = queue.clone();
        async move {
            let (done, acknowledged) = oneshot::channel();
            queue.0.lock().unwrap().push((size, done));
            queue.1.notify_one();
            acknowledged.await.unwrap();
        }
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    {
        let _list = waiting.0.lock().unwrap();
        waiting.1.notify_all();
    }
    thread.join().unwrap();
    std::fs::remove_file(path).unwrap();
    outcome
}

async fn stored(dir: &Path, bytes: &'static [u8], writers: usize, seconds: u64, sizes: Sizes) -> Outcome {
    let dir = dir.join("store");
    let (store, accounts) = new_store(&dir, MAILBOXES).await;
    let accounts = Arc::new(accounts);
    let subject = store.clone();
    let outcome = measure(writers, seconds, sizes, move |size, mailbox| {
        let (store, accounts) = (subject.clone(), accounts.clone());
        async move { deliver(&store, accounts[mailbox], mailbox, &bytes[..size]).await }
    })
    .await;
    let findings = store.check(false).await.unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    store.close().await;
    std::fs::remove_dir_all(dir).unwrap();
    outcome
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = std::path::PathBuf::from(arguments.next().expect("store-bench DIR [SECONDS]"));
    let seconds = arguments.next().map_or(60, |text| text.parse().expect("SECONDS is a number"));
    let only = arguments.next();
    std::fs::create_dir_all(&dir).unwrap();
    let bytes: &'static [u8] = Vec::leak((0..1_000_000u32).map(|n| (n % 251) as u8).collect());
    for (name, goal, writers, sizes) in [
        ("mixed sizes, 64 writers", 60, 64, Sizes::Mixed),
        ("4 KB, 64 writers", 25, 64, Sizes::Fixed(4096)),
        ("4 KB, one writer", 40, 1, Sizes::Fixed(4096)),
    ] {
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let bare = bare(&dir, bytes, writers, seconds, sizes).await;
        let store = stored(&dir, bytes, writers, seconds, sizes).await;
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} % | {goal} % | {:.0} ({:.0}) | {:.2} ({:.2}) |",
            bare.per_second,
            store.per_second,
            100.0 * store.per_second / bare.per_second,
            store.cpu_us,
            bare.cpu_us,
            store.written,
            bare.written
        );
    }
}
