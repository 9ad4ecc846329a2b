//! Promises about filters.

use std::sync::Arc;
use std::time::Duration;

use mail::{AccountId, limits};

use super::{NOW, acceptance, account, deliver_to, staged};
use crate::{DirectoryEntry, Mark, ScriptChange, Store, StoreError, StoreResult};

async fn change(store: &impl Store, who: AccountId, changes: Vec<ScriptChange>) -> StoreResult<()> {
    store.change_scripts(who, changes).await.map(|state| assert!(state.into_inner().0 > 0))
}

fn put(name: &str, text: &str) -> ScriptChange {
    ScriptChange::Put(name.to_owned(), text.to_owned())
}

async fn names(store: &impl Store, who: AccountId) -> Vec<(String, bool)> {
    let list = store.scripts(who).await.unwrap();
    list.scripts.into_iter().map(|script| (script.name, script.active)).collect()
}

/// Scripts are kept by name, one at most is active, and deliveries find that at the account.
pub async fn scripts_are_kept(store: Arc<impl Store>) {
    let (a, b) = (account(&*store, "a@red.example").await, account(&*store, "b@red.example").await);
    assert_eq!(store.scripts(a).await.unwrap().state.0, 0);
    change(&*store, a, vec![put("one", "keep;"), put("two", "stop;")]).await.unwrap();
    change(&*store, a, vec![ScriptChange::Activate("two".into())]).await.unwrap();
    assert_eq!(names(&*store, a).await, [("one".to_owned(), false), ("two".to_owned(), true)]);
    assert_eq!(names(&*store, b).await, []);
    let found = |entry| match entry {
        Some(DirectoryEntry::Account(account)) => account.script,
        _ => panic!("no account"),
    };
    let at = super::address("a@red.example");
    let before = found(store.entry(&at).await.unwrap()).unwrap();
    change(&*store, a, vec![put("two", "discard;")]).await.unwrap();
    let after = found(store.entry(&at).await.unwrap()).unwrap();
    assert!(after.1 > before.1 && after.0 == "two", "{before:?} {after:?}");
    assert_eq!(store.script(a, "two").await.unwrap().unwrap(), "discard;");
    assert_eq!(store.script(a, "three").await.unwrap(), None);
    let remove = |name: &str| vec![ScriptChange::Remove(name.into())];
    assert_eq!(change(&*store, a, remove("two")).await, Err(StoreError::ScriptActive));
    let rename = |from: &str, to: &str| vec![ScriptChange::Rename(from.into(), to.into())];
    assert!(matches!(change(&*store, a, rename("one", "two")).await, Err(StoreError::Exists(_))));
    assert!(matches!(change(&*store, a, rename("x", "y")).await, Err(StoreError::NotFound(_))));
    change(&*store, a, rename("two", "three")).await.unwrap();
    assert_eq!(names(&*store, a).await, [("one".to_owned(), false), ("three".to_owned(), true)]);
    let state = store.scripts(a).await.unwrap().state;
    change(&*store, a, vec![ScriptChange::Deactivate]).await.unwrap();
    assert_eq!(found(store.entry(&at).await.unwrap()), None);
    // All of it, or nothing.
    let failed = change(&*store, a, vec![ScriptChange::Remove("one".into()), ScriptChange::Activate("x".into())]);
    assert!(failed.await.is_err());
    change(&*store, a, remove("three")).await.unwrap();
    assert_eq!(names(&*store, a).await, [("one".to_owned(), false)]);
    assert!(store.scripts(a).await.unwrap().state > state);
    store.remove_account(a).await.unwrap().into_inner();
}

/// `SIEVE_SCRIPTS`, `SIEVE_SCRIPT_NAME_LEN` and `SIEVE_SCRIPT_LEN`: so many, so long, and no more.
pub async fn scripts_are_bounded(store: Arc<impl Store>) {
    let a = account(&*store, "a@red.example").await;
    let all = (0..limits::SIEVE_SCRIPTS).map(|n| put(&n.to_string(), "keep;")).collect();
    change(&*store, a, all).await.unwrap();
    assert_eq!(change(&*store, a, vec![put("x", "")]).await, Err(StoreError::Limit("SIEVE_SCRIPTS")));
    change(&*store, a, vec![put("0", &" ".repeat(limits::SIEVE_SCRIPT_LEN))]).await.unwrap();
    let long = change(&*store, a, vec![put("0", &" ".repeat(limits::SIEVE_SCRIPT_LEN + 1))]).await;
    assert_eq!(long, Err(StoreError::Limit("SIEVE_SCRIPT_LEN")));
    let rename = |to: String| vec![ScriptChange::Rename("1".into(), to)];
    for bad in [String::new(), "a\nb".into(), "n".repeat(limits::SIEVE_SCRIPT_NAME_LEN + 1)] {
        assert_eq!(change(&*store, a, rename(bad)).await, Err(StoreError::Limit("SIEVE_SCRIPT_NAME_LEN")));
    }
    change(&*store, a, rename("n".repeat(limits::SIEVE_SCRIPT_NAME_LEN))).await.unwrap();
}

/// A message comes, and these with it.
async fn with_marks(store: &impl Store, a: AccountId, marks: Vec<Mark>) {
    let mut message = acceptance(store.next_queue_id(NOW), "s@far.example", "<1@far.example>");
    deliver_to(&mut message, a, "a@red.example");
    message.marks = marks;
    store.accept(staged(store, b"Subject: x\r\n\r\n").await, message).await.unwrap().into_inner();
}

/// Marks come with a message, and are remembered for their time; `SIEVE_MARKS_KEPT` of them, those that last longest.
pub async fn marks_come_with_a_message(store: Arc<impl Store>) {
    let a = account(&*store, "a@red.example").await;
    let mark = |mark: String, after| Mark { account: a, mark, until: NOW.plus(Duration::from_secs(after)) };
    with_marks(&*store, a, vec![mark("soon".into(), 10), mark("late".into(), 1_000)]).await;
    let asked = || vec!["soon".to_owned(), "late".to_owned(), "never".to_owned()];
    assert_eq!(store.marked_before(a, asked(), NOW).await.unwrap(), ["soon", "late"]);
    let later = NOW.plus(Duration::from_secs(10));
    assert_eq!(store.marked_before(a, asked(), later).await.unwrap(), ["late"]);
    with_marks(&*store, a, (0..limits::SIEVE_MARKS_KEPT - 1).map(|n| mark(n.to_string(), 2_000)).collect()).await;
    assert_eq!(store.marked_before(a, asked(), NOW).await.unwrap(), ["late"]);
    with_marks(&*store, a, vec![mark("one more".into(), 3_000)]).await;
    assert!(store.marked_before(a, asked(), NOW).await.unwrap().is_empty());
}
