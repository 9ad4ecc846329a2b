//! Promises about domains, accounts and aliases.

use std::sync::Arc;

use super::{NOW, account, address, append, deliver, domain, inbox};
use crate::{AccountState, Alias, DirectoryEntry, NewAccount, PasswordHash, ScramKeys, SpecialUse, Store, StoreError};

/// INBOX and the special-use mailboxes are there and subscribed; the address is folded; ids are not reused.
pub async fn accounts_come_with_their_mailboxes(store: Arc<impl Store>) {
    let id = account(&*store, "Alice@Red.example").await;
    let boxes = store.mailboxes(id).await.unwrap();
    assert_eq!(boxes[0].name, "INBOX");
    assert_eq!(boxes.len(), 1 + SpecialUse::ALL.len());
    for (special_use, _, name) in SpecialUse::ALL {
        let found = boxes.iter().find(|mailbox| mailbox.name == name).unwrap();
        assert_eq!((found.special_use, found.subscribed), (Some(special_use), true));
    }
    assert!(boxes.iter().all(|mailbox| mailbox.subscribed && mailbox.id.is_some()));
    let entry = store.entry(&address("alice@red.example")).await.unwrap();
    let Some(DirectoryEntry::Account(found)) = entry else { panic!("{entry:?}") };
    assert_eq!((found.id, found.used, found.messages), (id, 0, 0));

    let scram = ScramKeys { salt: vec![1], iterations: 4096, stored_key: [2; 32], server_key: [3; 32] };
    store.set_password(id, PasswordHash("$new".into()), Some(scram.clone())).await.unwrap().into_inner();
    store.set_quota(id, Some(99)).await.unwrap().into_inner();
    store.set_account_state(id, AccountState::Disabled).await.unwrap().into_inner();
    let found = store.account(id).await.unwrap().unwrap();
    assert_eq!((found.password.0.as_str(), found.scram, found.quota), ("$new", Some(scram), Some(99)));
    assert_eq!(found.state, AccountState::Disabled);
}

/// An account needs one of our domains; a domain with addresses stays.
pub async fn domains_guard_their_addresses(store: Arc<impl Store>) {
    let new =
        || NewAccount { address: address("a@x.example"), password: PasswordHash("$".into()), scram: None, quota: None };
    assert!(matches!(store.add_account(new(), NOW).await, Err(StoreError::NotFound(_))));
    store.add_domain(&domain("x.example")).await.unwrap().into_inner();
    assert!(matches!(store.add_domain(&domain("x.example")).await, Err(StoreError::Exists(_))));
    let id = store.add_account(new(), NOW).await.unwrap().into_inner();
    assert!(matches!(store.add_account(new(), NOW).await, Err(StoreError::Exists(_))));
    assert!(store.remove_domain(&domain("x.example")).await.is_err());
    store.remove_account(id).await.unwrap().into_inner();
    store.remove_domain(&domain("x.example")).await.unwrap().into_inner();
    assert!(store.domain(&domain("x.example")).await.unwrap().is_none());
    assert!(matches!(store.remove_domain(&domain("x.example")).await, Err(StoreError::NotFound(_))));
}

/// Aliases and accounts exclude each other, and page in order.
pub async fn aliases_are_listed_in_order(store: Arc<impl Store>) {
    account(&*store, "a@x.example").await;
    let alias =
        |name: &str, to: &[&str]| Alias { address: address(name), targets: to.iter().map(|to| address(to)).collect() };
    let taken = store.set_alias(alias("a@x.example", &["b@far.example"])).await;
    assert!(matches!(taken, Err(StoreError::Exists(_))));
    for name in ["Sales@x.example", "*@x.example", "info@x.example"] {
        store.set_alias(alias(name, &["a@x.example", "b@far.example"])).await.unwrap().into_inner();
    }
    let all = store.aliases(None, 10).await.unwrap();
    assert_eq!(all.len(), 3);
    assert!(all.is_sorted_by_key(|alias| alias.address.clone()));
    assert_eq!(store.aliases(Some(&all[0].address), 1).await.unwrap(), all[1..2]);
    let entry = store.entry(&address("sales@x.example")).await.unwrap();
    assert!(matches!(entry, Some(DirectoryEntry::Alias(alias)) if alias.targets.len() == 2));
    store.set_alias(alias("info@x.example", &[])).await.unwrap().into_inner();
    assert!(store.entry(&address("info@x.example")).await.unwrap().is_none());
    assert!(matches!(store.set_alias(alias("info@x.example", &[])).await, Err(StoreError::NotFound(_))));
}

/// Its mail stays; what led to it leads there, and so does the address before, if that is kept.
pub async fn an_account_takes_another_address(store: Arc<impl Store>) {
    let id = account(&*store, "a@x.example").await;
    deliver(&*store, id, "a@x.example", b"one").await;
    let alias = |name: &str, to: &[&str]| {
        let targets = to.iter().map(|to| address(to)).collect();
        store.set_alias(Alias { address: address(name), targets })
    };
    alias("all@x.example", &["b@far.example", "A@x.example"]).await.unwrap().into_inner();
    let rename = |to: &str, keep| store.rename_account(id, address(to), keep);
    for taken in ["a@x.example", "all@x.example"] {
        assert!(matches!(rename(taken, true).await, Err(StoreError::Exists(_))));
    }
    assert!(matches!(rename("a@far.example", true).await, Err(StoreError::NotFound(_))));
    rename("New@x.example", true).await.unwrap().into_inner();
    let found = store.account(id).await.unwrap().unwrap();
    assert_eq!((found.address, found.messages), (address("new@x.example"), 1));
    let targets = async |name: &str| match store.entry(&address(name)).await.unwrap() {
        Some(DirectoryEntry::Alias(alias)) => alias.targets,
        other => panic!("{name} is {other:?}"),
    };
    assert_eq!(targets("a@x.example").await, [address("new@x.example")]);
    assert_eq!(targets("all@x.example").await, ["b@far.example", "new@x.example"].map(address));
    assert!(matches!(store.entry(&address("new@x.example")).await.unwrap(), Some(DirectoryEntry::Account(_))));
    // Not kept, it is free.
    rename("other@x.example", false).await.unwrap().into_inner();
    assert!(store.entry(&address("new@x.example")).await.unwrap().is_none());
    assert_eq!(targets("a@x.example").await, [address("other@x.example")]);
    account(&*store, "new@x.example").await;
}

/// Made again under the same address, an account has other ids, another UIDVALIDITY and no mail.
pub async fn a_removed_account_leaves_nothing(store: Arc<impl Store>) {
    let old = account(&*store, "a@x.example").await;
    let old_inbox = inbox(&*store, old).await;
    deliver(&*store, old, "a@x.example", b"one").await;
    append(&*store, old_inbox, b"two").await;
    let old_status = store.status(old_inbox).await.unwrap();
    let mut watch = store.watch(old_inbox).await.unwrap();
    assert_eq!(watch.newest().unwrap().len(), 2);
    store.remove_account(old).await.unwrap().into_inner();
    assert!(watch.newest().is_none());
    assert!(matches!(store.status(old_inbox).await, Err(StoreError::MailboxGone(_))));
    assert!(matches!(store.remove_account(old).await, Err(StoreError::NotFound(_))));
    let new = account(&*store, "a@x.example").await;
    let new_inbox = inbox(&*store, new).await;
    assert!(new > old && new_inbox > old_inbox);
    let status = store.status(new_inbox).await.unwrap();
    assert!(status.uid_validity.0 > old_status.uid_validity.0);
    assert_eq!((status.messages, status.uid_next.get()), (0, 1));
    assert_eq!(store.account(new).await.unwrap().unwrap().used, 0);
    // What comes now is seen, and is all that is seen.
    deliver(&*store, new, "a@x.example", b"three").await;
    let seen = store.watch(new_inbox).await.unwrap().newest().unwrap();
    assert_eq!(seen.iter().map(|row| row.uid.get()).collect::<Vec<_>>(), [1]);
}
