//! What an operator may do with a queued message. Each is one transaction of the store with its event; the
//! scheduler hears of it through the feed. They work the same beside a running server and without one.

use mail::QueueId;
use store::{Event, Outcome, QueueState, Settlement, Store, StoreError, StoreResult, What};

use crate::bounce::{self, Line, Reporter};
use crate::world::Clock;

fn operator(clock: &dyn Clock, action: &str) -> Event {
    Event::new(clock.now(), What::Operator { action: action.to_owned() })
}

/// No recipient of the message is tried until it is released.
pub async fn hold(store: &dyn Store, clock: &dyn Clock, id: QueueId) -> StoreResult<()> {
    let _ = store.reschedule(id, QueueState::Held, None, operator(clock, "hold")).await?;
    Ok(())
}

/// What was held is tried when its time has come.
pub async fn release(store: &dyn Store, clock: &dyn Clock, id: QueueId) -> StoreResult<()> {
    let _ = store.reschedule(id, QueueState::Waiting, None, operator(clock, "release")).await?;
    Ok(())
}

/// All recipients are tried now, held or not, even where the destination did not answer before.
pub async fn retry(store: &dyn Store, clock: &dyn Clock, id: QueueId) -> StoreResult<()> {
    let _ = store.reschedule(id, QueueState::Waiting, Some(clock.now()), operator(clock, "retry")).await?;
    Ok(())
}

/// All recipients are thrown away without a report.
pub async fn discard(store: &dyn Store, clock: &dyn Clock, id: QueueId) -> StoreResult<()> {
    let message = store.queue_message(id).await?.ok_or(StoreError::NoQueueEntry(id))?;
    let now = clock.now();
    let event = |address: String| Event::about(now, address, What::Discarded { rule: "operator".to_owned() });
    let events = message.recipients.iter().map(|recipient| event(recipient.address.to_string())).collect();
    let outcomes = message.recipients.iter().map(|recipient| (recipient.index, Outcome::Discarded)).collect();
    let _ = store.settle(Settlement { id, outcomes, events, dsns: Vec::new() }).await?;
    Ok(())
}

/// All recipients are given up now; the sender gets a report as after any failure.
pub async fn bounce(store: &dyn Store, reporter: &Reporter, id: QueueId) -> StoreResult<()> {
    let message = store.queue_message(id).await?.ok_or(StoreError::NoQueueEntry(id))?;
    let now = reporter.world.clock.now();
    let words = |recipient: &store::QueueRecipient| match &recipient.last {
        Some(last) => format!("given up by the operator; before: {}", last.words),
        None => "given up by the operator".to_owned(),
    };
    let lines: Vec<Line<'_>> = message
        .recipients
        .iter()
        .map(|recipient| Line {
            recipient,
            // RFC 3463 §3.3: other undefined failure; the operator's decision.
            status: (5, 0, 0),
            words: words(recipient),
            host: recipient.last.as_ref().and_then(|last| last.host.clone()),
            remote: false,
        })
        .collect();
    let dsn = reporter.report(store, &message, bounce::Kind::Failed, &lines).await?;
    let report = dsn.as_ref().map(|dsn| dsn.acceptance.id.to_string());
    let event = |line: &Line<'_>| {
        let what = What::Bounced { words: line.words.clone(), report: report.clone() };
        Event::about(now, line.recipient.address.to_string(), what)
    };
    let mut events = vec![operator(reporter.world.clock.as_ref(), "bounce")];
    events.extend(lines.iter().map(event));
    let outcomes = message.recipients.iter().map(|recipient| (recipient.index, Outcome::Bounced)).collect();
    let _ = store.settle(Settlement { id, outcomes, events, dsns: dsn.into_iter().collect() }).await?;
    Ok(())
}
