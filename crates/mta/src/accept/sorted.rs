//! What scripts (RFC 5228) say of copies, done in the commit that accepts the message.
//!
//! Does: puts each copy where its account's script wants it, sends it on, gives it back, and adds the notices that go with it.
//! Does not: run scripts ([`crate::script`]), or lose anything: what can't be done is kept in INBOX, and the journey says so.

use mail::{AccountId, Address, Flags, Keyword, Notify, Recipient, Reply, Timestamp, limits};
use sieve::{Action, Done};
use store::{Acceptance, Event, LocalDelivery, Mark, NewDsn, QueueMessage, QueueRelay, Stage, StoreResult, What};

use super::inspect::Filing;
use super::resolve::{self, Refusal};
use super::{Desk, success, trace};
use crate::away::{Answered, Away, ByScript, Clerk, Letter};
use crate::bounce::{Kind, Line};
use crate::directory::{Step, Walk};
use crate::script::notice::Told;
use crate::script::{Sorted, message_mark, named};

/// A copy for an account that has a script.
pub(super) struct Copy {
    pub(super) account: AccountId,
    pub(super) address: Address,
    pub(super) recipient: Recipient,
    /// Where it would go without the script.
    pub(super) filing: Filing,
    pub(super) sorted: Sorted,
    /// What was found in the message, for the top.
    pub(super) top: Vec<u8>,
}

impl Copy {
    /// Whether the script says that the owner is away.
    pub(super) fn answers(&self) -> bool {
        self.sorted.outcome.done.iter().any(|done| matches!(done.action, Action::Vacation(_)))
    }
}

/// The reply to a message that everybody who gets it gives back (RFC 5429 §2.1.1).
pub(super) fn refusal(reason: &str) -> Refusal {
    let line: Vec<&str> = reason.split_whitespace().collect();
    let line = line.join(" ");
    // RFC 5429 §2.1.1: what can't stand in a reply is replaced.
    let plain = line.is_ascii() && !line.is_empty() && !line.contains(|c: char| c.is_ascii_control());
    let text = if plain {
        &line[..line.len().min(limits::SIEVE_REASON_LEN)]
    } else {
        "The recipient does not want this message"
    };
    Refusal::new(Reply::new(550, (5, 7, 1), text), "sieve")
}

/// All that is to be done with the copies of one message.
pub(super) struct Sorter<'a> {
    pub(super) desk: &'a Desk,
    pub(super) out: &'a mut Acceptance,
    pub(super) stage: &'a mut dyn Stage,
    pub(super) letter: &'a Letter,
    /// Replies that go once in a while only: they come after all other reports.
    pub(super) replies: Vec<NewDsn>,
}

impl Sorter<'_> {
    pub(super) async fn sort(&mut self, copies: &[Copy]) {
        for copy in copies {
            // RFC 7352 §3: remembered with the delivery.
            for seen in &copy.sorted.outcome.seen {
                self.mark(copy, message_mark(&seen.mark), seen.seconds);
            }
            let before = self.ways();
            let mut discarded = None;
            for done in &copy.sorted.outcome.done {
                match self.act(copy, done).await {
                    Ok(Some(rule)) => discarded = Some(rule),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(id = %self.out.id, %error, "what a script says can't be done");
                        self.tell(copy, done, &format!("can't be obeyed ({}): it is kept", done.action.words()));
                        self.keep(copy);
                    }
                }
            }
            if self.ways() == before {
                let rule = discarded.unwrap_or_else(|| named(&copy.sorted.script, 0));
                self.out.discarded += 1;
                self.event(copy, What::Discarded { rule });
            }
        }
    }

    /// In how many ways the message goes to somebody: mailboxes, other servers, and copies with another header.
    fn ways(&self) -> usize {
        let edited = self.out.dsns.iter().filter(|dsn| dsn.acceptance.message_id == self.out.message_id);
        self.out.deliveries.len() + self.out.relays.len() + edited.count()
    }

    fn event(&mut self, copy: &Copy, what: What) {
        self.out.events.push(Event::about(self.out.received_at, copy.recipient.address.to_string(), what));
    }

    fn tell(&mut self, copy: &Copy, done: &Done, words: &str) {
        let rule = named(if done.script.is_empty() { &copy.sorted.script } else { &done.script }, done.line);
        self.event(copy, What::Sorted { account: copy.address.to_string(), rule, words: words.to_owned() });
    }

    fn mark(&mut self, copy: &Copy, mark: String, seconds: u64) {
        let until = until(self.out.received_at, seconds);
        self.out.marks.push(Mark { account: copy.account, mark, until });
    }

    /// Does one thing; the rule that throws the copy away, where it does.
    async fn act(&mut self, copy: &Copy, done: &Done) -> StoreResult<Option<String>> {
        match &done.action {
            Action::Store { mailbox, flags, instead_of, .. } => {
                if done.line != 0 {
                    let made = done.action.words();
                    let words = made.strip_prefix("put").unwrap_or(&made);
                    self.tell(copy, done, &format!("puts it{words}"));
                }
                // What nothing is said of goes where it would have gone without the script.
                let is_implicit = done.line == 0 && instead_of.is_none();
                let mailbox = match (is_implicit, mailbox.as_str()) {
                    (true, _) => copy.filing.mailbox.clone(),
                    (false, "INBOX") => None,
                    (false, name) => Some(name.to_owned()),
                };
                self.put(copy, mailbox, flags, done.version).await?;
            }
            Action::Redirect { to } => self.redirect(copy, done, to).await?,
            Action::Discard => {
                self.tell(copy, done, "wants it thrown away");
                return Ok(Some(named(&done.script, done.line)));
            }
            Action::Reject { reason } => return self.reject(copy, done, reason).await,
            Action::Vacation(vacation) => self.answer(copy, done, vacation).await,
            Action::Notify(notice) => {
                // RFC 5436 §2.7: no notice about what a program sent by itself, so that no two write to each other.
                if self.letter.is_automatic() {
                    self.tell(copy, done, "tells nobody of it: a program made the message");
                    return Ok(None);
                }
                let about = (self.letter.author.clone(), self.letter.subject().map(str::to_owned));
                let told = Told { notice, owner: &copy.address, about, now: self.out.received_at };
                let Desk { store, policy, random, .. } = self.desk;
                match told.made(&**store, &policy.routing, &**random).await? {
                    Some(made) => {
                        self.tell(copy, done, &format!("tells others of it by {}", made.acceptance.id));
                        self.out.dsns.push(made);
                    }
                    None => self.tell(copy, done, "tells nobody of it: nobody takes the notice"),
                }
            }
        }
        Ok(None)
    }

    fn prefix(&self, copy: &Copy) -> Vec<u8> {
        trace::delivery(&self.out.envelope.reverse_path, &copy.address)
    }

    /// Into INBOX, as it came.
    fn keep(&mut self, copy: &Copy) {
        let mut prefix = self.prefix(copy);
        prefix.extend_from_slice(&copy.top);
        self.out.deliveries.push(LocalDelivery {
            account: copy.account,
            address: copy.address.clone(),
            mailbox: None,
            prefix,
            flags: copy.filing.flags,
            keywords: Vec::new(),
        });
        self.event(copy, What::Delivered { account: copy.address.to_string(), mailbox: "INBOX".to_owned() });
    }

    async fn put(&mut self, copy: &Copy, mailbox: Option<String>, flags: &[String], version: usize) -> StoreResult<()> {
        let (flags, keywords) = marked(copy.filing.flags, flags);
        let mut prefix = self.prefix(copy);
        let told = mailbox.clone().unwrap_or_else(|| "INBOX".to_owned());
        let delivered = What::Delivered { account: copy.address.to_string(), mailbox: told };
        let edited = version.checked_sub(1).and_then(|at| copy.sorted.outcome.headers.get(at));
        // Fields that were put on top are this copy's alone; whoever changes more gets a message of his own.
        let on_top = edited.map(|header| header.strip_suffix(copy.sorted.header.as_slice()));
        match on_top {
            None => prefix.extend_from_slice(&copy.top),
            Some(Some(added)) => {
                prefix.extend_from_slice(added);
                prefix.extend_from_slice(&copy.top);
            }
            Some(None) => {}
        }
        let (account, address) = (copy.account, copy.address.clone());
        let delivery = LocalDelivery { account, address, mailbox, prefix, flags, keywords };
        let Some(header) = edited.filter(|_| on_top == Some(None)) else {
            self.out.deliveries.push(delivery);
            self.event(copy, delivered);
            return Ok(());
        };
        let made = self.with_header(copy, header, delivery, delivered).await?;
        let what = What::Sorted {
            account: copy.address.to_string(),
            rule: named(&copy.sorted.script, 0),
            words: format!("changes its header: the copy is {}", made.acceptance.id),
        };
        self.event(copy, what);
        self.out.dsns.push(made);
        Ok(())
    }

    /// A copy with another header (RFC 5293), as a message of its own.
    async fn with_header(
        &mut self,
        copy: &Copy,
        header: &[u8],
        delivery: LocalDelivery,
        delivered: What,
    ) -> StoreResult<NewDsn> {
        let store = &self.desk.store;
        let length = copy.sorted.header.len().saturating_sub(copy.top.len());
        let (_room, message) = self.desk.inspectors.whole(self.stage).await?;
        let rest = message.get(length..).unwrap_or_default();
        let mut body = store.stage(Some((header.len() + rest.len()) as u64)).await?;
        body.write(header).await?;
        body.write(rest).await?;
        let now = self.out.received_at;
        let about = |what| Event::about(now, copy.recipient.address.to_string(), what);
        let received = self.out.events.first().cloned();
        let acceptance = Acceptance {
            id: store.next_queue_id(now),
            received_at: now,
            envelope: self.out.envelope.clone(),
            message_id: self.out.message_id.clone(),
            deliveries: vec![delivery],
            relays: Vec::new(),
            discarded: 0,
            events: received.into_iter().chain([about(delivered)]).collect(),
            dsns: Vec::new(),
            marks: Vec::new(),
        };
        Ok(NewDsn { body, acceptance, once: None })
    }

    /// RFC 5228 §4.2. Our own Delivered-To comes back with a loop, which is refused then.
    async fn redirect(&mut self, copy: &Copy, done: &Done, to: &Address) -> StoreResult<()> {
        let now = self.out.received_at;
        let (mut found, mut here, mut relays, mut events) = (false, Vec::new(), Vec::new(), Vec::new());
        let mut walk = Walk::new(&*self.desk.store, &self.desk.policy.routing, to);
        let about = |address: &Address, what| Event::about(now, address.to_string(), what);
        while let Some(step) = walk.next().await? {
            match step {
                Step::Account(account, at, _) => {
                    if resolve::check(&account, &at, 0).is_err() {
                        continue;
                    }
                    // Whoever sends it to himself keeps it.
                    if account.id == copy.account {
                        continue;
                    }
                    found = true;
                    if self.out.deliveries.iter().any(|one| one.account == account.id) {
                        continue;
                    }
                    let mut prefix = trace::delivery(&self.out.envelope.reverse_path, &account.address);
                    prefix.extend_from_slice(&trace::forwarding(&copy.address));
                    prefix.extend_from_slice(&copy.top);
                    let what = What::Delivered { account: account.address.to_string(), mailbox: "INBOX".to_owned() };
                    events.push(about(&at, what));
                    here.push(LocalDelivery {
                        account: account.id,
                        address: account.address,
                        mailbox: None,
                        prefix,
                        flags: Flags::NONE,
                        keywords: Vec::new(),
                    });
                }
                Step::Elsewhere(at, _) => {
                    found = true;
                    if self.out.relays.iter().any(|relay| relay.recipient.address.folded() == at.folded()) {
                        continue;
                    }
                    let destination = self.desk.policy.routing.destination(&at);
                    events.push(about(&at, What::Queued { destination: destination.to_string() }));
                    let mut prefix = trace::forwarding(&copy.address);
                    prefix.extend_from_slice(&copy.top);
                    let recipient = sent_on(&copy.recipient, at);
                    relays.push(QueueRelay { recipient, prefix, destination, next_attempt: now });
                }
                Step::Others(_) | Step::TooMany | Step::Nobody(_) => {}
            }
        }
        if !found {
            self.tell(copy, done, &format!("wants it sent on to {to}, which nobody takes: it is kept"));
            self.keep(copy);
            return Ok(());
        }
        self.tell(copy, done, &format!("sends it on to {to}"));
        // As of an alias, the sender learns what becomes of it, and not where it goes.
        let targets = events.iter().filter_map(|event| event.recipient.clone()).collect();
        self.event(copy, What::Expanded { rule: "redirect".to_owned(), targets });
        self.out.deliveries.extend(here);
        self.out.relays.extend(relays);
        self.out.events.extend(events);
        Ok(())
    }

    /// RFC 5429 §2.2: others take the message, so that its sender gets a report; never one about what has no sender or is
    /// judged junk, whose sender is likely somebody else.
    async fn reject(&mut self, copy: &Copy, done: &Done, reason: &str) -> StoreResult<Option<String>> {
        if copy.filing.mailbox.is_some() {
            self.tell(copy, done, "would give it back, but it is junk: it is kept");
            self.put(copy, copy.filing.mailbox.clone(), &[], 0).await?;
            return Ok(None);
        }
        self.tell(copy, done, "gives it back");
        let rule = named(&done.script, done.line);
        let Some(reporter) = &self.desk.reporter else { return Ok(Some(rule)) };
        let message = QueueMessage {
            recipients: success::recipients([&copy.recipient], self.out.received_at),
            ..success::as_queued(self.out, self.stage.len())
        };
        let words = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<Line<'_>> = message
            .recipients
            .iter()
            .map(|recipient| Line { recipient, status: (5, 7, 1), words: words.clone(), host: None, remote: false })
            .collect();
        if let Some(report) = reporter().report(&*self.desk.store, &message, Kind::Failed, &lines).await? {
            let what = What::Reported { kind: "failed".to_owned(), report: report.acceptance.id.to_string() };
            self.event(copy, what);
            self.out.dsns.push(report);
        }
        Ok(Some(rule))
    }

    /// The reply of who is away, by the rules of the account's notice.
    async fn answer(&mut self, copy: &Copy, done: &Done, vacation: &sieve::Vacation) {
        let now = self.out.received_at;
        let Desk { store, policy, random, .. } = self.desk;
        let clerk = Clerk { store: &**store, routing: &policy.routing, random: &**random };
        let sender = self.out.envelope.reverse_path.clone();
        let answered = Answered { id: self.out.id, sender: &sender, letter: self.letter, now };
        let notice = store::AwayNotice {
            enabled: true,
            subject: vacation.subject.clone(),
            text: Some(vacation.reason.clone()),
            ..store::AwayNotice::default()
        };
        let away = Away {
            account: copy.account,
            recipient: &copy.recipient.address,
            notice: &std::sync::Arc::new(notice),
            script: Some(ByScript { vacation, until: until(now, vacation.seconds) }),
        };
        let delivery = LocalDelivery {
            account: copy.account,
            address: copy.address.clone(),
            mailbox: copy.filing.mailbox.clone(),
            prefix: Vec::new(),
            flags: Flags::NONE,
            keywords: Vec::new(),
        };
        let replied = clerk.reply(answered, &away, &delivery).await;
        self.tell(copy, done, "says that its owner is away");
        match replied {
            Ok(reply) => self.replies.push(reply),
            Err(why) => self.out.events.push(why),
        }
    }
}

fn until(now: Timestamp, seconds: u64) -> Timestamp {
    now.plus(std::time::Duration::from_secs(seconds))
}

/// The recipient as the next hop gets it: of what becomes of it there the sender learns nothing but failures.
fn sent_on(recipient: &Recipient, address: Address) -> Recipient {
    let notify = Notify { success: false, ..recipient.notify };
    let original = recipient.original.clone().or_else(|| {
        let kind = if recipient.address.needs_utf8() { "utf-8" } else { "rfc822" };
        Some(format!("{kind};{}", recipient.address))
    });
    Recipient { address, notify, original }
}

/// Flags and keywords (RFC 5232 §2); what is neither is left out.
fn marked(mut flags: Flags, names: &[String]) -> (Flags, Vec<Keyword>) {
    let mut keywords = Vec::new();
    for name in names {
        match Flags::from_name(name) {
            Some(flag) => flags = flags.with(flag),
            None => keywords.extend(Keyword::new(name)),
        }
    }
    (flags, keywords)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SIEVE_REASON_LEN`, and an octet more, which is cut.
    #[test]
    fn a_reason_is_one_line() {
        let text = |len: usize| refusal(&"x".repeat(len)).reply.text.len();
        assert_eq!(text(limits::SIEVE_REASON_LEN), limits::SIEVE_REASON_LEN);
        assert_eq!(text(limits::SIEVE_REASON_LEN + 1), limits::SIEVE_REASON_LEN);
        assert_eq!(refusal("no\r\n250 yes").reply.text, "no 250 yes");
        assert_eq!(refusal("").reply.text, "The recipient does not want this message");
    }
}
