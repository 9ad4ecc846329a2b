//! One message from MAIL to the reply after its end.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use mail::{
    AccountId, Address, Durable, Envelope, Hold, Notify, QueueId, Recipient, Reply, ReversePath, SubmissionId,
    Timestamp, limits,
};
use message::header::{Header, HeaderEnd};
use store::{
    Acceptance, Event, LocalDelivery, NewSubmission, Progress, QueueRelay, Stage, StoreError, StoreResult, Way, What,
};
use wire::smtp::server::{Hello, Role, Sender};

use super::filtered::{Filtered, SessionFilters};
use super::inspect::{About, Filing, Filings, Findings, LocalCopy};
use super::resolve::{Place, Refusal, Resolved, Target};
use super::sorted::{self, Copy, Sorter};
use super::{Client, Desk, Identity, Unsent, hold, replies, submission, success, trace};
use crate::away::{Away, Clerk, Letter};
use crate::bounce::Kind;
use crate::directory::Expansion;
use crate::misbehave::AtEnd;

/// A message that somebody begins to send.
pub struct Transaction {
    pub(super) desk: Arc<Desk>,
    pub(super) client: Client,
    pub(super) sender: Sender,
    /// What was asked for with the sender.
    hold: Option<Hold>,
    pub(super) recipients: Vec<(Recipient, Resolved)>,
    /// Filters that hear of it.
    pub(super) filters: Option<SessionFilters>,
}

/// A message whose bytes come in.
pub struct Incoming {
    pub(super) transaction: Transaction,
    pub(super) id: QueueId,
    hello: Hello,
    protocol: &'static str,
    pub(super) stage: Box<dyn Stage>,
    /// Octets of the trace fields at its beginning.
    pub(super) ours: usize,
    header: Reading,
}

/// How far the header is known.
enum Reading {
    /// Its end has not come.
    Inside(Vec<u8>, HeaderEnd),
    /// It is stored.
    Known(Facts),
}

/// What the header says that matters at the end.
pub(super) struct Facts {
    pub(super) message_id: Option<String>,
    received: usize,
    delivered_to: Vec<String>,
    /// Only where somebody is away.
    letter: Option<Letter>,
}

/// How a message ended.
#[derive(Debug)]
pub enum Ending {
    /// Ours: durable.
    Accepted(Durable<QueueId>),
    /// Ours, and the answer is to come only after this time. Only from recipients that misbehave on purpose.
    AcceptedSlowly(Durable<QueueId>, Duration),
    /// Not ours, and why.
    Refused(Reply),
    /// Not ours, without a word. Only from recipients that misbehave on purpose.
    HangUp,
}

impl Transaction {
    /// MAIL: whether this client may send as that sender.
    pub async fn begin(desk: Arc<Desk>, client: Client, sender: Sender) -> Result<Self, Reply> {
        let mut transaction = Self { desk, client, sender, hold: None, recipients: Vec::new(), filters: None };
        if let Err(refusal) = transaction.may_send().await {
            return Err(transaction.refused(refusal));
        }
        if transaction.client.role == Role::Mx
            && transaction.client.trusted.is_none()
            && let Some(door) = &transaction.desk.door
            && let Err(refusal) = door.sender(transaction.client.ip, &transaction.sender.reverse_path)
        {
            return Err(transaction.refused(refusal));
        }
        let said = transaction.sender.future_release.as_ref();
        let held = said.map(|said| hold(said, transaction.desk.clock.now())).transpose();
        transaction.hold = held.map_err(|why| transaction.refused(Refusal::new(replies::not_held(why), "hold")))?;
        Ok(transaction)
    }

    async fn may_send(&self) -> Result<(), Refusal> {
        match (self.client.role, &self.client.identity, &self.sender.reverse_path) {
            (Role::Mx | Role::Lmtp, ..) | (Role::Submission, Identity::Operator, _) => Ok(()),
            (Role::Submission, Identity::Stranger, sender)
                if self.desk.trusts(&self.client, sender).await?.is_some() =>
            {
                Ok(())
            }
            // The engine asks for AUTH first; this is the second lock of the door.
            (Role::Submission, Identity::Stranger, _) => {
                Err(Refusal::new(Reply::new(530, (5, 7, 0), "Authentication required"), "log-in"))
            }
            // Receipts of mail programs have none (RFC 8098 §3).
            (Role::Submission, Identity::Account(..), ReversePath::Null) => Ok(()),
            // RFC 6409 §6.1
            (Role::Submission, Identity::Account(id, _), ReversePath::Address(address)) => {
                match self.desk.is_own(*id, address).await? {
                    true => Ok(()),
                    false => Err(Refusal::new(replies::not_yours(address), "sender")),
                }
            }
        }
    }

    /// RCPT: whether this recipient is taken.
    pub async fn recipient(&mut self, recipient: Recipient) -> Result<(), Reply> {
        let size = self.sender.size.unwrap_or(0);
        if let (Role::Mx, Some(misbehave)) = (self.client.role, &self.desk.misbehave)
            && let Some(reply) = misbehave.at_recipient(&self.sender.reverse_path, &recipient.address)
        {
            return Err(self.refused(Refusal::new(reply, "misbehave")));
        }
        let sender = &self.sender.reverse_path;
        let judged = match self.desk.resolve(&self.client, sender, &recipient.address, size).await {
            // Who may have it is looked at first: that nobody lives there is said to everybody.
            Ok(resolved) => match (&self.desk.door, self.client.role, &self.client.identity) {
                (Some(door), Role::Mx, _) if self.client.trusted.is_none() => {
                    door.recipient(self.client.ip, sender, &recipient.address).await
                }
                (Some(door), _, Identity::Account(_, address)) => door.account(address),
                _ => Ok(()),
            }
            .map(|()| resolved),
            Err(refusal) => Err(refusal),
        };
        match judged {
            Ok(resolved) => {
                self.ask_about(&recipient).await?;
                self.recipients.push((recipient, resolved));
                Ok(())
            }
            Err(refusal) => Err(self.refused(refusal)),
        }
    }

    /// DATA, or the first BDAT: makes room.
    pub async fn body(self, hello: Hello, expected: Option<u64>) -> Result<Incoming, Reply> {
        let stage = match self.desk.store.stage(expected).await {
            Ok(stage) => stage,
            Err(error) => {
                tracing::warn!(%error, "no room for a message");
                return Err(self.refused(Refusal::new(replies::of_store(&error), "store")));
            }
        };
        let log_in = matches!(self.client.identity, Identity::Account(..));
        let protocol = match (self.client.role, self.sender.smtputf8) {
            (Role::Lmtp, false) => "LMTP",
            (Role::Lmtp, true) => "UTF8LMTP",
            (_, utf8) => trace::protocol(hello.extended, self.client.tls.is_some(), log_in, utf8),
        };
        let id = self.desk.store.next_queue_id(self.desk.clock.now());
        let header = Reading::Inside(Vec::new(), HeaderEnd::default());
        Ok(Incoming { transaction: self, id, hello, protocol, stage, ours: 0, header })
    }

    /// Notes a refusal; gives back what the client hears.
    pub(super) fn refused(&self, refusal: Refusal) -> Reply {
        let rule = refusal.by.map_or_else(|| refusal.rule.to_owned(), |by| format!("{} {by}", refusal.rule));
        let what = What::Refused {
            from: self.client.ip.to_string(),
            sender: path_text(&self.sender.reverse_path),
            reply: refusal.reply.to_string(),
            rule,
        };
        self.desk.store.note_refusal(Event::new(self.desk.clock.now(), what));
        refusal.reply
    }
}

impl Incoming {
    /// Its name in logs.
    pub const fn id(&self) -> QueueId {
        self.id
    }

    /// It came by JMAP, from the account's own store.
    pub(super) fn over_http(self) -> Self {
        Self { protocol: trace::HTTP, ..self }
    }

    /// It was handed in on this machine.
    pub(super) fn by_hand(self) -> Self {
        Self { protocol: trace::LOCAL, ..self }
    }

    /// Whether the client's address is shown; what came over no connection has none.
    fn shows_client(&self) -> bool {
        let Transaction { desk, client, .. } = &self.transaction;
        let over_connection = ![trace::HTTP, trace::LOCAL].contains(&self.protocol);
        client.role != Role::Submission || desk.policy.show_client && over_connection
    }

    /// The next bytes of the message.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Reply> {
        let Reading::Inside(front, end) = &mut self.header else { return self.store(bytes).await };
        let before = front.len();
        let end = end.push(bytes);
        if end.unwrap_or((before + bytes.len()) as u64) > limits::HEADER_LEN as u64 {
            // What is not looked at could claim to be ours.
            return Err(self.transaction.refused(Refusal::new(replies::long_header(), "header-length")));
        }
        match end {
            // The usual case: the whole header in one piece, which is looked at where it lies.
            Some(_) if before == 0 => self.header_came(bytes).await,
            None => {
                front.extend_from_slice(bytes);
                // Whoever never ends a header may not take more memory for it than for a body.
                let kept = self.stage.keep_back(front.len());
                self.checked(kept)
            }
            Some(_) => {
                let mut front = std::mem::take(front);
                front.extend_from_slice(bytes);
                self.header_came(&front).await
            }
        }
    }

    async fn store(&mut self, bytes: &[u8]) -> Result<(), Reply> {
        let written = self.stage.write(bytes).await;
        self.checked(written)
    }

    fn checked<T>(&self, result: StoreResult<T>) -> Result<T, Reply> {
        result.map_err(|error| {
            tracing::error!(id = %self.id, %error, "a message can't be stored");
            self.transaction.refused(Refusal::new(replies::of_store(&error), "store"))
        })
    }

    /// The header is whole at the front of `bytes`: puts the trace fields and it into the store.
    async fn header_came(&mut self, bytes: &[u8]) -> Result<(), Reply> {
        let header = Header::of(bytes);
        let Transaction { desk, client, recipients, .. } = &self.transaction;
        let now = desk.clock.now();
        let is_submission = client.role == Role::Submission;
        let show = self.shows_client();
        let received = trace::Received {
            hello: &self.hello,
            ip: show.then_some(client.ip),
            by: &desk.policy.routing.hostname,
            protocol: self.protocol,
            tls: client.tls.as_ref(),
            id: self.id,
            recipient: match recipients.as_slice() {
                [(only, _)] => Some(&only.address),
                _ => None,
            },
            at: now,
        };
        let mut top = received.line().into_bytes();
        let ours = top.len();
        let mut targets = recipients.iter().flat_map(|(_, resolved)| &resolved.targets);
        let mut facts = Facts {
            message_id: None,
            received: header.received_count(),
            delivered_to: header.delivered_to(),
            letter: targets.any(|target| target.away.is_some() || target.script.is_some()).then(|| Letter::of(&header)),
        };
        let rest = if is_submission {
            let domain = match &client.identity {
                Identity::Account(_, address) => address.domain(),
                Identity::Stranger | Identity::Operator => &desk.policy.routing.hostname,
            };
            let (header, id) = submission::put_right(&header, domain, &*desk.random, now);
            top.extend_from_slice(&trace::without_forged(&Header::alone(&header), &desk.policy.routing.hostname));
            facts.message_id = Some(id);
            &bytes[Header::of(bytes).bytes().len()..]
        } else {
            facts.message_id = header.message_id();
            match trace::without_forged(&header, &desk.policy.routing.hostname) {
                Cow::Borrowed(_) => bytes,
                Cow::Owned(kept) => {
                    top.extend_from_slice(&kept);
                    &bytes[header.bytes().len()..]
                }
            }
        };
        (self.header, self.ours) = (Reading::Known(facts), ours);
        let _nothing = self.stage.keep_back(0);
        self.store(&top).await?;
        self.store(rest).await
    }

    /// The end of the message: takes responsibility for it, or says why not.
    pub async fn commit(mut self, envelope: Envelope) -> Ending {
        let mut envelope = Envelope { hold: self.transaction.hold, ..envelope };
        let mut facts = match self.facts().await {
            Ok(facts) => facts,
            Err(reply) => return Ending::Refused(reply),
        };
        let desk = self.transaction.desk.clone();
        if let Err(refusal) = self.check_loop(&facts, desk.policy.hops) {
            return Ending::Refused(self.transaction.refused(refusal));
        }
        let mut slowly = None;
        if let (Role::Mx, Some(misbehave)) = (self.transaction.client.role, &desk.misbehave) {
            let addresses: Vec<Address> = envelope.recipients.iter().map(|r| r.address.clone()).collect();
            match misbehave.at_end(&envelope.reverse_path, facts.message_id.as_deref(), &addresses) {
                AtEnd::Normal => {}
                AtEnd::AnswerAfter(time) => slowly = Some(time),
                AtEnd::HangUp => return Ending::HangUp,
            }
        }
        let laid = match self.looked_at(&mut envelope, &mut facts).await {
            Ok(laid) => laid,
            Err(refusal) => return Ending::Refused(self.transaction.refused(refusal)),
        };
        let quarantine = laid.filtered.quarantined.is_some();
        let (acceptance, _) = self.accepted(envelope, facts, laid).await;
        let waiting = acceptance.relays.len();
        let Self { transaction, id, stage, .. } = self;
        match desk.store.accept(stage, acceptance).await {
            Ok(accepted) => {
                if quarantine {
                    desk.keep_back(id, waiting).await;
                }
                let accepted = accepted.map(|accepted| accepted.id);
                match slowly {
                    None => Ending::Accepted(accepted),
                    Some(time) => Ending::AcceptedSlowly(accepted, time),
                }
            }
            Err(error) => {
                tracing::error!(%id, %error, "a message is not accepted");
                Ending::Refused(transaction.refused(Refusal::new(replies::of_store(&error), "store")))
            }
        }
    }

    /// What filters and all who look at the whole message make of it, and where its copies are put; the refusal, where one
    /// refuses it. What came is judged as it came, and what leaves is signed as it leaves.
    async fn looked_at(&mut self, envelope: &mut Envelope, facts: &mut Facts) -> Result<Laid, Refusal> {
        let (mut findings, filtered);
        if self.transaction.client.role != Role::Submission {
            findings = self.inspected(envelope).await?;
            filtered = self.filtered(envelope, facts).await?;
        } else {
            filtered = self.filtered(envelope, facts).await?;
            findings = self.inspected(envelope).await?;
        }
        findings.junk |= filtered.junk;
        let filings = self.filed(envelope, &findings).await?;
        if filtered.discarded.is_none()
            && filtered.quarantined.is_none()
            && let Some(reason) = self.unwanted(&filings)
        {
            return Err(sorted::refusal(reason));
        }
        Ok(Laid { findings, filings, filtered, ..Laid::default() })
    }

    /// What those find who look at the whole message; the refusal, where one refuses it.
    async fn inspected(&mut self, envelope: &Envelope) -> Result<Findings, Refusal> {
        let Transaction { desk, client, .. } = &self.transaction;
        let at = desk.clock.now();
        let about = About { id: self.id, client, hello: &self.hello, envelope, ours: self.ours, at };
        let findings = desk.inspectors.look(&mut *self.stage, about).await;
        let findings = findings.map_err(|error| not_seen(self.id, &error))?;
        match findings.refusal {
            None => Ok(findings),
            Some(refusal) => Err(refusal),
        }
    }

    /// Where its copies are put.
    async fn filed(&mut self, envelope: &Envelope, findings: &Findings) -> Result<Filings, Refusal> {
        let Transaction { desk, client, recipients, .. } = &self.transaction;
        let mut copies: Vec<LocalCopy<'_>> = Vec::new();
        for (recipient, resolved) in recipients {
            for target in &resolved.targets {
                let Place::Here(account, address) = &target.place else { continue };
                if !copies.iter().any(|copy| copy.account == *account) {
                    let script = target.script.as_deref();
                    copies.push(LocalCopy { account: *account, address, recipient, script });
                }
            }
        }
        let at = desk.clock.now();
        let about = About { id: self.id, client, hello: &self.hello, envelope, ours: self.ours, at };
        let filings = desk.inspectors.file(&mut *self.stage, about, findings, &copies).await;
        filings.map_err(|error| not_seen(self.id, &error))
    }

    /// Why the scripts of all who get it give it back, if they do (RFC 5429 §2.1): then nobody needs to be told later.
    fn unwanted<'f>(&self, filings: &'f Filings) -> Option<&'f str> {
        let targets = self.transaction.recipients.iter().flat_map(|(_, resolved)| &resolved.targets);
        let reason = |target: &Target| match &target.place {
            Place::Here(account, _) => filings.get(account)?.sorted.as_ref()?.rejected(),
            Place::Elsewhere(..) => None,
        };
        let reasons: Option<Vec<&str>> = targets.map(reason).collect();
        reasons?.first().copied()
    }

    /// Tells the sender in the name of those who are away, but for those whose scripts have said something.
    async fn answer(&self, desk: &Desk, acceptance: &mut Acceptance, letter: &Letter, but: &[AccountId]) {
        let recipients = self.transaction.recipients.iter();
        let targets =
            recipients.flat_map(|(recipient, resolved)| resolved.targets.iter().map(move |one| (recipient, one)));
        let away = targets.filter_map(|(recipient, target)| match (&target.place, &target.away) {
            (Place::Here(account, _), Some(notice)) if !but.contains(account) => {
                Some(Away { account: *account, recipient: &recipient.address, notice, script: None })
            }
            _ => None,
        });
        let clerk = Clerk { store: &*desk.store, routing: &desk.policy.routing, random: &*desk.random };
        clerk.answer(acceptance, letter, &away.collect::<Vec<_>>()).await;
    }

    /// The end of a message that an account sends from its own store: all as in [`Self::commit`], and what is known of it
    /// from then on.
    pub(super) async fn submit(
        mut self,
        mut envelope: Envelope,
        known: impl FnOnce(Vec<Way>) -> NewSubmission + Send,
    ) -> Result<Durable<SubmissionId>, Unsent> {
        let mut facts = self.facts().await.map_err(Unsent::Message)?;
        let desk = self.transaction.desk.clone();
        let checked = self.check_loop(&facts, desk.policy.hops);
        checked.map_err(|refusal| Unsent::Message(self.transaction.refused(refusal)))?;
        let asked: Vec<Address> = envelope.recipients.iter().map(|recipient| recipient.address.clone()).collect();
        let looked_at = self.looked_at(&mut envelope, &mut facts).await;
        let laid = looked_at.map_err(|refusal| Unsent::Message(self.transaction.refused(refusal)))?;
        // Filters may have taken recipients away, and added some of whom the sender knows nothing.
        let recipients = self.transaction.recipients.iter();
        let number =
            |address: &Address| asked.iter().position(|asked| asked == address).and_then(|at| u32::try_from(at).ok());
        let numbers: Vec<Option<u32>> = recipients.map(|(recipient, _)| number(&recipient.address)).collect();
        let laid = Laid { ways: Some(Vec::new()), ..laid };
        let quarantine = laid.filtered.quarantined.is_some();
        let (acceptance, ways) = self.accepted(envelope, facts, laid).await;
        let as_asked = |way: Way| {
            let recipient = numbers.get(way.recipient as usize).copied().flatten()?;
            Some(Way { recipient, ..way })
        };
        let ways = ways.into_iter().filter_map(as_asked).collect();
        let Self { transaction, id, stage, .. } = self;
        let (sender, recipients) = (acceptance.envelope.reverse_path.clone(), acceptance.envelope.recipients.len());
        let waiting = acceptance.relays.len();
        let submitted = desk.store.submit(stage, acceptance, known(ways)).await;
        if submitted.is_ok() {
            if quarantine {
                desk.keep_back(id, waiting).await;
            }
            tracing::info!(%id, service = "jmap", %sender, recipients, "accepted");
        }
        submitted.map_err(|error| {
            if error == StoreError::Limit("SUBMISSIONS_PER_ACCOUNT") {
                return Unsent::TooMany;
            }
            tracing::error!(%id, %error, "a message is not accepted");
            Unsent::Message(transaction.refused(Refusal::new(replies::of_store(&error), "store")))
        })
    }

    /// All that is promised, with the reports that are due at once; and the ways, where they are asked for.
    async fn accepted(&mut self, envelope: Envelope, mut facts: Facts, mut laid: Laid) -> (Acceptance, Vec<Way>) {
        let (desk, size) = (self.transaction.desk.clone(), self.stage.len());
        let letter = facts.letter.take();
        let mut acceptance = self.acceptance(envelope, facts, size, desk.clock.now(), &mut laid);
        if laid.filtered.discarded.is_some() {
            return (acceptance, laid.ways.unwrap_or_default());
        }
        let is_held = laid.hold.is_some();
        // Who is delivered to later is reported later.
        let due = |kind: &Kind| !is_held || *kind == Kind::Expanded;
        let recipients = self.transaction.recipients.iter();
        let is_given_back = |resolved: &Resolved| {
            let is_of = |copy: &Copy| matches!(resolved.targets.as_slice(), [one] if one.is_at(copy.account));
            laid.sorted.iter().any(|copy| copy.sorted.rejected().is_some() && is_of(copy))
        };
        let end = |resolved: &Resolved| success::kind(resolved).filter(due).filter(|_| !is_given_back(resolved));
        let ends: Vec<_> = recipients.map(|(_, resolved)| end(resolved)).collect();
        success::add(&desk, &mut acceptance, size, &ends).await;
        let copies = std::mem::take(&mut laid.sorted);
        // Whose script it is may have shown only after the header was read: a filter of others adds recipients.
        let letter = letter.or_else(|| copies.first().map(|copy| Letter::of(&Header::of(&copy.sorted.header))));
        if let Some(letter) = letter.filter(|_| !is_held) {
            let (out, stage) = (&mut acceptance, &mut *self.stage);
            let mut sorter = Sorter { desk: &desk, out, stage, letter: &letter, replies: Vec::new() };
            sorter.sort(&copies).await;
            let replies = sorter.replies;
            // A script that says that its owner is away stands for the account's notice.
            let said: Vec<AccountId> = copies.iter().filter(|copy| copy.answers()).map(|copy| copy.account).collect();
            self.answer(&desk, &mut acceptance, &letter, &said).await;
            acceptance.dsns.extend(replies);
            acceptance.events.truncate(limits::JOURNEY_EVENTS);
        }
        (acceptance, laid.ways.unwrap_or_default())
    }

    async fn facts(&mut self) -> Result<Facts, Reply> {
        if let Reading::Inside(front, _) = &mut self.header {
            // No empty line came: all of it is header.
            let front = std::mem::take(front);
            self.header_came(&front).await?;
        }
        let empty = Reading::Known(Facts { message_id: None, received: 0, delivered_to: Vec::new(), letter: None });
        match std::mem::replace(&mut self.header, empty) {
            Reading::Known(facts) => Ok(facts),
            Reading::Inside(..) => Err(Reply::new(451, (4, 3, 0), "Internal error")),
        }
    }

    /// RFC 5321 §6.3: by the number of Received fields; and by our own Delivered-To coming back.
    fn check_loop(&self, facts: &Facts, hops: usize) -> Result<(), Refusal> {
        if facts.received > hops {
            return Err(Refusal::new(replies::mail_loop(), "hops"));
        }
        // A person may send on what came to him: only what another server brings back has looped.
        if self.transaction.client.role == Role::Submission || facts.delivered_to.is_empty() {
            return Ok(());
        }
        let been: HashSet<String> = facts.delivered_to.iter().map(|address| address.to_lowercase()).collect();
        let targets = self.transaction.recipients.iter().flat_map(|(_, resolved)| &resolved.targets);
        for target in targets {
            let here = match &target.place {
                Place::Here(_, address) => Some(address),
                Place::Elsewhere(..) => target.alias.as_ref(),
            };
            if here.is_some_and(|address| been.contains(&address.to_string().to_lowercase())) {
                return Err(Refusal::new(replies::mail_loop(), "delivered-to"));
            }
        }
        Ok(())
    }

    fn acceptance(&self, envelope: Envelope, facts: Facts, size: u64, now: Timestamp, laid: &mut Laid) -> Acceptance {
        let Transaction { desk, client, recipients, sender, .. } = &self.transaction;
        laid.hold = envelope.release_at(now);
        let mut out = Acceptance {
            id: self.id,
            received_at: now,
            envelope,
            message_id: facts.message_id,
            deliveries: Vec::new(),
            relays: Vec::new(),
            discarded: 0,
            events: Vec::with_capacity(1 + recipients.len()),
            dsns: Vec::new(),
            marks: Vec::new(),
        };
        let show = self.shows_client();
        let what = What::Received {
            protocol: self.protocol.to_owned(),
            from: show.then(|| client.ip.to_string()),
            helo: (show || self.protocol == trace::LOCAL).then(|| self.hello.name.clone()),
            account: match &client.identity {
                Identity::Account(_, address) => Some(address.to_string()),
                Identity::Stranger | Identity::Operator => None,
            },
            tls: client.tls.clone(),
            size,
            sender: path_text(&sender.reverse_path),
        };
        out.events.push(Event::new(now, what));
        let goes_on = |(_, resolved): &(Recipient, Resolved)| {
            let goes_on = |target: &Target| match &target.place {
                Place::Elsewhere(address, _) => {
                    target.alias.is_none() && !desk.policy.routing.is_gateway(address.domain())
                }
                Place::Here(..) => false,
            };
            resolved.targets.iter().any(goes_on)
        };
        if let (Identity::Stranger, Some(trusted)) = (&client.identity, &client.trusted)
            && (client.role == Role::Submission || recipients.iter().any(goes_on))
        {
            let what = What::Trusted { from: client.ip.to_string(), network: trusted.network.clone() };
            out.events.push(Event::new(now, what));
        }
        out.events.append(&mut laid.findings.events);
        out.events.append(&mut laid.filtered.events);
        if let Some(until) = laid.hold {
            out.events.push(Event::new(now, What::Held { until: until.millis() }));
        }
        if laid.filtered.discard(&mut out, recipients.iter().map(|(recipient, _)| recipient)) {
            out.events.truncate(limits::JOURNEY_EVENTS);
            return out;
        }
        if laid.filtered.quarantined.is_some() {
            laid.hold = Some(now.plus(limits::HOLD_LONGEST));
        }
        for (number, (recipient, resolved)) in (0..).zip(recipients) {
            for Expansion { address, rule, targets } in &resolved.expansions {
                let targets = targets.iter().map(Address::to_string).collect();
                let what = What::Expanded { rule: (*rule).to_owned(), targets };
                out.events.push(Event::about(now, address.to_string(), what));
            }
            for target in &resolved.targets {
                let queued = deliver(&mut out, laid, desk, (recipient, resolved), target);
                if let Some(ways) = &mut laid.ways {
                    let progress = if queued.is_some() { Progress::Queued } else { Progress::Delivered };
                    ways.push(Way { recipient: number, queued, progress, words: TAKEN.to_owned() });
                }
            }
        }
        out.events.truncate(limits::JOURNEY_EVENTS);
        out
    }
}

/// What is said of a recipient that is taken (RFC 3463 §3.2 X.1.5).
const TAKEN: &str = "250 2.1.5 OK";

/// The ways that are laid for a message.
#[derive(Default)]
struct Laid {
    /// Nothing leaves before, nor comes into a mailbox here.
    hold: Option<Timestamp>,
    /// Who has a copy already, and its number in the queue.
    here: HashMap<AccountId, Option<u32>>,
    elsewhere: HashMap<Address, u32>,
    /// Where they are asked for.
    ways: Option<Vec<Way>>,
    /// What was found in the message.
    findings: Findings,
    /// Where its copies are put.
    filings: Filings,
    /// What filters of others made of it.
    filtered: Filtered,
    /// Copies of which scripts say what is done with them.
    sorted: Vec<Copy>,
}

/// Adds one target, unless it was reached in another way before; its number in the queue.
fn deliver(
    out: &mut Acceptance,
    laid: &mut Laid,
    desk: &Desk,
    (recipient, resolved): (&Recipient, &Resolved),
    target: &Target,
) -> Option<u32> {
    let now = out.received_at;
    let next = u32::try_from(out.relays.len()).unwrap_or(u32::MAX);
    let by_alias = target.alias.is_some();
    match &target.place {
        Place::Here(account, address) => {
            if let Some(before) = laid.here.get(account) {
                return *before;
            }
            let queued = laid.hold.map(|_| next);
            laid.here.insert(*account, queued);
            let mut prefix = trace::delivery(&out.envelope.reverse_path, address);
            prefix.extend_from_slice(&laid.findings.top);
            if let Some(until) = laid.hold {
                let recipient =
                    Recipient { address: address.clone(), ..sent_on(recipient, address, resolved, by_alias) };
                queue(
                    out,
                    QueueRelay { recipient, prefix, destination: address.domain().clone(), next_attempt: until },
                );
                return queued;
            }
            let mut filing = laid.filings.remove(account).unwrap_or_default();
            out.events.append(&mut filing.events);
            if let Some(sorted) = filing.sorted.take() {
                let (address, recipient, top) = (address.clone(), recipient.clone(), laid.findings.top.clone());
                laid.sorted.push(Copy { account: *account, address, recipient, filing, sorted: *sorted, top });
                return None;
            }
            let Filing { mailbox, flags, .. } = filing;
            let told = mailbox.clone().unwrap_or_else(|| "INBOX".to_owned());
            out.deliveries.push(LocalDelivery {
                account: *account,
                address: address.clone(),
                mailbox,
                prefix,
                flags,
                keywords: Vec::new(),
            });
            let what = What::Delivered { account: address.to_string(), mailbox: told };
            out.events.push(Event::about(now, recipient.address.to_string(), what));
            None
        }
        Place::Elsewhere(address, _) => {
            if let Some(before) = laid.elsewhere.get(address) {
                return Some(*before);
            }
            laid.elsewhere.insert(address.clone(), next);
            let mut prefix = target.alias.as_ref().map(trace::forwarding).unwrap_or_default();
            prefix.extend_from_slice(&laid.findings.top);
            let relay = QueueRelay {
                recipient: sent_on(recipient, address, resolved, by_alias),
                prefix,
                destination: desk.policy.routing.destination(address),
                next_attempt: laid.hold.unwrap_or(now),
            };
            queue(out, relay);
            Some(next)
        }
    }
}

/// Adds somebody who waits in the queue.
fn queue(out: &mut Acceptance, relay: QueueRelay) {
    let what = What::Queued { destination: relay.destination.to_string() };
    out.events.push(Event::about(out.received_at, relay.recipient.address.to_string(), what));
    out.relays.push(relay);
}

/// The recipient as the next hop gets it.
fn sent_on(recipient: &Recipient, address: &Address, resolved: &Resolved, by_alias: bool) -> Recipient {
    if !by_alias {
        return recipient.clone();
    }
    // RFC 3461 §5.2.7.1: one address for another keeps what was asked for; of a group's members the sender learns
    // nothing of success.
    let is_group = resolved.targets.len() > 1;
    let notify = if is_group { Notify { success: false, ..recipient.notify } } else { recipient.notify };
    // RFC 3461 §5.2.7.1 (b): ORCPT says whom the sender meant.
    let original = recipient.original.clone().or_else(|| {
        let kind = if recipient.address.needs_utf8() { "utf-8" } else { "rfc822" };
        Some(format!("{kind};{}", recipient.address))
    });
    Recipient { address: address.clone(), notify, original }
}

/// A message that can't be read back is not taken.
pub(super) fn not_seen(id: QueueId, error: &StoreError) -> Refusal {
    tracing::error!(%id, %error, "a message can't be looked at");
    Refusal::new(replies::of_store(error), "store")
}

fn path_text(path: &ReversePath) -> String {
    path.address().map(Address::to_string).unwrap_or_default()
}
