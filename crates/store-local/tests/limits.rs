//! The bounds of the embedded engine, at each limit and one above it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::path::Path;

use mail::{BodyId, MailboxId, Timestamp, Uid, limits};
use store::conformance as suite;
use store::{Alias, Event, JourneyQuery, Learnt, Lesson, Lessons, Stage, Store, StoreError, What};
use store_local::{LocalStore, Options};

/// Files of large messages.
fn blobs(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("log/blob")).map_or(0, Iterator::count)
}

async fn stage(store: &LocalStore, octets: usize) -> Box<dyn Stage> {
    let mut stage = store.stage(None).await.unwrap();
    stage.write(&vec![b'x'; octets]).await.unwrap();
    stage
}

/// `BODY_IN_MEMORY`: what is longer goes to a file of its own. `BODIES_IN_MEMORY`: once they are used up, what is longer
/// than `BODY_IN_MEMORY_CROWDED` does.
#[tokio::test]
async fn bodies_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let store = support::open(dir.path());
    let at_limit = stage(&store, limits::BODY_IN_MEMORY).await;
    assert_eq!(blobs(dir.path()), 0);
    drop(stage(&store, limits::BODY_IN_MEMORY + 1).await);
    let above = stage(&store, limits::BODY_IN_MEMORY + 1).await;
    let one = blobs(dir.path());
    assert!(one > 0);
    drop(above);

    let mut held = vec![at_limit];
    while (held.len() + 1) * limits::BODY_IN_MEMORY <= limits::BODIES_IN_MEMORY {
        held.push(stage(&store, limits::BODY_IN_MEMORY).await);
    }
    let before = blobs(dir.path());
    // All memory is used now, and not a bit more: what is small stays small.
    let small = stage(&store, limits::BODY_IN_MEMORY_CROWDED).await;
    assert_eq!(blobs(dir.path()), before);
    let crowded = stage(&store, limits::BODY_IN_MEMORY_CROWDED + 1).await;
    assert_eq!(blobs(dir.path()), before + 1);
    // There is room again.
    drop((held, small, crowded));
    let after = blobs(dir.path());
    let _roomy = stage(&store, limits::BODY_IN_MEMORY_CROWDED + 1).await;
    assert_eq!(blobs(dir.path()), after);
    store.close().await;
}

/// `READ_CHUNK` octets of a body at once, of a longer one and of one that is just as long.
#[tokio::test]
async fn one_read_of_a_body() {
    let dir = tempfile::tempdir().unwrap();
    let store = support::open(dir.path());
    let inbox = suite::inbox(&*store, suite::account(&*store, "alice@red.example").await).await;
    for length in [limits::READ_CHUNK, limits::READ_CHUNK + 1] {
        let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        let uid = suite::append(&*store, inbox, &bytes).await;
        let body = store.bodies(inbox, &[uid]).await.unwrap().remove(0).1;
        let first = body.read(0..u64::MAX).await.unwrap();
        assert!(first == bytes[..limits::READ_CHUNK]);
        let rest = body.read(limits::READ_CHUNK as u64..u64::MAX).await.unwrap();
        assert!(rest == bytes[limits::READ_CHUNK..]);
    }
    store.close().await;
}

/// `SEGMENT_LEN`, as an option: a segment takes messages up to its length, and the next begins one message later.
#[tokio::test]
async fn segments() {
    let dir = tempfile::tempdir().unwrap();
    let segment_len = 10_000;
    let store = LocalStore::open(dir.path(), Options { segment_len, ..support::options() }).unwrap();
    let inbox = suite::inbox(&*store, suite::account(&*store, "alice@red.example").await).await;
    let lengths = || {
        let files = std::fs::read_dir(dir.path().join("log")).unwrap().map(|file| file.unwrap());
        let segments = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "seg"));
        segments.map(|file| file.metadata().unwrap().len()).collect::<Vec<_>>()
    };
    let mut messages = 0;
    while lengths().len() < 3 {
        suite::append(&*store, inbox, &[b'x'; 900]).await;
        messages += 1;
        assert!(lengths().iter().all(|length| *length < segment_len + 1000), "{:?}", lengths());
    }
    // Those that begin below its length, behind its header and with theirs.
    let each = (segment_len - 32).div_ceil(900 + 16);
    assert_eq!(messages, 2 * each + 1);
    store.close().await;
}

/// `MAILBOXES_PER_ACCOUNT`, parents that come with a name included.
#[tokio::test]
async fn mailboxes() {
    let dir = tempfile::tempdir().unwrap();
    let store = support::open(dir.path());
    let account = suite::account(&*store, "alice@red.example").await;
    let mut made = store.mailboxes(account).await.unwrap().len();
    // Long chains, so that thousands need few commits.
    let mut n = 0;
    while limits::MAILBOXES_PER_ACCOUNT - made > 100 {
        let name = format!("{n}{}", "/x".repeat(99));
        store.create_mailbox(account, &name, None).await.unwrap().into_inner();
        (made, n) = (made + 100, n + 1);
    }
    while made < limits::MAILBOXES_PER_ACCOUNT {
        store.create_mailbox(account, &format!("single{made}"), None).await.unwrap().into_inner();
        made += 1;
    }
    let more = store.create_mailbox(account, "more", None).await;
    assert!(matches!(more, Err(StoreError::Limit("MAILBOXES_PER_ACCOUNT"))), "{:?}", more.err());
    store.close().await;
}

/// `ALIAS_TARGETS` of one alias.
#[tokio::test]
async fn targets_of_an_alias() {
    let dir = tempfile::tempdir().unwrap();
    let store = support::open(dir.path());
    store.add_domain(&suite::domain("red.example")).await.unwrap().into_inner();
    let alias = |count: usize| Alias {
        address: suite::address("all@red.example"),
        targets: (0..count).map(|n| suite::address(&format!("u{n}@blue.example"))).collect(),
    };
    store.set_alias(alias(limits::ALIAS_TARGETS)).await.unwrap().into_inner();
    let more = store.set_alias(alias(limits::ALIAS_TARGETS + 1)).await;
    assert!(matches!(more, Err(StoreError::Limit("ALIAS_TARGETS"))), "{:?}", more.err());
    store.close().await;
}

/// `REFUSALS` are kept; one more pushes the oldest out.
#[tokio::test]
async fn refusals() {
    let dir = tempfile::tempdir().unwrap();
    let store = support::open(dir.path());
    let note = |n: i64| {
        let what =
            What::Refused { from: "192.0.2.1".into(), sender: String::new(), reply: "550".into(), rule: "x".into() };
        store.note_refusal(Event::new(Timestamp::from_secs(n), what));
    };
    for n in 0..limits::REFUSALS as i64 {
        note(n);
        if n % 100 == 0 {
            // They wait in memory until somebody asks, and only so many do.
            store.refusals(1).await.unwrap();
        }
    }
    let all = store.refusals(2 * limits::REFUSALS).await.unwrap();
    assert_eq!((all.len(), all.last().unwrap().at), (limits::REFUSALS, 0));
    note(limits::REFUSALS as i64);
    let all = store.refusals(2 * limits::REFUSALS).await.unwrap();
    assert_eq!((all.len(), all.last().unwrap().at), (limits::REFUSALS, 1000));
    store.close().await;
}

/// `TRACE_JOURNEYS` is what a query is asked for; the newest come first.
#[tokio::test]
async fn journeys_of_one_query() {
    let dir = tempfile::tempdir().unwrap();
    let store = support::open(dir.path());
    let alice = suite::account(&*store, "alice@red.example").await;
    let mut last = None;
    for _ in 0..=limits::TRACE_JOURNEYS {
        last = Some(suite::deliver(&*store, alice, "alice@red.example", b"x").await);
    }
    let query = JourneyQuery::Address("alice@red.example".into());
    let found = store.journeys(&query, limits::TRACE_JOURNEYS).await.unwrap();
    assert_eq!(found.len(), limits::TRACE_JOURNEYS);
    assert_eq!(found[0].id, last.unwrap().id.to_string());
    assert_eq!(store.journeys(&query, limits::TRACE_JOURNEYS + 1).await.unwrap().len(), limits::TRACE_JOURNEYS + 1);
    store.close().await;
}

/// `JOURNEY_LIFETIME`: what is just as old stays, what is older is forgotten.
#[tokio::test]
async fn old_journeys() {
    let dir = tempfile::tempdir().unwrap();
    let store = support::open(dir.path());
    let alice = suite::account(&*store, "alice@red.example").await;
    let id = suite::deliver(&*store, alice, "alice@red.example", b"x").await.id;
    let received = store.journeys(&JourneyQuery::Id(id), 1).await.unwrap()[0].received_at;
    let now = Timestamp::from_millis(received).plus(limits::JOURNEY_LIFETIME);
    let before = |now: Timestamp| {
        Timestamp::from_millis(now.millis() - i64::try_from(limits::JOURNEY_LIFETIME.as_millis()).unwrap())
    };
    assert_eq!(store.forget_journeys(before(now)).await.unwrap(), 0);
    let later = now.plus(std::time::Duration::from_secs(1));
    assert_eq!(store.forget_journeys(before(later)).await.unwrap(), 1);
    assert!(store.journeys(&JourneyQuery::Id(id), 1).await.unwrap().is_empty());
    store.close().await;
}

/// `JOURNEY_EVENTS` additions to one journey; beyond them it grows no more, and nothing fails.
#[tokio::test]
async fn long_journeys() {
    let dir = tempfile::tempdir().unwrap();
    let store = support::open(dir.path());
    let alice = suite::account(&*store, "alice@red.example").await;
    let id = suite::deliver(&*store, alice, "alice@red.example", b"x").await.id;
    let length = async || store.journeys(&JourneyQuery::Id(id), 1).await.unwrap()[0].events.len();
    let begun = length().await;
    let event = || {
        let what = What::Refused { from: "x".into(), sender: String::new(), reply: "450".into(), rule: "x".into() };
        vec![Event::new(Timestamp::from_secs(1), what)]
    };
    for _ in 0..limits::JOURNEY_EVENTS {
        store.record(id, event()).await.unwrap().into_inner();
    }
    assert_eq!(length().await, begun + limits::JOURNEY_EVENTS);
    store.record(id, event()).await.unwrap().into_inner();
    assert_eq!(length().await, begun + limits::JOURNEY_EVENTS);
    store.close().await;
}

/// `JUNK_WORDS_PER_ACCOUNT`, and one more: those that were seen once and longest ago make room.
#[tokio::test]
async fn words_of_an_account() {
    let dir = tempfile::tempdir().unwrap();
    let store = support::open(dir.path());
    let account = suite::account(&*store, "a@x.example").await;
    let learn = |number: u64, words: std::ops::Range<u64>, junk: bool| {
        let lesson = Lesson { number, account, mailbox: MailboxId(1), uid: Uid::FIRST, junk };
        store.learn(vec![Learnt { lesson, message: Some((BodyId(number), words.collect())) }])
    };
    let all = u64::from(limits::JUNK_LESSONS);
    for n in 0..all {
        learn(n, 0..1, true).await.unwrap();
        learn(all + n, 0..1, false).await.unwrap();
    }
    let most = limits::JUNK_WORDS_PER_ACCOUNT as u64;
    let (old, young) = (1..most / 2, most / 2..most);
    learn(2 * all, old.clone(), true).await.unwrap();
    learn(2 * all + 1, young.clone(), true).await.unwrap();
    let known = async || {
        let counts = store.word_counts(account, (0..=most).collect()).await.unwrap();
        counts.iter().filter(|counts| counts.junk + counts.good > 0).count() as u64
    };
    assert_eq!(known().await, most);
    learn(2 * all + 2, most..most + 1, true).await.unwrap();
    assert_eq!(known().await, most - most / 8);
    let counts = store.word_counts(account, vec![0, 1, most - 1, most]).await.unwrap();
    let seen: Vec<u32> = counts.iter().map(|counts| counts.junk).collect();
    assert_eq!(seen, [limits::JUNK_LESSONS, 0, 1, 1]);
    store.close().await;
}
