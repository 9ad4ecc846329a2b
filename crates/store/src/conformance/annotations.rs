//! Promises about annotations.

use std::sync::Arc;

use mail::{AccountId, limits};

use super::{NOW, account};
use crate::{
    AccountNews, Annotation, AnnotationChange, FlagChange, FlagOperation, GrantChange, GrantOperation, Interest,
    MessageNews, SPECIAL_USE_ENTRY, SpecialUse, Store, StoreError, StoreResult,
};

fn change(entry: &str, value: Option<&[u8]>) -> AnnotationChange {
    AnnotationChange { entry: entry.to_owned(), value: value.map(<[u8]>::to_vec) }
}

async fn set(
    store: &dyn Store,
    a: AccountId,
    name: Option<&str>,
    entry: &str,
    value: Option<&[u8]>,
) -> StoreResult<()> {
    store.annotate(a, name, vec![change(entry, value)]).await.map(|_| ())
}

async fn all(store: &dyn Store, a: AccountId, name: Option<&str>) -> Vec<(String, Vec<u8>)> {
    let found = store.annotations(a, name).await.unwrap();
    found.into_iter().map(|Annotation { entry, value }| (entry, value)).collect()
}

fn one(entry: &str, value: &[u8]) -> Vec<(String, Vec<u8>)> {
    vec![(entry.to_owned(), value.to_vec())]
}

/// RFC 5464 §3.2, §4.1: names know no case; annotations go where their mailbox goes, and go with it; a mailbox that takes
/// INBOX's messages has INBOX's annotations too.
pub async fn annotations_go_with_their_mailbox(store: Arc<impl Store>) {
    let store = &*store;
    let a = account(store, "a@x.example").await;
    let b = account(store, "b@x.example").await;
    store.create_mailbox(a, "work/new", None).await.unwrap().into_inner();
    for (name, value) in [(None, b"own".as_slice()), (Some("work/new"), b"\0\xff\r\n"), (Some("inbox"), b"")] {
        set(store, a, name, "/private/Comment", Some(value)).await.unwrap();
        assert_eq!(all(store, a, name).await, one("/private/Comment", value));
    }
    assert!(all(store, b, None).await.is_empty() && all(store, b, Some("INBOX")).await.is_empty());
    set(store, a, None, "/PRIVATE/COMMENT", Some(b"new")).await.unwrap();
    assert_eq!(all(store, a, None).await, one("/PRIVATE/COMMENT", b"new"));
    set(store, a, None, "/private/comment", None).await.unwrap();
    set(store, a, None, "/private/never", None).await.unwrap();
    assert!(all(store, a, None).await.is_empty());

    store.rename_mailbox(a, "work", "done", NOW).await.unwrap().into_inner();
    assert_eq!(all(store, a, Some("done/new")).await, one("/private/Comment", b"\0\xff\r\n"));
    for gone in ["work/new", "work", "a//b"] {
        assert!(matches!(store.annotations(a, Some(gone)).await, Err(StoreError::NoMailbox(_))), "{gone}");
    }
    assert!(matches!(set(store, a, Some("work"), "/private/x", None).await, Err(StoreError::NoMailbox(_))));
    store.delete_mailbox(a, "done/new").await.unwrap().into_inner();
    store.create_mailbox(a, "done/new", None).await.unwrap().into_inner();
    assert!(all(store, a, Some("done/new")).await.is_empty());
    store.rename_mailbox(a, "INBOX", "saved", NOW).await.unwrap().into_inner();
    assert_eq!(all(store, a, Some("saved")).await, one("/private/Comment", b""));
    assert_eq!(all(store, a, Some("INBOX")).await, one("/private/Comment", b""));

    store.remove_account(a).await.unwrap().into_inner();
    let a = account(store, "a@x.example").await;
    assert!(all(store, a, None).await.is_empty() && all(store, a, Some("INBOX")).await.is_empty());
}

/// RFC 6154 §4: one of them is the special use itself.
pub async fn the_special_use_is_an_annotation(store: Arc<impl Store>) {
    let store = &*store;
    let a = account(store, "a@x.example").await;
    let use_of = async |name: &str| {
        let names = store.mailboxes(a).await.unwrap();
        names.into_iter().find(|info| info.name == name).unwrap().special_use
    };
    assert_eq!(all(store, a, Some("Sent")).await, one(SPECIAL_USE_ENTRY, b"\\Sent"));
    set(store, a, Some("Sent"), "/private/aaa", Some(b"x")).await.unwrap();
    set(store, a, Some("Sent"), "/private/zzz", Some(b"x")).await.unwrap();
    assert!(all(store, a, Some("Sent")).await.is_sorted());
    set(store, a, Some("Sent"), "/Private/SpecialUse", None).await.unwrap();
    assert_eq!((use_of("Sent").await, all(store, a, Some("Sent")).await.len()), (None, 2));
    set(store, a, Some("INBOX"), SPECIAL_USE_ENTRY, Some(b"\\archive")).await.unwrap();
    assert_eq!(use_of("INBOX").await, Some(SpecialUse::Archive));
    let both = vec![change("/private/aaa", None), change(SPECIAL_USE_ENTRY, Some(b"\\Nothing"))];
    assert!(matches!(store.annotate(a, Some("Sent"), both).await, Err(StoreError::BadSpecialUse)));
    assert_eq!(all(store, a, Some("Sent")).await.len(), 2);
    // The account itself has no special use: there it is an annotation like any other.
    set(store, a, None, SPECIAL_USE_ENTRY, Some(b"x")).await.unwrap();
    assert_eq!(all(store, a, None).await, one(SPECIAL_USE_ENTRY, b"x"));
}

/// Names, values and numbers have bounds, and what would pass one changes nothing.
pub async fn annotations_are_bounded(store: Arc<impl Store>) {
    let store = &*store;
    let a = account(store, "a@x.example").await;
    let long = vec![b'x'; limits::ANNOTATION_LEN];
    let longer = vec![b'x'; limits::ANNOTATION_LEN + 1];
    let refused = vec![change("/private/ok", Some(b"x")), change("/private/long", Some(&longer))];
    assert_eq!(store.annotate(a, None, refused).await.unwrap_err(), StoreError::Limit("ANNOTATION_LEN"));
    assert!(all(store, a, None).await.is_empty());
    set(store, a, None, "/private/long", Some(&long)).await.unwrap();
    assert_eq!(all(store, a, None).await, one("/private/long", &long));
    let name = format!("/private/{}", "x".repeat(limits::ANNOTATION_NAME_LEN - 9));
    set(store, a, None, &name, Some(b"x")).await.unwrap();
    let refused = set(store, a, None, &format!("{name}x"), Some(b"x")).await;
    assert_eq!(refused.unwrap_err(), StoreError::Limit("ANNOTATION_NAME_LEN"));

    let many = |from: usize, to: usize| -> Vec<AnnotationChange> {
        (from..to).map(|n| change(&format!("/private/{n}"), Some(b"x"))).collect()
    };
    let most = limits::ANNOTATIONS_PER_MAILBOX;
    assert!(store.annotate(a, Some("INBOX"), many(0, most + 1)).await.is_err());
    assert!(all(store, a, Some("INBOX")).await.is_empty());
    store.annotate(a, Some("INBOX"), many(0, most)).await.unwrap().into_inner();
    let refused = set(store, a, Some("INBOX"), "/private/more", Some(b"x")).await;
    assert_eq!(refused.unwrap_err(), StoreError::Limit("ANNOTATIONS_PER_MAILBOX"));
    // One that is there may change, and one that goes makes room, in the same change too.
    set(store, a, Some("INBOX"), "/private/0", Some(b"y")).await.unwrap();
    let swap = vec![change("/private/more", Some(b"x")), change("/private/0", None)];
    store.annotate(a, Some("INBOX"), swap).await.unwrap().into_inner();

    // Two of the account's own and INBOX's are there.
    let mut left = limits::ANNOTATIONS_PER_ACCOUNT - most - 2;
    for n in 0.. {
        let name = format!("m{n}");
        store.create_mailbox(a, &name, None).await.unwrap().into_inner();
        if left <= most {
            let refused = store.annotate(a, Some(&name), many(0, left + 1)).await;
            assert_eq!(refused.unwrap_err(), StoreError::Limit("ANNOTATIONS_PER_ACCOUNT"));
            store.annotate(a, Some(&name), many(0, left)).await.unwrap().into_inner();
            break;
        }
        store.annotate(a, Some(&name), many(0, most)).await.unwrap().into_inner();
        left -= most;
    }
    let refused = store.rename_mailbox(a, "INBOX", "other", NOW).await;
    assert_eq!(refused.unwrap_err(), StoreError::Limit("ANNOTATIONS_PER_ACCOUNT"));
    assert!(store.mailbox(a, "other").await.unwrap().is_none());
}

/// All who listen hear of each change once, with the place by which its maker knows it.
pub async fn changes_of_annotations_are_told(store: Arc<impl Store>) {
    let store = &*store;
    let a = account(store, "a@x.example").await;
    let b = account(store, "b@x.example").await;
    let ear = |account| {
        let watch = store.listen(account);
        watch.set_interest(Interest { annotations: true, ..Interest::default() });
        watch
    };
    let (one, other, stranger) = (ear(a), ear(a), ear(b));
    let changes = vec![change("/private/b", Some(b"x")), change("/private/a", Some(b"x"))];
    let first = store.annotate(a, Some("inbox"), changes.clone()).await.unwrap().into_inner().unwrap();
    assert_eq!(store.annotate(a, Some("inbox"), changes).await.unwrap().into_inner(), None);
    let second = store.annotate(a, None, vec![change("/private/a", Some(b"y"))]).await.unwrap().into_inner().unwrap();
    assert!(second > first);
    store.create_mailbox(a, "work", None).await.unwrap().into_inner();
    let told = |modseq, mailbox: Option<&str>, entries: &[&str]| AccountNews::Annotated {
        modseq,
        mailbox: mailbox.map(str::to_owned),
        entries: entries.iter().map(|&entry| entry.to_owned()).collect(),
    };
    for watch in [&one, &other] {
        watch.changed().await;
        let heard: Vec<AccountNews> = watch.take().news.iter().map(|news| AccountNews::clone(news)).collect();
        let both = told(first, Some("INBOX"), &["/private/a", "/private/b"]);
        assert_eq!(heard, [both, told(second, None, &["/private/a"])]);
    }
    assert!(stranger.take().news.is_empty());
}

/// Who listens to names hears of each as it is made, renamed, subscribed to and deleted.
pub async fn changes_of_names_are_told(store: Arc<impl Store>) {
    let store = &*store;
    let a = account(store, "a@x.example").await;
    let watch = store.listen(a);
    watch.set_interest(Interest { names: true, ..Interest::default() });
    store.create_mailbox(a, "a/b", None).await.unwrap().into_inner();
    store.rename_mailbox(a, "a", "c", super::NOW).await.unwrap().into_inner();
    store.subscribe(a, "c", true).await.unwrap().into_inner();
    store.subscribe(a, "c", true).await.unwrap().into_inner();
    store.subscribe(a, "c", false).await.unwrap().into_inner();
    store.subscribe(a, "c", false).await.unwrap().into_inner();
    store.delete_mailbox(a, "c/b").await.unwrap().into_inner();
    set(store, a, None, "/private/a", Some(b"x")).await.unwrap();
    let name = str::to_owned;
    let renamed = |from, to| AccountNews::Renamed { from: name(from), to: name(to) };
    let heard: Vec<AccountNews> = watch.take().news.iter().map(|news| AccountNews::clone(news)).collect();
    assert_eq!(
        heard,
        [
            AccountNews::Created(name("a")),
            AccountNews::Created(name("a/b")),
            renamed("a", "c"),
            AccountNews::Subscribed(name("c"), true),
            AccountNews::Subscribed(name("c"), false),
            AccountNews::Deleted(name("c/b")),
        ]
    );
}

/// Who listens to what others share hears that something of it changed, whoever did it.
pub async fn changes_of_what_is_shared_are_told(store: Arc<impl Store>) {
    let store = &*store;
    let (a, b) = (account(store, "a@x.example").await, account(store, "b@x.example").await);
    let watch = store.listen(b);
    let read = mail::Rights::LOOKUP.with(mail::Rights::READ);
    let (operation, negative) = (GrantOperation::Set, false);
    let grant = GrantChange { grantee: Some(b), negative, operation, rights: read };
    let id = store.create_mailbox(a, "a", None).await.unwrap().into_inner();
    store.grant(id, grant).await.unwrap().into_inner();
    assert!(!watch.take().shared);
    watch.set_interest(Interest { shared: true, ..Interest::default() });
    store.grant(id, GrantChange { rights: mail::Rights::LOOKUP, ..grant }).await.unwrap().into_inner();
    assert!(watch.take().shared && !watch.take().shared);
    store.create_mailbox(a, "a/b", None).await.unwrap().into_inner();
    assert!(watch.take().shared);
    store.rename_mailbox(a, "a", "c", super::NOW).await.unwrap().into_inner();
    assert!(watch.take().shared);
    store.subscribe(a, "c", true).await.unwrap().into_inner();
    assert!(!watch.take().shared);
    store.delete_mailbox(a, "c/b").await.unwrap().into_inner();
    assert!(watch.take().shared);
}

/// Who listens to mailboxes hears that messages came, went and changed there, and of no others.
pub async fn changes_of_messages_are_told(store: Arc<impl Store>) {
    let store = &*store;
    let a = account(store, "a@x.example").await;
    let inbox = super::inbox(store, a).await;
    let sent = store.mailbox(a, "Sent").await.unwrap().unwrap();
    let watch = store.listen(a);
    watch.set_interest(Interest { mailboxes: [inbox].into(), ..Interest::default() });
    let sum = || watch.take().messages.into_iter().collect::<Vec<_>>();
    super::deliver(store, a, "a@x.example", b"Subject: x\r\n\r\n").await;
    let none = MessageNews::default();
    assert_eq!(sum(), [(inbox, MessageNews { arrived: true, ..none })]);
    let uid = mail::Uid::FIRST;
    let seen = FlagChange {
        operation: FlagOperation::Add,
        flags: mail::Flags::SEEN,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    store.set_flags(inbox, &[uid], seen.clone()).await.unwrap().into_inner();
    assert_eq!(sum(), [(inbox, MessageNews { flags: true, ..none })]);
    store.set_flags(inbox, &[uid], seen).await.unwrap().into_inner();
    assert_eq!(sum(), []);
    store.copy(inbox, &[uid], sent, super::NOW).await.unwrap().into_inner();
    assert_eq!(sum(), []);
    store.copy(sent, &[uid], inbox, super::NOW).await.unwrap().into_inner();
    store.expunge(inbox, &[uid]).await.unwrap().into_inner();
    assert_eq!(sum(), [(inbox, MessageNews { arrived: true, expunged: true, flags: false })]);
}
