//! One try of one message at one destination, from the hosts to the commit. Who has a mailbox here and had to wait is [`here`].

mod here;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use mail::{Envelope, ReversePath, Timestamp, limits};
use store::{Attempt, Body, Event, Outcome, QueueMessage, QueueRecipient, QueueWork, Settlement, StoreResult, What};
use wire::smtp::client::{Cause, Failure, Stage, Transaction, Verdict as Word};

use super::Relay;
use super::connection::{Connection, Content, Greeting};
use super::worker::{Hands, Settling};
use crate::bounce::{Kind, Line};
use crate::header;
use crate::queue::{Job, Settled};
use crate::route::{self, Host, Route, Routing, Verdict};
use here::Here;

/// What became of a recipient in this try.
struct Reached {
    /// The server that said so.
    host: Option<(String, SocketAddr)>,
    word: Word,
    /// It is in a mailbox here, or would be.
    here: Option<Here>,
    tls: Option<store::Tls>,
    /// The server sends reports itself (RFC 3461).
    dsn: bool,
    took: u64,
}

/// Where a destination's mail goes, for as long as DNS may be believed and the configuration stays.
pub(super) struct KnownRoute {
    domain: mail::Domain,
    routing: Arc<Routing>,
    until: Timestamp,
    route: Arc<Route>,
}

/// A try under way.
pub(super) struct Try {
    relay: Arc<Relay>,
    job: Job,
    message: QueueMessage,
    body: Arc<dyn Body>,
    events: Vec<Event>,
    results: BTreeMap<u32, Reached>,
    /// Not yet taken or refused for good.
    pending: Vec<u32>,
    /// Whether a server of the destination answered at all; the words, where none did. None: none was asked.
    answered: Option<Result<(), String>>,
}

impl Try {
    /// Of those of the job's recipients that are still queued.
    pub(super) fn new(relay: Arc<Relay>, job: Job, work: QueueWork) -> Self {
        let QueueWork { message, body } = work;
        let still = |n: &u32| message.recipients.iter().any(|recipient| recipient.index == *n);
        let pending = job.recipients.iter().copied().filter(still).collect();
        let (events, results) = (Vec::new(), BTreeMap::new());
        Self { relay, job, message, body, events, results, pending, answered: None }
    }

    pub(super) const fn job(&self) -> &Job {
        &self.job
    }

    pub(super) const fn answered(&self) -> Option<&Result<(), String>> {
        self.answered.as_ref()
    }

    /// Whether no recipient was taken by anybody.
    pub(super) fn reached_nobody(&self) -> bool {
        self.results.values().all(|result| result.word.is_err())
    }

    /// Sends it over the connection in these hands, or a new one, which stays there for the next if it may.
    pub(super) async fn deliver(&mut self, hands: &mut Hands) {
        if self.pending.is_empty() {
            return;
        }
        match &self.job.down {
            Some((_, words)) => self.not_tried(&words.clone()),
            None => {
                store::failpoint("relay.begin");
                self.deliver_groups(hands).await;
                // The window of invariant 6: the other side may have taken it, and we have not yet said so.
                store::failpoint("relay.after-remote");
            }
        }
    }

    /// Commits what became of it, and ends the claim; false: it could not be committed.
    pub(super) async fn record(self) -> bool {
        let (relay, job) = (self.relay.clone(), self.job.clone());
        match self.settle().await {
            Ok(results) => relay.settled(&job, &results),
            Err(why) => {
                relay.not_settled(&job, &why);
                return false;
            }
        }
        true
    }

    fn recipient(&self, index: u32) -> Option<&QueueRecipient> {
        self.message.recipients.iter().find(|recipient| recipient.index == index)
    }

    fn now(&self) -> Timestamp {
        self.relay.world.clock.now()
    }

    /// The destination does not answer: that is known without another connection.
    fn not_tried(&mut self, words: &str) {
        let cause = Cause::Broken(format!("not tried again yet: {words}"));
        self.fail_pending(&Failure { stage: Stage::Connect, cause }, None, None);
    }

    /// What is pending failed alike; it may still be tried elsewhere.
    fn fail_pending(&mut self, failure: &Failure, host: Option<&(String, SocketAddr)>, tls: Option<&store::Tls>) {
        for index in &self.pending {
            let (word, tls) = (Err(failure.clone()), tls.cloned());
            let result = Reached { host: host.cloned(), word, here: None, tls, dsn: false, took: 0 };
            self.results.insert(*index, result);
        }
    }

    async fn deliver_groups(&mut self, hands: &mut Hands) {
        let routing = self.relay.routing();
        // The configuration may have changed since they were queued: who goes elsewhere now gets a route of its own.
        let mut groups: BTreeMap<mail::Domain, Vec<u32>> = BTreeMap::new();
        for index in std::mem::take(&mut self.pending) {
            let Some(recipient) = self.recipient(index) else { continue };
            if let Some(reached) = self.here(recipient).await {
                self.results.insert(index, reached);
                continue;
            }
            groups.entry(recipient.address.domain().clone()).or_default().push(index);
        }
        let fixed = |domain: &mail::Domain| routing.fixed(domain).map(|route| &route.next_hop);
        let mut last: Option<mail::Domain> = None;
        for (domain, indices) in groups {
            // Domains that share a smart host share its connection and its transaction.
            let same = last.as_ref().is_some_and(|last| fixed(last).is_some() && fixed(last) == fixed(&domain));
            if same {
                self.pending.extend(indices);
                last = Some(domain);
                continue;
            }
            if let Some(domain) = last.replace(domain) {
                self.deliver_group(&domain, hands).await;
            }
            self.pending = indices;
        }
        if let Some(domain) = last {
            self.deliver_group(&domain, hands).await;
        }
    }

    /// The route, as known or as DNS says now.
    async fn route(&self, domain: &mail::Domain, known: &mut Option<KnownRoute>) -> Arc<Route> {
        let (routing, now) = (self.relay.routing(), self.now());
        let fits =
            |known: &KnownRoute| known.domain == *domain && known.until > now && Arc::ptr_eq(&known.routing, &routing);
        if let Some(known) = known.as_ref().filter(|known| fits(known)) {
            return known.route.clone();
        }
        let route = Arc::new(route::route(&self.relay.world, &routing, domain).await);
        let until = now.plus(route.ttl);
        *known = Some(KnownRoute { domain: domain.clone(), routing, until, route: route.clone() });
        route
    }

    async fn deliver_group(&mut self, domain: &mail::Domain, hands: &mut Hands) {
        let route = self.route(domain, &mut hands.route).await;
        let what = What::Routed { rule: route.rule.to_owned(), hosts: route.hosts(), policies: route.policies() };
        self.events.push(Event::new(self.now(), what));
        let hosts = match &route.verdict {
            Verdict::Hosts(hosts) => hosts,
            Verdict::Never(code, status, words) => {
                let reply = mail::Reply::new(*code, *status, words.clone());
                self.fail_pending(&Failure { stage: Stage::Connect, cause: Cause::Reply(reply) }, None, None);
                self.pending.clear();
                return;
            }
            Verdict::Later(status, words) => {
                // Not the server's words, but ours; the code says that DNS was at fault.
                self.answered = Some(Err(words.clone()));
                let reply = mail::Reply::new(451, *status, words.clone());
                self.fail_pending(&Failure { stage: Stage::Connect, cause: Cause::Reply(reply) }, None, None);
                self.pending.clear();
                return;
            }
        };
        // The connection may be to another destination's server, or to one that is no longer the best.
        // Nor is one good enough that was opened before its domain asked for more.
        let fits = |old: &Connection| {
            let same = |host: &Host| host.name == old.name && host.policy == old.policy;
            hosts.iter().any(|host| same(host) && host.addresses.contains(&old.to))
        };
        let mut tried = Vec::new();
        if let Some(mut old) = hands.connection.take() {
            if fits(&old) && old.is_usable() {
                let to = old.to;
                if self.over(old, hands, true).await {
                    tried.push(to);
                }
            } else {
                tokio::spawn(old.quit());
            }
        }
        self.hosts(&route, &tried, hands).await;
        self.pending.clear();
    }

    /// Tries the hosts in order until nobody is pending (RFC 5321 §5.1).
    async fn hosts(&mut self, route: &Route, tried: &[SocketAddr], hands: &mut Hands) {
        let Verdict::Hosts(hosts) = &route.verdict else { return };
        let routing = self.relay.routing();
        let greeting = Greeting { helo: routing.hostname.as_str(), login: route.login.as_ref(), lmtp: route.lmtp };
        let ways = ways(hosts, tried);
        for (host, to) in ways {
            if self.pending.is_empty() {
                return;
            }
            let (opened, without_tls) = Connection::open(&self.relay.world, host, to, &greeting).await;
            let host = (host.name.clone(), to);
            if let Some(failure) = without_tls {
                self.note_failure(&host, &failure, None);
            }
            match opened {
                Ok(new) => {
                    self.over(new, hands, false).await;
                }
                Err(unreachable) => {
                    self.note_failure(&host, &unreachable.failure, unreachable.tls.as_ref());
                    if !matches!(self.answered, Some(Ok(()))) {
                        self.answered = Some(Err(unreachable.failure.to_string()));
                    }
                    self.fail_pending(&connection_failure(unreachable.failure), Some(&host), unreachable.tls.as_ref());
                }
            }
        }
    }

    /// Sends to all that are pending over an open connection, and keeps it if it may be used again. False: it was
    /// an old one that had gone stale, which says nothing about the server.
    async fn over(&mut self, mut new: Connection, hands: &mut Hands, old: bool) -> bool {
        let host = (new.name.clone(), new.to);
        for group in self.groups(new.offers().smtputf8) {
            let mut left = group;
            while !left.is_empty() && new.is_usable() {
                let before = left.len();
                let stale = self.transaction(&mut new, &host, &left, old, &mut hands.settling).await;
                if stale {
                    return false;
                }
                // RFC 5321 §4.5.3.1.10: 452 after some were taken: "too many recipients"; the rest in another.
                let full = |index: &u32| {
                    self.results.get(index).and_then(|result| result.word.as_ref().err()).is_some_and(|failure| {
                        failure.stage == Stage::Rcpt && failure.reply().is_some_and(|reply| reply.code.get() == 452)
                    })
                };
                left.retain(full);
                if left.len() == before {
                    break;
                }
            }
        }
        self.answered = Some(Ok(()));
        let permanent = |word: &Word| word.as_ref().err().is_none_or(Failure::is_permanent);
        // After the end of data, a lost connection may mean that the message was taken: another host at once would
        // make the duplicate certain to come sooner. It waits for the next try.
        let unclear = |word: &Word| {
            word.as_ref().err().is_some_and(|failure| failure.stage == Stage::EndOfData && failure.reply().is_none())
        };
        let results = &self.results;
        self.pending.retain(|index| results.get(index).is_none_or(|r| !permanent(&r.word) && !unclear(&r.word)));
        if new.is_usable() {
            hands.connection = Some(new);
        } else {
            tokio::spawn(new.quit());
        }
        true
    }

    /// Pending recipients that can share a transaction: the same bytes for all, not too many. Where the server has no
    /// SMTPUTF8, those whose address needs it stand apart: they fail alone (RFC 6531 §3.5).
    fn groups(&self, smtputf8: bool) -> Vec<Vec<u32>> {
        let mut alike: BTreeMap<(&[u8], bool), Vec<u32>> = BTreeMap::new();
        for index in &self.pending {
            if let Some(recipient) = self.recipient(*index) {
                let apart = !smtputf8 && recipient.address.needs_utf8();
                alike.entry((&recipient.prefix, apart)).or_default().push(*index);
            }
        }
        let chunks = alike.into_values();
        chunks.flat_map(|all| all.chunks(limits::RELAY_RECIPIENTS).map(<[u32]>::to_vec).collect::<Vec<_>>()).collect()
    }

    /// One MAIL to end-of-data. True: an old connection turned out to be closed already.
    async fn transaction(
        &mut self,
        connection: &mut Connection,
        host: &(String, SocketAddr),
        group: &[u32],
        old: bool,
        settling: &mut Settling,
    ) -> bool {
        let Some(first) = group.first().and_then(|index| self.recipient(*index)) else { return false };
        let content = Content { prefix: &first.prefix, body: self.body.as_ref() };
        let transaction = self.envelope(group, &content).await;
        let began = self.now();
        let report = connection.send(transaction, &content, settling).await;
        let stale = |word: &Word| {
            word.as_ref().err().is_some_and(|failure| {
                let closed = matches!(failure.cause, Cause::Closed | Cause::Broken(_));
                let told = failure.reply().is_some_and(|reply| reply.code.get() == 421);
                failure.stage == Stage::Mail && (closed || told)
            })
        };
        if old && report.verdicts.iter().all(stale) {
            return true;
        }
        let took = self.now().since(began).as_millis() as u64;
        let mut told: Vec<Failure> = Vec::new();
        for (index, word) in group.iter().zip(report.verdicts) {
            if let Err(failure) = &word
                && !failure.is_permanent()
                && !told.contains(failure)
            {
                told.push(failure.clone());
            }
            let dsn = connection.offers().dsn;
            let tls = connection.tls.clone();
            let result = Reached { host: Some(host.clone()), word, here: None, tls, dsn, took };
            self.results.insert(*index, result);
        }
        for failure in told {
            self.note_failure(host, &failure, connection.tls.as_ref());
        }
        false
    }

    async fn envelope(&self, group: &[u32], content: &Content<'_>) -> Transaction {
        let Envelope { reverse_path, body: kind, smtputf8, dsn_return, envelope_id, .. } = &self.message.envelope;
        let recipients: Vec<mail::Recipient> = group
            .iter()
            .filter_map(|index| self.recipient(*index))
            .map(|recipient| mail::Recipient {
                address: recipient.address.clone(),
                notify: recipient.notify,
                original: recipient.original.clone(),
            })
            .collect();
        let addresses = matches!(reverse_path, ReversePath::Address(address) if address.needs_utf8())
            || recipients.iter().any(|recipient| recipient.address.needs_utf8());
        // RFC 6531 §3.6: a message that turned out to need no SMTPUTF8 may go where there is none.
        let utf8 = addresses || (*smtputf8 && header_is_utf8(content).await);
        Transaction {
            sender: reverse_path.clone(),
            recipients,
            size: content.size(),
            body: *kind,
            utf8,
            dsn_return: *dsn_return,
            envelope_id: envelope_id.clone(),
        }
    }

    fn note_failure(&mut self, host: &(String, SocketAddr), failure: &Failure, tls: Option<&store::Tls>) {
        let what = What::Failed {
            host: host.0.clone(),
            ip: Some(host.1.ip().to_string()),
            stage: failure.stage.to_string(),
            words: bounded(failure.to_string()),
            tls: tls.cloned(),
        };
        self.events.push(Event::new(self.now(), what));
    }

    /// Commits what became of everybody, with the reports that are due, in one transaction.
    async fn settle(mut self) -> StoreResult<Vec<(u32, Settled)>> {
        let mut outcomes = Vec::new();
        let mut settled = Vec::new();
        let (mut relayed, mut failed, mut expired, mut late) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut delivered, mut arrived) = (Vec::new(), Vec::new());
        let now = self.now();
        let schedule = self.relay.schedule();
        let too_old = schedule.is_expired(self.message.lives_from(), now);
        let results = std::mem::take(&mut self.results);
        for (index, result) in &results {
            let Some(recipient) = self.recipient(*index) else { continue };
            match &result.word {
                Ok(_) if let Some(here) = &result.here => {
                    let what = What::Delivered { account: here.address.to_string(), mailbox: "INBOX".to_owned() };
                    let event = Event::about(now, recipient.address.to_string(), what);
                    self.events.push(event);
                    outcomes.push((*index, Outcome::Delivered { account: here.account, at: now }));
                    arrived.push((*index, here));
                    settled.push((*index, Settled::Gone));
                    delivered.push((*index, (2, 1, 5), String::new(), None, false));
                }
                Ok(reply) => {
                    let reply = bounded(reply.to_string());
                    let (host, ip) = host_words(result);
                    let what = What::Relayed { host: host.clone(), ip, reply: reply.clone(), tls: result.tls.clone() };
                    let mut event = Event::about(now, recipient.address.to_string(), what);
                    event.took = Some(result.took);
                    self.events.push(event);
                    outcomes.push((*index, Outcome::Relayed));
                    settled.push((*index, Settled::Gone));
                    // RFC 3461 §5.2.2: where the next server sends no reports, we say that we handed it on.
                    if !result.dsn && self.message.recipients.iter().any(|r| r.index == *index && r.notify.success) {
                        relayed.push((*index, (2, 0, 0), reply, Some(host), true));
                    }
                }
                Err(failure) => {
                    let line = (
                        *index,
                        failure.status(),
                        bounded(failure.to_string()),
                        result.host.as_ref().map(|(name, _)| name.clone()),
                        failure.reply().is_some() && result.host.is_some(),
                    );
                    if failure.is_permanent() {
                        failed.push(line);
                    } else if too_old {
                        expired.push(line);
                    } else {
                        late.push(line);
                    }
                }
            }
        }
        let mut dsns = Vec::new();
        let reporter = self.relay.reporter();
        let mut report_of = BTreeMap::new();
        // RFC 3464 §2.3.4: what expired gets 4.4.7, delivery time expired, with the last words.
        let grown_old: Vec<_> = expired
            .iter()
            .cloned()
            .map(|mut line| {
                line.1 = (5, 4, 7);
                line
            })
            .collect();
        let to_warn: Vec<_> = late
            .iter()
            .filter(|line| {
                schedule.is_late(self.message.lives_from(), now) && self.recipient(line.0).is_some_and(|r| !r.warned)
            })
            .cloned()
            .collect();
        for (kind, lines) in [
            (Kind::Failed, [failed.clone(), grown_old].concat()),
            (Kind::Relayed, relayed),
            (Kind::Delivered, delivered),
            (Kind::Delayed, to_warn.clone()),
        ] {
            let lines: Vec<Line<'_>> = lines
                .iter()
                .filter_map(|(index, status, words, host, remote)| {
                    let recipient = self.recipient(*index)?;
                    Some(Line { recipient, status: *status, words: words.clone(), host: host.clone(), remote: *remote })
                })
                .collect();
            if let Some(dsn) = reporter.report(self.relay.store.as_ref(), &self.message, kind, &lines).await? {
                report_of.insert(kind.name(), dsn.acceptance.id.to_string());
                dsns.push(dsn);
            }
        }
        let told = |wanted: bool, kind: Kind| report_of.get(kind.name()).filter(|_| wanted).cloned();
        let mut events = std::mem::take(&mut self.events);
        for (lines, too_old) in [(&failed, false), (&expired, true)] {
            for (index, _, words, _, _) in lines {
                let Some(recipient) = self.recipient(*index) else { continue };
                let report = told(recipient.notify.failure, Kind::Failed);
                let words = words.clone();
                let what = if too_old { What::Expired { words, report } } else { What::Bounced { words, report } };
                events.push(Event::about(now, recipient.address.to_string(), what));
                outcomes.push((*index, if too_old { Outcome::Expired } else { Outcome::Bounced }));
                settled.push((*index, Settled::Gone));
            }
        }
        for (index, status, words, host, _) in late {
            let Some(recipient) = self.recipient(index) else { continue };
            let random = self.relay.world.random.as_ref();
            let mut next = schedule.next_attempt(recipient.attempts + 1, self.message.lives_from(), now, random);
            if let Some((until, _)) = &self.job.down {
                next = next.max(*until);
            }
            let what = What::Deferred { words: words.clone(), next: next.millis() };
            events.push(Event::about(now, recipient.address.to_string(), what));
            let warned = recipient.warned || to_warn.iter().any(|line| line.0 == index);
            let attempt = Attempt { at: now, host, words, status };
            outcomes.push((index, Outcome::Deferred { next_attempt: next, warned, attempt }));
            settled.push((index, Settled::Later(next)));
        }
        for kind in [Kind::Delayed, Kind::Relayed, Kind::Delivered] {
            if let Some(report) = report_of.get(kind.name()) {
                let what = What::Reported { kind: kind.name().to_owned(), report: report.clone() };
                events.push(Event::new(now, what));
            }
        }
        for answer in self.answers(&arrived, now).await {
            match answer {
                Ok(reply) => dsns.push(reply),
                Err(why_not) => events.push(why_not),
            }
        }
        if !outcomes.is_empty() {
            let lines = log_lines(&events);
            let recipients = self.message.recipients.iter();
            let tried = recipients.map(|recipient| (recipient.index, recipient.address.clone())).collect();
            let settlement = Settlement { id: self.job.id, outcomes, tried, events, dsns };
            let others = self.relay.store.settle(settlement).await?.into_inner();
            for (index, result) in &mut settled {
                if others.contains(index) {
                    *result = Settled::Later(now);
                }
            }
            // Logged once it is true.
            for (outcome, recipient, words) in lines {
                tracing::info!(id = %self.job.id, recipient, words, "{outcome}");
            }
        }
        Ok(settled)
    }
}

/// What the log says of a try's ends: outcome, recipient, the other side's words or what failed.
fn log_lines(events: &[Event]) -> Vec<(&'static str, String, String)> {
    let line = |event: &Event| {
        let (outcome, words) = match &event.what {
            What::Relayed { host, reply, .. } => ("relayed", format!("{host}: {reply}")),
            What::Delivered { account, .. } => ("delivered", account.clone()),
            What::Deferred { words, .. } => ("deferred", words.clone()),
            What::Bounced { words, .. } => ("bounced", words.clone()),
            What::Expired { words, .. } => ("expired", words.clone()),
            _ => return None,
        };
        Some((outcome, event.recipient.clone().unwrap_or_default(), words))
    };
    events.iter().filter_map(line).collect()
}

/// Every address of every host in order, without those already tried, and no more than a try may cost.
pub(super) fn ways<'a>(hosts: &'a [Host], tried: &[SocketAddr]) -> Vec<(&'a Host, SocketAddr)> {
    let all = hosts.iter().flat_map(|host| host.addresses.iter().map(move |to| (host, *to)));
    all.filter(|(_, to)| !tried.contains(to)).take(limits::RELAY_HOSTS).collect()
}

/// A refusal before the first message is about the connection, not about the message: never a bounce, even where the
/// server says 5yz (a wrong log-in, a blocked address), since the operator may put it right before the mail expires.
fn connection_failure(failure: Failure) -> Failure {
    match failure.reply() {
        Some(reply) if reply.code.is_permanent() => {
            Failure { stage: failure.stage, cause: Cause::Broken(format!("refused at {}: {reply}", failure.stage)) }
        }
        _ => failure,
    }
}

fn host_words(result: &Reached) -> (String, String) {
    match &result.host {
        Some((name, to)) => (name.clone(), to.ip().to_string()),
        None => (String::new(), String::new()),
    }
}

/// The other side's words, no more than we keep.
fn bounded(mut words: String) -> String {
    if words.len() > limits::REMOTE_WORDS {
        let mut end = limits::REMOTE_WORDS;
        while !words.is_char_boundary(end) {
            end -= 1;
        }
        words.truncate(end);
    }
    words
}

/// Whether the header has bytes that are not ASCII (RFC 6532). One that can't be read counts as having some.
async fn header_is_utf8(content: &Content<'_>) -> bool {
    !content.prefix.is_ascii() || !header::read(content.body).await.is_ok_and(|header| header.is_ascii())
}

impl Relay {
    /// Where mail for a domain goes now.
    pub async fn route(&self, domain: &mail::Domain) -> Route {
        route::route(&self.world, &self.routing(), domain).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::Policy;

    /// `RELAY_HOSTS` ways in one try, those that were tried left out.
    #[test]
    fn no_more_ways_than_a_try_may_cost() {
        let to = |n: usize| SocketAddr::from(([192, 0, 2, u8::try_from(n).unwrap()], 25));
        let hosts = |count: usize| -> Vec<Host> {
            let host = |n| Host { name: format!("mx{n}"), addresses: vec![to(n)], policy: Policy::Opportunistic };
            (0..count).map(host).collect()
        };
        assert_eq!(ways(&hosts(limits::RELAY_HOSTS), &[]).len(), limits::RELAY_HOSTS);
        let more = hosts(limits::RELAY_HOSTS + 1);
        assert_eq!(ways(&more, &[]).len(), limits::RELAY_HOSTS);
        assert_eq!(ways(&more, &[to(0)])[0].0.name, "mx1");
        assert_eq!(ways(&more, &[to(0)]).len(), limits::RELAY_HOSTS);
    }

    /// `REMOTE_WORDS`, never in the middle of a character.
    #[test]
    fn words_are_cut() {
        assert_eq!(bounded("x".repeat(limits::REMOTE_WORDS)).len(), limits::REMOTE_WORDS);
        assert_eq!(bounded("x".repeat(limits::REMOTE_WORDS + 1)).len(), limits::REMOTE_WORDS);
        let cut = bounded(format!("x{}", "ü".repeat(limits::REMOTE_WORDS)));
        assert_eq!(cut.len(), limits::REMOTE_WORDS - 1);
        assert!(cut.ends_with('ü'));
    }
}
