//! How much of the bare-append limit the store's API reaches.
//!
//! `store-bench DIR [SECONDS]` makes its files in DIR (on the disk to be measured, never tmpfs) and prints a table:
//! for mixed sizes (median 6 KB, mean 20 KB) and 4 KB with 64 writers, and for one writer alone, the messages/s of
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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use mail::{AccountId, Address, BodyType, Domain, Envelope, Flags, Recipient, ReversePath, Timestamp};
use store::{Acceptance, Event, LocalDelivery, NewAccount, PasswordHash, Store, What};
use store_local::{LocalStore, Options};
use tokio::sync::oneshot;

const MAILBOXES: usize = 1000;

#[derive(Clone, Copy)]
enum Sizes {
    Fixed(usize),
    Mixed,
}

/// A small generator of pseudo-random numbers, the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Log-normal with median 6 KB and mean 20 KB (sigma² = 2 ln(20/6)), cut at 1 MB.
    fn size(&mut self, sizes: Sizes) -> usize {
        match sizes {
            Sizes::Fixed(size) => size,
            Sizes::Mixed => {
                let sigma = (2.0 * (20.0f64 / 6.0).ln()).sqrt();
                let normal = (-2.0 * self.unit().max(1e-12).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos();
                ((6000.0 * (sigma * normal).exp()) as usize).clamp(500, 1_000_000)
            }
        }
    }
}

struct Outcome {
    per_second: f64,
    cpu_us: f64,
    written: f64,
}

fn cpu() -> Duration {
    let usage = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = usage.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Octets that this process has sent to the disk.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).and_then(|n| n.parse().ok()).unwrap_or(0)
}

async fn measure<F, W>(writers: usize, seconds: u64, sizes: Sizes, write: F) -> Outcome
where
    F: Fn(usize, usize) -> W + Send + Sync + 'static + Clone,
    W: Future<Output = ()> + Send,
{
    let stop = Arc::new(AtomicBool::new(false));
    let (count, bytes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (began, cpu_before, io_before) = (Instant::now(), cpu(), written());
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (stop, count, bytes, write) = (stop.clone(), count.clone(), bytes.clone(), write.clone());
            tokio::spawn(async move {
                let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (writer as u64 + 1) << 20);
                while !stop.load(Ordering::Relaxed) {
                    let size = random.size(sizes);
                    write(size, random.next() as usize % MAILBOXES).await;
                    count.fetch_add(1, Ordering::Relaxed);
                    bytes.fetch_add(size as u64, Ordering::Relaxed);
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    let n = count.load(Ordering::Relaxed) as f64;
    Outcome {
        per_second: n / began.elapsed().as_secs_f64(),
        cpu_us: (cpu() - cpu_before).as_secs_f64() * 1e6 / n,
        written: (written() - io_before) as f64 / bytes.load(Ordering::Relaxed) as f64,
    }
}

type Waiting = Arc<(Mutex<Vec<(usize, oneshot::Sender<()>)>>, Condvar)>;

/// One append and one fdatasync for all that wait, acknowledged to each.
fn bare_appender(path: &Path, bytes: &'static [u8], waiting: Waiting, stop: Arc<AtomicBool>) {
    let mut file: File = OpenOptions::new().create_new(true).append(true).open(path).unwrap();
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

fn address(n: usize) -> Address {
    Address::new(&format!("user{n}"), Domain::from_ascii("bench.example").unwrap()).unwrap()
}

fn acceptance(store: &LocalStore, now: Timestamp, account: AccountId, n: usize, size: usize) -> Acceptance {
    let to = address(n);
    let sender = Address::new("sender", Domain::from_ascii("far.example").unwrap()).unwrap();
    let received = What::Received {
        protocol: "ESMTP".into(),
        from: Some("127.0.0.1".into()),
        helo: Some("far.example".into()),
        account: None,
        tls: None,
        size: size as u64,
        sender: sender.to_string(),
    };
    let delivered = What::Delivered { account: to.to_string(), mailbox: "INBOX".into() };
    let id = store.next_queue_id(now);
    Acceptance {
        id,
        received_at: now,
        envelope: Envelope {
            reverse_path: ReversePath::Address(sender),
            recipients: vec![Recipient::new(to.clone())],
            body: BodyType::SevenBit,
            smtputf8: false,
            dsn_return: None,
            envelope_id: None,
        },
        message_id: Some(format!("<{id}@far.example>")),
        deliveries: vec![LocalDelivery {
            account,
            address: to.clone(),
            mailbox: None,
            prefix: format!("Return-Path: <sender@far.example>\r\nDelivered-To: {to}\r\n").into_bytes(),
            flags: Flags::NONE,
        }],
        relays: Vec::new(),
        discarded: 0,
        events: vec![Event::new(now, received), Event::about(now, to.to_string(), delivered)],
        dsns: Vec::new(),
    }
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

async fn stored(dir: &Path, bytes: &'static [u8], writers: usize, seconds: u64, sizes: Sizes) -> Outcome {
    let dir = dir.join("store");
    let store = LocalStore::open(&dir, Options { reserve: 0, ..Options::default() }).unwrap();
    store.add_domain(address(0).domain()).await.unwrap().into_inner();
    let mut accounts = Vec::new();
    for n in 0..MAILBOXES {
        let new = NewAccount { address: address(n), password: PasswordHash("$".into()), scram: None, quota: None };
        accounts.push(store.add_account(new, now()).await.unwrap().into_inner());
    }
    let accounts = Arc::new(accounts);
    let subject = store.clone();
    let outcome = measure(writers, seconds, sizes, move |size, mailbox| {
        let (store, accounts) = (subject.clone(), accounts.clone());
        async move {
            let mut stage = store.stage(Some(size as u64)).await.unwrap();
            stage.write(&bytes[..size]).await.unwrap();
            let message = acceptance(&store, now(), accounts[mailbox], mailbox, size);
            store.accept(stage, message).await.unwrap().into_inner();
        }
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
    println!("| case | bare append /s | store /s | ratio | CPU µs per message (bare) | written per byte (bare) |");
    println!("|---|---|---|---|---|---|");
    for (name, writers, sizes) in [
        ("mixed sizes, 64 writers", 64, Sizes::Mixed),
        ("4 KB, 64 writers", 64, Sizes::Fixed(4096)),
        ("4 KB, 1 writer", 1, Sizes::Fixed(4096)),
    ] {
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let bare = bare(&dir, bytes, writers, seconds, sizes).await;
        let store = stored(&dir, bytes, writers, seconds, sizes).await;
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} % | {:.0} ({:.0}) | {:.2} ({:.2}) |",
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
