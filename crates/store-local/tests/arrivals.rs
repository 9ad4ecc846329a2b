//! Messages stand in the order in which they came until they are settled: when, and that nobody sees a difference.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic, also in what it calls")]

mod support;

use std::path::Path;
use std::time::Duration;

use mail::{AccountId, Flags, MailboxId, Uid, limits};
use store::conformance as suite;
use store::{FlagChange, FlagOperation, Store};
use store_local::{LocalStore, Options};

const SEEN: FlagChange =
    FlagChange { operation: FlagOperation::Add, flags: Flags::SEEN, keywords: Vec::new(), unchanged_since: None };

/// Messages by account that stand among the arrivals, looked at from outside.
fn arrivals(dir: &Path) -> Vec<(u64, u32)> {
    let conn = rusqlite::Connection::open(dir.join("store.db")).unwrap();
    let sql = "SELECT b.account, count(*) FROM arrivals a JOIN mailboxes b ON b.id = a.mailbox GROUP BY b.account";
    let mut statement = conn.prepare(sql).unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
}

fn patient() -> Options {
    Options { settle_after: Duration::MAX, ..support::options() }
}

async fn alice(store: &LocalStore) -> (AccountId, MailboxId) {
    let account = suite::account(store, "alice@red.example").await;
    (account, suite::inbox(store, account).await)
}

/// `ARRIVALS`, as an option: so many stand there, one more and all are settled.
#[tokio::test]
async fn many_are_settled() {
    assert_eq!(Options::default().arrivals, limits::ARRIVALS);
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), Options { arrivals: 3, ..patient() }).unwrap();
    let (account, inbox) = alice(&store).await;
    for count in [1, 2, 3] {
        suite::deliver(&*store, account, "alice@red.example", b"one").await;
        assert_eq!(arrivals(dir.path()), [(account.0, count)]);
    }
    let before = support::dump(&store).await;
    store.close().await;
    drop(store);
    let store = LocalStore::open(dir.path(), Options { arrivals: 3, ..patient() }).unwrap();
    assert_eq!(support::dump(&store).await, before, "after a start");
    assert_eq!(arrivals(dir.path()), [(account.0, 3)]);
    suite::deliver(&*store, account, "alice@red.example", b"four").await;
    assert_eq!(arrivals(dir.path()), []);
    assert_eq!(store.status(inbox).await.unwrap().messages, 4);
    suite::check(&*store).await;
    store.close().await;
}

/// `SETTLE_AFTER`, as an option: they are settled where nothing else comes.
#[tokio::test]
async fn the_last_ones_are_settled_too() {
    assert_eq!(Options::default().settle_after, limits::SETTLE_AFTER);
    let dir = tempfile::tempdir().unwrap();
    let options = Options { settle_after: Duration::from_millis(10), ..support::options() };
    let store = LocalStore::open(dir.path(), options).unwrap();
    let (account, _) = alice(&store).await;
    suite::deliver(&*store, account, "alice@red.example", b"one").await;
    let dir = dir.path().to_path_buf();
    let settled = tokio::task::spawn_blocking(move || {
        while !arrivals(&dir).is_empty() {
            std::thread::yield_now();
        }
    });
    settled.await.unwrap();
    suite::check(&*store).await;
    store.close().await;
}

/// A change of a message settles where its mailbox has arrivals, and where it has none leaves them alone.
#[tokio::test]
async fn a_change_of_the_mailbox_settles() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), patient()).unwrap();
    let (account, inbox) = alice(&store).await;
    suite::deliver(&*store, account, "alice@red.example", b"one").await;
    store.set_flags(inbox, &[Uid::FIRST], SEEN).await.unwrap().into_inner();
    assert_eq!(arrivals(dir.path()), []);
    let other = suite::account(&*store, "bob@red.example").await;
    suite::deliver(&*store, other, "bob@red.example", b"two").await;
    let removed = FlagChange { operation: FlagOperation::Remove, ..SEEN };
    store.set_flags(inbox, &[Uid::FIRST], removed).await.unwrap().into_inner();
    assert_eq!(arrivals(dir.path()), [(other.0, 1)]);
    assert_eq!(store.status(inbox).await.unwrap().unseen, 1);
    suite::check(&*store).await;
    store.close().await;
}

/// Nobody who reads sees where a message stands: with the mailbox open, and with it closed.
#[tokio::test]
async fn arrivals_are_read_like_all_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), patient()).unwrap();
    let (account, inbox) = alice(&store).await;
    for text in [b"one", b"two"] {
        suite::deliver(&*store, account, "alice@red.example", text).await;
    }
    let all = [Uid::FIRST, Uid::new(2).unwrap()];
    let closed = store.bodies(inbox, &all).await.unwrap();
    let mut watch = store.watch(inbox).await.unwrap();
    assert_eq!(watch.newest().unwrap().len(), 2);
    let open = store.bodies(inbox, &all).await.unwrap();
    for bodies in [closed, open] {
        assert_eq!(bodies.iter().map(|(uid, _)| *uid).collect::<Vec<_>>(), all);
        assert!(suite::read(&bodies[1].1).await.ends_with(b"two"));
    }
    // A copy among the arrivals has the body of an older message.
    let copied = store.copy(inbox, &all[..1], inbox, suite::NOW).await.unwrap().into_inner();
    let third = copied.uids[0].1;
    assert_eq!(arrivals(dir.path()), [(account.0, 1)]);
    let (uid, body) = store.bodies(inbox, &[third]).await.unwrap().remove(0);
    assert_eq!(uid, third);
    assert!(suite::read(&body).await.ends_with(b"one"));
    let before = support::dump(&store).await;
    store.close().await;
    drop(store);
    let store = support::open(dir.path());
    assert_eq!(support::dump(&store).await, before);
    suite::check(&*store).await;
    store.close().await;
}
