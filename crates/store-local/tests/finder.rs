//! Journeys are found whether the index covers them, does not yet, or is gone.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic, also in what it calls")]

mod support;

use std::path::Path;

use mail::QueueId;
use rusqlite::Connection;
use store::conformance::{self as suite, NOW};
use store::{JourneyQuery, Store};
use store_local::LocalStore;

async fn accept(store: &LocalStore, id: QueueId, name: &str) {
    let mut message = suite::acceptance(id, "s@far.example", &format!("<{name}@far.example>"));
    suite::relay_to(&mut message, &format!("{name}@there.example"));
    store.accept(suite::staged(store, b"x").await, message).await.unwrap().into_inner();
}

async fn find(store: &LocalStore, name: &str) -> usize {
    let by_id = store.journeys(&JourneyQuery::MessageId(format!("{name}@far.example")), 9).await.unwrap().len();
    let by_address = store.journeys(&JourneyQuery::Address(format!("{name}@there.example")), 9).await.unwrap().len();
    assert_eq!(by_id, by_address);
    by_id
}

fn count(dir: &Path, table: &str, file: &str) -> u64 {
    let conn = Connection::open(dir.join(file)).unwrap();
    conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn journeys_are_found_with_and_without_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = support::open(dir.path());
    // An id is given out when a message begins to come; this one takes long.
    let slow = store.next_queue_id(NOW);
    accept(&store, store.next_queue_id(NOW), "first").await;
    assert_eq!(find(&store, "first").await, 1);
    store.indexed().await;
    // Message-ID, sender and recipient.
    assert_eq!(count(dir.path(), "found", "index.db"), 3);
    assert_eq!(find(&store, "first").await, 1);

    accept(&store, slow, "slow").await;
    assert_eq!(count(dir.path(), "late", "store.db"), 1);
    assert_eq!(find(&store, "slow").await, 1, "it came below what is covered");
    store.indexed().await;
    assert_eq!(count(dir.path(), "late", "store.db"), 0);
    assert_eq!(find(&store, "slow").await, 1);
    let both = store.journeys(&JourneyQuery::Address("s@far.example".into()), 9).await.unwrap();
    assert_eq!(both.len(), 2);
    assert!(both[0].id > both[1].id, "newest first");

    store.close().await;
    drop(store);
    for rubbish in [None, Some(b"rubbish".repeat(999))] {
        std::fs::remove_file(dir.path().join("index.db")).unwrap();
        if let Some(rubbish) = rubbish {
            std::fs::write(dir.path().join("index.db"), rubbish).unwrap();
        }
        let store = support::open(dir.path());
        assert_eq!(find(&store, "first").await + find(&store, "slow").await, 2);
        store.indexed().await;
        assert_eq!(count(dir.path(), "found", "index.db"), 6);
        assert_eq!(find(&store, "first").await + find(&store, "slow").await, 2);
        store.close().await;
    }
}

#[tokio::test]
async fn an_index_of_another_store_is_thrown_away() {
    let dir = tempfile::tempdir().unwrap();
    let store = support::open(dir.path());
    accept(&store, store.next_queue_id(NOW), "old").await;
    store.indexed().await;
    store.close().await;
    drop(store);
    for name in ["store.db", "log/00000001.seg"] {
        std::fs::remove_file(dir.path().join(name)).unwrap();
    }
    let store = support::open(dir.path());
    accept(&store, store.next_queue_id(mail::Timestamp::from_secs(1)), "new").await;
    assert_eq!((find(&store, "old").await, find(&store, "new").await), (0, 1));
    store.indexed().await;
    assert_eq!((find(&store, "old").await, find(&store, "new").await), (0, 1));
}
