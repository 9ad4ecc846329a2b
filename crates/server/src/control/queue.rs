//! What waits in the queue, chosen by what an operator says of it, page by page: never all of it in memory.
//!
//! A choice is made among recipients, not messages: what is wrong with one destination is no reason to touch the
//! others of the same message.

use std::sync::Arc;

use mail::{Address, Domain, QueueId, ReversePath, Timestamp, limits};
use mta::bounce::Reporter;
use mta::queue::Chosen;
use serde::{Deserialize, Serialize};
use store::{QueueMessage, QueueRecipient, QueueState, Redirection, Store, StoreError};

use super::execute::{Answer, Context, Failure, answer};
use super::view::{self, QueueActed, QueueView};
use crate::outbound;

/// Which messages, and which of their recipients. All that is said must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueFilter {
    /// These; none: any.
    #[serde(with = "view::texts")]
    pub ids: Vec<QueueId>,
    /// The reverse-path: an address, a domain, or `<>`.
    pub sender: Option<String>,
    /// The recipient: an address or a domain.
    pub recipient: Option<String>,
    /// What it is scheduled under.
    pub destination: Option<String>,
    /// Accepted before this, in milliseconds since 1970.
    pub before: Option<i64>,
    /// What the last words contain.
    pub reason: Option<String>,
    /// Held by an operator, or not.
    pub held: Option<bool>,
}

impl QueueFilter {
    /// The recipients of a message that are meant; none: none is.
    fn choose(&self, message: QueueMessage) -> Option<Chosen> {
        let is_meant = (self.ids.is_empty() || self.ids.contains(&message.id))
            && self.before.is_none_or(|before| message.received_at.millis() < before)
            && self.sender.as_ref().is_none_or(|sender| match &message.envelope.reverse_path {
                ReversePath::Null => sender == "<>",
                ReversePath::Address(address) => address.is_meant_by(sender),
            });
        if !is_meant {
            return None;
        }
        let recipients = message.recipients.iter().filter(|one| self.means(one)).map(|one| one.index);
        let recipients: Vec<u32> = recipients.collect();
        (!recipients.is_empty()).then_some(Chosen { message, recipients })
    }

    fn means(&self, recipient: &QueueRecipient) -> bool {
        let words = || recipient.last.as_ref().map(|last| last.words.to_lowercase());
        self.recipient.as_ref().is_none_or(|name| recipient.address.is_meant_by(name))
            && self.destination.as_ref().is_none_or(|name| recipient.destination.as_str().eq_ignore_ascii_case(name))
            && self.held.is_none_or(|held| held == (recipient.state == QueueState::Held))
            && self.reason.as_ref().is_none_or(|part| words().is_some_and(|words| words.contains(&part.to_lowercase())))
    }
}

/// What is done with what was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueAction {
    /// Due at once.
    Retry,
    /// Not tried until released.
    Hold,
    /// Tried again in its turn.
    Release,
    /// Returned to its sender now.
    Bounce,
    /// Thrown away; nobody is told.
    Drop,
    /// This address takes the recipients' place.
    Redirect(#[serde(with = "view::text")] Address),
}

/// Messages of the queue that a filter means, in their order: a walk that remembers where it is.
struct Walk<'a> {
    store: &'a dyn Store,
    filter: &'a QueueFilter,
    /// The next of the ids that were named; then the last message that was looked at.
    named: usize,
    after: Option<QueueId>,
    /// The first id that none has yet: those that come meanwhile are not meant.
    end: QueueId,
}

impl Walk<'_> {
    /// Those of the next messages that are meant, perhaps none; `None`: there are no more.
    async fn next(&mut self) -> Result<Option<Vec<Chosen>>, StoreError> {
        let messages = if self.filter.ids.is_empty() {
            self.store.queue_messages(self.after, limits::QUEUE_PAGE).await?
        } else {
            let mut found = Vec::new();
            while let Some(id) = self.filter.ids.get(self.named).filter(|_| found.len() < limits::QUEUE_PAGE) {
                found.extend(self.store.queue_message(*id).await?);
                self.named += 1;
            }
            found
        };
        let Some(last) = messages.last() else { return Ok(None) };
        self.after = Some(last.id);
        let came = |message: &QueueMessage| message.id < self.end;
        Ok(Some(messages.into_iter().filter(came).filter_map(|message| self.filter.choose(message)).collect()))
    }
}

fn walk<'a>(context: &'a Context, filter: &'a QueueFilter, after: Option<QueueId>) -> Walk<'a> {
    Walk { store: &*context.store, filter, named: 0, after, end: context.store.next_queue_id(context.clock.now()) }
}

/// A page: the first messages after `after` that are meant, with the recipients that are.
pub(super) async fn list(context: &Context, filter: &QueueFilter, after: Option<QueueId>, limit: usize) -> Answer {
    let (mut walk, limit) = (walk(context, filter, after), limit.clamp(1, limits::QUEUE_PAGE));
    let mut page = Vec::new();
    while page.len() < limit
        && let Some(some) = walk.next().await?
    {
        for Chosen { mut message, recipients } in some.into_iter().take(limit - page.len()) {
            message.recipients.retain(|one| recipients.contains(&one.index));
            page.push(QueueView::from(message));
        }
    }
    answer(&page)
}

/// An action with all that it needs.
enum Ready {
    Retry,
    Hold,
    Release,
    Drop,
    Bounce(Reporter),
    Redirect(Redirection),
}

impl Ready {
    async fn new(context: &Context, action: &QueueAction) -> Result<Self, Failure> {
        let settings = (context.settings)();
        Ok(match action {
            QueueAction::Retry => Self::Retry,
            QueueAction::Hold => Self::Hold,
            QueueAction::Release => Self::Release,
            QueueAction::Drop => Self::Drop,
            QueueAction::Bounce => Self::Bounce(Reporter {
                world: context.world().map_err(Failure::Words)?,
                routing: Arc::new(outbound::routing(&settings)),
                lifetime: settings.relay.schedule.lifetime,
            }),
            QueueAction::Redirect(to) => {
                let found = mta::queue::redirection(&*context.store, &outbound::routing(&settings), to).await?;
                Self::Redirect(found.map_err(Failure::Words)?)
            }
        })
    }

    async fn act(&self, store: &dyn Store, now: Timestamp, chosen: &[Chosen]) -> Result<u64, StoreError> {
        match self {
            Self::Retry => mta::queue::retry(store, now, chosen).await,
            Self::Hold => mta::queue::hold(store, now, chosen).await,
            Self::Release => mta::queue::release(store, now, chosen).await,
            Self::Drop => mta::queue::discard(store, now, chosen).await,
            Self::Bounce(reporter) => mta::queue::bounce(store, reporter, chosen).await,
            Self::Redirect(to) => mta::queue::redirect(store, now, chosen, to).await,
        }
    }
}

/// Does it to all that is meant, or only counts it.
pub(super) async fn act(context: &Context, filter: &QueueFilter, action: &QueueAction, dry_run: bool) -> Answer {
    let ready = Ready::new(context, action).await?;
    let (mut walk, mut acted) = (walk(context, filter, None), QueueActed::default());
    while let Some(chosen) = walk.next().await? {
        if chosen.is_empty() {
            continue;
        }
        acted.messages += chosen.len() as u64;
        let room = limits::QUEUE_PREVIEW.saturating_sub(acted.first.len());
        acted.first.extend(chosen.iter().take(room).map(|one| one.message.id.to_string()));
        acted.recipients += match dry_run {
            true => chosen.iter().map(|one| one.recipients.len() as u64).sum(),
            false => ready.act(&*context.store, context.clock.now(), &chosen).await?,
        };
    }
    // Who names a message wants to hear that it is not there.
    if let ([id], 0) = (filter.ids.as_slice(), acted.messages) {
        return Err(StoreError::NoQueueEntry(*id).into());
    }
    answer(&acted)
}

/// What is known of destinations; where no server runs, what waits for them.
pub(super) async fn destinations(context: &Context, after: Option<&Domain>, limit: usize) -> Answer {
    let limit = limit.clamp(1, limits::QUEUE_PAGE);
    let paused = context.store.paused_destinations().await?;
    let mut found: Vec<view::DestinationView> = match &context.relay {
        Some(relay) => relay.destinations(after, limit).into_iter().map(Into::into).collect(),
        None => waiting(&*context.store, after, limit).await?,
    };
    for one in &mut found {
        let is_it = |(name, _): &&(Domain, Timestamp)| name.as_str() == one.destination;
        one.paused_since = paused.iter().find(is_it).map(|(_, since)| since.millis());
    }
    // One for which nothing waits is shown too: somebody may look for what he paused.
    let last = found.last().filter(|_| found.len() == limit).map(|one| one.destination.clone());
    for (name, since) in paused {
        let is_of_page = after.is_none_or(|after| name > *after)
            && last.as_ref().is_none_or(|last| name.as_str() <= last.as_str())
            && !found.iter().any(|one| one.destination == name.as_str());
        if is_of_page {
            found
                .push(view::DestinationView { paused_since: Some(since.millis()), ..view::DestinationView::of(&name) });
        }
    }
    found.sort_by(|one, other| one.destination.cmp(&other.destination));
    answer(&found)
}

/// Counted from the store.
async fn waiting(
    store: &dyn Store,
    destinations_after: Option<&Domain>,
    limit: usize,
) -> Result<Vec<view::DestinationView>, StoreError> {
    let mut found = std::collections::BTreeMap::<Domain, view::DestinationView>::new();
    let mut after = None;
    loop {
        let items = store.queue_items(after, limits::QUEUE_PAGE).await?;
        let Some(last) = items.last() else { return Ok(found.into_values().take(limit).collect()) };
        after = Some((last.id, last.recipient));
        for item in items.into_iter().filter(|item| destinations_after.is_none_or(|name| item.destination > *name)) {
            let new = view::DestinationView::of(&item.destination);
            let one = found.entry(item.destination).or_insert(new);
            one.recipients += 1;
            let next = item.next_attempt.millis();
            one.next_attempt = Some(one.next_attempt.map_or(next, |known| known.min(next)));
        }
    }
}

/// Nothing more is sent there, or it is again. Says so where that changes nothing.
pub(super) async fn pause(context: &Context, destination: &Domain, paused: bool) -> Answer {
    let since = paused.then(|| context.clock.now());
    let changed = context.store.pause_destination(destination, since).await?.into_inner();
    if !changed {
        let is = if paused { "paused already" } else { "not paused" };
        return Err(Failure::Words(format!("{destination} is {is}; \"postrider queue destinations\" lists what is")));
    }
    answer(&())
}

#[cfg(test)]
mod tests {
    use store::conformance as suite;
    use store_local::{LocalStore, Options};

    use super::*;

    /// `QUEUE_PAGE` messages are listed at once, and one more comes with the next page; `QUEUE_PREVIEW` of those that are
    /// hit are named.
    #[tokio::test]
    async fn pages_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalStore::open(dir.path(), Options { reserve: 0, ..Options::default() }).unwrap();
        let context = Context::alone(
            store.clone(),
            Arc::new(crate::SystemClock),
            crate::Settings::new(Domain::from_ascii("mail.red.example").unwrap()),
        );
        let accept = async |_| {
            let mut message = suite::acceptance(store.next_queue_id(suite::NOW), "s@x.example", "<1@x.example>");
            suite::relay_to(&mut message, "c@far.example");
            store.accept(suite::staged(&*store, b"x").await, message).await.unwrap().into_inner().id
        };
        let ids = futures_util::future::join_all((0..=limits::QUEUE_PAGE).map(accept)).await;
        let all = QueueFilter::default();
        let page = async |after| {
            let page = list(&context, &all, after, usize::MAX).await.ok().unwrap();
            page.as_array().unwrap().len()
        };
        assert_eq!(page(None).await, limits::QUEUE_PAGE);
        let mut sorted = ids.clone();
        sorted.sort();
        assert_eq!(page(Some(sorted[limits::QUEUE_PAGE - 1])).await, 1);
        for (ids, first) in [(limits::QUEUE_PREVIEW, limits::QUEUE_PREVIEW), (ids.len(), limits::QUEUE_PREVIEW)] {
            let some = QueueFilter { ids: sorted[..ids].to_vec(), ..QueueFilter::default() };
            let acted = act(&context, &some, &QueueAction::Drop, true).await.ok().unwrap();
            let acted: QueueActed = serde_json::from_value(acted).unwrap();
            assert_eq!((acted.messages, acted.first.len()), (ids as u64, first));
        }
        store.close().await;
    }
}
