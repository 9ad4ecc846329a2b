//! Promises about what is taught about junk. An engine that keeps nothing of it has nothing to promise.

use std::sync::Arc;

use mail::{AccountId, BodyId, Flags, Keyword, MailboxId, Uid, limits};

use super::{NOW, account, append, deliver, inbox};
use crate::{FlagChange, FlagOperation, Learnt, Lesson, Store, WordCounts};

async fn mailbox(store: &impl Store, account: AccountId, name: &str) -> MailboxId {
    store.mailbox(account, name).await.unwrap().unwrap()
}

async fn moved(store: &impl Store, from: MailboxId, uid: Uid, to: MailboxId) -> Uid {
    store.move_messages(from, &[uid], to, NOW).await.unwrap().into_inner().uids[0].1
}

/// The lessons that wait, which are learnt as nothing.
async fn taken(store: &impl Store) -> Vec<(MailboxId, u32, bool)> {
    let lessons = store.lessons(1_000).await.unwrap();
    let learnt = lessons.iter().map(|lesson| Learnt { lesson: *lesson, message: None }).collect();
    store.learn(learnt).await.unwrap();
    lessons.into_iter().map(|lesson| (lesson.mailbox, lesson.uid.get(), lesson.junk)).collect()
}

/// Into Junk, out of it, out of the INBOX to keep it, and by marks; what goes to Trash says nothing.
pub async fn lessons_are_given_by_what_is_done(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let (inbox, junk) = (inbox(&*store, a).await, mailbox(&*store, a, "Junk").await);
    let (archive, trash) = (mailbox(&*store, a, "Archive").await, mailbox(&*store, a, "Trash").await);
    for _ in 0..4 {
        deliver(&*store, a, "a@x.example", b"Subject: x\r\n\r\n").await;
    }
    let uid = |n: u32| Uid::new(n).unwrap();

    let there = moved(&*store, inbox, uid(1), junk).await;
    assert_eq!(taken(&*store).await, [(junk, there.get(), true)]);
    let back = moved(&*store, junk, there, inbox).await;
    assert_eq!(taken(&*store).await, [(inbox, back.get(), false)]);
    let kept = moved(&*store, inbox, uid(2), archive).await;
    moved(&*store, inbox, uid(3), trash).await;
    let mark = |name: &str| FlagChange {
        operation: FlagOperation::Add,
        flags: Flags::NONE,
        keywords: vec![Keyword::new(name).unwrap()],
        unchanged_since: None,
    };
    for name in ["$NotJunk", "$Junk", "$Junk", "$Other"] {
        store.set_flags(inbox, &[uid(4)], mark(name)).await.unwrap().into_inner();
    }
    let expected = [(archive, kept.get(), false), (inbox, 4, false), (inbox, 4, true)];
    assert_eq!(taken(&*store).await, expected);
}

/// `LESSONS_AT_ONCE` of one change, and one more: the newest.
pub async fn lessons_of_one_change_are_bounded(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let (inbox, junk) = (inbox(&*store, a).await, mailbox(&*store, a, "Junk").await);
    let mut uids = Vec::new();
    for _ in 0..=limits::LESSONS_AT_ONCE {
        uids.push(append(&*store, inbox, b"Subject: x\r\n\r\n").await);
    }
    store.copy(inbox, &uids[1..], junk, NOW).await.unwrap().into_inner();
    assert_eq!(taken(&*store).await.len(), limits::LESSONS_AT_ONCE);
    store.copy(inbox, &uids, junk, NOW).await.unwrap().into_inner();
    let lessons = taken(&*store).await;
    assert_eq!(lessons.len(), limits::LESSONS_AT_ONCE);
    let first = u32::try_from(limits::LESSONS_AT_ONCE).unwrap() + 2;
    assert_eq!(lessons[0].1, first);
}

/// A message counts once, as what it was called last; another account knows nothing of it.
pub async fn words_are_counted_once(store: Arc<impl Store>) {
    let (a, b) = (account(&*store, "a@x.example").await, account(&*store, "b@x.example").await);
    let learnt = |number: u64, body: u64, words: &[u64], junk: bool| Learnt {
        lesson: Lesson { number, account: a, mailbox: MailboxId(1), uid: Uid::FIRST, junk },
        message: Some((BodyId(body), words.to_vec())),
    };
    let all = u64::from(limits::JUNK_LESSONS);
    let mut lessons: Vec<_> = (0..all).map(|n| learnt(n, n, &[1, 2], true)).collect();
    lessons.extend((all..2 * all).map(|n| learnt(n, n, &[2, u64::MAX], false)));
    store.learn(lessons.clone()).await.unwrap();
    store.learn(lessons).await.unwrap();
    let most = limits::JUNK_LESSONS;
    let counts = |junk, good| WordCounts { junk, good };
    let asked = || vec![1, 2, u64::MAX, 3];
    let expected = [counts(most, 0), counts(most, most), counts(0, most), counts(0, 0)];
    assert_eq!(
        (store.taught(a), store.word_counts(a, asked()).await.unwrap()),
        (counts(most, most), expected.to_vec())
    );
    assert_eq!((store.taught(b), store.word_counts(b, asked()).await.unwrap()), (counts(0, 0), vec![counts(0, 0); 4]));

    store.learn(vec![learnt(99, 0, &[1, 2], false), learnt(100, 77, &[1], true)]).await.unwrap();
    let expected = vec![counts(most, 1), counts(most - 1, most + 1)];
    assert_eq!((store.taught(a), store.word_counts(a, vec![1, 2]).await.unwrap()), (counts(most, most + 1), expected));
    store.remove_account(a).await.unwrap().into_inner();
    assert_eq!((store.taught(a), store.word_counts(a, vec![1]).await.unwrap()), (counts(0, 0), vec![counts(0, 0)]));
}
