//! Promises about the audit log.

use std::sync::Arc;

use mail::limits;

use super::NOW;
use crate::{Act, Store};

fn act(who: &str, about: &str) -> Act {
    let about = about.to_owned();
    Act { about, ..Act::new(NOW, who.to_owned(), "192.0.2.1".to_owned(), "account-add".to_owned()) }
}

/// What was done is read back, the newest first, page by page and by name.
pub async fn acts_are_kept_in_order(store: Arc<impl Store>) {
    assert_eq!(store.acts(None, None, 9).await.unwrap(), []);
    let all = [act("operator", "Bob@x.example"), act("ann@x.example", ""), act("operator", "c@x.example")];
    store.note_acts(all[..2].to_vec()).await.unwrap();
    store.note_acts(all[2..].to_vec()).await.unwrap();
    let read = store.acts(None, None, 9).await.unwrap();
    let acts: Vec<_> = read.iter().rev().map(|audited| audited.act.clone()).collect();
    assert_eq!(acts, all);
    let second = store.acts(None, Some(read[0].number), 1).await.unwrap();
    assert_eq!(second, read[1..2]);
    let named = store.acts(Some("BOB@x".to_owned()), None, 9).await.unwrap();
    assert_eq!(named, read[2..]);
}

/// `AUDIT_ACTS`, and one more: the oldest makes room.
pub async fn old_acts_make_room(store: Arc<impl Store>) {
    store.note_acts(vec![act("first", "")]).await.unwrap();
    store.note_acts(vec![act("operator", ""); limits::AUDIT_ACTS - 1]).await.unwrap();
    assert_eq!(store.acts(Some("first".to_owned()), None, 9).await.unwrap().len(), 1);
    store.note_acts(vec![act("operator", "")]).await.unwrap();
    assert_eq!(store.acts(Some("first".to_owned()), None, 9).await.unwrap(), []);
    assert_eq!(store.acts(None, None, usize::MAX >> 1).await.unwrap().len(), limits::AUDIT_ACTS);
}
