//! When a token was used last is written behind: with the store's care and at its end, never by the use itself.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic, also in what it calls")]

mod support;

use std::path::Path;
use std::time::Duration;

use mail::Timestamp;
use store::conformance::{self as suite, NOW};
use store::{Credential, NewPushSubscription, NewToken, PasswordHash, PushChange, Scopes, Store, TokenHash, TokenKind};

/// What the database says, whatever the store has in memory.
fn written(dir: &Path) -> (Option<i64>, String) {
    let conn = rusqlite::Connection::open(dir.join("store.db")).unwrap();
    conn.query_row("SELECT used, used_from FROM tokens", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[tokio::test]
async fn uses_are_written_with_the_care_and_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = support::open(dir.path());
    let account = suite::account(&*store, "a@x.example").await;
    let token = NewToken {
        account,
        kind: TokenKind::AppPassword,
        hash: TokenHash([1; 32]),
        name: "Phone".into(),
        scopes: Scopes::MAIL,
        expires: None,
        from: String::new(),
        passkey: None,
    };
    let id = store.add_token(token, NOW).await.unwrap().into_inner();
    let later = |seconds| NOW.plus(Duration::from_secs(seconds));
    let says = |at: Timestamp, from: &str| (Some(at.millis()), from.to_owned());
    store.note_use(id, later(1), "192.0.2.1");
    store.note_use(id, later(2), "192.0.2.2");
    assert_eq!(written(dir.path()), (None, String::new()), "a use cost a commit");
    store.reclaim().await.unwrap();
    assert_eq!(written(dir.path()), says(later(2), "192.0.2.2"));
    store.note_use(id, later(3), "192.0.2.3");
    store.close().await;
    assert_eq!(written(dir.path()), says(later(3), "192.0.2.3"));
    let store = support::open(dir.path());
    let token = store.token(&TokenHash([1; 32])).await.unwrap().unwrap();
    assert_eq!((token.id, token.used), (id, Some((later(3), "192.0.2.3".into()))));
    suite::check(&*store).await;
    store.close().await;
}

/// RFC 8620 §7.2: where a subscription went is erased with it, and not only forgotten.
#[tokio::test]
async fn a_subscription_that_went_is_wiped() {
    const URL: &str = "https://push.example/a-capability-that-nobody-else-has";
    let dir = tempfile::tempdir().unwrap();
    let is_on_disk = || {
        let files = support::files(dir.path());
        files.keys().any(|file| contains(&std::fs::read(file).unwrap(), URL.as_bytes()))
    };
    let store = support::open(dir.path());
    let account = suite::account(&*store, "a@x.example").await;
    let new = NewPushSubscription {
        account,
        credential: Credential::Password(PasswordHash("$x".into())),
        device: "phone".into(),
        url: URL.into(),
        keys: None,
        code: "code".into(),
        expires: None,
        types: None,
        told: String::new(),
    };
    let id = store.add_push_subscription(new, NOW).await.unwrap().into_inner();
    store.close().await;
    drop(store);
    assert!(is_on_disk());
    let store = support::open(dir.path());
    store.change_push_subscription(account, id, PushChange::Removed).await.unwrap().into_inner();
    store.close().await;
    drop(store);
    assert!(!is_on_disk());
}

fn contains(octets: &[u8], what: &[u8]) -> bool {
    octets.windows(what.len()).any(|window| window == what)
}
