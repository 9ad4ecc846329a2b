//! Identities and submissions.

use std::sync::Arc;

use mail::{AccountId, BodyId, Hold, IdentityId, SubmissionId, ThreadId, Timestamp, limits};

use super::{NOW, acceptance, account, address, check, deliver_to, inbox, relay_to, staged};
use crate::{
    AccountNews, Addressed, Alias, Attempt, Cancellation, Event, IdentityChange, Interest, NewDsn, NewSubmission,
    Outcome, Profile, Progress, Settlement, Store, StoreError, SubmittedEnvelope, Undo, Way, What,
};

/// Addresses bring identities; what went is told, also what comes again.
pub async fn identities_follow_the_addresses(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let watch = store.listen(a);
    watch.set_interest(Interest { sending: true, ..Interest::default() });
    let own = |names: &[&str]| names.iter().map(|name| address(name)).collect::<Vec<_>>();
    let emails = async || {
        let there = store.identities(a).await.unwrap().there;
        there.into_iter().map(|one| (one.id.0, one.email.to_string())).collect::<Vec<_>>()
    };
    store.identify(a, own(&["a@x.example", "b@x.example"])).await.unwrap();
    assert_eq!(emails().await, [(1, "a@x.example".into()), (2, "b@x.example".into())]);
    assert_eq!(*watch.take().news[0], AccountNews::Identities);
    let state = store.identities(a).await.unwrap().modseq;
    store.identify(a, own(&["a@x.example", "b@x.example"])).await.unwrap();
    assert_eq!(store.identities(a).await.unwrap().modseq, state);
    assert!(watch.take().news.is_empty());

    // One that somebody changed, whose address goes and comes again, is as it was.
    let profile = Profile { name: "Bee".into(), ..Profile::default() };
    let change = IdentityChange::Change(IdentityId(2), profile.clone());
    store.change_identity(a, change).await.unwrap().into_inner();
    store.identify(a, own(&["a@x.example"])).await.unwrap();
    let now = store.identities(a).await.unwrap();
    assert_eq!((now.there.len(), now.gone[0].0), (1, IdentityId(2)));
    assert!(now.gone[0].2 > state && now.known_since.0 == 0);
    store.identify(a, own(&["a@x.example", "b@x.example"])).await.unwrap();
    let again = store.identities(a).await.unwrap();
    assert_eq!(again.there[1].profile, profile);
    assert!(again.there[1].created > now.gone[0].2);

    // What was removed by hand does not come again by itself; what was made by hand is removed for good.
    let made = IdentityChange::Make(address("b@x.example"), Profile::default());
    let made = store.change_identity(a, made).await.unwrap().into_inner();
    for id in [made, IdentityId(2)] {
        store.change_identity(a, IdentityChange::Remove(id)).await.unwrap().into_inner();
        let gone = store.change_identity(a, IdentityChange::Remove(id)).await;
        assert!(matches!(gone, Err(StoreError::NotFound(_))));
    }
    store.identify(a, own(&["a@x.example", "b@x.example"])).await.unwrap();
    assert_eq!(emails().await, [(1, "a@x.example".into())]);
    // Another's is nobody's.
    let c = account(&*store, "c@x.example").await;
    let theirs = store.change_identity(c, IdentityChange::Remove(IdentityId(1))).await;
    assert!(matches!(theirs, Err(StoreError::NotFound(_))));
    assert!(store.identities(c).await.unwrap().there.is_empty());
    assert!(store.identify(AccountId(9_999), own(&["z@x.example"])).await.is_err());
    check(&*store).await;
}

/// Who an address is a target of, whatever its case; an alias that changes or goes no longer says so.
pub async fn aliases_are_found_by_target(store: Arc<impl Store>) {
    account(&*store, "a@x.example").await;
    let set = async |name: &str, targets: &[&str]| {
        let targets = targets.iter().map(|target| address(target)).collect();
        store.set_alias(Alias { address: address(name), targets }).await.unwrap().into_inner();
    };
    let of = async |target: &str| {
        let found = store.aliases_of(&address(target)).await.unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    set("c@x.example", &["A@x.example", "z@far.example"]).await;
    set("b@x.example", &["a@x.example"]).await;
    assert_eq!(of("a@x.example").await, ["b@x.example", "c@x.example"]);
    set("c@x.example", &["z@far.example"]).await;
    set("b@x.example", &[]).await;
    assert!(of("a@x.example").await.is_empty());
    assert_eq!(of("z@far.example").await, ["c@x.example"]);
}

/// `IDENTITIES_PER_ACCOUNT`, and one more.
pub async fn identities_are_bounded(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let make = || IdentityChange::Make(address("a@x.example"), Profile::default());
    for _ in 0..limits::IDENTITIES_PER_ACCOUNT {
        store.change_identity(a, make()).await.unwrap().into_inner();
    }
    assert_eq!(store.change_identity(a, make()).await, Err(StoreError::Limit("IDENTITIES_PER_ACCOUNT")));
    store.identify(a, vec![address("b@x.example")]).await.unwrap();
    let most = store.identities(a).await.unwrap().there.len();
    assert!(most <= limits::IDENTITIES_PER_ACCOUNT);
}

fn submission(account: AccountId, ways: Vec<Way>) -> NewSubmission {
    let addressed = |email: &str| Addressed { email: email.into(), parameters: None };
    NewSubmission {
        account,
        identity: IdentityId(1),
        email: BodyId(1),
        thread: ThreadId(1),
        envelope: SubmittedEnvelope { from: addressed("a@x.example"), to: vec![addressed("c@far.example")] },
        ways,
    }
}

fn way(recipient: u32, queued: u32) -> Way {
    Way { recipient, queued: Some(queued), progress: Progress::Queued, words: "250 ok".into() }
}

/// Submits to somebody elsewhere.
async fn submit(store: &dyn Store, a: AccountId, hold: Option<Timestamp>, at: Timestamp) -> SubmissionId {
    let mut message = acceptance(store.next_queue_id(NOW), "a@x.example", "<1@x.example>");
    message.received_at = at;
    message.envelope.hold = hold.map(Hold::Until);
    relay_to(&mut message, "c@far.example");
    let new = submission(a, vec![way(0, 0)]);
    store.submit(staged(store, b"bytes").await, message, new).await.unwrap().into_inner()
}

fn end(id: mail::QueueId, outcome: Outcome, what: What) -> Settlement {
    let events = vec![Event::about(NOW, "c@far.example".into(), what)];
    Settlement { id, outcomes: vec![(0, outcome)], tried: Vec::new(), events, dsns: Vec::new() }
}

/// The message and what is known of it are one commit; each try's end is told.
pub async fn what_is_submitted_is_followed(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let id = submit(&*store, a, None, NOW).await;
    let now = async || store.submissions(a).await.unwrap();
    let first = now().await;
    let one = &first.there[0];
    assert_eq!((one.id, one.undo, one.send_at), (id, Undo::Final, NOW));
    assert_eq!(first.modseq, one.changed);
    let queued = store.queue_message(one.queue).await.unwrap().unwrap();
    assert_eq!((queued.held, queued.release_at, queued.lives_from()), (false, None, NOW));
    assert!(store.begin_sending(one.queue).await.unwrap().into_inner());

    let attempt = Attempt { at: NOW, host: None, words: "451 later".into(), status: (4, 0, 0) };
    let later = Outcome::Deferred { next_attempt: NOW, warned: false, attempt };
    let what = What::Deferred { words: "451 later".into(), next: 0 };
    store.settle(end(one.queue, later, what)).await.unwrap().into_inner();
    let second = now().await.there.remove(0);
    assert_eq!((second.ways[0].progress, second.ways[0].words.as_str()), (Progress::Queued, "451 later"));
    assert!(second.changed > one.changed && second.created == one.created);

    // A report that comes to the account is one of the submission's.
    let mut last = end(one.queue, Outcome::Bounced, What::Bounced { words: "550 no".into(), report: None });
    let mut report = acceptance(store.next_queue_id(NOW), "", "<r@x.example>");
    deliver_to(&mut report, a, "a@x.example");
    last.dsns = vec![NewDsn { body: staged(&*store, b"report").await, acceptance: report, once: None }];
    store.settle(last).await.unwrap().into_inner();
    let third = now().await.there.remove(0);
    assert_eq!((third.ways[0].progress, third.ways[0].words.as_str()), (Progress::Failed, "550 no"));
    let box_ = store.watch(inbox(&*store, a).await).await.unwrap().newest().unwrap();
    assert_eq!(third.reports, [box_.get(0).unwrap().body]);

    // Forgotten, it is told as gone; the message would go its way.
    store.forget_submission(a, id).await.unwrap().into_inner();
    assert!(matches!(store.forget_submission(a, id).await, Err(StoreError::NotFound(_))));
    let last = now().await;
    assert_eq!((last.there.len(), last.gone[0].0, last.gone[0].2), (0, id, last.modseq));
    check(&*store).await;
}

/// What is held can be taken back until it begins to leave, and not after.
pub async fn what_is_held_can_be_taken_back(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let later = Timestamp::from_millis(NOW.millis() + 10_000);
    let cancel = |id| Cancellation { account: a, id, events: vec![] };
    let id = submit(&*store, a, Some(later), NOW).await;
    let one = store.submissions(a).await.unwrap().there.remove(0);
    assert_eq!((one.undo, one.send_at), (Undo::Pending, later));
    let queued = store.queue_message(one.queue).await.unwrap().unwrap();
    assert_eq!((queued.held, queued.release_at, queued.lives_from()), (true, Some(later), later));
    let b = account(&*store, "b@x.example").await;
    let theirs = store.cancel_submission(Cancellation { account: b, ..cancel(id) }).await;
    assert!(matches!(theirs, Err(StoreError::NotFound(_))));
    assert!(store.cancel_submission(cancel(id)).await.unwrap().into_inner());
    let canceled = store.submissions(a).await.unwrap().there.remove(0);
    assert_eq!((canceled.undo, canceled.ways[0].progress), (Undo::Canceled, Progress::Failed));
    assert!(canceled.changed > one.changed && store.queue_message(one.queue).await.unwrap().is_none());
    assert!(!store.cancel_submission(cancel(id)).await.unwrap().into_inner());
    assert!(!store.begin_sending(one.queue).await.unwrap().into_inner());
    let balance = store.balance().await.unwrap();
    assert_eq!((balance.accepted, balance.discarded, balance.queued), (1, 1, 0));

    let id = submit(&*store, a, Some(later), NOW).await;
    let queue = store.submissions(a).await.unwrap().there[1].queue;
    assert!(store.begin_sending(queue).await.unwrap().into_inner());
    let begun = store.submissions(a).await.unwrap().there.remove(1);
    assert_eq!(begun.undo, Undo::Final);
    assert!(!store.cancel_submission(cancel(id)).await.unwrap().into_inner());
    // The operator's end is an end.
    let id = submit(&*store, a, Some(later), NOW).await;
    let queue = store.submissions(a).await.unwrap().there[2].queue;
    let what = What::Discarded { rule: "operator".into() };
    store.settle(end(queue, Outcome::Discarded, what)).await.unwrap().into_inner();
    assert_eq!(store.submissions(a).await.unwrap().there[2].undo, Undo::Final);
    assert!(!store.cancel_submission(cancel(id)).await.unwrap().into_inner());
    store.remove_account(a).await.unwrap().into_inner();
    check(&*store).await;
}

/// What nobody submitted for an account can be held back as well; nobody can take it back then.
pub async fn what_is_accepted_can_be_held(store: Arc<impl Store>) {
    let later = NOW.plus(limits::HOLD_LONGEST);
    for (hold, release) in [(Hold::Until(later), Some(later)), (Hold::For(0), None), (Hold::Until(NOW), None)] {
        let mut message = acceptance(store.next_queue_id(NOW), "a@x.example", "<1@x.example>");
        message.envelope.hold = Some(hold);
        relay_to(&mut message, "c@far.example");
        let id = store.accept(staged(&*store, b"bytes").await, message).await.unwrap().into_inner().id;
        let queued = async || store.queue_message(id).await.unwrap().unwrap();
        let now = queued().await;
        assert_eq!((now.held, now.release_at, now.envelope.hold), (release.is_some(), release, Some(hold)));
        assert!(store.begin_sending(id).await.unwrap().into_inner());
        let now = queued().await;
        assert_eq!((now.held, now.release_at, now.lives_from()), (false, release, release.unwrap_or(NOW)));
    }
}

/// A recipient here who had to wait gets it from the queue.
pub async fn what_waited_comes_into_a_mailbox(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let b = account(&*store, "b@x.example").await;
    let mut message = acceptance(store.next_queue_id(NOW), "a@x.example", "<1@x.example>");
    relay_to(&mut message, "b@x.example");
    message.relays[0].prefix = b"Delivered-To: b@x.example\r\n".to_vec();
    let new = submission(a, vec![way(0, 0)]);
    store.submit(staged(&*store, b"bytes").await, message, new).await.unwrap().into_inner();
    let queue = store.submissions(a).await.unwrap().there[0].queue;
    let what = What::Delivered { account: "b@x.example".into(), mailbox: "INBOX".into() };
    let mut delivered = end(queue, Outcome::Delivered { account: b, at: NOW }, what);
    delivered.events[0].recipient = Some("b@x.example".into());
    store.set_quota(b, Some(3)).await.unwrap().into_inner();
    let again = Settlement {
        id: queue,
        outcomes: delivered.outcomes.clone(),
        tried: Vec::new(),
        events: Vec::new(),
        dsns: Vec::new(),
    };
    assert!(matches!(store.settle(again).await, Err(StoreError::OverQuota(_))));
    store.set_quota(b, None).await.unwrap().into_inner();
    store.settle(delivered).await.unwrap().into_inner();
    let mailbox = inbox(&*store, b).await;
    let row = store.watch(mailbox).await.unwrap().newest().unwrap().get(0).unwrap();
    let bodies = store.bodies(mailbox, &[row.uid]).await.unwrap();
    assert_eq!(super::read(&bodies[0].1).await, b"Delivered-To: b@x.example\r\nbytes");
    assert_eq!(store.submissions(a).await.unwrap().there[0].ways[0].progress, Progress::Delivered);
    let balance = store.balance().await.unwrap();
    assert_eq!((balance.accepted, balance.delivered, balance.queued), (1, 1, 0));
    check(&*store).await;
}

/// `SUBMISSIONS_PER_ACCOUNT` and `SUBMISSION_KEPT`: one more, or older by a moment, and it goes. What is held stays.
pub async fn old_submissions_make_room(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let held = submit(&*store, a, Some(NOW.plus(limits::HOLD_LONGEST)), NOW).await;
    for _ in 1..limits::SUBMISSIONS_PER_ACCOUNT {
        submit(&*store, a, None, NOW).await;
    }
    let there = async || store.submissions(a).await.unwrap().there;
    assert_eq!(there().await.len(), limits::SUBMISSIONS_PER_ACCOUNT);
    submit(&*store, a, None, NOW).await;
    let now = there().await;
    assert_eq!((now.len(), now[0].id, now[1].id.0), (limits::SUBMISSIONS_PER_ACCOUNT, held, 3));
    let kept = i64::try_from(limits::SUBMISSION_KEPT.as_millis()).unwrap();
    submit(&*store, a, None, Timestamp::from_millis(NOW.millis() + kept)).await;
    assert_eq!(there().await.len(), limits::SUBMISSIONS_PER_ACCOUNT);
    submit(&*store, a, None, Timestamp::from_millis(NOW.millis() + kept + 1)).await;
    assert_eq!(there().await.len(), 3);
    assert_eq!(store.forget_submissions(Timestamp::from_millis(NOW.millis() + kept + 1)).await.unwrap(), 1);
    assert_eq!(there().await.len(), 2);
    check(&*store).await;
}

/// `SENDING_GONE`: what went before those is no longer known, and that is said.
pub async fn what_went_is_known_for_a_while(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    for _ in 0..=limits::SENDING_GONE {
        let made = IdentityChange::Make(address("a@x.example"), Profile::default());
        let id = store.change_identity(a, made).await.unwrap().into_inner();
        store.change_identity(a, IdentityChange::Remove(id)).await.unwrap().into_inner();
        let now = store.identities(a).await.unwrap();
        if now.gone.len() <= limits::SENDING_GONE {
            assert_eq!(now.known_since.0, 0);
        } else {
            assert_eq!(now.known_since, now.gone[0].2);
        }
    }
    assert_eq!(store.identities(a).await.unwrap().gone.len(), limits::SENDING_GONE + 1);
}
