//! Reports of success that are due with the acceptance itself: NOTIFY=SUCCESS and a mailbox here (RFC 3461 §5.2.3), or
//! a group that stands for several (§5.2.7.3).

use mail::{Address, Recipient, ReversePath, Timestamp};
use store::{Acceptance, Event, QueueMessage, QueueRecipient, QueueState, What};

use super::Desk;
use super::resolve::{Place, Resolved};
use crate::bounce::{Kind, Line};

/// Which report a recipient's end calls for; none where the next hop will tell.
pub(super) fn kind(resolved: &Resolved) -> Option<Kind> {
    match resolved.targets.as_slice() {
        [one] => matches!(one.place, Place::Here(..)).then_some(Kind::Delivered),
        _ => Some(Kind::Expanded),
    }
}

/// Adds the reports to the acceptance: they are committed with it. One that can't be made is left out: the message
/// counts more than the news of it.
pub(super) async fn add(desk: &Desk, acceptance: &mut Acceptance, size: u64, ends: &[Option<Kind>]) {
    let wanted = |index: usize| acceptance.envelope.recipients.get(index).is_some_and(|r| r.notify.success);
    let Some(reporter) = &desk.reporter else { return };
    if acceptance.envelope.reverse_path == ReversePath::Null || !(0..ends.len()).any(wanted) {
        return;
    }
    let reporter = reporter();
    let message = as_queued(acceptance, size);
    for kind in [Kind::Delivered, Kind::Expanded] {
        let of_kind = message.recipients.iter().zip(ends).filter(|(_, end)| **end == Some(kind));
        let lines: Vec<Line<'_>> = of_kind
            .map(|(recipient, _)| Line {
                recipient,
                // RFC 3463 §3.2 X.1.5: the destination is valid.
                status: (2, 1, 5),
                words: String::new(),
                host: None,
                remote: false,
            })
            .collect();
        match reporter.report(&*desk.store, &message, kind, &lines).await {
            Ok(None) => {}
            Ok(Some(report)) => {
                for line in lines.iter().filter(|line| line.recipient.notify.success) {
                    let what =
                        What::Reported { kind: kind.name().to_owned(), report: report.acceptance.id.to_string() };
                    let who: &Address = &line.recipient.address;
                    acceptance.events.push(Event::about(acceptance.received_at, who.to_string(), what));
                }
                acceptance.dsns.push(report);
            }
            Err(error) => tracing::warn!(id = %acceptance.id, %error, "a report of success can't be made"),
        }
    }
}

/// The message as the reporter knows messages. It is not in the queue, so nothing of it is returned: RFC 3461 §6.2 leaves
/// that to us.
pub(super) fn as_queued(acceptance: &Acceptance, size: u64) -> QueueMessage {
    QueueMessage {
        id: acceptance.id,
        received_at: acceptance.received_at,
        release_at: None,
        held: false,
        envelope: acceptance.envelope.clone(),
        message_id: acceptance.message_id.clone(),
        size,
        recipients: recipients(&acceptance.envelope.recipients, acceptance.received_at),
    }
}

pub(super) fn recipients<'a>(all: impl IntoIterator<Item = &'a Recipient>, at: Timestamp) -> Vec<QueueRecipient> {
    let as_queued = |(recipient, index): (&Recipient, u32)| QueueRecipient {
        index,
        address: recipient.address.clone(),
        notify: recipient.notify,
        original: recipient.original.clone(),
        prefix: Vec::new(),
        destination: recipient.address.domain().clone(),
        state: QueueState::Waiting,
        attempts: 0,
        next_attempt: at,
        warned: false,
        last: None,
    };
    all.into_iter().zip(0..).map(as_queued).collect()
}
