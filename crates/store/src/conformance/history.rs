//! The account as a whole: what it has, what went from it, and changes that are one change.

use std::sync::Arc;
use std::time::Duration;

use mail::{AccountId, BodyId, Flags, MailboxId, ModSeq, Timestamp, Uid, limits};

use super::{NOW, account, append, inbox, staged};
use crate::{
    AnnotationChange, AppendMessage, Departed, FlagChange, FlagOperation, GrantChange, GrantOperation, MessageStep,
    SORT_ORDER_ENTRY, SpecialUse, Store, StoreError, Survey,
};

async fn survey(store: &dyn Store, account: AccountId) -> Survey {
    store.survey(account).await.unwrap()
}

/// Names of the mailboxes that changed since, but for their messages.
async fn changed(store: &dyn Store, account: AccountId, since: ModSeq) -> Vec<String> {
    let survey = survey(store, account).await;
    survey.mailboxes.into_iter().filter(|mailbox| mailbox.changed > since).map(|mailbox| mailbox.name).collect()
}

async fn departed(store: &dyn Store, account: AccountId, since: ModSeq) -> Departed {
    store.departed(account, since).await.unwrap().unwrap()
}

fn flags(operation: FlagOperation, flags: Flags) -> FlagChange {
    FlagChange { operation, flags, keywords: Vec::new(), unchanged_since: None }
}

/// Whatever changes of a mailbox is a change of the account, and is found at the mailbox.
pub async fn a_survey_tells_what_changed(store: Arc<impl Store>) {
    let store = &*store;
    let a = account(store, "a@x.example").await;
    let first = survey(store, a).await;
    assert_eq!(first.mailboxes[0].name, "INBOX");
    assert_eq!(first.mailboxes.iter().filter(|mailbox| mailbox.special_use.is_some()).count(), SpecialUse::ALL.len());
    let work = store.create_mailbox(a, "work/may", None).await.unwrap().into_inner();
    assert_eq!(changed(store, a, first.modseq).await, ["work", "work/may"]);
    let mut since = survey(store, a).await.modseq;
    let mut step = async |what: &str, expected: &[&str]| {
        assert_eq!(changed(store, a, since).await, expected, "{what}");
        let now = survey(store, a).await.modseq;
        assert_eq!(now > since, !expected.is_empty(), "{what}");
        since = now;
    };
    store.rename_mailbox(a, "work", "play", NOW).await.unwrap().into_inner();
    step("renamed", &["play", "play/may"]).await;
    store.subscribe(a, "play", true).await.unwrap().into_inner();
    step("subscribed", &["play"]).await;
    store.subscribe(a, "play", true).await.unwrap().into_inner();
    step("subscribed again", &[]).await;
    let annotation = |value: &[u8]| AnnotationChange { entry: SORT_ORDER_ENTRY.into(), value: Some(value.to_vec()) };
    store.annotate(a, Some("play/may"), vec![annotation(b"7")]).await.unwrap().into_inner();
    step("sorted", &["play/may"]).await;
    let found = survey(store, a).await;
    let may = found.mailboxes.iter().find(|mailbox| mailbox.id == work).unwrap();
    assert_eq!((may.sort_order, may.created > first.modseq, may.name.as_str()), (Some(7), true, "play/may"));
    let b = account(store, "b@x.example").await;
    let rights = mail::Rights::READ;
    let grant = GrantChange { grantee: Some(b), negative: false, operation: GrantOperation::Set, rights };
    store.grant(work, grant).await.unwrap().into_inner();
    step("shared", &["play/may"]).await;
    store.grant(work, grant).await.unwrap().into_inner();
    step("shared again", &[]).await;
    store.delete_mailbox(a, "play").await.unwrap().into_inner();
    step("the one above deleted", &["play/may"]).await;
    store.create_mailbox(a, "play", None).await.unwrap().into_inner();
    step("the one above made again", &["play", "play/may"]).await;
    // Messages change no mailbox, but the account.
    let before = survey(store, a).await;
    append(store, work, b"x\r\n").await;
    let after = survey(store, a).await;
    assert!(after.modseq > before.modseq && changed(store, a, before.modseq).await.is_empty());
    let newest = after.mailboxes.iter().find(|mailbox| mailbox.id == work).map(|mailbox| mailbox.highest_modseq);
    assert_eq!(newest, Some(after.modseq));
    assert!(matches!(store.survey(AccountId(9_999)).await, Err(StoreError::NotFound(_))));
}

/// What went is told with what it was, also by a mailbox that is gone; the account's order goes on.
pub async fn what_departed_is_told(store: Arc<impl Store>) {
    let store = &*store;
    let a = account(store, "a@x.example").await;
    let (inbox, work) = (inbox(store, a).await, store.create_mailbox(a, "work", None).await.unwrap().into_inner());
    let (one, two) = (append(store, inbox, b"one\r\n").await, append(store, inbox, b"two\r\n").await);
    store.copy(inbox, &[one], work, NOW).await.unwrap().into_inner();
    let rows = store.watch(inbox).await.unwrap().newest().unwrap();
    let (row_one, row_two) = (rows.by_uid(one).unwrap(), rows.by_uid(two).unwrap());
    let since = survey(store, a).await.modseq;
    assert_eq!(departed(store, a, since).await, Departed::default());
    store.expunge(inbox, &[one]).await.unwrap().into_inner();
    let gone = departed(store, a, since).await.messages;
    let told: Vec<_> = gone.iter().map(|gone| (gone.mailbox, gone.uid, gone.body, gone.created)).collect();
    assert_eq!(told, [(inbox, one, row_one.body, row_one.created)]);
    store.set_flags(inbox, &[two], flags(FlagOperation::Add, Flags::DELETED)).await.unwrap().into_inner();
    assert_eq!(departed(store, a, since).await.restored, []);
    store.set_flags(inbox, &[two], flags(FlagOperation::Replace, Flags::SEEN)).await.unwrap().into_inner();
    let restored = departed(store, a, since).await.restored;
    assert_eq!(restored, [(inbox, two, survey(store, a).await.modseq)]);
    let since = survey(store, a).await.modseq;
    assert_eq!(departed(store, a, since).await, Departed::default());
    store.delete_mailbox(a, "work").await.unwrap().into_inner();
    let now = departed(store, a, since).await;
    assert_eq!(now.mailboxes.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [work]);
    assert!(now.mailboxes.iter().all(|(_, made, gone)| *made <= since && *gone > since));
    assert_eq!(now.messages.iter().map(|gone| gone.body).collect::<Vec<_>>(), [row_one.body]);
    assert!(survey(store, a).await.modseq > since && row_two.created <= since);
    // Nobody else hears of it, and a mailbox that comes after has nothing of it.
    let b = account(store, "b@x.example").await;
    assert_eq!(departed(store, b, ModSeq(0)).await, Departed::default());
    let again = store.create_mailbox(a, "work", None).await.unwrap().into_inner();
    assert_eq!(store.vanished(again, ModSeq(0)).await.unwrap().unwrap_or_default(), []);
    store.remove_account(a).await.unwrap().into_inner();
    let found = store.departed(a, ModSeq(0)).await.unwrap().unwrap();
    assert_eq!(found, Departed::default());
}

/// Steps are done together or not at all.
pub async fn steps_are_one_change(store: Arc<impl Store>) {
    let store = &*store;
    let a = account(store, "a@x.example").await;
    let (inbox, work) = (inbox(store, a).await, store.create_mailbox(a, "work", None).await.unwrap().into_inner());
    let one = append(store, inbox, b"one\r\n").await;
    let two = append(store, inbox, b"two\r\n").await;
    let seen = || MessageStep::Flags(inbox, vec![one], flags(FlagOperation::Add, Flags::SEEN));
    let steps = vec![seen(), MessageStep::Copy(inbox, vec![one], work), MessageStep::Move(inbox, vec![two], work)];
    store.change_messages(steps, NOW).await.unwrap().into_inner();
    let count = async |mailbox: MailboxId| {
        let status = store.status(mailbox).await.unwrap();
        (status.messages, status.unseen)
    };
    assert_eq!((count(inbox).await, count(work).await), ((1, 0), (2, 1)));
    let before = survey(store, a).await;
    let gone = vec![MessageStep::Expunge(inbox, vec![one]), MessageStep::Copy(inbox, vec![one], work)];
    assert!(matches!(store.change_messages(gone, NOW).await, Err(StoreError::NotFound(_))));
    let late = vec![MessageStep::Expunge(inbox, vec![one]), MessageStep::Expunge(inbox, vec![two])];
    assert!(matches!(store.change_messages(late, NOW).await, Err(StoreError::NotFound(_))));
    assert_eq!(survey(store, a).await, before);
    assert_eq!((count(inbox).await, count(work).await), ((1, 0), (2, 1)));
}

/// One message in several mailboxes is the same message.
pub async fn a_message_comes_into_several_mailboxes(store: Arc<impl Store>) {
    let store = &*store;
    let a = account(store, "a@x.example").await;
    let (inbox, work) = (inbox(store, a).await, store.create_mailbox(a, "work", None).await.unwrap().into_inner());
    let row = || AppendMessage { flags: Flags::SEEN, keywords: Vec::new(), internal_date: NOW };
    let stage = staged(store, b"one\r\n").await;
    let body = store.append_to_all(&[inbox, work], (stage, row()), NOW).await.unwrap().into_inner();
    for mailbox in [inbox, work] {
        let snapshot = store.watch(mailbox).await.unwrap().newest().unwrap();
        assert_eq!(snapshot.iter().map(|row| (row.body, row.flags)).collect::<Vec<_>>(), [(body, Flags::SEEN)]);
    }
    let stage = staged(store, b"two\r\n").await;
    assert!(store.append_to_all(&[inbox, MailboxId(9_999)], (stage, row()), NOW).await.is_err());
    assert_eq!(store.status(inbox).await.unwrap().messages, 1);
    assert!(store.bodies(inbox, &[Uid::FIRST]).await.unwrap().len() == 1);
}

/// `UPLOADS_PER_ACCOUNT`, `UPLOADS_COUNT` and `UPLOAD_KEPT`: what is kept, and what makes room.
pub async fn uploads_are_kept_for_a_while(store: Arc<impl Store>) {
    let store = &*store;
    let (a, b) = (account(store, "a@x.example").await, account(store, "b@x.example").await);
    let keep = async |octets: &[u8], now: Timestamp| {
        store.keep_upload(a, staged(store, octets).await, now).await.unwrap().into_inner()
    };
    let is_there = async |id: BodyId| store.upload(a, id).await.unwrap().is_some();
    let first = keep(b"first", NOW).await;
    assert_eq!(super::read(&store.upload(a, first).await.unwrap().unwrap()).await, b"first");
    assert!(store.upload(b, first).await.unwrap().is_none() && !is_there(BodyId(9_999)).await);
    let at = |after: Duration| NOW.plus(limits::UPLOAD_KEPT).plus(after);
    let second = keep(b"second", at(Duration::ZERO)).await;
    assert!(is_there(first).await);
    keep(b"third", at(Duration::from_millis(1))).await;
    assert!(!is_there(first).await && is_there(second).await);
    let now = at(Duration::from_millis(1));
    for _ in 0..limits::UPLOADS_COUNT - 2 {
        keep(b"x", now).await;
    }
    assert!(is_there(second).await);
    let last = keep(b"x", now).await;
    assert!(!is_there(second).await && is_there(last).await);
    // Octets: one that has all the room leaves none for others.
    let room = usize::try_from(limits::UPLOADS_PER_ACCOUNT).unwrap();
    let large = vec![b'x'; room];
    let large = keep(&large, now).await;
    assert!(!is_there(last).await && is_there(large).await);
    keep(b"x", now).await;
    assert!(!is_there(large).await);
    let too_large = vec![b'x'; room + 1];
    let stage = staged(store, &too_large).await;
    let refused = store.keep_upload(a, stage, now).await.unwrap_err();
    assert_eq!(refused, StoreError::Limit("UPLOADS_PER_ACCOUNT"));
    let stage = staged(store, b"x").await;
    assert!(store.keep_upload(AccountId(9_999), stage, NOW).await.is_err());
    store.remove_account(a).await.unwrap().into_inner();
}
