//! Promises about sessions, app passwords, passkeys and the second factor.

use std::sync::Arc;
use std::time::Duration;

use mail::{AccountId, Timestamp, limits};

use super::{NOW, account};
use crate::{AccountState, Interest, NewToken, Passkey, PasswordHash, Scopes, Store, StoreError, TokenHash, TokenKind};

/// A hash that is another for another number.
pub(super) fn hash(n: usize) -> TokenHash {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&(n as u64).to_be_bytes());
    TokenHash(hash)
}

pub(super) fn new(account: AccountId, kind: TokenKind, n: usize) -> NewToken {
    let (name, from) = (format!("number {n}"), "192.0.2.1".to_owned());
    let passkey = (kind == TokenKind::Passkey).then(|| Passkey {
        credential: n.to_be_bytes().into(),
        key: vec![7; 77],
        counter: 0,
    });
    NewToken { account, kind, hash: hash(n), name, scopes: Scopes::IMAP, expires: None, from, passkey }
}

pub(super) fn later(seconds: usize) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds as u64))
}

/// A token is found by its hash, is its account's alone, tells when it was used, and is gone when it is taken away.
pub async fn tokens_are_found_and_go(store: Arc<impl Store>) {
    let (a, b) = (account(&*store, "a@x.example").await, account(&*store, "b@x.example").await);
    let session = store.add_token(new(a, TokenKind::Session, 1), NOW).await.unwrap().into_inner();
    let password = store.add_token(new(a, TokenKind::AppPassword, 2), NOW).await.unwrap().into_inner();
    assert!(store.add_token(new(b, TokenKind::Session, 1), NOW).await.is_err(), "two have one hash");
    let found = store.token(&hash(1)).await.unwrap().unwrap();
    assert_eq!((found.id, found.account, found.kind, found.created), (session, a, TokenKind::Session, NOW));
    assert_eq!((found.name.as_str(), found.scopes, found.expires), ("number 1", Scopes::IMAP, None));
    assert_eq!(found.used, Some((NOW, "192.0.2.1".into())));
    assert_eq!(store.token(&hash(2)).await.unwrap().unwrap().used, None);
    store.note_use(password, later(5), "192.0.2.9");
    assert_eq!(store.tokens(a, TokenKind::AppPassword).await.unwrap()[0].used, Some((later(5), "192.0.2.9".into())));
    assert_eq!(store.tokens(b, TokenKind::Session).await.unwrap(), []);

    for (who, kind, id) in
        [(b, TokenKind::Session, session), (a, TokenKind::AppPassword, session), (a, TokenKind::Session, password)]
    {
        let refused = store.remove_token(who, kind, id).await.unwrap_err();
        assert!(matches!(refused, StoreError::NotFound(_)), "{refused}");
    }
    store.remove_token(a, TokenKind::AppPassword, password).await.unwrap().into_inner();
    assert_eq!(store.token(&hash(2)).await.unwrap(), None);
    store.note_use(password, later(6), "192.0.2.9");
    let next = store.add_token(new(a, TokenKind::AppPassword, 3), NOW).await.unwrap().into_inner();
    assert!(next > password, "an id came again");
}

/// Who listens for it hears that somebody can no longer act for the account who could, and then sees it so.
pub async fn loss_of_access_is_told(store: Arc<impl Store>) {
    let (a, b) = (account(&*store, "a@x.example").await, account(&*store, "b@x.example").await);
    let (watch, deaf) = (store.listen(a), store.listen(a));
    watch.set_interest(Interest { access: true, ..Interest::default() });
    let told = || (watch.take().access, deaf.take().access);
    let id = store.add_token(new(a, TokenKind::AppPassword, 1), NOW).await.unwrap().into_inner();
    store.add_token(new(b, TokenKind::AppPassword, 2), NOW).await.unwrap().into_inner();
    store.set_account_state(b, AccountState::Disabled).await.unwrap().into_inner();
    assert_eq!(told(), (false, false));
    store.remove_token(a, TokenKind::AppPassword, id).await.unwrap().into_inner();
    assert_eq!((told(), store.token(&hash(1)).await.unwrap()), ((true, false), None));
    store.set_password(a, PasswordHash("other".into()), None).await.unwrap().into_inner();
    assert_eq!(told(), (true, false));
    store.set_account_state(a, AccountState::Disabled).await.unwrap().into_inner();
    assert_eq!(told(), (true, false));
    store.remove_account(a).await.unwrap().into_inner();
    assert_eq!((told(), store.account(a).await.unwrap()), ((true, false), None));
}

/// `SESSIONS_PER_ACCOUNT` and `APP_PASSWORDS_PER_ACCOUNT`, and one more: of sessions that goes which was unused the longest.
pub async fn tokens_are_bounded(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let mut first = None;
    for n in 0..limits::SESSIONS_PER_ACCOUNT {
        let id = store.add_token(new(a, TokenKind::Session, n), later(n)).await.unwrap().into_inner();
        first.get_or_insert(id);
    }
    store.note_use(first.unwrap(), later(1000), "192.0.2.1");
    store.add_token(new(a, TokenKind::Session, 1000), later(1001)).await.unwrap().into_inner();
    assert_eq!(store.tokens(a, TokenKind::Session).await.unwrap().len(), limits::SESSIONS_PER_ACCOUNT);
    assert_eq!(store.token(&hash(1)).await.unwrap(), None);
    assert!(store.token(&hash(0)).await.unwrap().is_some());

    let expires = Some(later(10));
    let dies = NewToken { expires, ..new(a, TokenKind::AppPassword, 2000) };
    store.add_token(dies, NOW).await.unwrap().into_inner();
    for n in 1..limits::APP_PASSWORDS_PER_ACCOUNT {
        store.add_token(new(a, TokenKind::AppPassword, 2000 + n), NOW).await.unwrap().into_inner();
    }
    let more = store.add_token(new(a, TokenKind::AppPassword, 3000), NOW).await.unwrap_err();
    assert_eq!(more, StoreError::Limit("APP_PASSWORDS_PER_ACCOUNT"));
    // One that is over does not count.
    store.add_token(new(a, TokenKind::AppPassword, 3000), later(10)).await.unwrap().into_inner();
    assert_eq!(store.token(&hash(2000)).await.unwrap(), None);
}

/// A passkey is one account's, `PASSKEYS_PER_ACCOUNT` at most, and its counter only grows, if it has one. It outlasts the
/// password.
pub async fn a_passkey_is_used_with_a_counter_that_grows(store: Arc<impl Store>) {
    let (a, b) = (account(&*store, "a@x.example").await, account(&*store, "b@x.example").await);
    let id = store.add_token(new(a, TokenKind::Passkey, 1), NOW).await.unwrap().into_inner();
    for who in [a, b] {
        let twice = store.add_token(new(who, TokenKind::Passkey, 1), NOW).await.unwrap_err();
        assert!(matches!(twice, StoreError::Exists(_)), "{twice}");
    }
    let kept = || async { store.token(&hash(1)).await.unwrap().unwrap() };
    assert_eq!((kept().await.passkey, kept().await.used), (new(a, TokenKind::Passkey, 1).passkey, None));
    let uses = [(0, true), (0, true), (5, true), (5, false), (4, false), (0, false), (6, true), (u32::MAX, true)];
    for (n, (counter, good)) in uses.into_iter().enumerate() {
        let used = store.use_passkey(id, counter, later(n), "192.0.2.7").await.unwrap().into_inner();
        assert_eq!(used, good, "{n}: {counter}");
        let (passkey, at) = (kept().await.passkey.unwrap(), kept().await.used);
        assert_eq!(passkey.counter == counter && at == Some((later(n), "192.0.2.7".into())), good, "{n}: {counter}");
    }
    let other = store.add_token(new(a, TokenKind::AppPassword, 2), NOW).await.unwrap().into_inner();
    assert!(!store.use_passkey(other, 1, NOW, "192.0.2.7").await.unwrap().into_inner(), "it is no passkey");

    store.set_password(a, PasswordHash("$new".into()), None).await.unwrap().into_inner();
    assert_eq!(store.tokens(a, TokenKind::Passkey).await.unwrap().len(), 1);
    for n in 1..limits::PASSKEYS_PER_ACCOUNT {
        store.add_token(new(a, TokenKind::Passkey, 1000 + n), NOW).await.unwrap().into_inner();
    }
    let more = store.add_token(new(a, TokenKind::Passkey, 3000), NOW).await.unwrap_err();
    assert_eq!(more, StoreError::Limit("PASSKEYS_PER_ACCOUNT"));
    store.remove_token(a, TokenKind::Passkey, id).await.unwrap().into_inner();
    assert!(!store.use_passkey(id, u32::MAX, NOW, "192.0.2.7").await.unwrap().into_inner(), "it is gone");
    store.remove_account(a).await.unwrap().into_inner();
    assert_eq!(store.token(&hash(1001)).await.unwrap(), None);
}

/// What is over is forgotten, and nothing else.
pub async fn tokens_that_are_over_are_forgotten(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    store.add_token(new(a, TokenKind::Session, 1), NOW).await.unwrap().into_inner();
    let used = store.add_token(new(a, TokenKind::Session, 2), NOW).await.unwrap().into_inner();
    store.add_token(new(a, TokenKind::AppPassword, 3), NOW).await.unwrap().into_inner();
    let end = NOW.plus(limits::SESSION_IDLE);
    store.note_use(used, later(1), "192.0.2.1");
    assert_eq!(store.forget_tokens(Timestamp::from_millis(end.millis() - 1)).await.unwrap(), 0);
    assert_eq!(store.forget_tokens(end).await.unwrap(), 1);
    assert_eq!(store.token(&hash(1)).await.unwrap(), None);
    assert!(store.token(&hash(2)).await.unwrap().is_some() && store.token(&hash(3)).await.unwrap().is_some());
}

/// A new password and disabling end the sessions, not the app passwords; with the account all of it goes.
pub async fn sessions_end_with_what_they_stand_on(store: Arc<impl Store>) {
    let (a, b) = (account(&*store, "a@x.example").await, account(&*store, "b@x.example").await);
    let give = async |n| {
        store.add_token(new(a, TokenKind::Session, n), NOW).await.unwrap().into_inner();
        store.add_token(new(b, TokenKind::Session, n + 1), NOW).await.unwrap().into_inner();
    };
    store.add_token(new(a, TokenKind::AppPassword, 1), NOW).await.unwrap().into_inner();
    give(10).await;
    store.set_password(a, PasswordHash("$new".into()), None).await.unwrap().into_inner();
    assert_eq!(store.token(&hash(10)).await.unwrap(), None);
    assert!(store.token(&hash(11)).await.unwrap().is_some(), "somebody else's ended");
    give(20).await;
    store.set_account_state(a, AccountState::Disabled).await.unwrap().into_inner();
    assert_eq!(store.token(&hash(20)).await.unwrap(), None);
    assert!(store.add_token(new(a, TokenKind::Session, 30), NOW).await.is_err(), "a disabled account got a session");
    store.set_account_state(a, AccountState::Active).await.unwrap().into_inner();
    assert!(store.token(&hash(1)).await.unwrap().is_some());
    store.remove_account(a).await.unwrap().into_inner();
    assert_eq!(store.token(&hash(1)).await.unwrap(), None);
    assert!(store.add_token(new(a, TokenKind::AppPassword, 40), NOW).await.is_err());
}

/// A code counts once, and none of an earlier step after it; so does a recovery code. All goes with the second factor.
pub async fn a_code_is_used_once(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let totp = async || store.account(a).await.unwrap().unwrap().totp;
    assert!(matches!(store.confirm_totp(a, 5, Vec::new()).await, Err(StoreError::NotFound(_))));
    assert!(matches!(store.remove_totp(a).await, Err(StoreError::NotFound(_))));
    store.begin_totp(a, vec![1; 20]).await.unwrap().into_inner();
    store.begin_totp(a, vec![2; 20]).await.unwrap().into_inner();
    let begun = totp().await.unwrap();
    assert_eq!((begun.secret, begun.confirmed, begun.recovery_codes), (vec![2; 20], false, 0));
    assert!(!store.use_totp(a, 9).await.unwrap().into_inner(), "used before it was confirmed");
    store.confirm_totp(a, 9, vec![hash(1), hash(2)]).await.unwrap().into_inner();
    let confirmed = totp().await.unwrap();
    assert_eq!((confirmed.confirmed, confirmed.last_step, confirmed.recovery_codes), (true, 9, 2));
    assert!(matches!(store.begin_totp(a, vec![3; 20]).await, Err(StoreError::Exists(_))));
    for (step, good) in [(9, false), (8, false), (10, true), (10, false), (12, true), (11, false)] {
        assert_eq!(store.use_totp(a, step).await.unwrap().into_inner(), good, "{step}");
    }
    for (n, good) in [(3, false), (1, true), (1, false)] {
        assert_eq!(store.use_recovery_code(a, hash(n)).await.unwrap().into_inner(), good, "{n}");
    }
    let used = totp().await.unwrap();
    assert_eq!((used.last_step, used.recovery_codes), (12, 1));
    store.remove_totp(a).await.unwrap().into_inner();
    assert_eq!(totp().await, None);
    assert!(!store.use_recovery_code(a, hash(2)).await.unwrap().into_inner());
}
