//! Makes the store that tests of upgrades open: `cargo run -p store-local --example make_fixture -- DIR`, once for
//! each released format, into `tests/fixtures/vN`. See `tests/upgrade.rs` for what it must hold.

#![allow(clippy::unwrap_used, reason = "a developer's tool may fail loudly")]

use std::time::Duration;

use mail::{Flags, Keyword, Timestamp, Uid};
use store::conformance::{self as suite, NOW};
use store::{Alias, AppendMessage, Attempt, FlagChange, FlagOperation, Outcome, Settlement, Store};
use store_local::{LocalStore, Options};

#[tokio::main]
async fn main() {
    let dir = std::env::args().nth(1).unwrap();
    let store = LocalStore::open(&dir, Options { settle_after: Duration::MAX, ..Options::default() }).unwrap();
    let alice = suite::account(&*store, "alice@red.example").await;
    let targets = vec![suite::address("alice@red.example"), suite::address("bob@blue.example")];
    store.set_alias(Alias { address: suite::address("both@red.example"), targets }).await.unwrap().into_inner();
    suite::deliver(&*store, alice, "alice@red.example", b"Subject: one\r\n\r\none\r\n").await;
    suite::deliver(&*store, alice, "alice@red.example", b"Subject: two\r\n\r\ntwo\r\n").await;
    let inbox = suite::inbox(&*store, alice).await;
    let keywords = vec![Keyword::new("work").unwrap()];
    let work = FlagChange {
        operation: FlagOperation::Add,
        flags: Flags::NONE,
        keywords: keywords.clone(),
        unchanged_since: None,
    };
    store.set_flags(inbox, &[Uid::FIRST], work).await.unwrap().into_inner();
    store.expunge(inbox, &[Uid::FIRST]).await.unwrap().into_inner();
    let flagged = FlagChange {
        operation: FlagOperation::Add,
        flags: Flags::FLAGGED,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    store.set_flags(inbox, &[Uid::new(2).unwrap()], flagged).await.unwrap().into_inner();
    store.create_mailbox(alice, "work/2026", None).await.unwrap().into_inner();
    let mut message = suite::acceptance(store.next_queue_id(NOW), "alice@red.example", "<q@red.example>");
    suite::relay_to(&mut message, "bob@blue.example");
    suite::relay_to(&mut message, "carol@blue.example");
    let id = message.id;
    store.accept(suite::staged(&*store, b"Subject: queued\r\n\r\n").await, message).await.unwrap().into_inner();
    let attempt = Attempt { at: NOW, host: Some("mx".into()), words: "451 later".into(), status: (4, 3, 0) };
    let later = Outcome::Deferred { next_attempt: Timestamp::from_secs(9), warned: false, attempt };
    let outcomes = vec![(0, later), (1, Outcome::Relayed)];
    store
        .settle(Settlement { id, outcomes, tried: Vec::new(), events: Vec::new(), dsns: Vec::new() })
        .await
        .unwrap()
        .into_inner();
    // Last and with a known keyword, so that it is found among the arrivals.
    let row = AppendMessage { flags: Flags::SEEN, keywords, internal_date: Timestamp::from_secs(5) };
    let three = suite::staged(&*store, b"Subject: three\r\n\r\n").await;
    store.append(inbox, vec![(three, row)], NOW).await.unwrap().into_inner();
    store.close().await;
    for name in ["index.db", "index.db-wal", "index.db-shm", "lock"] {
        let _ = std::fs::remove_file(std::path::Path::new(&dir).join(name));
    }
}
