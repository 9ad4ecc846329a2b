//! Mailboxes that others may use.

use std::sync::Arc;

use mail::{AccountId, MailboxId, Rights, limits};

use super::{account, address, inbox};
use crate::{Grant, GrantChange, GrantOperation, Store, StoreError};

fn rights(letters: &str) -> Rights {
    Rights::from_letters(letters.as_bytes()).unwrap()
}

fn give(grantee: Option<AccountId>, letters: &str) -> GrantChange {
    GrantChange { grantee, negative: false, operation: GrantOperation::Set, rights: rights(letters) }
}

async fn grant(store: &dyn Store, mailbox: MailboxId, change: GrantChange) {
    store.grant(mailbox, change).await.unwrap().into_inner();
}

/// What an account has and what anyone has add up; what is denied is denied, whoever gave it. The owner has all.
pub async fn grants_add_up(store: Arc<impl Store>) {
    let store = &*store;
    let (a, b, c) =
        (account(store, "a@x.example").await, account(store, "b@x.example").await, account(store, "c@x.example").await);
    let mailbox = inbox(store, a).await;
    let before = store.rights_version();
    assert_eq!(store.rights(a, mailbox).await.unwrap(), Rights::ALL);
    assert_eq!(store.rights(b, mailbox).await.unwrap(), Rights::NONE);
    grant(store, mailbox, give(None, "lr")).await;
    assert_ne!(store.rights_version(), before);
    grant(store, mailbox, give(Some(b), "ws")).await;
    grant(store, mailbox, GrantChange { operation: GrantOperation::Add, ..give(Some(b), "i") }).await;
    grant(store, mailbox, GrantChange { operation: GrantOperation::Remove, ..give(Some(b), "s") }).await;
    assert_eq!(store.rights(b, mailbox).await.unwrap(), rights("lrwi"));
    assert_eq!(store.rights(c, mailbox).await.unwrap(), rights("lr"));
    grant(store, mailbox, GrantChange { negative: true, ..give(Some(b), "ri") }).await;
    assert_eq!(store.rights(b, mailbox).await.unwrap(), rights("lw"));
    let grants = store.grants(mailbox).await.unwrap();
    let anyone = Grant { grantee: None, rights: rights("lr"), without: Rights::NONE };
    assert_eq!(grants, [anyone, Grant { grantee: Some(b), rights: rights("wi"), without: rights("ri") }]);
    grant(store, mailbox, give(Some(b), "")).await;
    grant(store, mailbox, GrantChange { negative: true, ..give(Some(b), "") }).await;
    assert_eq!(store.grants(mailbox).await.unwrap(), [anyone]);
    assert_eq!(store.rights(a, MailboxId(9_999)).await.unwrap(), Rights::NONE);
    let nowhere = store.grant(MailboxId(9_999), give(None, "l")).await.unwrap_err();
    assert!(matches!(nowhere, StoreError::MailboxGone(_)), "{nowhere}");
    let nobody = store.grant(mailbox, give(Some(AccountId(9_999)), "l")).await.unwrap_err();
    assert!(matches!(nobody, StoreError::NotFound(_)), "{nobody}");
}

/// Those with whom a mailbox is shared find it under its name, its owner does not.
pub async fn what_is_shared_is_found(store: Arc<impl Store>) {
    let store = &*store;
    let (a, b) = (account(store, "a@x.example").await, account(store, "b@x.example").await);
    let work = store.create_mailbox(a, "work", None).await.unwrap().into_inner();
    grant(store, work, give(None, "l")).await;
    grant(store, work, give(Some(b), "r")).await;
    grant(store, inbox(store, a).await, give(Some(b), "lr")).await;
    store.rename_mailbox(a, "work", "play", super::NOW).await.unwrap().into_inner();
    let shared = store.shared_with(b).await.unwrap();
    let told: Vec<_> = shared.iter().map(|shared| (shared.name.as_str(), shared.rights, shared.owner)).collect();
    assert_eq!(told, [("INBOX", rights("lr"), a), ("play", rights("lr"), a)]);
    assert_eq!((shared[1].id, &shared[1].address), (work, &address("a@x.example")));
    assert_eq!(store.shared_with(a).await.unwrap(), []);
    grant(store, work, GrantChange { negative: true, ..give(Some(b), "lr") }).await;
    assert_eq!(store.shared_with(b).await.unwrap().len(), 1);
}

/// A new mailbox begins with the grants of the one above it.
pub async fn a_new_mailbox_is_shared_like_the_one_above(store: Arc<impl Store>) {
    let store = &*store;
    let (a, b) = (account(store, "a@x.example").await, account(store, "b@x.example").await);
    let work = store.create_mailbox(a, "work", None).await.unwrap().into_inner();
    grant(store, work, give(Some(b), "lrk")).await;
    let below = store.create_mailbox(a, "work/2026/may", None).await.unwrap().into_inner();
    assert_eq!(store.rights(b, below).await.unwrap(), rights("lrk"));
    assert_eq!(store.shared_with(b).await.unwrap().len(), 3);
    let beside = store.create_mailbox(a, "worked", None).await.unwrap().into_inner();
    assert_eq!(store.rights(b, beside).await.unwrap(), Rights::NONE);
}

/// Of a mailbox and of an account that are gone nothing is left; who comes after under the same name inherits nothing.
pub async fn nothing_is_left_of_who_is_gone(store: Arc<impl Store>) {
    let store = &*store;
    let (a, b) = (account(store, "a@x.example").await, account(store, "b@x.example").await);
    let work = store.create_mailbox(a, "work", None).await.unwrap().into_inner();
    grant(store, work, give(Some(b), "lr")).await;
    grant(store, inbox(store, a).await, give(Some(b), "lr")).await;
    store.delete_mailbox(a, "work").await.unwrap().into_inner();
    let again = store.create_mailbox(a, "work", None).await.unwrap().into_inner();
    assert_eq!(store.rights(b, again).await.unwrap(), Rights::NONE);
    store.remove_account(b).await.unwrap().into_inner();
    let b = account(store, "b@x.example").await;
    assert_eq!(store.shared_with(b).await.unwrap(), []);
    assert_eq!(store.grants(inbox(store, a).await).await.unwrap(), []);
}

/// `GRANTS_PER_MAILBOX`.
pub async fn grants_are_bounded(store: Arc<impl Store>) {
    let store = &*store;
    let a = account(store, "a@x.example").await;
    let mailbox = inbox(store, a).await;
    grant(store, mailbox, give(None, "l")).await;
    for n in 1..limits::GRANTS_PER_MAILBOX {
        let other = account(store, &format!("u{n}@x.example")).await;
        grant(store, mailbox, give(Some(other), "l")).await;
    }
    let last = account(store, "last@x.example").await;
    let refused = store.grant(mailbox, give(Some(last), "l")).await.unwrap_err();
    assert_eq!(refused, StoreError::Limit("GRANTS_PER_MAILBOX"));
    // One that is there may change.
    grant(store, mailbox, give(None, "lr")).await;
    assert_eq!(store.grants(mailbox).await.unwrap().len(), limits::GRANTS_PER_MAILBOX);
}
