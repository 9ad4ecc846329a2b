//! Images of a disk after power was lost at any moment: the store opens on them, checks clean, has everything that was
//! acknowledged before, and of what was under way all or nothing.
//!
//! The store runs with one change at a time, and its directory is copied after each. Between two such copies
//! a change was on its way to the disk: first the log, then SQLite's log, then (in a checkpoint) the
//! database. An image takes the files from before, and of the one under way a random mixture of old and new sectors.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, also in what it calls")]

mod support;

use std::path::Path;
use std::sync::Arc;

use mail::{Flags, Timestamp, Uid};
use store::conformance::{self as suite, NOW};
use store::{FlagChange, FlagOperation, NewDsn, Once, Outcome, Settlement, Store};
use store_local::{LocalStore, Options};
use support::{Random, copy_dir, dump};

const SECTOR: usize = 512;
const WAL_HEADER: usize = 32;

fn options() -> Options {
    // Small, so that segments change and checkpoints happen all the time.
    Options { segment_len: 40_000, wal_len: 100_000, arrivals: 5, ..support::options() }
}

/// Makes one; whether it put a message that had waited into a mailbox, with a reply.
async fn change(store: &Arc<LocalStore>, random: &mut Random, accounts: &[mail::AccountId]) -> bool {
    let mut came = false;
    let pick = random.below(accounts.len() as u64) as usize;
    let (account, who) = (accounts[pick], format!("u{pick}@x.example"));
    let inbox = suite::inbox(&**store, account).await;
    let next = store.status(inbox).await.unwrap().uid_next.get();
    let some: Vec<Uid> = (0..3).filter_map(|_| Uid::new(1 + random.below(next.into()) as u32)).collect();
    let length = if random.below(12) == 0 { 1_200_000 } else { random.below(9000) };
    let bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
    match random.below(9) {
        0..=3 => {
            let mut message = suite::acceptance(store.next_queue_id(NOW), "s@far.example", "<m@far.example>");
            suite::deliver_to(&mut message, account, &who);
            if random.below(2) == 0 {
                suite::relay_to(&mut message, "c@far.example");
            }
            if random.below(2) == 0 {
                message.dsns.push(reply(store, random, account, &who).await);
            }
            store.accept(suite::staged(&**store, &bytes).await, message).await.unwrap().into_inner();
        }
        4 => drop(suite::append(&**store, inbox, &bytes).await),
        5 => {
            let change = FlagChange {
                operation: FlagOperation::Add,
                flags: Flags::SEEN,
                keywords: vec![mail::Keyword::new(&format!("k{}", random.below(5))).unwrap()],
                unchanged_since: None,
            };
            store.set_flags(inbox, &some, change).await.unwrap().into_inner();
        }
        6 => drop(store.expunge(inbox, &some).await.unwrap().into_inner()),
        7 => {
            let archive = store.mailbox(account, "Archive").await.unwrap().unwrap();
            store.move_messages(inbox, &some, archive, NOW).await.unwrap().into_inner();
        }
        _ => {
            if let Some(item) = store.queue_items(None, 1).await.unwrap().first() {
                // Of two, one waited for a mailbox here.
                came = random.below(2) == 0;
                let (outcome, dsns) = match came {
                    false => (Outcome::Relayed, Vec::new()),
                    true => (Outcome::Delivered { account, at: NOW }, vec![reply(store, random, account, &who).await]),
                };
                let outcomes = vec![(item.recipient, outcome)];
                let end = Settlement { id: item.id, outcomes, tried: Vec::new(), events: Vec::new(), dsns };
                store.settle(end).await.unwrap().into_inner();
            }
        }
    }
    came
}

/// The recipient is away: this and the memory of who was told are there with the message, or not at all.
async fn reply(store: &Arc<LocalStore>, random: &mut Random, account: mail::AccountId, who: &str) -> NewDsn {
    let mut reply = suite::acceptance(store.next_queue_id(NOW), "", "<r@x.example>");
    suite::relay_to(&mut reply, "s@far.example");
    let to = suite::address(&format!("s{}@far.example", random.below(3)));
    let (address, recipient) = (suite::address(who), suite::address(who));
    let body = suite::staged(&**store, b"away").await;
    NewDsn { body, acceptance: reply, once: Some(Once { account, address, to, recipient, mark: None }) }
}

/// All that a store has, and who was told that somebody is away.
async fn whole(store: &LocalStore, dir: &Path) -> String {
    let conn = rusqlite::Connection::open(dir.join("store.db")).unwrap();
    let mut statement = conn.prepare("SELECT account, sender FROM away_told").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?))).unwrap();
    let told: Vec<_> = rows.map(Result::unwrap).collect();
    format!("{}{told:?}", dump(store).await)
}

/// A mixture: each sector old or new; where the new file is longer, it may also be cut.
fn torn(old: &[u8], new: &[u8], random: &mut Random) -> Vec<u8> {
    let mut mixed = new.to_vec();
    let keep_new = random.below(4);
    for (n, sector) in mixed.chunks_mut(SECTOR).enumerate() {
        let from = n * SECTOR;
        let take_old = random.below(4) >= keep_new;
        for (offset, byte) in sector.iter_mut().enumerate() {
            let before = old.get(from + offset).copied();
            if take_old && before != Some(*byte) {
                // What was never written reads as zeros.
                *byte = before.unwrap_or(0);
            }
        }
    }
    if new.len() > old.len() && random.below(2) == 0 {
        mixed.truncate(old.len() + random.below((new.len() - old.len()) as u64 + 1) as usize);
    }
    mixed
}

/// Whether SQLite's log was written from its beginning again, after a checkpoint.
fn begins_anew(old: &[u8], new: &[u8]) -> bool {
    old.len() >= WAL_HEADER && new.len() >= WAL_HEADER && old[..WAL_HEADER] != new[..WAL_HEADER]
}

/// The same of SQLite's log. When it begins anew, SQLite syncs the new header before it writes a frame behind it
/// (`walFrames`, `syncHeader`): the old header before new frames is no image that a power loss can leave, and would
/// let the beginning of the old log be read once more over a database that is newer.
fn torn_wal(old: &[u8], new: &[u8], random: &mut Random) -> Vec<u8> {
    if !begins_anew(old, new) {
        return torn(old, new, random);
    }
    let mut with_header = old.to_vec();
    with_header[..WAL_HEADER].copy_from_slice(&new[..WAL_HEADER]);
    if random.below(4) == 0 { torn(old, &with_header, random) } else { torn(&with_header, new, random) }
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_default()
}

/// Files of the log in either directory, by their path inside.
fn log_files(before: &Path, after: &Path) -> std::collections::BTreeSet<String> {
    let mut names = std::collections::BTreeSet::new();
    for root in [before, after] {
        for dir in ["log", "log/blob"] {
            for entry in std::fs::read_dir(root.join(dir)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    names.insert(format!("{dir}/{}", entry.file_name().to_str().unwrap()));
                }
            }
        }
    }
    names
}

/// Power was lost while the log was written: SQLite knows nothing of the change.
fn image_in_log(before: &Path, after: &Path, image: &Path, random: &mut Random) {
    copy_dir(before, image);
    for name in log_files(before, after) {
        let (old, new) = (bytes(&before.join(&name)), bytes(&after.join(&name)));
        // Unlinking is the last thing a change does; here it has not come to that.
        if old != new && after.join(&name).exists() && random.below(5) > 0 {
            std::fs::write(image.join(&name), torn(&old, &new, random)).unwrap();
        }
    }
}

/// Power was lost while SQLite's log was written: the message log is whole.
fn image_in_wal(before: &Path, after: &Path, image: &Path, random: &mut Random) {
    copy_dir(after, image);
    for name in log_files(before, after) {
        if !after.join(&name).exists() {
            std::fs::copy(before.join(&name), image.join(&name)).unwrap();
        }
    }
    let (old, new) = (bytes(&before.join("store.db-wal")), bytes(&after.join("store.db-wal")));
    std::fs::write(image.join("store.db-wal"), torn_wal(&old, &new, random)).unwrap();
    std::fs::copy(before.join("store.db"), image.join("store.db")).unwrap();
}

/// Power was lost in the checkpoint after the change: both logs are whole.
fn image_in_checkpoint(before: &Path, after: &Path, image: &Path, random: &mut Random) {
    copy_dir(after, image);
    let (old, new) = (bytes(&before.join("store.db")), bytes(&after.join("store.db")));
    std::fs::write(image.join("store.db"), torn(&old, &new, random)).unwrap();
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_at_any_moment() {
    let mut came = 0;
    for seed in [1, 2] {
        came += run(seed, 18).await;
    }
    assert!(came > 0, "nothing that had waited came into a mailbox");
}

/// How many messages that had waited came into a mailbox.
async fn run(seed: u64, steps: usize) -> usize {
    let mut random = Random(0x1234_5678_9abc_def1 ^ seed << 32);
    // Of its own, since how many images there are depends on when checkpoints come: what happens is the same each time.
    let mut tearing = Random(0x1fed_cba9_8765_4321 ^ seed << 32);
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("live");
    let store = LocalStore::open(&dir, options()).unwrap();
    let mut accounts = Vec::new();
    for n in 0..3 {
        accounts.push(suite::account(&*store, &format!("u{n}@x.example")).await);
    }
    let mut before = root.path().join("0");
    copy_dir(&dir, &before);
    let mut known = whole(&store, &dir).await;
    let (mut checkpoints, mut came) = (0, 0);
    for step in 1..=steps {
        if step % 10 == 0 {
            store.reclaim().await.unwrap();
            std::fs::remove_dir_all(&before).unwrap();
            copy_dir(&dir, &before);
            known = whole(&store, &dir).await;
        }
        came += usize::from(change(&store, &mut random, &accounts).await);
        // A checkpoint comes after the answer: what is asked next is answered after it.
        store.record(mail::QueueId::from_u64(1), Vec::new()).await.unwrap_err();
        let after = root.path().join(step.to_string());
        copy_dir(&dir, &after);
        let now = whole(&store, &dir).await;
        let folded = bytes(&before.join("store.db")) != bytes(&after.join("store.db"));
        let begun_anew = begins_anew(&bytes(&before.join("store.db-wal")), &bytes(&after.join("store.db-wal")));
        // The finder committed how far it has come, behind a checkpoint: what the log was in between is not known.
        let kinds = if folded && begun_anew { 0..1 } else { 0..3 };
        checkpoints += usize::from(folded && !begun_anew);
        for kind in kinds {
            let image = root.path().join("image");
            let allowed: &[&String] = match kind {
                0 => {
                    image_in_log(&before, &after, &image, &mut tearing);
                    &[&known]
                }
                1 => {
                    image_in_wal(&before, &after, &image, &mut tearing);
                    &[&known, &now]
                }
                _ if folded => {
                    image_in_checkpoint(&before, &after, &image, &mut tearing);
                    &[&now]
                }
                _ => continue,
            };
            examine(&image, allowed, &format!("seed {seed}, step {step}, image {kind}")).await;
            std::fs::remove_dir_all(&image).unwrap();
        }
        std::fs::remove_dir_all(&before).unwrap();
        (before, known) = (after, now);
    }
    assert!(checkpoints > 0, "no checkpoint happened");
    assert!(!known.ends_with("[]"), "nobody was told that somebody is away");
    came
}

/// After a sync that failed the kernel believes its pages clean: whoever starts anew reads a change that is not on
/// the disk, and never will be. What is acknowledged after that start must not go with it when power is lost.
#[tokio::test]
async fn what_a_failed_sync_left_in_the_cache_is_not_built_upon() {
    let root = tempfile::tempdir().unwrap();
    let (live, cached) = (root.path().join("live"), root.path().join("cached"));
    let store = LocalStore::open(&live, support::options()).unwrap();
    let account = suite::account(&*store, "u0@x.example").await;
    suite::deliver(&*store, account, "u0@x.example", b"on the disk").await;
    let stable = bytes(&live.join("store.db-wal")).len();
    suite::deliver(&*store, account, "u0@x.example", b"only in the cache").await;
    copy_dir(&live, &cached);
    let wal = bytes(&cached.join("store.db-wal"));

    let again = LocalStore::open(&cached, support::options()).unwrap();
    suite::deliver(&*again, account, "u0@x.example", b"acknowledged after the new start").await;
    let promised = whole(&again, &cached).await;
    let image = root.path().join("image");
    copy_dir(&cached, &image);
    let mut lost = bytes(&image.join("store.db-wal"));
    // The same salts: the log goes on behind the change, which was not written again.
    if lost[16..24] == wal[16..24] {
        lost[stable..wal.len()].fill(0);
        std::fs::write(image.join("store.db-wal"), lost).unwrap();
    }
    examine(&image, &[&promised], "after a failed sync").await;
}

async fn examine(image: &Path, allowed: &[&String], what: &str) {
    let store = LocalStore::open(image, options()).unwrap_or_else(|why| panic!("{what}: {why}"));
    let findings = store.check(true).await.unwrap_or_else(|why| panic!("{what}: {why}"));
    assert!(findings.is_empty(), "{what}: {findings:?}");
    let found = whole(&store, image).await;
    assert!(allowed.contains(&&found), "{what}:\nfound\n{found}\nallowed\n{allowed:#?}");
    // It goes on as if nothing had been.
    let account = store.accounts(None, 1).await.unwrap().remove(0);
    let next = store.next_queue_id(Timestamp::from_secs(1));
    assert!(store.queue_messages(None, 1000).await.unwrap().iter().all(|message| message.id < next));
    suite::deliver(&*store, account.id, "u0@x.example", &[7; 3000]).await;
    suite::check(&*store).await;
}
