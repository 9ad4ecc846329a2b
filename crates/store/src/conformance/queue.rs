//! Promises about the queue and the journey.

use std::collections::VecDeque;
use std::sync::Arc;

use mail::{QueueId, Timestamp};

use super::{NOW, acceptance, account, address, deliver_to, domain, inbox, read, relay_to, staged};
use crate::{
    Acceptance, Attempt, Event, Interest, JourneyQuery, NewDsn, Outcome, QueueChange, QueueFeed, QueueNews, QueueState,
    Redirection, Settlement, Store, StoreError, What,
};

fn settlement(id: QueueId, outcomes: Vec<(u32, Outcome)>) -> Settlement {
    let event = Event::about(NOW, "c@far.example".into(), What::Deferred { words: "later".into(), next: 5 });
    Settlement { id, outcomes, tried: Vec::new(), events: vec![event], dsns: Vec::new() }
}

async fn accept(store: &impl Store, message: Acceptance) -> QueueId {
    store.accept(staged(store, b"Subject: x\r\n\r\nx").await, message).await.unwrap().into_inner().id
}

/// The feed, one piece of news after the other.
struct Feed(QueueFeed, VecDeque<QueueNews>);

impl Feed {
    async fn next(&mut self) -> QueueNews {
        while self.1.is_empty() {
            self.1.extend(self.0.recv().await.unwrap());
        }
        self.1.pop_front().unwrap()
    }
}

/// A message for two others: heard of, listed, tried, settled, gone.
pub async fn relays_are_queued_and_settled(store: Arc<impl Store>) {
    let mut feed = Feed(store.queue_feed(), VecDeque::new());
    let mut message = acceptance(store.next_queue_id(NOW), "s@x.example", "<1@x.example>");
    relay_to(&mut message, "c@far.example");
    relay_to(&mut message, "d@further.example");
    message.relays[1].prefix = b"Delivered-To: list@x.example\r\n".to_vec();
    let envelope = message.envelope.clone();
    let id = accept(&*store, message).await;
    let items = store.queue_items(None, 10).await.unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(store.queue_items(Some((id, 0)), 10).await.unwrap(), items[1..]);
    for item in &items {
        assert_eq!(feed.next().await, QueueNews::Changed(item.clone()));
    }
    assert_eq!(items[1].destination, domain("further.example"));
    let queued = store.queue_message(id).await.unwrap().unwrap();
    assert_eq!((queued.envelope, queued.size, queued.recipients.len()), (envelope, 15, 2));
    assert_eq!(queued.recipients[0].address, address("c@far.example"));
    let body = store.queue_body(id, 1).await.unwrap();
    assert_eq!(read(&body).await, b"Delivered-To: list@x.example\r\nSubject: x\r\n\r\nx");
    let nobody = QueueId::after(id, NOW);
    let mut work = store.queue_work(vec![nobody, id]).await.unwrap();
    assert_eq!(work.len(), 1);
    let (found, work) = work.remove(0);
    let work = work.unwrap();
    assert_eq!((found, Some(work.message)), (id, store.queue_message(id).await.unwrap()));
    assert_eq!(read(&work.body).await, b"Subject: x\r\n\r\nx", "without any recipient's prefix");

    let attempt = Attempt { at: NOW, host: Some("mx".into()), words: "451 no".into(), status: (4, 3, 0) };
    let next_attempt = Timestamp::from_secs(1_900_000_000);
    let later = Outcome::Deferred { next_attempt, warned: true, attempt: attempt.clone() };
    store.settle(settlement(id, vec![(0, later), (1, Outcome::Relayed)])).await.unwrap().into_inner();
    let queued = store.queue_message(id).await.unwrap().unwrap();
    assert_eq!(queued.recipients.len(), 1);
    let left = &queued.recipients[0];
    assert_eq!((left.attempts, left.warned, left.next_attempt), (1, true, next_attempt));
    assert_eq!(left.last, Some(attempt));
    assert!(matches!(feed.next().await, QueueNews::Changed(item) if item.attempts == 1));
    assert_eq!(feed.next().await, QueueNews::Gone(id, 1));
    assert!(matches!(store.queue_body(id, 1).await, Err(StoreError::NoQueueEntry(_))));

    store.settle(settlement(id, vec![(0, Outcome::Expired), (1, Outcome::Bounced)])).await.unwrap().into_inner();
    assert!(store.queue_message(id).await.unwrap().is_none());
    // All of it over: settling again changes nothing.
    store.settle(settlement(id, vec![(0, Outcome::Relayed)])).await.unwrap().into_inner();
    let balance = store.balance().await.unwrap();
    assert_eq!((balance.accepted, balance.relayed, balance.expired, balance.bounced), (2, 1, 1, 0));
    assert!(balance.holds());
    let journey = &store.journeys(&JourneyQuery::Id(id), 1).await.unwrap()[0];
    assert_eq!((journey.events.len(), journey.waiting.len()), (3, 0));
}

/// The bounce and its report are one commit: neither is there without the other.
pub async fn a_report_goes_with_its_bounce(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let mut message = acceptance(store.next_queue_id(NOW), "a@x.example", "<1@x.example>");
    relay_to(&mut message, "c@far.example");
    let id = accept(&*store, message).await;
    let report = |account| {
        let mut report = acceptance(store.next_queue_id(NOW), "", "<report@x.example>");
        deliver_to(&mut report, account, "a@x.example");
        report
    };
    let mut end = settlement(id, vec![(0, Outcome::Bounced)]);
    let nobody = mail::AccountId(999);
    end.dsns = vec![NewDsn { body: staged(&*store, b"report").await, acceptance: report(nobody), once: None }];
    assert!(matches!(store.settle(end).await, Err(StoreError::AccountGone(_))));
    assert_eq!(store.queue_message(id).await.unwrap().unwrap().recipients.len(), 1);

    let mut end = settlement(id, vec![(0, Outcome::Bounced)]);
    end.dsns = vec![NewDsn { body: staged(&*store, b"report").await, acceptance: report(a), once: None }];
    store.settle(end).await.unwrap().into_inner();
    let mut again = settlement(id, vec![(0, Outcome::Bounced)]);
    again.dsns = vec![NewDsn { body: staged(&*store, b"report").await, acceptance: report(a), once: None }];
    store.settle(again).await.unwrap().into_inner();
    assert_eq!(store.status(inbox(&*store, a).await).await.unwrap().messages, 1);
    let balance = store.balance().await.unwrap();
    assert_eq!((balance.accepted, balance.bounced, balance.delivered), (2, 1, 1));
    let found = store.journeys(&JourneyQuery::MessageId("report@x.example".into()), 9).await.unwrap();
    assert_eq!(found.len(), 1);
}

/// Hold, release, retry, each with its event.
pub async fn the_operator_holds_and_releases(store: Arc<impl Store>) {
    let mut message = acceptance(store.next_queue_id(NOW), "s@x.example", "<1@x.example>");
    relay_to(&mut message, "c@far.example");
    let id = accept(&*store, message).await;
    let mut feed = Feed(store.queue_feed(), VecDeque::new());
    let event = |action: &str| Event::new(NOW, What::Operator { action: action.into() });
    let change = |id, state, next_attempt, action: &str| {
        let (recipients, events) = (vec![0, 7], vec![event(action)]);
        QueueChange { id, recipients, state, next_attempt, to: None, events }
    };
    let hold = change(id, QueueState::Held, None, "hold");
    assert_eq!(store.change_queue(vec![hold]).await.unwrap().into_inner(), 1, "there is no recipient 7");
    assert!(matches!(feed.next().await, QueueNews::Changed(item) if item.state == QueueState::Held));
    let at = Timestamp::from_secs(7);
    let none = change(QueueId::from_u64(5), QueueState::Held, None, "hold");
    let retry = change(id, QueueState::Waiting, Some(at), "retry");
    assert_eq!(store.change_queue(vec![none, retry]).await.unwrap().into_inner(), 1);
    assert!(matches!(feed.next().await, QueueNews::Changed(item) if item.next_attempt == at));
    store.settle(settlement(id, vec![(0, Outcome::Discarded)])).await.unwrap().into_inner();
    let journey = &store.journeys(&JourneyQuery::Id(id), 1).await.unwrap()[0];
    assert_eq!(journey.events.len(), 4);
    assert_eq!(store.queue_messages(None, 10).await.unwrap(), []);
}

/// Another address takes the place of several: it gets the message once, and reports know whom the sender meant.
pub async fn the_operator_redirects(store: Arc<impl Store>) {
    let mut message = acceptance(store.next_queue_id(NOW), "s@x.example", "<1@x.example>");
    relay_to(&mut message, "c@far.example");
    relay_to(&mut message, "d@far.example");
    relay_to(&mut message, "e@further.example");
    let id = accept(&*store, message).await;
    let attempt = Attempt { at: NOW, host: None, words: "451 no".into(), status: (4, 3, 0) };
    let later = Outcome::Deferred { next_attempt: Timestamp::from_secs(9), warned: true, attempt };
    store.settle(settlement(id, vec![(0, later)])).await.unwrap().into_inner();
    let mut feed = Feed(store.queue_feed(), VecDeque::new());
    let to = Redirection {
        address: address("f@new.example"),
        prefix: b"Delivered-To: f@new.example\r\n".to_vec(),
        destination: domain("new.example"),
    };
    let change = QueueChange {
        id,
        recipients: vec![0, 1],
        state: QueueState::Waiting,
        next_attempt: Some(NOW),
        to: Some(to),
        events: vec![Event::about(NOW, "c@far.example".into(), What::Redirected { to: "f@new.example".into() })],
    };
    assert_eq!(store.change_queue(vec![change]).await.unwrap().into_inner(), 2);
    let QueueNews::Changed(item) = feed.next().await else { panic!("no change") };
    assert_eq!((item.destination, item.attempts, item.next_attempt), (domain("new.example"), 0, NOW));
    assert_eq!(feed.next().await, QueueNews::Gone(id, 1));
    let left = store.queue_message(id).await.unwrap().unwrap().recipients;
    assert_eq!(left.iter().map(|one| one.index).collect::<Vec<_>>(), [0, 2]);
    assert_eq!((left[0].address.to_string(), left[0].warned), ("f@new.example".to_owned(), false));
    assert_eq!((left[0].original.as_deref(), &left[0].last), (Some("rfc822;c@far.example"), &None));
    let body = store.queue_body(id, 0).await.unwrap();
    assert!(read(&body).await.starts_with(b"Delivered-To: f@new.example\r\n"));
    let balance = store.balance().await.unwrap();
    assert_eq!((balance.accepted, balance.discarded, balance.queued), (3, 1, 2));
    assert!(balance.holds());
    // A try that had begun for the one before ends nothing of the new one's.
    let late = |outcomes, tried: &[(u32, &str)]| {
        let tried = tried.iter().map(|(index, who)| (*index, address(who))).collect();
        Settlement { tried, ..settlement(id, outcomes) }
    };
    let both = vec![(0, Outcome::Relayed), (2, Outcome::Relayed)];
    let both = late(both, &[(0, "c@far.example"), (2, "e@further.example")]);
    assert_eq!(store.settle(both).await.unwrap().into_inner(), [0]);
    assert_eq!(feed.next().await, QueueNews::Gone(id, 2));
    let left = store.queue_message(id).await.unwrap().unwrap().recipients;
    assert_eq!((left.len(), left[0].address.to_string()), (1, "f@new.example".to_owned()));
    assert!(store.balance().await.unwrap().holds());
    let last = late(vec![(0, Outcome::Relayed)], &[(0, "f@new.example")]);
    assert_eq!(store.settle(last).await.unwrap().into_inner(), []);
    assert!(store.queue_message(id).await.unwrap().is_none());
    assert!(store.balance().await.unwrap().holds());
}

/// A pause is remembered, told once, and seen in the journeys of what waits for it.
pub async fn destinations_are_paused(store: Arc<impl Store>) {
    let mut message = acceptance(store.next_queue_id(NOW), "s@x.example", "<1@x.example>");
    relay_to(&mut message, "c@far.example");
    relay_to(&mut message, "d@further.example");
    let id = accept(&*store, message).await;
    let mut feed = Feed(store.queue_feed(), VecDeque::new());
    let far = domain("far.example");
    for (since, first) in [(NOW, true), (Timestamp::from_secs(9), false)] {
        assert_eq!(store.pause_destination(&far, Some(since)).await.unwrap().into_inner(), first);
    }
    assert_eq!(feed.next().await, QueueNews::Paused(far.clone()));
    assert_eq!(store.paused_destinations().await.unwrap(), [(far.clone(), NOW)]);
    let journey = async || store.journeys(&JourneyQuery::Id(id), 1).await.unwrap().remove(0);
    assert_eq!(journey().await.paused, ["c@far.example"]);
    for first in [true, false] {
        assert_eq!(store.pause_destination(&far, None).await.unwrap().into_inner(), first);
    }
    assert_eq!(feed.next().await, QueueNews::Resumed(far));
    assert_eq!((store.paused_destinations().await.unwrap(), journey().await.paused), (Vec::new(), Vec::new()));
}

/// What counts is kept, in the place of what it has been; what counts no more is forgotten.
pub async fn tallies_are_kept(store: Arc<impl Store>) {
    let at = Timestamp::from_secs;
    let tally = |name: &str, until| (name.to_owned(), at(until));
    store.keep_tallies(vec![tally("a", 5), tally("b", 9)], at(1)).await.unwrap();
    store.keep_tallies(vec![tally("a", 7)], at(5)).await.unwrap();
    let mut kept = store.tallies().await.unwrap();
    kept.sort();
    assert_eq!(kept, [tally("a", 7), tally("b", 9)]);
    store.keep_tallies(Vec::new(), at(7)).await.unwrap();
    assert_eq!(store.tallies().await.unwrap(), [tally("b", 9)]);
}

/// By id, by Message-ID with or without brackets, by any address, newest first; forgotten in time.
pub async fn journeys_are_found(store: Arc<impl Store>) {
    let a = account(&*store, "a@x.example").await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let mut message = acceptance(store.next_queue_id(NOW), "Sender@far.example", &format!("<{n}@far.example>"));
        deliver_to(&mut message, a, "a@x.example");
        if n == 4 {
            relay_to(&mut message, "c@far.example");
        }
        ids.push(accept(&*store, message).await);
    }
    let find = async |query| store.journeys(&query, 3).await.unwrap();
    for text in ["<3@far.example>", "3@far.example"] {
        let found = find(JourneyQuery::MessageId(text.into())).await;
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!(found[0].id, ids[3].to_string());
    }
    for who in ["sender@far.example", "A@x.example"] {
        let found = find(JourneyQuery::Address(who.into())).await;
        assert_eq!(
            found.iter().map(|journey| journey.id.clone()).collect::<Vec<_>>(),
            [ids[4].to_string(), ids[3].to_string(), ids[2].to_string()]
        );
    }
    let found = find(JourneyQuery::Address("c@far.example".into())).await;
    assert_eq!(found[0].waiting, [("c@far.example".to_owned(), NOW.millis())]);
    assert!(find(JourneyQuery::Id(QueueId::from_u64(1))).await.is_empty());
    assert!(find(JourneyQuery::MessageId("other@far.example".into())).await.is_empty());
    store.record(ids[0], vec![Event::new(NOW, What::Operator { action: "retry".into() })]).await.unwrap().into_inner();
    assert_eq!(find(JourneyQuery::Id(ids[0])).await[0].events.len(), 2);

    let forgotten = store.forget_journeys(Timestamp::from_secs(NOW.secs() + 10)).await.unwrap();
    assert_eq!(forgotten, 4, "what is queued keeps its journey");
    assert!(find(JourneyQuery::MessageId("3@far.example".into())).await.is_empty());
    assert_eq!(find(JourneyQuery::Id(ids[4])).await.len(), 1);
}

/// Who sent a message hears of all that happens to it, others of nothing.
pub async fn what_happens_to_messages_is_told(store: Arc<impl Store>) {
    let (a, b) = (account(&*store, "a@x.example").await, account(&*store, "b@x.example").await);
    let send = async || {
        let mut message = acceptance(store.next_queue_id(NOW), "a@x.example", "<1@x.example>");
        if let Some(Event { what: What::Received { account, .. }, .. }) = message.events.first_mut() {
            *account = Some("a@x.example".into());
        }
        deliver_to(&mut message, b, "b@x.example");
        relay_to(&mut message, "c@far.example");
        accept(&*store, message).await
    };
    let before = send().await;
    let (sender, receiver, deaf) = (store.listen(a), store.listen(b), store.listen(a));
    for watch in [&sender, &receiver] {
        watch.set_interest(Interest { journeys: true, ..Interest::default() });
    }
    let id = send().await;
    assert_eq!(sender.take().journeys, [(id, true)].into());
    store.settle(settlement(id, vec![(0, Outcome::Relayed)])).await.unwrap().into_inner();
    store.settle(settlement(before, vec![(0, Outcome::Relayed)])).await.unwrap().into_inner();
    assert_eq!(sender.take().journeys, [(id, false)].into(), "the earlier one is not followed");
    assert!(sender.follow(before) && !sender.follow(id));
    store.record(before, vec![Event::new(NOW, What::Operator { action: "retry".into() })]).await.unwrap().into_inner();
    assert_eq!(sender.take().journeys, [(before, false)].into());
    assert!(receiver.take().journeys.is_empty() && deaf.take().journeys.is_empty());
}

/// The newest refusals are kept.
pub async fn refusals_are_a_ring(store: Arc<impl Store>) {
    for n in 0..5 {
        store.note_refusal(Event::new(
            Timestamp::from_secs(n),
            What::Refused { from: "192.0.2.1".into(), sender: String::new(), reply: "550".into(), rule: "x".into() },
        ));
    }
    let found = store.refusals(3).await.unwrap();
    assert_eq!(found.iter().map(|event| event.at).collect::<Vec<_>>(), [4000, 3000, 2000]);
}
