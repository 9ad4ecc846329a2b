//! What filters of others (`crate::milter`) make of a message that is being taken.

use std::sync::Arc;

use mail::{BodyType, Envelope, Notify, QueueId, Recipient, Reply};
use store::{Acceptance, Event, QueueChange, QueueState, What};
use tokio::sync::Mutex;
use wire::smtp::server::{Hello, Role};

use super::Desk;
use super::resolve::Refusal;
use super::transaction::{Facts, Incoming, Transaction, not_seen};
use crate::milter::{Changed, Filters, Milters, Outcome, Told};

/// The filters of one session: its transactions ask them, one after the other.
#[derive(Clone)]
pub struct SessionFilters(Arc<Mutex<Filters>>);

impl SessionFilters {
    /// For a client that came by this door; none: nobody is to be asked.
    pub fn of(milters: Option<&Arc<Milters>>, role: Role) -> Option<Self> {
        milters?.session(role).map(|filters| Self(Arc::new(Mutex::new(filters))))
    }

    /// The client is gone.
    pub async fn quit(self) {
        // Whoever still holds them drops them soon, and the conversations with them.
        if let Some(filters) = Arc::into_inner(self.0) {
            filters.into_inner().quit().await;
        }
    }
}

/// What they made of it.
#[derive(Default)]
pub(super) struct Filtered {
    pub(super) events: Vec<Event>,
    pub(super) junk: bool,
    /// Who threw it away.
    pub(super) discarded: Option<String>,
    /// Who wants it kept back.
    pub(super) quarantined: Option<String>,
    /// Those who do not get it, who were taken before.
    deleted: Vec<Recipient>,
}

impl Filtered {
    /// Notes who gets it not; whether that is everybody.
    pub(super) fn discard<'a>(&self, out: &mut Acceptance, all: impl Iterator<Item = &'a Recipient>) -> bool {
        let mut gone = |recipient: &Recipient, rule: String| {
            out.discarded += 1;
            let what = What::Discarded { rule };
            out.events.push(Event::about(out.received_at, recipient.address.to_string(), what));
        };
        for recipient in &self.deleted {
            gone(recipient, "milter".to_owned());
        }
        if let Some(by) = &self.discarded {
            all.for_each(|recipient| gone(recipient, format!("milter {by}")));
        }
        self.discarded.is_some()
    }
}

impl Transaction {
    /// MAIL: whether the filters of the session let the sender pass.
    ///
    /// # Errors
    /// What the client hears.
    pub async fn ask(mut self, filters: Option<&SessionFilters>, hello: &Hello) -> Result<Self, Reply> {
        if let Some(filters) = filters {
            let told = Told { client: &self.client, hello, hostname: &self.desk.policy.routing.hostname };
            let said = filters.0.lock().await.sender(told, &self.sender).await;
            said.map_err(|refused| self.refused(refused.into()))?;
            self.filters = Some(filters.clone());
        }
        Ok(self)
    }

    /// RCPT: whether they let the recipient pass.
    pub(super) async fn ask_about(&self, recipient: &Recipient) -> Result<(), Reply> {
        let Some(filters) = &self.filters else { return Ok(()) };
        let said = filters.0.lock().await.recipient(recipient).await;
        said.map_err(|refused| self.refused(refused.into()))
    }
}

impl Incoming {
    /// Shows them the whole message, and makes the changes that they want of it and of its envelope.
    pub(super) async fn filtered(&mut self, envelope: &mut Envelope, facts: &mut Facts) -> Result<Filtered, Refusal> {
        let Some(filters) = self.transaction.filters.clone() else { return Ok(Filtered::default()) };
        let desk = self.transaction.desk.clone();
        let heard = filters.0.lock().await.message(&*desk.store, self.id, &mut *self.stage, self.ours as u64).await;
        let outcome = heard.map_err(|error| not_seen(self.id, &error))?;
        let Outcome { told, refused, discarded, quarantined, junk, changed, sender, added, deleted } = outcome;
        if let Some(refused) = refused {
            return Err(refused.into());
        }
        let now = desk.clock.now();
        let event = |(milter, words)| Event::new(now, What::Filtered { milter, words });
        let mut filtered = Filtered {
            events: told.into_iter().map(event).collect(),
            junk,
            discarded,
            quarantined,
            ..Filtered::default()
        };
        if let Some(Changed { stage, message_id, eight_bit }) = changed {
            self.stage = stage;
            facts.message_id = message_id;
            if eight_bit && envelope.body == BodyType::SevenBit {
                envelope.body = BodyType::EightBitMime;
            }
        }
        let Transaction { client, sender: said, recipients, .. } = &mut self.transaction;
        if let Some(sender) = sender {
            said.reverse_path = sender.clone();
            envelope.reverse_path = sender;
        }
        for address in deleted {
            let same = |recipient: &Recipient| recipient.address.folded() == address.folded();
            let (gone, stay): (Vec<_>, Vec<_>) =
                std::mem::take(recipients).into_iter().partition(|(recipient, _)| same(recipient));
            *recipients = stay;
            filtered.deleted.extend(gone.into_iter().map(|(recipient, _)| recipient));
            envelope.recipients.retain(|recipient| !same(recipient));
        }
        for address in added {
            match desk.resolve_added(client, &envelope.reverse_path, &address).await {
                Ok(resolved) => {
                    // The sender knows nothing of it, and is told nothing.
                    let recipient = Recipient { notify: Notify::NEVER, ..Recipient::new(address) };
                    envelope.recipients.push(recipient.clone());
                    recipients.push((recipient, resolved));
                }
                Err(refusal) if refusal.reply.code.is_transient() => return Err(refusal),
                Err(refusal) => {
                    let (milter, words) = ("milter".to_owned(), format!("a recipient is not added: {}", refusal.reply));
                    filtered.events.push(Event::new(now, What::Filtered { milter, words }));
                }
            }
        }
        Ok(filtered)
    }
}

impl Desk {
    /// What a filter wants kept back stays in the queue for so many recipients, held, until an operator looks at it.
    pub(super) async fn keep_back(&self, id: QueueId, recipients: usize) {
        let now = self.clock.now();
        let event = Event::new(now, What::Operator { action: "hold".to_owned() });
        let change = QueueChange {
            id,
            recipients: (0..u32::try_from(recipients).unwrap_or(u32::MAX)).collect(),
            state: QueueState::Held,
            next_attempt: Some(now),
            to: None,
            events: vec![event],
        };
        if let Err(error) = self.store.change_queue(vec![change]).await {
            // It is not tried before `limits::HOLD_LONGEST` has passed, held or not.
            tracing::error!(%id, %error, "a message that a filter wants kept back is not held");
        }
    }
}
