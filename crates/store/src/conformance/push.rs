//! Promises about push subscriptions.

use std::sync::Arc;

use mail::{AccountId, Timestamp, limits};

use super::credentials::{hash, later, new as token};
use super::{NOW, account};
use crate::{
    AccountState, Credential, NewPushSubscription, PasswordHash, PushChange, PushKeys, Store, StoreError, TokenKind,
};

fn password() -> Credential {
    Credential::Password(PasswordHash("$x".into()))
}

fn new(account: AccountId, credential: Credential) -> NewPushSubscription {
    NewPushSubscription {
        account,
        credential,
        device: "a phone".into(),
        url: "https://push.example/1".into(),
        keys: Some(PushKeys { p256dh: [4; 65], auth: [5; 16] }),
        code: "secret".into(),
        expires: None,
        types: Some(vec!["Email".into(), "Mailbox".into()]),
        told: "A1.1".into(),
    }
}

async fn count(store: &impl Store, account: AccountId) -> usize {
    store.push_subscriptions(account).await.unwrap().len()
}

/// What was given is read, and what was changed since; it is its account's alone, and its id is no other's.
pub async fn subscriptions_are_kept(store: Arc<impl Store>) {
    let (a, b) = (account(&*store, "a@x.example").await, account(&*store, "b@x.example").await);
    assert_eq!(store.push_accounts().await.unwrap(), []);
    let first = store.add_push_subscription(new(a, password()), NOW).await.unwrap().into_inner();
    let bare = NewPushSubscription { keys: None, types: None, expires: Some(later(9)), ..new(a, password()) };
    let second = store.add_push_subscription(bare.clone(), later(1)).await.unwrap().into_inner();
    let all = store.push_subscriptions(a).await.unwrap();
    assert_eq!((all[0].id, all[0].created, all[0].verified, &all[0].given), (first, NOW, false, &new(a, password())));
    assert_eq!((all[1].id, all[1].created, &all[1].given), (second, later(1), &bare));
    assert_eq!((store.push_accounts().await.unwrap(), count(&*store, b).await), (vec![a], 0));

    let set = PushChange::Set { verified: true, expires: Some(later(5)), types: None };
    store.change_push_subscription(a, first, set.clone()).await.unwrap().into_inner();
    store.change_push_subscription(a, first, PushChange::Told("A1.7".into())).await.unwrap().into_inner();
    let changed = store.push_subscriptions(a).await.unwrap().remove(0);
    let given = NewPushSubscription { expires: Some(later(5)), types: None, told: "A1.7".into(), ..new(a, password()) };
    assert_eq!((changed.verified, changed.given), (true, given));
    // Whoever read it before the code came takes nothing back.
    let late = PushChange::Set { verified: false, expires: Some(later(5)), types: None };
    store.change_push_subscription(a, first, late).await.unwrap().into_inner();
    assert!(store.push_subscriptions(a).await.unwrap()[0].verified);
    for change in [set, PushChange::Told(String::new()), PushChange::Removed] {
        let refused = store.change_push_subscription(b, first, change).await.unwrap_err();
        assert!(matches!(refused, StoreError::NotFound(_)), "{refused}");
    }
    store.change_push_subscription(a, second, PushChange::Removed).await.unwrap().into_inner();
    let refused = store.change_push_subscription(a, second, PushChange::Removed).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotFound(_)), "{refused}");
    let third = store.add_push_subscription(new(a, password()), NOW).await.unwrap().into_inner();
    assert!(third > second, "an id came again");
    store.remove_account(a).await.unwrap().into_inner();
    assert_eq!((store.push_accounts().await.unwrap(), count(&*store, a).await), (vec![], 0));
}

/// RFC 8620 §7.2: a subscription goes with the log-in that it was made with, and is made with none that is no good.
pub async fn subscriptions_end_with_what_made_them(store: Arc<impl Store>) {
    let (a, b) = (account(&*store, "a@x.example").await, account(&*store, "b@x.example").await);
    let by = |n| Credential::Token(hash(n));
    let add = async |of, credential| {
        let made = store.add_push_subscription(new(of, credential), NOW).await;
        made.map(|id| id.into_inner())
    };
    let app = store.add_token(token(a, TokenKind::AppPassword, 1), NOW).await.unwrap().into_inner();
    store.add_token(token(a, TokenKind::Session, 2), NOW).await.unwrap().into_inner();
    for credential in [by(1), by(2), password()] {
        add(a, credential).await.unwrap();
    }
    add(b, password()).await.unwrap();
    let wrong = Credential::Password(PasswordHash("$y".into()));
    for (of, credential) in [(b, by(1)), (a, by(3)), (a, wrong)] {
        assert!(matches!(add(of, credential).await, Err(StoreError::NotFound(_))));
    }
    let over = NOW.plus(limits::SESSION_IDLE);
    let late = store.add_push_subscription(new(a, by(2)), over).await;
    assert!(matches!(late, Err(StoreError::NotFound(_))), "by a session that is over");

    // A new password ends what was made with the old one, and the sessions; app passwords go on.
    store.set_password(a, PasswordHash("$z".into()), None).await.unwrap().into_inner();
    let left = store.push_subscriptions(a).await.unwrap();
    assert_eq!(left.iter().map(|one| &one.given.credential).collect::<Vec<_>>(), [&by(1)]);
    store.remove_token(a, TokenKind::AppPassword, app).await.unwrap().into_inner();
    assert_eq!((count(&*store, a).await, count(&*store, b).await), (0, 1));
    // With a second factor the password alone is no longer good.
    store.begin_totp(b, vec![1; 20]).await.unwrap().into_inner();
    assert_eq!(count(&*store, b).await, 1);
    store.confirm_totp(b, 1, Vec::new()).await.unwrap().into_inner();
    assert_eq!(count(&*store, b).await, 0);
    store.set_account_state(b, AccountState::Disabled).await.unwrap().into_inner();
    assert!(matches!(add(b, password()).await, Err(StoreError::NotFound(_))));
}

/// `PUSH_SUBSCRIPTIONS_PER_ACCOUNT`: so many, and one more; those that are over do not count.
pub async fn subscriptions_are_bounded(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let ends = NewPushSubscription { expires: Some(later(10)), ..new(a, password()) };
    let first = store.add_push_subscription(ends, NOW).await.unwrap().into_inner();
    for _ in 1..limits::PUSH_SUBSCRIPTIONS_PER_ACCOUNT {
        store.add_push_subscription(new(a, password()), NOW).await.unwrap().into_inner();
    }
    let more = store.add_push_subscription(new(a, password()), later(9)).await.unwrap_err();
    assert_eq!(more, StoreError::Limit("PUSH_SUBSCRIPTIONS_PER_ACCOUNT"));
    store.add_push_subscription(new(a, password()), later(10)).await.unwrap().into_inner();
    let all = store.push_subscriptions(a).await.unwrap();
    assert!(all.len() == limits::PUSH_SUBSCRIPTIONS_PER_ACCOUNT && all.iter().all(|one| one.id != first));
}

/// What is over is forgotten, and nothing else: at its end, or `PUSH_UNVERIFIED` after it was made.
pub async fn subscriptions_that_are_over_are_forgotten(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let unverified = NOW.plus(limits::PUSH_UNVERIFIED);
    let just_before = |at: Timestamp| Timestamp::from_millis(at.millis() - 1);
    let verified = store.add_push_subscription(new(a, password()), NOW).await.unwrap().into_inner();
    store.add_push_subscription(new(a, password()), NOW).await.unwrap().into_inner();
    let set = |expires| PushChange::Set { verified: true, expires, types: None };
    store.change_push_subscription(a, verified, set(None)).await.unwrap().into_inner();
    let forget = async |now| {
        store.forget_tokens(now).await.unwrap();
        store.push_subscriptions(a).await.unwrap().iter().map(|one| one.id).collect::<Vec<_>>()
    };
    assert_eq!(forget(just_before(unverified)).await.len(), 2);
    assert_eq!(forget(unverified).await, [verified]);
    let end = unverified.plus(limits::PUSH_UNVERIFIED);
    store.change_push_subscription(a, verified, set(Some(end))).await.unwrap().into_inner();
    assert_eq!(forget(just_before(end)).await, [verified]);
    assert_eq!(forget(end).await, []);
}

/// The first key stays.
pub async fn the_key_stays(store: Arc<impl Store>) {
    assert_eq!(store.push_key(vec![1, 2]).await.unwrap(), [1, 2]);
    assert_eq!(store.push_key(vec![3]).await.unwrap(), [1, 2]);
}
