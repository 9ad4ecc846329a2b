//! Promises about mailboxes and what is done in them.

use std::sync::Arc;

use mail::{Flags, Keyword, ModSeq, Uid, limits};

use super::{NOW, account, append, deliver, inbox, read};
use crate::{FlagChange, FlagOperation, Store, StoreError, UrlKey};

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn change(operation: FlagOperation, flags: Flags, keywords: &[&str]) -> FlagChange {
    let keywords = keywords.iter().map(|name| Keyword::new(name).unwrap()).collect();
    FlagChange { operation, flags, keywords, unchanged_since: None }
}

/// Parents are made, INBOX is one name, impossible names are refused.
pub async fn names_follow_the_rules(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    store.create_mailbox(a, "one/two/three", None).await.unwrap().into_inner();
    for name in ["one", "one/two", "one/two/three"] {
        assert!(store.mailbox(a, name).await.unwrap().is_some(), "{name}");
    }
    assert!(matches!(store.create_mailbox(a, "one", None).await, Err(StoreError::Exists(_))));
    assert!(matches!(store.create_mailbox(a, "inbox", None).await, Err(StoreError::Exists(_))));
    assert_eq!(store.mailbox(a, "InBoX").await.unwrap(), store.mailbox(a, "INBOX").await.unwrap());
    assert_eq!(store.mailbox(a, "ONE").await.unwrap(), None);
    let long = "x".repeat(limits::MAILBOX_NAME_LEN + 1);
    for bad in ["", "/", "a//b", "a/", "/a", "a\0b", &long] {
        let refused = store.create_mailbox(a, bad, None).await;
        assert!(matches!(refused, Err(StoreError::BadMailboxName(_))), "{bad:?}");
    }
    // A subscription needs no mailbox (RFC 3501 §6.3.6) and outlives it.
    store.subscribe(a, "later", true).await.unwrap().into_inner();
    let names = store.mailboxes(a).await.unwrap();
    assert!(names.iter().any(|info| info.name == "later" && info.id.is_none() && info.subscribed));
    store.subscribe(a, "later", false).await.unwrap().into_inner();
    assert!(store.mailboxes(a).await.unwrap().iter().all(|info| info.name != "later"));
}

/// Renaming takes children along, keeps ids and UIDVALIDITY; deleting a parent leaves its name.
pub async fn rename_and_delete(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let child = store.create_mailbox(a, "old/child", None).await.unwrap().into_inner();
    let parent = store.mailbox(a, "old").await.unwrap().unwrap();
    append(&*store, child, b"x").await;
    let before = store.status(child).await.unwrap();
    assert!(matches!(store.rename_mailbox(a, "none", "x", NOW).await, Err(StoreError::NoMailbox(_))));
    assert!(matches!(store.rename_mailbox(a, "old", "Trash", NOW).await, Err(StoreError::Exists(_))));
    assert!(matches!(store.rename_mailbox(a, "old", "old/in", NOW).await, Err(StoreError::BadMailboxName(_))));
    store.rename_mailbox(a, "old", "up/new", NOW).await.unwrap().into_inner();
    assert_eq!(store.mailbox(a, "up/new").await.unwrap(), Some(parent));
    assert_eq!(store.mailbox(a, "up/new/child").await.unwrap(), Some(child));
    assert_eq!(store.status(child).await.unwrap(), before);
    assert!(store.mailboxes(a).await.unwrap().iter().all(|info| !info.name.starts_with("old")));

    store.delete_mailbox(a, "up/new").await.unwrap().into_inner();
    let names = store.mailboxes(a).await.unwrap();
    assert!(names.iter().any(|info| info.name == "up/new" && info.id.is_none()));
    assert!(matches!(store.delete_mailbox(a, "up/new").await, Err(StoreError::HasChildren)));
    store.delete_mailbox(a, "up/new/child").await.unwrap().into_inner();
    assert!(store.mailboxes(a).await.unwrap().iter().all(|info| info.name != "up/new"));
    assert!(matches!(store.delete_mailbox(a, "up/new").await, Err(StoreError::NoMailbox(_))));
    assert!(matches!(store.delete_mailbox(a, "inbox").await, Err(StoreError::BadMailboxName(_))));
    let again = store.create_mailbox(a, "up/new", None).await.unwrap().into_inner();
    assert!(again > child);
    assert!(store.status(again).await.unwrap().uid_validity.0 > before.uid_validity.0);
}

/// RFC 3501 §6.3.5: renaming INBOX moves its messages; INBOX and what is below it stay.
pub async fn inbox_gives_its_messages_away(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let mailbox = inbox(&*store, a).await;
    store.create_mailbox(a, "INBOX/below", None).await.unwrap().into_inner();
    append(&*store, mailbox, b"one").await;
    append(&*store, mailbox, b"two").await;
    store.rename_mailbox(a, "inbox", "saved", NOW).await.unwrap().into_inner();
    assert_eq!(store.mailbox(a, "INBOX").await.unwrap(), Some(mailbox));
    let status = store.status(mailbox).await.unwrap();
    assert_eq!((status.messages, status.uid_next.get()), (0, 3));
    let saved = store.mailbox(a, "saved").await.unwrap().unwrap();
    assert_eq!(store.status(saved).await.unwrap().messages, 2);
    assert!(store.mailbox(a, "INBOX/below").await.unwrap().is_some());
}

/// STORE's three forms, UNCHANGEDSINCE, counts, and modseqs that only real changes move.
pub async fn flags_and_modseqs(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let mailbox = inbox(&*store, a).await;
    for _ in 0..3 {
        append(&*store, mailbox, b"x").await;
    }
    let start = store.status(mailbox).await.unwrap().highest_modseq;
    let all = [uid(1), uid(2), uid(9)];
    let add = change(FlagOperation::Add, Flags::SEEN.with(Flags::DELETED), &["$Junk"]);
    let done = store.set_flags(mailbox, &all, add.clone()).await.unwrap().into_inner();
    assert_eq!((done.stored, done.modified), (vec![uid(1), uid(2)], vec![]));
    let status = store.status(mailbox).await.unwrap();
    assert_eq!((status.unseen, status.deleted), (1, 2));
    assert!(status.highest_modseq > start);
    store.set_flags(mailbox, &all, add).await.unwrap().into_inner();
    assert_eq!(store.status(mailbox).await.unwrap().highest_modseq, status.highest_modseq);

    let mut old = change(FlagOperation::Replace, Flags::FLAGGED, &[]);
    old.unchanged_since = Some(start);
    let done = store.set_flags(mailbox, &[uid(1), uid(3)], old).await.unwrap().into_inner();
    assert_eq!((done.stored, done.modified), (vec![uid(3)], vec![uid(1)]));
    let less = change(FlagOperation::Remove, Flags::DELETED, &["$JUNK", "unknown"]);
    store.set_flags(mailbox, &[uid(1)], less).await.unwrap().into_inner();
    let snapshot = store.watch(mailbox).await.unwrap().newest().unwrap();
    let row = snapshot.by_uid(uid(1)).unwrap();
    assert_eq!((row.flags, row.keywords), (Flags::SEEN, 0));
    assert_eq!(snapshot.by_uid(uid(3)).unwrap().flags, Flags::FLAGGED);
    assert_eq!(snapshot.keywords.len(), 1);

    for n in 1..limits::KEYWORDS_PER_MAILBOX {
        let one = change(FlagOperation::Add, Flags::NONE, &[&format!("k{n}")]);
        store.set_flags(mailbox, &[uid(1)], one).await.unwrap().into_inner();
    }
    let more = store.set_flags(mailbox, &[uid(1)], change(FlagOperation::Add, Flags::NONE, &["more"])).await;
    assert!(matches!(more, Err(StoreError::Limit(_))));
}

/// Copies share bytes and keep flags and dates; a move leaves tombstones for QRESYNC.
pub async fn copy_and_move(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let b = account(&*store, "b@x.example").await;
    let from = inbox(&*store, a).await;
    let to = inbox(&*store, b).await;
    deliver(&*store, a, "a@x.example", b"one").await;
    append(&*store, from, b"two").await;
    let mark = change(FlagOperation::Add, Flags::FLAGGED, &["work"]);
    store.set_flags(from, &[uid(1)], mark).await.unwrap().into_inner();
    let copied = store.copy(from, &[uid(2), uid(1), uid(1), uid(7)], to, NOW).await.unwrap().into_inner();
    assert_eq!(copied.uids, [(uid(1), uid(1)), (uid(2), uid(2))]);
    let since = store.status(from).await.unwrap().highest_modseq;
    let moved = store.move_messages(from, &[uid(1)], to, NOW).await.unwrap().into_inner();
    assert_eq!(moved.uids, [(uid(1), uid(3))]);
    assert_eq!(moved.uid_validity, store.status(to).await.unwrap().uid_validity);
    assert_eq!(store.vanished(from, since).await.unwrap(), Some(vec![uid(1)]));
    assert_eq!(store.vanished(from, store.status(from).await.unwrap().highest_modseq).await.unwrap(), Some(vec![]));
    let snapshot = store.watch(to).await.unwrap().newest().unwrap();
    let row = snapshot.by_uid(uid(3)).unwrap();
    assert_eq!(row.flags, Flags::FLAGGED);
    assert_eq!(snapshot.keywords_of(&row).next().map(Keyword::as_str), Some("work"));
    let body = store.bodies(to, &[uid(3)]).await.unwrap().remove(0).1;
    assert_eq!(read(&body).await, b"Delivered-To: a@x.example\r\none");
    let within = store.move_messages(to, &[uid(1)], to, NOW).await.unwrap().into_inner();
    assert_eq!(within.uids, [(uid(1), uid(4))]);
    let gone = store.expunge(to, &[uid(4), uid(2), uid(1)]).await.unwrap().into_inner();
    assert_eq!(gone, [uid(2), uid(4)]);
    let empty = store.copy(to, &[uid(99)], from, NOW).await.unwrap().into_inner();
    assert!(empty.uids.is_empty());
}

/// A watch has what every answered change did, one after the other, and agrees with a fresh look.
pub async fn watches_see_each_commit(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let mailbox = store.create_mailbox(a, "work", None).await.unwrap().into_inner();
    let mut watch = store.watch(mailbox).await.unwrap();
    assert_eq!(watch.newest().unwrap().len(), 0);
    for n in 1..=600 {
        append(&*store, mailbox, b"x").await;
        assert_eq!(watch.newest().unwrap().len(), n);
    }
    let seen: Vec<_> = (1..=300).map(|n| uid(n * 2)).collect();
    store.set_flags(mailbox, &seen, change(FlagOperation::Add, Flags::SEEN, &["k"])).await.unwrap().into_inner();
    store.expunge(mailbox, &seen[..100]).await.unwrap().into_inner();
    watch.changed().await;
    let newest = watch.newest().unwrap();
    assert_eq!((newest.len(), newest.uid_next), (500, uid(601)));
    assert_eq!(newest.iter().filter(|row| row.flags.contains(Flags::SEEN)).count(), 200);
    assert_eq!(newest.keywords.len(), 1);
    drop(watch);
    // The last watch is gone, so this one is read anew.
    let fresh = store.watch(mailbox).await.unwrap().newest().unwrap();
    assert!(fresh.iter().eq(newest.iter()));
    assert_eq!((fresh.highest_modseq, fresh.uid_next), (newest.highest_modseq, newest.uid_next));
    assert!(newest.highest_modseq > ModSeq(1));
    let mut watch = store.watch(mailbox).await.unwrap();
    store.delete_mailbox(a, "work").await.unwrap().into_inner();
    assert!(watch.newest().is_none());
    assert!(matches!(store.watch(mailbox).await, Err(StoreError::MailboxGone(_))));
}

/// RFC 3501 §2.3.2: \Recent is shown to one session.
pub async fn recent_is_taken_once(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let mailbox = inbox(&*store, a).await;
    let mut watch = store.watch(mailbox).await.unwrap();
    append(&*store, mailbox, b"x").await;
    append(&*store, mailbox, b"x").await;
    assert_eq!(store.status(mailbox).await.unwrap().recent, 2);
    assert_eq!(store.take_recent(mailbox).await.unwrap(), uid(1)..uid(3));
    assert_eq!(store.take_recent(mailbox).await.unwrap(), uid(3)..uid(3));
    assert_eq!(store.status(mailbox).await.unwrap().recent, 0);
    assert_eq!(watch.newest().unwrap().recent_from, uid(3));
    append(&*store, mailbox, b"x").await;
    assert_eq!(store.take_recent(mailbox).await.unwrap(), uid(3)..uid(4));
}

/// RFC 1939 §4: one POP3 session at a time.
pub async fn the_maildrop_has_one_user(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let lock = store.lock_maildrop(a).await.unwrap();
    assert!(matches!(store.lock_maildrop(a).await, Err(StoreError::InUse)));
    drop(lock);
    drop(store.lock_maildrop(a).await.unwrap());
}

/// RFC 4467 §2.2: a mailbox has one key at a time, which goes with it; a new one is told to those who have it open.
pub async fn keys_of_urls(store: Arc<impl Store>) {
    let (a, b) = (account(&*store, "a@x.example").await, account(&*store, "b@x.example").await);
    let (mailbox, other) = (inbox(&*store, a).await, inbox(&*store, b).await);
    let [one, two, three] = [1, 2, 3].map(|n| UrlKey([n; 32]));
    assert_eq!(store.url_key(mailbox).await.unwrap(), None);
    assert_eq!(store.make_url_key(mailbox, one).await.unwrap().into_inner(), one);
    assert_eq!(store.make_url_key(mailbox, two).await.unwrap().into_inner(), one);
    assert_eq!(store.make_url_key(other, three).await.unwrap().into_inner(), three);
    assert_eq!(store.url_key(mailbox).await.unwrap(), Some(one));

    let mut watch = store.watch(mailbox).await.unwrap();
    let before = watch.newest().unwrap();
    store.renew_url_key(mailbox, two).await.unwrap().into_inner();
    watch.changed().await;
    let after = watch.newest().unwrap();
    assert!(after.rekeyed != before.rekeyed && after.highest_modseq == before.highest_modseq);
    assert_eq!(store.url_key(mailbox).await.unwrap(), Some(two));
    store.forget_url_keys(a).await.unwrap().into_inner();
    watch.changed().await;
    assert_ne!(watch.newest().unwrap().rekeyed, after.rekeyed);
    assert_eq!(store.url_key(mailbox).await.unwrap(), None);
    assert_eq!(store.url_key(other).await.unwrap(), Some(three));

    let gone = store.create_mailbox(a, "gone", None).await.unwrap().into_inner();
    store.renew_url_key(gone, one).await.unwrap().into_inner();
    store.delete_mailbox(a, "gone").await.unwrap().into_inner();
    assert_eq!(store.url_key(gone).await.unwrap(), None);
    for refused in [store.make_url_key(gone, one).await.err(), store.renew_url_key(gone, one).await.err()] {
        assert!(matches!(refused, Some(StoreError::MailboxGone(id)) if id == gone));
    }
    store.remove_account(b).await.unwrap().into_inner();
    assert!(matches!(store.forget_url_keys(b).await, Err(StoreError::NotFound(_))));
}
