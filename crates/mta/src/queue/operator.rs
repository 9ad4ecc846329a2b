//! What an operator may do with what waits in the queue. What is done to many messages is done in as few commits as the
//! store likes, each message's with its event; the scheduler hears of it through the feed. They work the same beside a
//! running server and without one.

use futures_util::future;
use mail::{Address, Timestamp};
use store::{
    DirectoryEntry, Event, Outcome, QueueChange, QueueMessage, QueueRecipient, QueueState, Redirection, Settlement,
    Store, StoreResult, What,
};

use crate::bounce::{self, Line, Reporter};
use crate::route::Routing;

/// What the operator chose of one message.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The message.
    pub message: QueueMessage,
    /// Its recipients' numbers.
    pub recipients: Vec<u32>,
}

impl Chosen {
    /// All recipients of a message.
    pub fn all(message: QueueMessage) -> Self {
        Self { recipients: message.recipients.iter().map(|recipient| recipient.index).collect(), message }
    }

    fn recipients(&self) -> impl Iterator<Item = &QueueRecipient> {
        self.message.recipients.iter().filter(|recipient| self.recipients.contains(&recipient.index))
    }

    /// Events for each, where it is not done to all recipients; else one for the message.
    fn events(&self, now: Timestamp, what: &What) -> Vec<Event> {
        if self.recipients().count() == self.message.recipients.len() {
            return vec![Event::new(now, what.clone())];
        }
        self.recipients().map(|one| Event::about(now, one.address.to_string(), what.clone())).collect()
    }

    fn change(&self, state: QueueState, next_attempt: Option<Timestamp>, events: Vec<Event>) -> QueueChange {
        let (id, recipients) = (self.message.id, self.recipients.clone());
        QueueChange { id, recipients, state, next_attempt, to: None, events }
    }
}

fn operator(action: &str) -> What {
    What::Operator { action: action.to_owned() }
}

/// They are not tried until they are released.
pub async fn hold(store: &dyn Store, now: Timestamp, chosen: &[Chosen]) -> StoreResult<u64> {
    let change = |one: &Chosen| one.change(QueueState::Held, None, one.events(now, &operator("hold")));
    Ok(store.change_queue(chosen.iter().map(change).collect()).await?.into_inner())
}

/// What was held is tried when its time has come.
pub async fn release(store: &dyn Store, now: Timestamp, chosen: &[Chosen]) -> StoreResult<u64> {
    let change = |one: &Chosen| one.change(QueueState::Waiting, None, one.events(now, &operator("release")));
    Ok(store.change_queue(chosen.iter().map(change).collect()).await?.into_inner())
}

/// They are tried now, held or not, even where the destination did not answer before.
pub async fn retry(store: &dyn Store, now: Timestamp, chosen: &[Chosen]) -> StoreResult<u64> {
    let change = |one: &Chosen| one.change(QueueState::Waiting, Some(now), one.events(now, &operator("retry")));
    Ok(store.change_queue(chosen.iter().map(change).collect()).await?.into_inner())
}

/// Where mail for this address would wait, so that it may take the place of others; or why it may not, as a sentence.
pub async fn redirection(
    store: &dyn Store,
    routing: &Routing,
    to: &Address,
) -> StoreResult<Result<Redirection, String>> {
    let ours = store.domain(to.domain()).await?.is_some();
    let prefix = match store.entry(&to.folded()).await? {
        Some(DirectoryEntry::Account(account)) => format!("Delivered-To: {}\r\n", account.address).into_bytes(),
        Some(DirectoryEntry::Alias(alias)) => {
            let targets = alias.targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Ok(Err(format!("{to} is an alias; redirect to one of its targets: {targets}")));
        }
        None if ours && !routing.is_gateway(to.domain()) => {
            return Ok(Err(format!(
                "there is no account {to} here; redirect to an account, or to an address elsewhere"
            )));
        }
        None => Vec::new(),
    };
    Ok(Ok(Redirection { address: to.clone(), prefix, destination: routing.destination(to) }))
}

/// Another address takes the recipients' place, and is tried now.
pub async fn redirect(store: &dyn Store, now: Timestamp, chosen: &[Chosen], to: &Redirection) -> StoreResult<u64> {
    let what = What::Redirected { to: to.address.to_string() };
    let change = |one: &Chosen| {
        let events = one.recipients().map(|old| Event::about(now, old.address.to_string(), what.clone()));
        let mut to = to.clone();
        if let (Some(path), false) = (one.message.envelope.reverse_path.address(), to.prefix.is_empty()) {
            // RFC 5321 §4.4: Return-Path is put on at final delivery.
            to.prefix.splice(0..0, format!("Return-Path: <{path}>\r\n").into_bytes());
        }
        QueueChange { to: Some(to), ..one.change(QueueState::Waiting, Some(now), events.collect()) }
    };
    Ok(store.change_queue(chosen.iter().map(change).collect()).await?.into_inner())
}

/// They are thrown away without a report.
pub async fn discard(store: &dyn Store, now: Timestamp, chosen: &[Chosen]) -> StoreResult<u64> {
    let settle = |one: &Chosen| {
        let event = |address: String| Event::about(now, address, What::Discarded { rule: "operator".to_owned() });
        store.settle(Settlement {
            id: one.message.id,
            outcomes: one.recipients.iter().map(|index| (*index, Outcome::Discarded)).collect(),
            tried: Vec::new(),
            events: one.recipients().map(|recipient| event(recipient.address.to_string())).collect(),
            dsns: Vec::new(),
        })
    };
    // Together they share commits.
    for settled in future::join_all(chosen.iter().map(settle)).await {
        let _ = settled?;
    }
    Ok(count(chosen))
}

/// They are given up now; the senders get reports as after any failure.
pub async fn bounce(store: &dyn Store, reporter: &Reporter, chosen: &[Chosen]) -> StoreResult<u64> {
    for settled in future::join_all(chosen.iter().map(|one| bounce_one(store, reporter, one))).await {
        settled?;
    }
    Ok(count(chosen))
}

async fn bounce_one(store: &dyn Store, reporter: &Reporter, chosen: &Chosen) -> StoreResult<()> {
    let (message, now) = (&chosen.message, reporter.world.clock.now());
    let words = |recipient: &QueueRecipient| match &recipient.last {
        Some(last) => format!("given up by the operator; before: {}", last.words),
        None => "given up by the operator".to_owned(),
    };
    let lines: Vec<Line<'_>> = chosen
        .recipients()
        .map(|recipient| Line {
            recipient,
            // RFC 3463 §3.3: other undefined failure; the operator's decision.
            status: (5, 0, 0),
            words: words(recipient),
            host: recipient.last.as_ref().and_then(|last| last.host.clone()),
            remote: false,
        })
        .collect();
    let dsn = reporter.report(store, message, bounce::Kind::Failed, &lines).await?;
    let report = dsn.as_ref().map(|dsn| dsn.acceptance.id.to_string());
    let event = |line: &Line<'_>| {
        let what = What::Bounced { words: line.words.clone(), report: report.clone() };
        Event::about(now, line.recipient.address.to_string(), what)
    };
    let mut events = chosen.events(now, &operator("bounce"));
    events.extend(lines.iter().map(event));
    let outcomes = chosen.recipients.iter().map(|index| (*index, Outcome::Bounced)).collect();
    let _ = store
        .settle(Settlement { id: message.id, outcomes, tried: Vec::new(), events, dsns: dsn.into_iter().collect() })
        .await?;
    Ok(())
}

fn count(chosen: &[Chosen]) -> u64 {
    chosen.iter().map(|one| one.recipients.len() as u64).sum()
}
