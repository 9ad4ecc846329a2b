//! Reports to senders: delivery status notifications (RFC 3461, 3464, 6533).
//!
//! **Does:** decides who is to be told of what ([`Reporter::report`]), composes the report, and finds where
//! it goes: into a mailbox here, or into the queue. The report is committed with what it reports.
//!
//! **Does not:** ever answer a null reverse-path (RFC 5321 §4.5.5), so no report causes another.
//!
//! **Data** comes in as outcomes of attempts with the other side's words; what of it goes into a report
//! has lost its control characters, so no word of a stranger becomes a header.

mod compose;

use std::sync::Arc;

use mail::{Address, BodyType, Envelope, Flags, Recipient, ReversePath, Timestamp};
use store::{
    Acceptance, Event, LocalDelivery, NewDsn, QueueMessage, QueueRecipient, QueueRelay, Store, StoreError, StoreResult,
    What,
};

use crate::directory::{Expansion, Step, Walk};
use crate::route::Routing;
use crate::world::World;

/// What a report says (RFC 3464 §2.3.3 `Action`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It failed for good.
    Failed,
    /// It takes longer than expected, but is tried on.
    Delayed,
    /// It was handed to a server that sends no reports itself (RFC 3461 §5.2.2).
    Relayed,
    /// It is in a mailbox here.
    Delivered,
    /// An address here stood for several others (RFC 3461 §5.2.7.3).
    Expanded,
}

impl Kind {
    /// As in the journey and in RFC 3464 §2.3.3, where a delay is `delayed`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Delayed => "delay",
            Self::Delivered => "success",
            other => other.action(),
        }
    }

    const fn action(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Relayed => "relayed",
            Self::Delivered => "delivered",
            Self::Expanded => "expanded",
        }
    }

    /// Whether the sender asked to hear of it, or did not ask not to (RFC 3461 §4.1).
    const fn is_wanted(self, notify: mail::Notify) -> bool {
        match self {
            Self::Failed => notify.failure,
            Self::Delayed => notify.delay,
            Self::Relayed | Self::Delivered | Self::Expanded => notify.success,
        }
    }
}

/// What a report says of one recipient.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// The recipient.
    pub recipient: &'a QueueRecipient,
    /// RFC 3463 code.
    pub status: (u8, u16, u16),
    /// The other side's words with their code, or what failed.
    pub words: String,
    /// The server that it is about.
    pub host: Option<String>,
    /// Whether the words are that server's (then they are given as its SMTP reply).
    pub remote: bool,
}

/// Makes reports.
#[derive(Clone)]
pub struct Reporter {
    /// Time and chance.
    pub world: World,
    /// Where reports go; our name.
    pub routing: Arc<Routing>,
    /// How long a message is tried in all.
    pub lifetime: std::time::Duration,
}

impl Reporter {
    /// The report about those of `lines` whose sender wants it; none: nobody does, or nobody is there to tell.
    pub async fn report(
        &self,
        store: &dyn Store,
        message: &QueueMessage,
        kind: Kind,
        lines: &[Line<'_>],
    ) -> StoreResult<Option<NewDsn>> {
        // RFC 5321 §6.1, RFC 3464 §2: never a report about a report.
        let ReversePath::Address(sender) = &message.envelope.reverse_path else { return Ok(None) };
        let wanted: Vec<Line<'_>> =
            lines.iter().filter(|line| kind.is_wanted(line.recipient.notify)).cloned().collect();
        let Some(first) = wanted.first() else { return Ok(None) };
        let now = self.world.clock.now();
        let placed = Placed::at(store, &self.routing, sender, now).await?;
        if placed.deliveries.is_empty() && placed.relays.is_empty() {
            return Ok(None);
        }
        let returned = match store.queue_body(message.id, first.recipient.index).await {
            // It was never queued: accepted and delivered in one commit with this report.
            _ if matches!(kind, Kind::Delivered | Kind::Expanded) => compose::Returned::default(),
            Err(StoreError::NoQueueEntry(_)) => compose::Returned::default(),
            Ok(body) => compose::returned(body.as_ref(), message, kind).await,
            // A damaged message is reported without its text: the sender must hear of it all the same.
            Err(why) => {
                tracing::warn!(id = %message.id, %why, "the message can't be returned with its report");
                compose::Returned::default()
            }
        };
        let report = compose::Report {
            hostname: self.routing.hostname.as_str(),
            token: self.world.random.token(),
            now,
            sender,
            message,
            kind,
            lines: &wanted,
            retry_until: message.lives_from().plus(self.lifetime),
            returned,
        };
        let (bytes, message_id) = report.write();
        let utf8 = report.needs_utf8();
        let eight_bit = !bytes.is_ascii();
        let envelope = Envelope {
            reverse_path: ReversePath::Null,
            recipients: vec![Recipient::new(sender.clone())],
            body: if eight_bit { BodyType::EightBitMime } else { BodyType::SevenBit },
            smtputf8: utf8,
            dsn_return: None,
            envelope_id: None,
            hold: None,
        };
        placed.take(store, now, (bytes, message_id), envelope, None).await.map(Some)
    }
}

/// Where a message that is made here goes.
#[derive(Default)]
pub(crate) struct Placed {
    pub(crate) deliveries: Vec<LocalDelivery>,
    pub(crate) relays: Vec<QueueRelay>,
    pub(crate) events: Vec<Event>,
}

impl Placed {
    /// The message that goes there: its octets and Message-ID, under this envelope; in whose name, if in an account's.
    pub(crate) async fn take(
        self,
        store: &dyn Store,
        now: Timestamp,
        (bytes, message_id): (Vec<u8>, String),
        envelope: Envelope,
        account: Option<String>,
    ) -> StoreResult<NewDsn> {
        let size = bytes.len() as u64;
        let mut body = store.stage(Some(size)).await?;
        body.write(&bytes).await?;
        let what = What::Received {
            protocol: "local".to_owned(),
            from: None,
            helo: None,
            account,
            tls: None,
            size,
            sender: String::new(),
        };
        let mut events = vec![Event::new(now, what)];
        events.extend(self.events);
        let acceptance = Acceptance {
            id: store.next_queue_id(now),
            received_at: now,
            envelope,
            message_id: Some(message_id),
            deliveries: self.deliveries,
            relays: self.relays,
            discarded: 0,
            events,
            dsns: Vec::new(),
            marks: Vec::new(),
        };
        Ok(NewDsn { body, acceptance, once: None })
    }

    /// By the same rules as mail that comes in, but into full mailboxes too.
    pub(crate) async fn at(store: &dyn Store, routing: &Routing, to: &Address, now: Timestamp) -> StoreResult<Self> {
        let mut placed = Self::default();
        let mut walk = Walk::new(store, routing, to);
        while let Some(step) = walk.next().await? {
            match step {
                Step::Account(account, at, _) => placed.deliver(account.id, account.address, &at, now),
                Step::Elsewhere(at, _) => placed.relay(routing, at, now),
                Step::Others(Expansion { address, rule, targets }) => {
                    let targets = targets.iter().map(ToString::to_string).collect();
                    let what = What::Expanded { rule: rule.to_owned(), targets };
                    placed.events.push(Event::about(now, address.to_string(), what));
                }
                // Nobody is there to tell.
                Step::TooMany | Step::Nobody(_) => {}
            }
        }
        Ok(placed)
    }

    fn deliver(&mut self, account: mail::AccountId, address: Address, given: &Address, now: Timestamp) {
        if self.deliveries.iter().any(|delivery| delivery.account == account) {
            return;
        }
        let what = What::Delivered { account: address.to_string(), mailbox: "INBOX".to_owned() };
        self.events.push(Event::about(now, given.to_string(), what));
        // RFC 5321 §4.4: Return-Path is put on at final delivery.
        let prefix = format!("Return-Path: <>\r\nDelivered-To: {address}\r\n").into_bytes();
        self.deliveries.push(LocalDelivery {
            account,
            address,
            mailbox: None,
            prefix,
            flags: Flags::NONE,
            keywords: Vec::new(),
        });
    }

    fn relay(&mut self, routing: &Routing, address: Address, now: Timestamp) {
        let destination = routing.destination(&address);
        let what = What::Queued { destination: destination.to_string() };
        self.events.push(Event::about(now, address.to_string(), what));
        // RFC 3461 §5.2.1: a report asks for no report of its own.
        let recipient = Recipient { notify: mail::Notify::NEVER, ..Recipient::new(address) };
        self.relays.push(QueueRelay { recipient, prefix: Vec::new(), destination, next_attempt: now });
    }
}
