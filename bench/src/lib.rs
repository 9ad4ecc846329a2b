//! What the programs that measure the store share: sizes, a load of writers, and a message as SMTP would hand it over.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a program that measures may fail loudly")]

/// The program's own: what is measured is to cost what it costs there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod letters;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mail::{AccountId, Address, BodyType, Domain, Envelope, Flags, Recipient, ReversePath, Timestamp, Uid};
use store::{Acceptance, Event, LocalDelivery, NewAccount, PasswordHash, Store, What};
use store_local::{LocalStore, Options};

/// Mailboxes that the load is spread over.
pub const MAILBOXES: usize = 1000;

/// How large messages are.
#[derive(Clone, Copy, Debug)]
pub enum Sizes {
    /// All alike.
    Fixed(usize),
    /// Median 6 KB, mean 20 KB.
    Mixed,
}

/// A small generator of pseudo-random numbers, the same in each run.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() >> 11) as usize % end
    }

    fn unit(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Log-normal with median 6 KB and mean 20 KB (sigma² = 2 ln(20/6)), cut at 1 MB.
    pub fn size(&mut self, sizes: Sizes) -> usize {
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

/// What a load came to.
#[derive(Debug)]
pub struct Outcome {
    /// Messages a second.
    pub per_second: f64,
    /// Processor time for one message, in microseconds.
    pub cpu_us: f64,
    /// Octets sent to the disk per octet of mail.
    pub written: f64,
}

/// Octets that this process has sent to the disk.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// So many writers, each of which waits for its own message before it sends the next.
pub async fn measure<F, W>(writers: usize, seconds: u64, sizes: Sizes, write: F) -> Outcome
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
                    write(size, random.number() as usize % MAILBOXES).await;
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

/// The address of account `n`.
pub fn address(n: usize) -> Address {
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
            hold: None,
        },
        message_id: Some(format!("<{id}@far.example>")),
        deliveries: vec![LocalDelivery {
            account,
            address: to.clone(),
            mailbox: None,
            prefix: format!("Return-Path: <sender@far.example>\r\nDelivered-To: {to}\r\n").into_bytes(),
            flags: Flags::NONE,
            keywords: Vec::new(),
        }],
        relays: Vec::new(),
        discarded: 0,
        events: vec![Event::new(now, received), Event::about(now, to.to_string(), delivered)],
        dsns: Vec::new(),
        marks: Vec::new(),
    }
}

/// UIDs from `from` to before `to`.
pub fn uids(from: u32, to: u32) -> Vec<Uid> {
    (from..to).filter_map(Uid::new).collect()
}

/// The time.
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

/// A new store in `dir`, where an earlier one goes, and its accounts.
pub async fn new_store(dir: &Path, accounts: usize) -> (Arc<LocalStore>, Vec<AccountId>) {
    let _ = std::fs::remove_dir_all(dir);
    let store = open(dir);
    store.add_domain(address(0).domain()).await.unwrap().into_inner();
    let mut ids = Vec::new();
    for n in 0..accounts {
        let new = NewAccount { address: address(n), password: PasswordHash("$".into()), scram: None, quota: None };
        ids.push(store.add_account(new, now()).await.unwrap().into_inner());
    }
    (store, ids)
}

/// Opens the store in `dir`; how much is free does not matter.
pub fn open(dir: &Path) -> Arc<LocalStore> {
    LocalStore::open(dir, Options { reserve: 0, ..Options::default() }).unwrap()
}

/// Accepts a message for the mailbox of account `n`.
pub async fn deliver(store: &LocalStore, account: AccountId, n: usize, bytes: &[u8]) {
    let mut stage = store.stage(Some(bytes.len() as u64)).await.unwrap();
    stage.write(bytes).await.unwrap();
    store.accept(stage, acceptance(store, now(), account, n, bytes.len())).await.unwrap().into_inner();
}

/// The process's time on the processors, all threads together.
pub fn cpu() -> Duration {
    let usage = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = usage.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
