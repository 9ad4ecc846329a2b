//! Stores that earlier versions wrote open and check clean. `fixtures/vN` is one of format N, made by
//! `examples/make_fixture.rs` of that time; it stays as it is for ever.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic, also in what it calls")]

mod support;

use std::path::Path;

use mail::{Flags, Keyword, ModSeq, Uid};
use store::conformance as suite;
use store::{DirectoryEntry, JourneyQuery, Store};
use store_local::{OpenError, inspect};

#[tokio::test]
async fn every_released_format_opens_and_checks_clean() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut versions = 0;
    for fixture in std::fs::read_dir(fixtures).unwrap() {
        let (dir, fixture) = (tempfile::tempdir().unwrap(), fixture.unwrap().path());
        support::copy_dir(&fixture, dir.path());
        let version = fixture.file_name().unwrap().to_str().unwrap()[1..].parse::<i64>().unwrap();
        let before = support::files(dir.path());
        match inspect(dir.path(), true) {
            Ok(findings) => assert!(version > 9 && findings.is_empty(), "{findings:?}"),
            Err(error) => {
                assert!(matches!(error, OpenError::OldVersion { found, .. } if found == version), "{error}");
                assert_eq!(support::files(dir.path()), before);
            }
        }
        examine(dir.path()).await;
        assert_eq!(inspect(dir.path(), true).unwrap(), []);
        versions += 1;
    }
    assert!(versions > 0);
}

/// A store of format 2 whose mailbox's row is behind its messages, as deliveries left it.
#[tokio::test]
async fn rows_that_were_behind_count_all_again() {
    let dir = tempfile::tempdir().unwrap();
    support::copy_dir(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v2"), dir.path());
    let conn = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    conn.execute_batch(
        "UPDATE mailboxes SET (uid_next, messages, unseen, deleted, size) = (SELECT 3, count(*), sum(flags & 1 = 0), 0,
           sum(size) FROM messages WHERE mailbox = mailboxes.id AND uid < 3) WHERE uid_next = 4;
         INSERT INTO behind SELECT id FROM mailboxes WHERE uid_next = 3;",
    )
    .unwrap();
    assert_eq!(conn.query_row("SELECT count(*) FROM behind", [], |row| row.get::<_, u32>(0)).unwrap(), 1);
    drop(conn);
    examine(dir.path()).await;
    assert_eq!(inspect(dir.path(), true).unwrap(), []);
}

async fn examine(dir: &Path) {
    let store = support::open(dir);
    suite::check(&*store).await;
    let entry = store.entry(&suite::address("both@red.example")).await.unwrap();
    assert!(matches!(entry, Some(DirectoryEntry::Alias(alias)) if alias.targets.len() == 2));
    let alice = store.accounts(None, 9).await.unwrap().remove(0);
    assert_eq!((alice.address.to_string().as_str(), alice.messages), ("alice@red.example", 2));
    assert!(store.mailbox(alice.id, "work/2026").await.unwrap().is_some());
    let inbox = suite::inbox(&*store, alice.id).await;
    let snapshot = store.watch(inbox).await.unwrap().newest().unwrap();
    assert_eq!(snapshot.uid_next.get(), 4);
    let (two, three) = (snapshot.get(0).unwrap(), snapshot.get(1).unwrap());
    assert_eq!((two.uid.get(), two.flags), (2, Flags::FLAGGED));
    assert_eq!((three.uid.get(), three.flags, three.internal_date.secs()), (3, Flags::SEEN, 5));
    assert_eq!(snapshot.keywords_of(&three).map(Keyword::as_str).collect::<Vec<_>>(), ["work"]);
    assert_eq!(store.vanished(inbox, ModSeq(0)).await.unwrap(), Some(vec![Uid::FIRST]));
    let bodies = store.bodies(inbox, &[two.uid]).await.unwrap();
    let text = b"Delivered-To: alice@red.example\r\nSubject: two\r\n\r\ntwo\r\n";
    assert_eq!(suite::read(&bodies[0].1).await, text);
    let queued = store.queue_messages(None, 9).await.unwrap().remove(0);
    assert_eq!((queued.envelope.recipients.len(), queued.recipients.len()), (2, 1));
    assert_eq!(queued.recipients[0].last.as_ref().unwrap().words, "451 later");
    let found = store.journeys(&JourneyQuery::MessageId("<q@red.example>".into()), 9).await.unwrap();
    assert_eq!(found[0].id, queued.id.to_string());
    let balance = store.balance().await.unwrap();
    assert_eq!((balance.accepted, balance.delivered, balance.relayed, balance.queued), (4, 2, 1, 1));
    suite::deliver(&*store, alice.id, "alice@red.example", b"four").await;
    suite::check(&*store).await;
}
