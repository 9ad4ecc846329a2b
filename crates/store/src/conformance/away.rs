//! Away notices: they are kept, told with a delivery, and to nobody twice.

use std::sync::Arc;

use mail::{AccountId, ModSeq, Timestamp, limits};

use super::{NOW, acceptance, account, address, deliver_to, inbox, relay_to, staged};
use crate::{
    Acceptance, AccountNews, AwayNotice, DirectoryEntry, Interest, JourneyQuery, NewDsn, Once, Outcome, Settlement,
    Store, StoreError, What,
};

fn notice(text: &str) -> AwayNotice {
    AwayNotice { enabled: true, text: Some(text.into()), ..AwayNotice::default() }
}

/// What was set is read, is at the account only while it is enabled, and has its place in the account's order.
pub async fn a_notice_is_kept(store: Arc<impl Store>) {
    let store = &*store;
    let (a, b) = (account(store, "a@x.example").await, account(store, "b@x.example").await);
    assert_eq!(store.away_notice(a).await.unwrap(), AwayNotice::default());
    let before = store.survey(a).await.unwrap();
    assert_eq!(before.away, ModSeq(0));
    let ear = store.listen(a);
    ear.set_interest(Interest { away: true, ..Interest::default() });
    let whole = AwayNotice {
        enabled: true,
        from: Some(Timestamp::from_secs(1)),
        to: Some(NOW),
        subject: Some("s\u{fc}den".into()),
        text: Some("text".into()),
        html: Some("<p>".into()),
    };
    let changed = store.set_away_notice(a, whole.clone()).await.unwrap().into_inner();
    let after = store.survey(a).await.unwrap();
    assert!(changed > before.modseq && (after.modseq, after.away) == (changed, changed));
    assert_eq!(ear.take().news.as_slice(), [Arc::new(AccountNews::Away)]);
    assert_eq!(store.away_notice(a).await.unwrap(), whole);
    let at_account = async |id| store.account(id).await.unwrap().unwrap().away;
    assert_eq!(at_account(a).await.as_deref(), Some(&whole));
    let entry = store.entry(&address("a@x.example")).await.unwrap();
    assert!(matches!(entry, Some(DirectoryEntry::Account(account)) if account.away.as_deref() == Some(&whole)));
    // The same once more is no change.
    assert_eq!(store.set_away_notice(a, whole.clone()).await.unwrap().into_inner(), changed);
    assert!(ear.take().news.is_empty() && store.survey(a).await.unwrap().modseq == changed);
    let off = AwayNotice { enabled: false, ..whole };
    assert!(store.set_away_notice(a, off.clone()).await.unwrap().into_inner() > changed);
    assert_eq!((at_account(a).await, store.away_notice(a).await.unwrap()), (None, off));
    assert_eq!((at_account(b).await, store.survey(b).await.unwrap().away), (None, ModSeq(0)));
    // `AWAY_TEXT_LEN`, `AWAY_SUBJECT_LEN`: so much, and an octet more.
    let set = async |subject: usize, text: usize, html: usize| {
        let long = |len| Some("x".repeat(len));
        let notice = AwayNotice { subject: long(subject), text: long(text), html: long(html), ..AwayNotice::default() };
        store.set_away_notice(b, notice).await
    };
    let (subject, text) = (limits::AWAY_SUBJECT_LEN, limits::AWAY_TEXT_LEN);
    let _ = set(subject, text, text).await.unwrap();
    assert!(matches!(set(subject + 1, 0, 0).await, Err(StoreError::Limit("AWAY_SUBJECT_LEN"))));
    assert!(matches!(set(0, text + 1, 0).await, Err(StoreError::Limit("AWAY_TEXT_LEN"))));
    assert!(matches!(set(0, 0, text + 1).await, Err(StoreError::Limit("AWAY_TEXT_LEN"))));
    store.remove_account(b).await.unwrap().into_inner();
    assert_eq!(store.away_notice(b).await.unwrap(), AwayNotice::default());
    let gone = store.set_away_notice(b, notice("x")).await;
    assert!(matches!(gone, Err(StoreError::NotFound(_))));
}

/// A message to `a` with a report to `to`, which goes by `report`. Returns what the journey says of that.
async fn answered(
    store: &dyn Store,
    a: AccountId,
    at: Timestamp,
    to: &str,
    report: impl FnOnce(&mut Acceptance),
) -> What {
    let mut reply = acceptance(store.next_queue_id(at), "", "<reply@x.example>");
    reply.received_at = at;
    report(&mut reply);
    let who = address("a@x.example");
    let once = Once { account: a, address: who.clone(), to: address(to), recipient: who, mark: None };
    let mut message = acceptance(store.next_queue_id(at), to, "<1@far.example>");
    message.received_at = at;
    deliver_to(&mut message, a, "a@x.example");
    let body = staged(store, b"reply").await;
    message.dsns = vec![NewDsn { body, acceptance: reply, once: Some(once) }];
    let id = message.id;
    store.accept(staged(store, b"message").await, message).await.unwrap().into_inner();
    let journey = store.journeys(&JourneyQuery::Id(id), 1).await.unwrap().remove(0);
    journey.events.last().unwrap().what.clone()
}

fn rule(what: &What) -> &str {
    match what {
        What::Answered { .. } => "answered",
        What::NotAnswered { rule, .. } => rule,
        _ => "nothing",
    }
}

/// The message, the reply and the memory of it are one commit; within a week there is no second reply, unless it says
/// something else.
pub async fn a_report_goes_once_in_a_while(store: Arc<impl Store>) {
    let store = &*store;
    let (a, b) = (account(store, "a@x.example").await, account(store, "b@x.example").await);
    store.set_away_notice(a, notice("one")).await.unwrap().into_inner();
    let answer = async |at, to: &str| answered(store, a, at, to, |reply| relay_to(reply, to)).await;
    let first = answer(NOW, "s@far.example").await;
    let queued = store.queue_messages(None, 9).await.unwrap();
    let report = queued[0].id.to_string();
    assert_eq!(first, What::Answered { account: "a@x.example".into(), report });
    assert_eq!(rule(&answer(NOW, "s@far.example").await), "told");
    assert_eq!(rule(&answer(NOW, "t@far.example").await), "answered");
    let week = NOW.plus(limits::AWAY_AGAIN);
    let just_before = Timestamp::from_millis(week.millis() - 1);
    assert_eq!(rule(&answer(just_before, "s@far.example").await), "told");
    assert_eq!(rule(&answer(week, "s@far.example").await), "answered");
    assert_eq!(rule(&answer(week, "s@far.example").await), "told");
    // Turned off and on again it says the same; with another text it does not.
    store.set_away_notice(a, AwayNotice { enabled: false, ..notice("one") }).await.unwrap().into_inner();
    store.set_away_notice(a, notice("one")).await.unwrap().into_inner();
    assert_eq!(rule(&answer(week, "s@far.example").await), "told");
    store.set_away_notice(a, notice("two")).await.unwrap().into_inner();
    assert_eq!(rule(&answer(week, "s@far.example").await), "answered");
    // Another account's reply is another's, and one that is full is not told; the message is there all the same.
    let to_b = async || answered(store, a, NOW, "b@x.example", |reply| deliver_to(reply, b, "b@x.example")).await;
    store.set_quota(b, Some(3)).await.unwrap().into_inner();
    assert_eq!(rule(&to_b().await), "not-taken");
    store.set_quota(b, None).await.unwrap().into_inner();
    assert_eq!(rule(&to_b().await), "answered");
    let messages = async |id| store.status(inbox(store, id).await).await.unwrap().messages;
    assert_eq!((messages(a).await, messages(b).await), (10, 1));
    let balance = store.balance().await.unwrap();
    assert_eq!((balance.accepted, balance.delivered, balance.queued), (15, 11, 4));
}

/// Where the message had to wait, the commit that puts it into the mailbox is that of the reply, by the same rules.
pub async fn a_report_goes_with_what_waited(store: Arc<impl Store>) {
    let store = &*store;
    let a = account(store, "a@x.example").await;
    let wait = async || {
        let mut message = acceptance(store.next_queue_id(NOW), "s@far.example", "<1@far.example>");
        relay_to(&mut message, "a@x.example");
        store.accept(staged(store, b"message").await, message).await.unwrap().into_inner().id
    };
    let come = async |id, to: &str| {
        let mut reply = acceptance(store.next_queue_id(NOW), "", "<reply@x.example>");
        relay_to(&mut reply, to);
        let who = address("a@x.example");
        let once = Once { account: a, address: who.clone(), to: address(to), recipient: who, mark: None };
        let dsns = vec![NewDsn { body: staged(store, b"reply").await, acceptance: reply, once: Some(once) }];
        let outcomes = vec![(0, Outcome::Delivered { account: a, at: NOW })];
        store.settle(Settlement { id, outcomes, tried: Vec::new(), events: Vec::new(), dsns }).await?.into_inner();
        let journey = store.journeys(&JourneyQuery::Id(id), 1).await.unwrap().remove(0);
        Ok::<_, StoreError>(journey.events.last().map(|event| rule(&event.what).to_owned()).unwrap())
    };
    let first = wait().await;
    assert_eq!(come(first, "s@far.example").await.unwrap(), "answered");
    let queued = async || store.queue_messages(None, 9).await.unwrap().len();
    assert_eq!(queued().await, 1);
    // What is there already does not come once more, and nobody is told again.
    assert_eq!(come(first, "t@far.example").await.unwrap(), "answered");
    assert_eq!(queued().await, 1);
    assert_eq!(come(wait().await, "s@far.example").await.unwrap(), "told");
    // What can't come in leaves no reply and no memory of one.
    let last = wait().await;
    store.set_quota(a, Some(3)).await.unwrap().into_inner();
    assert!(matches!(come(last, "t@far.example").await, Err(StoreError::OverQuota(_))));
    assert_eq!(queued().await, 2);
    store.set_quota(a, None).await.unwrap().into_inner();
    assert_eq!(come(last, "t@far.example").await.unwrap(), "answered");
    assert_eq!(queued().await, 2);
    let balance = store.balance().await.unwrap();
    assert_eq!((balance.accepted, balance.delivered, balance.queued), (5, 3, 2));
}

/// `AWAY_TOLD`: so many are told, and no more until the first are a week ago.
pub async fn reports_are_bounded(store: Arc<impl Store>) {
    let store = &*store;
    let a = account(store, "a@x.example").await;
    let answer = async |at, n: usize| {
        let to = format!("s{n}@far.example");
        let what = answered(store, a, at, &to, |reply| reply.discarded = 1).await;
        rule(&what).to_owned()
    };
    for n in 0..limits::AWAY_TOLD {
        assert_eq!(answer(NOW, n).await, "answered", "{n}");
    }
    assert_eq!(answer(NOW, limits::AWAY_TOLD).await, "too-many");
    let week = NOW.plus(limits::AWAY_AGAIN);
    assert_eq!(answer(week, limits::AWAY_TOLD).await, "answered");
    assert_eq!(answer(week, 0).await, "answered");
}
