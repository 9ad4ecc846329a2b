//! Messages that come in: acceptance, and APPEND.

use mail::{AccountId, BodyId, Flags, MailboxId, ModSeq, QueueId, ThreadId, Timestamp, Uid};
use rusqlite::params;
use store::{
    Acceptance, Accepted, AppendMessage, Appended, LocalDelivery, MessageRow, Once, QueueItem, QueueNews, QueueState,
    StoreError, StoreResult, What,
};

use super::{Effect, Truth};
use crate::codec;
use crate::log::Place;

/// An acceptance made ready outside the writer: what can be encoded there is.
pub(crate) struct Plan {
    acceptance: Acceptance,
    /// Its conversation; without one, it is alone in a conversation of its own.
    thread: Option<ThreadId>,
    events: String,
    /// Envelope recipients that no event names, so that `trace` finds the message by them.
    others: Option<String>,
    envelope: Option<String>,
    /// Each relay's recipient, encoded.
    recipients: Vec<String>,
    /// Reports that go with it; each takes the next place, also one that is left out.
    reports: Vec<(Self, Option<Once>)>,
}

impl Plan {
    /// `acceptance` without its reports, whose plans are `reports`.
    pub(crate) fn new(acceptance: Acceptance, thread: Option<ThreadId>, reports: Vec<(Self, Option<Once>)>) -> Self {
        let envelope = (!acceptance.relays.is_empty()).then(|| codec::envelope_text(&acceptance.envelope));
        Self {
            events: codec::events_text(&acceptance.events),
            others: codec::unnamed(&acceptance.envelope, &acceptance.events),
            envelope,
            recipients: acceptance.relays.iter().map(|relay| codec::recipient_text(&relay.recipient)).collect(),
            reports,
            thread,
            acceptance,
        }
    }

    /// Passes over its places: it is left out, and what is there is given back when its segment is.
    fn pass(&self, places: &mut std::slice::Iter<'_, Place>) -> StoreResult<()> {
        next(places)?;
        self.reports.iter().try_for_each(|(report, _)| report.pass(places))
    }

    pub(super) const fn acceptance(&self) -> &Acceptance {
        &self.acceptance
    }

    /// The reports that go with it, whatever else: what became of the message. They come before the others.
    pub(super) fn reports(&self) -> impl Iterator<Item = &Self> {
        self.reports.iter().take_while(|(_, once)| once.is_none()).map(|(report, _)| report)
    }

    /// When it was accepted.
    pub(super) const fn received_at(&self) -> Timestamp {
        self.acceptance.received_at
    }
}

/// What a message gets in its mailbox beside its bytes.
struct Arrival<'a> {
    flags: Flags,
    keywords: u64,
    internal_date: Timestamp,
    saved: Timestamp,
    prefix: &'a [u8],
    thread: Option<ThreadId>,
    modseq: ModSeq,
}

impl Truth {
    /// Takes a message with its reports, all or nothing.
    pub(crate) fn accept(&mut self, plan: &Plan, places: &[Place]) -> StoreResult<Accepted> {
        let mut more = std::collections::HashMap::new();
        self.check_accept(plan, &mut places.iter(), &mut more)?;
        self.write_accept(plan, &mut places.iter())
    }

    pub(super) fn check_accept(
        &mut self,
        plan: &Plan,
        places: &mut std::slice::Iter<'_, Place>,
        more: &mut std::collections::HashMap<AccountId, u64>,
    ) -> StoreResult<()> {
        let place = next(places)?;
        for delivery in &plan.acceptance.deliveries {
            let gone = || StoreError::AccountGone(delivery.address.clone());
            let account = self.account(delivery.account)?.ok_or_else(gone)?;
            if !account.active {
                return Err(gone());
            }
            if let Some(quota) = account.quota {
                let more = more.entry(delivery.account).or_default();
                *more += place.length + delivery.prefix.len() as u64;
                if account.used + *more > quota {
                    return Err(StoreError::OverQuota(delivery.address.clone()));
                }
            }
        }
        for (report, once) in &plan.reports {
            match once {
                None => self.check_accept(report, places, more)?,
                Some(_) => report.pass(places)?,
            }
        }
        Ok(())
    }

    fn write_accept(&mut self, plan: &Plan, places: &mut std::slice::Iter<'_, Place>) -> StoreResult<Accepted> {
        let place = next(places)?;
        let acceptance = &plan.acceptance;
        let (deliveries, relays) = (acceptance.deliveries.len() as u64, acceptance.relays.len() as u64);
        let refs = deliveries + u64::from(relays > 0);
        let mut delivered = Vec::with_capacity(acceptance.deliveries.len());
        if refs > 0 {
            let body = BodyId(self.add_body(place, refs)?);
            for delivery in &acceptance.deliveries {
                delivered.push(self.deliver(delivery, (body, plan.thread), place.length, acceptance.received_at)?);
            }
            if relays > 0 {
                self.enqueue(plan, body, place)?;
            }
        }
        for mark in &acceptance.marks {
            // An account that is gone remembers nothing.
            if self.account(mark.account)?.is_some() {
                self.mark(mark, acceptance.received_at)?;
            }
        }
        self.begin_journey(plan)?;
        let total = self.count();
        total.accepted += deliveries + relays + u64::from(acceptance.discarded);
        total.delivered += deliveries;
        total.discarded += u64::from(acceptance.discarded);
        for (report, once) in &plan.reports {
            let why_not = match once {
                None => None,
                Some(once) => self.may_report(once, report, places.clone())?,
            };
            match why_not {
                None => drop(self.write_accept(report, places)?),
                Some(_) => report.pass(places)?,
            }
            if let Some(once) = once {
                self.note_report(plan.acceptance.id, &report.acceptance, once, why_not)?;
            }
        }
        Ok(Accepted { id: acceptance.id, delivered })
    }

    pub(super) fn deliver(
        &mut self,
        delivery: &LocalDelivery,
        (body, thread): (BodyId, Option<ThreadId>),
        length: u64,
        now: Timestamp,
    ) -> StoreResult<(MailboxId, Uid)> {
        let gone = || StoreError::AccountGone(delivery.address.clone());
        let inbox = self.account(delivery.account)?.ok_or_else(gone)?.inbox;
        let mailbox = match &delivery.mailbox {
            None => inbox,
            Some(name) => self.mailbox_or_make(delivery.account, name)?,
        };
        // A mailbox that has as many keywords as may be takes the message without more.
        let keywords = match self.keyword_bits(mailbox, &delivery.keywords, true) {
            Ok(bits) => bits,
            Err(StoreError::Limit(_)) => self.keyword_bits(mailbox, &delivery.keywords, false).unwrap_or_default(),
            Err(error) => return Err(error),
        };
        let modseq = self.modseq_of_arrival(mailbox)?;
        let arrival = Arrival {
            flags: delivery.flags,
            keywords,
            internal_date: now,
            saved: now,
            prefix: &delivery.prefix,
            thread,
            modseq,
        };
        Ok((mailbox, self.put(mailbox, body, length, &arrival)?))
    }

    /// Puts a row into a mailbox under its next UID.
    fn put(&mut self, mailbox: MailboxId, body: BodyId, length: u64, arrival: &Arrival<'_>) -> StoreResult<Uid> {
        let too_large = StoreError::Limit("MESSAGE_SIZE");
        let size = u32::try_from(length + arrival.prefix.len() as u64).map_err(|_| too_large)?;
        let uid = self.mailbox(mailbox)?.uid_next;
        // RFC 3501 §2.3.1.1: UIDs have 32 bits; a mailbox that used them all takes no more.
        let row = MessageRow {
            uid: Uid::new(uid).ok_or(StoreError::Limit("UIDs of a mailbox"))?,
            flags: arrival.flags,
            keywords: arrival.keywords,
            modseq: arrival.modseq,
            created: arrival.modseq,
            size,
            internal_date: arrival.internal_date,
            saved: arrival.saved,
            body,
            thread: arrival.thread.unwrap_or(ThreadId(body.0)),
        };
        self.put_row(mailbox, row, (!arrival.prefix.is_empty()).then_some(arrival.prefix))
    }

    fn enqueue(&mut self, plan: &Plan, body: BodyId, place: Place) -> StoreResult<()> {
        let acceptance = &plan.acceptance;
        let id = acceptance.id;
        let release = acceptance.envelope.release_at(acceptance.received_at);
        self.exec(
            "INSERT INTO queue(id, received_at, envelope, message_id, body, size, thread, release_at, held)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                id.as_u64(),
                acceptance.received_at.millis(),
                plan.envelope.as_deref().unwrap_or("{}"),
                acceptance.message_id,
                body.0,
                place.length,
                plan.thread.map(|thread| thread.0),
                release.map(Timestamp::millis),
                release.is_some()
            ],
        )?;
        for (index, (relay, recipient)) in acceptance.relays.iter().zip(&plan.recipients).enumerate() {
            self.exec(
                "INSERT INTO queue_recipients VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6, 0, NULL)",
                params![
                    id.as_u64(),
                    index,
                    recipient,
                    (!relay.prefix.is_empty()).then_some(&relay.prefix),
                    relay.destination.as_str(),
                    relay.next_attempt.millis()
                ],
            )?;
            self.effects.push(Effect::Queue(QueueNews::Changed(QueueItem {
                id,
                recipient: u32::try_from(index).unwrap_or(u32::MAX),
                destination: relay.destination.clone(),
                next_attempt: relay.next_attempt,
                attempts: 0,
                state: QueueState::Waiting,
            })));
        }
        Ok(())
    }

    fn begin_journey(&mut self, plan: &Plan) -> StoreResult<()> {
        let acceptance = &plan.acceptance;
        let sender = acceptance.envelope.reverse_path.address().map(ToString::to_string).unwrap_or_default();
        self.exec(
            "INSERT INTO journey(id, received_at, message_id, sender, others, events) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                acceptance.id.as_u64(),
                acceptance.received_at.millis(),
                acceptance.message_id,
                sender,
                plan.others,
                plan.events
            ],
        )?;
        self.journeys += 1;
        if let Some(What::Received { account: Some(sender), .. }) = acceptance.events.first().map(|event| &event.what) {
            self.effects.push(Effect::Sent(acceptance.id, sender.clone()));
        }
        self.note_late(acceptance.id)
    }

    /// Where the finder may have passed this id already, it is told.
    fn note_late(&mut self, id: QueueId) -> StoreResult<()> {
        if id.as_u64() <= self.counters.covered {
            self.exec("INSERT OR IGNORE INTO late(id) VALUES (?1)", [id.as_u64()])?;
        }
        Ok(())
    }

    /// IMAP APPEND: consecutive UIDs, one modseq.
    pub(crate) fn append(
        &mut self,
        mailbox: MailboxId,
        messages: &[(AppendMessage, Option<ThreadId>)],
        places: &[Place],
        now: Timestamp,
    ) -> StoreResult<Appended> {
        let cell = self.mailbox(mailbox)?;
        let (account, uid_validity) = (cell.account, cell.uid_validity);
        let cell = self.account(account)?.ok_or(StoreError::MailboxGone(mailbox))?;
        let more: u64 = places.iter().map(|place| place.length).sum();
        if cell.quota.is_some_and(|quota| cell.used + more > quota) {
            return Err(StoreError::OverQuota(cell.address.clone()));
        }
        if messages.is_empty() {
            return Ok(Appended { uid_validity, uids: Vec::new() });
        }
        let bits = messages
            .iter()
            .map(|(message, _)| self.keyword_bits(mailbox, &message.keywords, true))
            .collect::<StoreResult<Vec<_>>>()?;
        let modseq = self.modseq_of_arrival(mailbox)?;
        let mut uids = Vec::with_capacity(messages.len());
        for (((message, thread), place), keywords) in messages.iter().zip(places).zip(bits) {
            let body = BodyId(self.add_body(*place, 1)?);
            let arrival = Arrival {
                flags: message.flags,
                keywords,
                internal_date: message.internal_date,
                saved: now,
                prefix: &[],
                thread: *thread,
                modseq,
            };
            uids.push(self.put(mailbox, body, place.length, &arrival)?);
        }
        Ok(Appended { uid_validity, uids })
    }
}

fn next(places: &mut std::slice::Iter<'_, Place>) -> StoreResult<Place> {
    places.next().copied().ok_or_else(|| StoreError::Failed("a message came without its bytes".into()))
}
