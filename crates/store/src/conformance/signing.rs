//! Promises about keys with which domains sign.

use std::sync::Arc;

use mail::limits;

use super::{NOW, domain};
use crate::{KeyChange, KeyKind, KeyState, PrivateKey, Store, StoreError};

fn add(selector: &str, kind: KeyKind) -> KeyChange {
    let private = PrivateKey(Arc::from(selector.as_bytes()));
    KeyChange::Add { selector: selector.into(), kind, private, state: KeyState::Waiting }
}

/// They are there with all that was said of them, oldest first, and go with their domain.
pub async fn signing_keys_are_kept(store: Arc<impl Store>) {
    let x = domain("x.example");
    let change = |changes| store.change_signing_keys(x.clone(), changes, NOW);
    assert!(matches!(change(vec![add("a", KeyKind::Rsa)]).await, Err(StoreError::NotFound(_))));
    store.add_domain(&x).await.unwrap().into_inner();
    change(vec![add("b", KeyKind::Rsa), add("a", KeyKind::Ed25519)]).await.unwrap().into_inner();
    let keys = async || {
        let keys = store.signing_keys(&x).await.unwrap();
        keys.iter().map(|key| (key.selector.clone(), key.kind, key.state)).collect::<Vec<_>>()
    };
    assert_eq!(
        keys().await,
        [("b".to_owned(), KeyKind::Rsa, KeyState::Waiting), ("a".to_owned(), KeyKind::Ed25519, KeyState::Waiting)]
    );
    assert_eq!(&store.signing_keys(&x).await.unwrap()[0].private.0[..], b"b");
    // All, or none.
    let twice = change(vec![KeyChange::State("b".into(), KeyState::Signing), add("a", KeyKind::Rsa)]).await;
    assert!(matches!(twice, Err(StoreError::Exists(_))));
    assert_eq!(keys().await[0].2, KeyState::Waiting);
    let both = vec![KeyChange::State("b".into(), KeyState::Retired), KeyChange::Remove("a".into())];
    change(both).await.unwrap().into_inner();
    assert_eq!(keys().await, [("b".to_owned(), KeyKind::Rsa, KeyState::Retired)]);
    for unknown in [KeyChange::Remove("a".into()), KeyChange::State("a".into(), KeyState::Signing)] {
        assert!(matches!(change(vec![unknown]).await, Err(StoreError::NotFound(_))));
    }
    store.remove_domain(&x).await.unwrap().into_inner();
    assert!(keys().await.is_empty());
    store.add_domain(&x).await.unwrap().into_inner();
    assert!(keys().await.is_empty());
}

/// `SIGNING_KEYS`
pub async fn signing_keys_are_bounded(store: Arc<impl Store>) {
    let x = domain("x.example");
    store.add_domain(&x).await.unwrap().into_inner();
    let many = (0..limits::SIGNING_KEYS).map(|n| add(&format!("s{n}"), KeyKind::Ed25519)).collect();
    store.change_signing_keys(x.clone(), many, NOW).await.unwrap().into_inner();
    let more = store.change_signing_keys(x, vec![add("more", KeyKind::Ed25519)], NOW).await;
    assert!(matches!(more, Err(StoreError::Limit("SIGNING_KEYS"))));
}
