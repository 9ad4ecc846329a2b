//! Ends of tries, the operator's hand, and events that come later.

use mail::{AccountId, Address, BodyId, Domain, Flags, QueueId, Recipient, ThreadId, Timestamp, limits};
use rusqlite::params;
use store::{
    LocalDelivery, Once, Outcome, QueueChange, QueueItem, QueueNews, QueueState, Redirection, StoreError, StoreResult,
};

use super::{Effect, Plan, Truth};
use crate::codec;
use crate::log::Place;

/// Tallies that are kept: of each of the three sorts as many as may be in memory.
const TALLIES: usize = 3 * limits::POLICY_BUCKETS;

/// A settlement made ready outside the writer.
pub(crate) struct SettlePlan {
    pub(crate) id: QueueId,
    pub(crate) outcomes: Vec<(u32, Outcome)>,
    /// For whom it was tried.
    pub(crate) tried: Vec<(u32, Address)>,
    /// Encoded; empty: none.
    pub(crate) events: String,
    /// Each with how many places it takes.
    pub(crate) reports: Vec<(Plan, Option<Once>, usize)>,
    /// What is last said of recipients, for who submitted the message.
    pub(crate) words: Vec<(String, String)>,
}

impl Truth {
    /// Ends a try. Where none of its recipients is queued any more nothing happens: their end was told before. Returns those that
    /// are somebody else by now.
    pub(crate) fn settle(&mut self, plan: &SettlePlan, places: &[Place]) -> StoreResult<Vec<u32>> {
        let mut queued = Vec::with_capacity(plan.outcomes.len());
        let mut others = Vec::new();
        for (index, outcome) in &plan.outcomes {
            if let Some(item) = self.queue_item(plan.id, *index)? {
                if self.is_somebody_else(plan, *index)? {
                    others.push(*index);
                } else {
                    queued.push((item, outcome));
                }
            }
        }
        // What happened to whom was redirected is told all the same.
        if queued.is_empty() && others.is_empty() && !plan.outcomes.is_empty() {
            return Ok(others);
        }
        for (_, outcome) in &queued {
            if let Outcome::Delivered { account, .. } = outcome
                && !self.account(*account)?.is_some_and(|account| account.active)
            {
                return Err(StoreError::NotFound(format!("an active account with id {}", account.0)));
            }
        }
        let sent = self.sent(plan)?;
        // Reports first: what can fail (an account that is gone) fails before anything is written.
        let mut places = places;
        let (mut reports, mut judged) = (Vec::new(), Vec::new());
        for (report, once, count) in &plan.reports {
            let (mine, rest) = places.split_at((*count).min(places.len()));
            places = rest;
            let Some(once) = once else {
                let body = BodyId(self.counters.body);
                self.accept(report, mine)?;
                reports.push((report, body));
                continue;
            };
            // It is about a message that came into this account just now.
            let came = |(_, outcome): &(_, &Outcome)| matches!(outcome, Outcome::Delivered { account, .. } if *account == once.account);
            if queued.iter().any(came) {
                let why_not = self.may_report(once, report, mine.iter())?;
                if why_not.is_none() {
                    self.accept(report, mine)?;
                }
                judged.push((report, once, why_not));
            }
        }
        for (item, outcome) in queued {
            self.settle_one(item, outcome)?;
        }
        if let Some(sent) = sent {
            let ended = plan.outcomes.iter().filter(|(index, _)| !others.contains(index)).cloned();
            self.note_progress(sent, &ended.collect::<Vec<_>>(), &reports)?;
        }
        self.add_events(plan.id, &plan.events)?;
        for (report, once, why_not) in judged {
            self.note_report(plan.id, report.acceptance(), once, why_not)?;
        }
        self.drop_if_done(plan.id)?;
        Ok(others)
    }

    /// Whether an operator has put another in the place of a recipient since the try began.
    fn is_somebody_else(&self, plan: &SettlePlan, index: u32) -> StoreResult<bool> {
        let Some((_, tried)) = plan.tried.iter().find(|(tried, _)| *tried == index) else { return Ok(false) };
        let sql = "SELECT recipient FROM queue_recipients WHERE queue = ?1 AND idx = ?2";
        let now = self.one(sql, params![plan.id.as_u64(), index], |row| row.get::<_, String>(0))?;
        Ok(now.map(|text| codec::recipient(&text)).transpose()?.is_some_and(|now| now.address != *tried))
    }

    pub(super) fn queue_item(&self, id: QueueId, index: u32) -> StoreResult<Option<QueueItem>> {
        let sql =
            "SELECT destination, next_attempt, attempts, state FROM queue_recipients WHERE queue = ?1 AND idx = ?2";
        let row = self.one(sql, params![id.as_u64(), index], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get::<_, i64>(3)?))
        })?;
        let Some((destination, next_attempt, attempts, state)) = row else { return Ok(None) };
        Ok(Some(QueueItem {
            id,
            recipient: index,
            destination: codec::domain(&destination)?,
            next_attempt: Timestamp::from_millis(next_attempt),
            attempts,
            state: codec::queue_state(state),
        }))
    }

    pub(super) fn settle_one(&mut self, mut item: QueueItem, outcome: &Outcome) -> StoreResult<()> {
        let (id, index) = (item.id, item.recipient);
        if let Outcome::Deferred { next_attempt, warned, attempt } = outcome {
            item.attempts += 1;
            item.next_attempt = *next_attempt;
            self.exec(
                "UPDATE queue_recipients SET attempts = ?3, next_attempt = ?4, warned = max(warned, ?5), last = ?6
                 WHERE queue = ?1 AND idx = ?2",
                params![id.as_u64(), index, item.attempts, next_attempt.millis(), warned, codec::attempt_text(attempt)],
            )?;
            self.effects.push(Effect::Queue(QueueNews::Changed(item)));
            return Ok(());
        }
        if let Outcome::Delivered { account, at } = outcome {
            self.deliver_queued(id, index, *account, *at)?;
        }
        self.exec("DELETE FROM queue_recipients WHERE queue = ?1 AND idx = ?2", params![id.as_u64(), index])?;
        let totals = self.count();
        match outcome {
            Outcome::Relayed => totals.relayed += 1,
            Outcome::Delivered { .. } => totals.delivered += 1,
            Outcome::Bounced => totals.bounced += 1,
            Outcome::Expired => totals.expired += 1,
            Outcome::Discarded => totals.discarded += 1,
            Outcome::Deferred { .. } => {}
        }
        self.effects.push(Effect::Queue(QueueNews::Gone(id, index)));
        Ok(())
    }

    /// Puts a message that waited in the queue into the INBOX of an account here.
    fn deliver_queued(&mut self, id: QueueId, index: u32, account: AccountId, at: Timestamp) -> StoreResult<()> {
        let sql = "SELECT q.body, q.size, r.prefix, q.thread FROM queue q JOIN queue_recipients r ON r.queue = q.id
                   WHERE q.id = ?1 AND r.idx = ?2";
        let row = self.one(sql, params![id.as_u64(), index], |row| {
            let (body, size): (u64, u64) = (row.get(0)?, row.get(1)?);
            Ok((body, size, row.get::<_, Option<Vec<u8>>>(2)?, row.get::<_, Option<u64>>(3)?))
        })?;
        let (body, size, prefix, thread) = row.ok_or(StoreError::NoQueueEntry(id))?;
        let prefix = prefix.unwrap_or_default();
        let cell = self.account(account)?.ok_or(StoreError::NoQueueEntry(id))?;
        let address = cell.address.clone();
        if cell.quota.is_some_and(|quota| cell.used + size + prefix.len() as u64 > quota) {
            return Err(StoreError::OverQuota(address));
        }
        self.hold_bodies(&[(body, 1)])?;
        let delivery =
            LocalDelivery { account, address, mailbox: None, prefix, flags: Flags::NONE, keywords: Vec::new() };
        self.deliver(&delivery, (BodyId(body), thread.map(ThreadId)), size, at).map(drop)
    }

    /// The last recipient's end is the entry's.
    pub(super) fn drop_if_done(&mut self, id: QueueId) -> StoreResult<()> {
        let sql = "SELECT 1 FROM queue_recipients WHERE queue = ?1 LIMIT 1";
        if self.one(sql, [id.as_u64()], |_| Ok(()))?.is_some() {
            return Ok(());
        }
        let sql = "SELECT body FROM queue WHERE id = ?1";
        if let Some(body) = self.one(sql, [id.as_u64()], |row| row.get::<_, u64>(0))? {
            self.exec("DELETE FROM queue WHERE id = ?1", [id.as_u64()])?;
            self.release_body(body, 1)?;
        }
        Ok(())
    }

    /// Adds encoded events to a journey that exists; beyond `limits::JOURNEY_EVENTS` additions nothing.
    pub(crate) fn add_events(&mut self, id: QueueId, events: &str) -> StoreResult<()> {
        if events.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO journey_more(id, n, events)
                   SELECT id, 1 + coalesce((SELECT max(n) FROM journey_more WHERE id = ?1), 0), ?2
                   FROM journey WHERE id = ?1
                   AND coalesce((SELECT max(n) FROM journey_more WHERE id = ?1), 0) < ?3";
        if self.exec(sql, params![id.as_u64(), events, limits::JOURNEY_EVENTS])? > 0 {
            self.effects.push(Effect::Journey(id));
        }
        Ok(())
    }

    /// As [`Truth::add_events`], for a message that must be known.
    pub(crate) fn record(&mut self, id: QueueId, events: &str) -> StoreResult<()> {
        let sql = "SELECT 1 FROM journey WHERE id = ?1";
        match self.one(sql, [id.as_u64()], |_| Ok(()))? {
            Some(()) => self.add_events(id, events),
            None => Err(StoreError::NoQueueEntry(id)),
        }
    }

    /// Does what an operator wants; each change with its encoded events. Returns to how many recipients.
    pub(crate) fn change_queue(&mut self, changes: &[(QueueChange, String)]) -> StoreResult<u64> {
        let mut changed = 0;
        for (change, events) in changes {
            let before = changed;
            let mut to = change.to.as_ref();
            for index in &change.recipients {
                let Some(item) = self.queue_item(change.id, *index)? else { continue };
                changed += 1;
                match (&change.to, to.take()) {
                    (None, _) => self.move_queued(change, item)?,
                    (Some(_), Some(to)) => {
                        self.redirect(change.id, *index, to)?;
                        self.move_queued(
                            change,
                            QueueItem { destination: to.destination.clone(), attempts: 0, ..item },
                        )?;
                    }
                    // He gets it once.
                    (Some(_), None) => self.settle_one(item, &Outcome::Discarded)?,
                }
            }
            if changed > before {
                self.add_events(change.id, events)?;
            }
        }
        Ok(changed)
    }

    fn move_queued(&mut self, change: &QueueChange, mut item: QueueItem) -> StoreResult<()> {
        item.state = change.state;
        item.next_attempt = change.next_attempt.unwrap_or(item.next_attempt);
        let held = i64::from(item.state == QueueState::Held);
        self.exec(
            "UPDATE queue_recipients SET state = ?3, next_attempt = ?4 WHERE queue = ?1 AND idx = ?2",
            params![item.id.as_u64(), item.recipient, held, item.next_attempt.millis()],
        )?;
        self.effects.push(Effect::Queue(QueueNews::Changed(item)));
        Ok(())
    }

    /// Puts another in the place of a recipient. What the sender called him stays known to reports (RFC 3461 §5.2.7.1).
    fn redirect(&mut self, id: QueueId, index: u32, to: &Redirection) -> StoreResult<()> {
        let sql = "SELECT recipient FROM queue_recipients WHERE queue = ?1 AND idx = ?2";
        let old = self.one(sql, params![id.as_u64(), index], |row| row.get::<_, String>(0))?;
        let old = codec::recipient(&old.ok_or(StoreError::NoQueueEntry(id))?)?;
        let kind = if old.address.needs_utf8() { "utf-8" } else { "rfc822" };
        let original = old.original.or_else(|| Some(format!("{kind};{}", old.address)));
        let new = Recipient { address: to.address.clone(), notify: old.notify, original };
        self.exec(
            "UPDATE queue_recipients SET recipient = ?3, prefix = ?4, destination = ?5, attempts = 0, warned = 0, last = NULL
             WHERE queue = ?1 AND idx = ?2",
            params![id.as_u64(), index, codec::recipient_text(&new), to.prefix, to.destination.as_str()],
        )?;
        Ok(())
    }

    /// Pauses a destination, or lets it go on. False: it was so already.
    pub(crate) fn pause_destination(&mut self, destination: &Domain, paused: Option<Timestamp>) -> StoreResult<bool> {
        let (changed, news) = match paused {
            Some(since) => {
                let sql = "INSERT OR IGNORE INTO paused(destination, since) VALUES (?1, ?2)";
                (self.exec(sql, params![destination.as_str(), since.millis()])?, QueueNews::Paused(destination.clone()))
            }
            None => {
                let sql = "DELETE FROM paused WHERE destination = ?1";
                (self.exec(sql, [destination.as_str()])?, QueueNews::Resumed(destination.clone()))
            }
        };
        if changed > 0 {
            self.effects.push(Effect::Queue(news));
        }
        Ok(changed > 0)
    }

    /// Keeps what was counted, and forgets what counts no more.
    pub(crate) fn keep_tallies(&mut self, tallies: &[(String, Timestamp)], now: Timestamp) -> StoreResult<()> {
        for (name, until) in tallies {
            self.exec("INSERT OR REPLACE INTO tallies(name, until) VALUES (?1, ?2)", params![name, until.millis()])?;
        }
        self.exec("DELETE FROM tallies WHERE until <= ?1", [now.millis()])?;
        // What its reader has forgotten for want of room.
        let sql = "DELETE FROM tallies WHERE name IN (SELECT name FROM tallies ORDER BY until DESC LIMIT -1 OFFSET ?1)";
        if self.one("SELECT count(*) FROM tallies", [], |row| row.get::<_, usize>(0))?.unwrap_or_default() > TALLIES {
            self.exec(sql, [TALLIES])?;
        }
        Ok(())
    }
}
