//! Promises about messages that come in.

use std::sync::Arc;

use mail::{Flags, Keyword, Uid, limits};

use super::{NOW, acceptance, account, append, deliver, deliver_to, inbox, read, relay_to, staged};
use crate::{AccountState, AppendMessage, Appended, Store, StoreError};

/// What was accepted is there, byte for byte, under a prefix of its own, and counted.
pub async fn a_delivery_is_read_back(store: Arc<impl Store>) {
    let (a, b) = (account(&*store, "a@x.example").await, account(&*store, "b@x.example").await);
    let mut message = acceptance(store.next_queue_id(NOW), "s@far.example", "<1@far.example>");
    deliver_to(&mut message, a, "a@x.example");
    deliver_to(&mut message, b, "b@x.example");
    let bytes = b"Subject: hi\r\n\r\nbare \n and \r and \0 stay\r\n";
    let accepted = store.accept(staged(&*store, bytes).await, message).await.unwrap().into_inner();
    assert_eq!(accepted.delivered.len(), 2);
    for (who, (mailbox, uid)) in ["a@x.example", "b@x.example"].iter().zip(accepted.delivered) {
        let bodies = store.bodies(mailbox, &[Uid::new(77).unwrap(), uid]).await.unwrap();
        assert_eq!(bodies.len(), 1);
        let expected = [format!("Delivered-To: {who}\r\n").as_bytes(), bytes].concat();
        assert_eq!(read(&bodies[0].1).await, expected);
        assert_eq!(bodies[0].1.read(10..25).await.unwrap(), expected[10..25]);
        let status = store.status(mailbox).await.unwrap();
        assert_eq!((status.messages, status.unseen, status.recent, status.size), (1, 1, 1, expected.len() as u64));
    }
    let found = store.account(a).await.unwrap().unwrap();
    assert_eq!((found.messages, found.used), (1, bytes.len() as u64 + 27));
    let balance = store.balance().await.unwrap();
    assert_eq!((balance.accepted, balance.delivered), (2, 2));
}

/// One recipient that can't be served refuses the message for all.
pub async fn all_recipients_or_none(store: Arc<impl Store>) {
    let (a, b) = (account(&*store, "a@x.example").await, account(&*store, "b@x.example").await);
    store.set_account_state(b, AccountState::Disabled).await.unwrap().into_inner();
    let mut message = acceptance(store.next_queue_id(NOW), "s@far.example", "<1@far.example>");
    deliver_to(&mut message, a, "a@x.example");
    deliver_to(&mut message, b, "b@x.example");
    relay_to(&mut message, "c@far.example");
    let refused = store.accept(staged(&*store, b"x").await, message).await;
    assert!(matches!(refused, Err(StoreError::AccountGone(who)) if who.local() == "b"));
    assert_eq!(store.status(inbox(&*store, a).await).await.unwrap().messages, 0);
    assert_eq!(store.queue_items(None, 10).await.unwrap(), []);
    assert_eq!(store.balance().await.unwrap(), crate::Balance::default());
}

/// A message over the quota is refused before anything of it is stored; deleting makes room again.
pub async fn quota_is_kept(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let mailbox = inbox(&*store, a).await;
    store.set_quota(a, Some(100)).await.unwrap().into_inner();
    let uid = append(&*store, mailbox, &[b'x'; 60]).await;
    let mut message = acceptance(store.next_queue_id(NOW), "s@far.example", "<1@far.example>");
    deliver_to(&mut message, a, "a@x.example");
    let refused = store.accept(staged(&*store, &[b'y'; 30]).await, message).await;
    assert!(matches!(refused, Err(StoreError::OverQuota(_))), "{refused:?}");
    let refused = store.copy(mailbox, &[uid], mailbox, NOW).await;
    assert!(matches!(refused, Err(StoreError::OverQuota(_))));
    let archive = store.mailbox(a, "Archive").await.unwrap().unwrap();
    // Moving within the account needs no room.
    let moved = store.move_messages(mailbox, &[uid], archive, NOW).await.unwrap().into_inner();
    store.expunge(archive, &[moved.uids[0].1]).await.unwrap().into_inner();
    assert_eq!(store.account(a).await.unwrap().unwrap().used, 0);
    append(&*store, mailbox, &[b'x'; 100]).await;
}

/// A message that is not held in memory is stored and read like any other.
pub async fn large_messages_are_read_back(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let bytes: Vec<u8> = (0..limits::BODY_IN_MEMORY * 3 + 17).map(|n| (n % 251) as u8).collect();
    let accepted = deliver(&*store, a, "a@x.example", &bytes).await;
    let (mailbox, uid) = accepted.delivered[0];
    let body = store.bodies(mailbox, &[uid]).await.unwrap().remove(0).1;
    let whole = read(&body).await;
    assert!(whole.ends_with(&bytes) && whole.len() == bytes.len() + 27);
    let middle = body.read(1_000_027..1_000_127).await.unwrap();
    assert_eq!(middle, bytes[1_000_000..1_000_100]);
    drop(store.stage(None).await.unwrap());
    let mut dropped = store.stage(None).await.unwrap();
    dropped.write(&bytes).await.unwrap();
    drop(dropped);
}

/// APPEND keeps flags, keywords and date.
pub async fn append_gives_consecutive_uids(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let mailbox = inbox(&*store, a).await;
    let before = store.status(mailbox).await.unwrap();
    let row = |flags| AppendMessage {
        flags,
        keywords: vec![Keyword::new("work").unwrap()],
        internal_date: mail::Timestamp::from_secs(5),
    };
    let messages = vec![
        (staged(&*store, b"one").await, row(Flags::SEEN)),
        (staged(&*store, b"").await, row(Flags::DELETED)),
        (staged(&*store, b"three").await, row(Flags::NONE)),
    ];
    let Appended { uid_validity, uids } = store.append(mailbox, messages, NOW).await.unwrap().into_inner();
    assert_eq!(uids.iter().map(|uid| uid.get()).collect::<Vec<_>>(), [1, 2, 3]);
    let status = store.status(mailbox).await.unwrap();
    assert_eq!((status.messages, status.unseen, status.deleted, status.size), (3, 2, 1, 8));
    assert_eq!(status.uid_validity, uid_validity);
    assert!(status.highest_modseq > before.highest_modseq);
    let snapshot = store.watch(mailbox).await.unwrap().newest().unwrap();
    let row = snapshot.by_uid(uids[0]).unwrap();
    assert_eq!((row.flags, row.internal_date.secs(), row.saved), (Flags::SEEN, 5, NOW));
    assert_eq!(snapshot.keywords_of(&row).map(Keyword::as_str).collect::<Vec<_>>(), ["work"]);
    // APPEND is no mail that was answered for.
    assert_eq!(store.balance().await.unwrap().accepted, 0);
}

/// REPLACE: one comes and the other goes, in one commit; its space counts for the new one. Or nothing happens.
pub async fn replace_is_one_change(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let mailbox = inbox(&*store, a).await;
    let drafts = store.mailbox(a, "Drafts").await.unwrap().unwrap();
    let old = append(&*store, mailbox, b"12345").await;
    store.set_quota(a, Some(8)).await.unwrap().into_inner();
    let new = |bytes: &'static [u8]| async {
        let message = AppendMessage { flags: Flags::DRAFT, keywords: Vec::new(), internal_date: NOW };
        (staged(&*store, bytes).await, message)
    };
    let mut watch = store.watch(mailbox).await.unwrap();
    assert!(matches!(
        store.replace(mailbox, old, drafts, new(b"123456789").await, NOW).await,
        Err(StoreError::OverQuota(_))
    ));
    assert!(watch.newest().unwrap().by_uid(old).is_some());
    let uid = store.replace(mailbox, old, mailbox, new(b"1234567").await, NOW).await.unwrap().into_inner();
    let snapshot = watch.newest().unwrap();
    assert_eq!((uid.get(), snapshot.len(), snapshot.by_uid(uid).unwrap().flags), (2, 1, Flags::DRAFT));
    assert!(matches!(store.replace(mailbox, old, drafts, new(b"1").await, NOW).await, Err(StoreError::NotFound(_))));
    assert_eq!(store.status(drafts).await.unwrap().messages, 0);
    let uid = store.replace(mailbox, uid, drafts, new(b"12345678").await, NOW).await.unwrap().into_inner();
    assert_eq!((uid.get(), store.status(mailbox).await.unwrap().messages), (1, 0));
    assert_eq!(store.account(a).await.unwrap().unwrap().used, 8);
}

/// Who holds a body reads it, whatever is deleted and reclaimed meanwhile.
pub async fn deleted_bodies_stay_readable(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let large = vec![b'z'; limits::BODY_IN_MEMORY + 1];
    for bytes in [b"small".as_slice(), &large] {
        let mailbox = inbox(&*store, a).await;
        let uid = append(&*store, mailbox, bytes).await;
        let body = store.bodies(mailbox, &[uid]).await.unwrap().remove(0).1;
        store.expunge(mailbox, &[uid]).await.unwrap().into_inner();
        store.reclaim().await.unwrap();
        assert_eq!(read(&body).await, bytes);
        assert!(store.bodies(mailbox, &[uid]).await.unwrap().is_empty());
    }
}

/// What names the same beginning is one conversation, however it comes and however large it is; what names none is alone.
pub async fn conversations_begin_with_a_msg_id(store: Arc<impl Store>) {
    let alice = account(&*store, "alice@red.example").await;
    let inbox = inbox(&*store, alice).await;
    let large = "x".repeat(limits::BODY_IN_MEMORY + 1);
    append(&*store, inbox, b"Message-ID: <a@x>\r\n\r\nfirst").await;
    deliver(&*store, alice, "alice@red.example", b"In-Reply-To: <a@x>\r\nMessage-ID: <b@x>\r\n\r\nanswer").await;
    let text = format!("References: <a@x> <b@x>\r\nMessage-ID: <c@x>\r\n\r\n{large}");
    deliver(&*store, alice, "alice@red.example", text.as_bytes()).await;
    append(&*store, inbox, b"Message-ID: <d@x>\r\n\r\n<a@x>").await;
    append(&*store, inbox, b"Subject: alone\r\n\r\n").await;
    append(&*store, inbox, b"Subject: alone\r\n\r\n").await;
    let view = store.watch(inbox).await.unwrap().newest().unwrap();
    let threads: Vec<_> = view.iter().map(|row| row.thread).collect();
    assert!(threads[0] == threads[1] && threads[1] == threads[2], "{threads:?}");
    let mut different = threads[2..].to_vec();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 4, "{threads:?}");
    let moved = store.mailbox(alice, "Archive").await.unwrap().unwrap();
    let uids: Vec<_> = view.iter().map(|row| row.uid).collect();
    store.copy(inbox, &uids, moved, NOW).await.unwrap().into_inner();
    let copied = store.watch(moved).await.unwrap().newest().unwrap();
    assert_eq!(copied.iter().map(|row| row.thread).collect::<Vec<_>>(), threads);
}
