//! When mail is tried: the scheduler.
//!
//! **Does:** keeps every queued recipient in memory, small; says which message is due for which
//! destination ([`Scheduler::start`], [`Scheduler::next_for`]), fresh mail first; bounds connections; keeps
//! a destination that does not answer from costing connections ([`Scheduler::failed`]), and those that answer from
//! waiting for those that don't: half of the connections are for destinations that have answered, at most a tenth
//! for those that have failed, and tries that drag on count apart ([`Scheduler::slow`]).
//!
//! **Does not:** store anything. The store's queue is the truth; claims live here alone, so that after a
//! crash everything is simply due. It reads no clock: `now` is passed in.
//!
//! **Data** comes in from the store at the start and from its feed, and goes out as [`Job`]s.

mod destination;
mod operator;
mod schedule;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use mail::{Domain, QueueId, Timestamp, limits};
use store::{QueueItem, QueueNews, QueueState};
use tokio::sync::oneshot;

use destination::{Destination, Health, Standing};
pub use destination::{Seen, Standings};
pub use operator::{Chosen, bounce, discard, hold, redirect, redirection, release, retry};
pub use schedule::Schedule;

/// Every fourth job of a destination is a retry, if one waits: fresh mail comes first, but starves nobody.
const RETRY_EVERY: u32 = 4;
/// Connections to a destination that has not yet taken anything: enough to learn whether it does.
const UNPROVEN: usize = 2;

/// A recipient's place: message and number.
type Key = (QueueId, u32);

/// One message to try: its recipients that are due at one destination. Claimed until it is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The message.
    pub id: QueueId,
    /// The destination.
    pub destination: Domain,
    /// The recipients' numbers.
    pub recipients: Vec<u32>,
    /// The destination does not answer: no connection is to be made before then; with the last words.
    pub down: Option<(Timestamp, String)>,
    slot: usize,
}

/// What became of a claimed recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is no longer queued.
    Gone,
    /// It is tried again then.
    Later(Timestamp),
}

#[derive(Debug)]
struct Entry {
    next: Timestamp,
    slot: u32,
    retry: bool,
    held: bool,
    claimed: bool,
}

/// Where a job went.
enum Handed {
    /// To an idle worker.
    Over,
    /// Nobody was idle: a new worker may take it.
    Back(Job),
    /// Nobody was idle, and no new worker may begin.
    Nobody,
}

/// All queued recipients by when and where they are due.
#[derive(Debug)]
pub struct Scheduler {
    schedule: Schedule,
    entries: HashMap<Key, Entry>,
    slots: Vec<Option<Destination>>,
    free: Vec<usize>,
    names: HashMap<Domain, usize>,
    /// Destinations to which the operator lets nothing be sent.
    paused: HashSet<Domain>,
    /// What is not yet due; an element whose entry says another time is void.
    waiting: BinaryHeap<Reverse<(Timestamp, Key)>>,
    /// When destinations that are down may be tried.
    revive: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// Destinations that may have a job, each in its turn, by standing. One that is listed elsewhere by now is void.
    runnable: [VecDeque<usize>; Standing::COUNT],
    /// Whose turn it is among them.
    turn: usize,
    workers: usize,
    /// Workers by the standing of their destination, without those that are slow.
    busy: [usize; Standing::COUNT],
    /// Workers whose try drags on.
    slow: usize,
}

impl Scheduler {
    /// An empty queue.
    pub fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            entries: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            names: HashMap::new(),
            paused: HashSet::new(),
            waiting: BinaryHeap::new(),
            revive: BinaryHeap::new(),
            runnable: Default::default(),
            turn: 0,
            workers: 0,
            busy: [0; Standing::COUNT],
            slow: 0,
        }
    }

    /// When what is tried again.
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Takes new bounds and times; what waits keeps its time.
    pub fn reschedule(&mut self, schedule: Schedule) {
        self.schedule = schedule;
        for slot in 0..self.slots.len() {
            self.list(slot);
        }
    }

    /// Recipients queued.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Workers at work or idle.
    pub const fn workers(&self) -> usize {
        self.workers
    }

    /// Takes what the store tells.
    pub fn news(&mut self, news: QueueNews, now: Timestamp) {
        match news {
            QueueNews::Changed(item) => self.changed(item, now),
            QueueNews::Gone(id, recipient) => self.gone((id, recipient)),
            QueueNews::Paused(destination) => self.pause(destination),
            QueueNews::Resumed(destination) => {
                self.paused.remove(&destination);
                if let Some(slot) = self.names.get(&destination) {
                    self.list(*slot);
                }
            }
        }
    }

    /// Nothing more is begun for this destination; what is under way ends.
    pub fn pause(&mut self, destination: Domain) {
        self.paused.insert(destination);
    }

    /// Takes a recipient that is queued, new or changed.
    pub fn changed(&mut self, item: QueueItem, now: Timestamp) {
        let key = (item.id, item.recipient);
        let slot = self.slot(&item.destination);
        let held = item.state == QueueState::Held;
        let entry =
            Entry { next: item.next_attempt, slot: slot as u32, retry: item.attempts > 0, held, claimed: false };
        match self.entries.get_mut(&key) {
            Some(old) => {
                // Due sooner than planned, without a try in between: an operator wants to see it tried.
                let hurried = item.next_attempt <= now && old.next > now;
                let (claimed, old_slot) = (old.claimed, old.slot as usize);
                *old = Entry { claimed, ..entry };
                if let Some(destination) = self.slots.get_mut(old_slot).and_then(Option::as_mut) {
                    destination.fresh.remove(&key);
                    destination.retries.remove(&key);
                    destination.entries -= 1;
                }
                if let Some(destination) = self.slots[slot].as_mut() {
                    destination.entries += 1;
                    if let (true, Health::Down { until, .. }) = (hurried, &mut destination.health) {
                        *until = now;
                    }
                }
                self.forget_if_empty(old_slot);
                if claimed {
                    return;
                }
            }
            None => {
                self.entries.insert(key, entry);
                if let Some(destination) = self.slots[slot].as_mut() {
                    destination.entries += 1;
                }
            }
        }
        self.place(key, now);
    }

    fn gone(&mut self, key: Key) {
        let Some(entry) = self.entries.remove(&key) else { return };
        let slot = entry.slot as usize;
        if let Some(destination) = self.slots.get_mut(slot).and_then(Option::as_mut) {
            destination.fresh.remove(&key);
            destination.retries.remove(&key);
            destination.entries -= 1;
        }
        self.forget_if_empty(slot);
    }

    /// Puts an unclaimed entry where it belongs: due or waiting.
    fn place(&mut self, key: Key, now: Timestamp) {
        let Some(entry) = self.entries.get(&key) else { return };
        if entry.held || entry.claimed {
            return;
        }
        if entry.next > now {
            self.waiting.push(Reverse((entry.next, key)));
            return;
        }
        let (slot, retry) = (entry.slot as usize, entry.retry);
        if let Some(destination) = self.slots.get_mut(slot).and_then(Option::as_mut) {
            if retry {
                destination.retries.insert(key)
            } else {
                destination.fresh.insert(key)
            };
        }
        self.list(slot);
    }

    /// Moves what has become due. Call when [`Self::deadline`] has come.
    pub fn tick(&mut self, now: Timestamp) {
        while let Some(Reverse((at, key))) = self.waiting.peek().copied() {
            if at > now {
                break;
            }
            self.waiting.pop();
            if self.entries.get(&key).is_some_and(|entry| entry.next == at) {
                self.place(key, now);
            }
        }
        while let Some(Reverse((at, slot))) = self.revive.peek().copied() {
            if at > now {
                break;
            }
            self.revive.pop();
            self.list(slot);
        }
    }

    /// When [`Self::tick`] has something to do; none: nothing waits.
    pub fn deadline(&self) -> Option<Timestamp> {
        let waiting = self.waiting.peek().map(|Reverse((at, _))| *at);
        let revive = self.revive.peek().map(|Reverse((at, _))| *at);
        waiting.into_iter().chain(revive).min()
    }

    /// A job that needs a new worker, within the bounds; the destinations take turns. What an idle worker can do
    /// over its open connection goes to it instead.
    pub fn start(&mut self, now: Timestamp) -> Option<Job> {
        (0..Standing::COUNT).find_map(|_| {
            self.turn = (self.turn + 1) % Standing::COUNT;
            self.start_among(self.turn, now)
        })
    }

    fn start_among(&mut self, standing: usize, now: Timestamp) -> Option<Job> {
        while let Some(slot) = self.runnable[standing].front().copied() {
            let (full, limit) = (self.is_full(standing), self.limit(slot));
            let listed = |destination: &&mut Destination| destination.listed == Some(standing);
            let Some(destination) = self.slots[slot].as_mut().filter(listed) else {
                self.runnable[standing].pop_front();
                continue;
            };
            destination.idle.retain(|worker| !worker.is_closed());
            let may_start = destination.workers < limit;
            if destination.idle.is_empty() && may_start && full {
                return None;
            }
            let job = if destination.idle.is_empty() && !may_start { None } else { self.take(slot, now) };
            let Some(job) = job else {
                self.runnable[standing].pop_front();
                if let Some(destination) = self.slots[slot].as_mut() {
                    destination.listed = None;
                }
                continue;
            };
            self.runnable[standing].rotate_left(1);
            match self.hand_over(job, may_start && !full) {
                Handed::Over | Handed::Nobody => {}
                Handed::Back(job) => {
                    if let Some(destination) = self.slots[slot].as_mut() {
                        destination.workers += 1;
                    }
                    self.busy[standing] += 1;
                    self.workers += 1;
                    return Some(job);
                }
            }
        }
        None
    }

    /// Whether destinations of this standing may have no further worker.
    fn is_full(&self, standing: usize) -> bool {
        let all = self.schedule.connections;
        let [good, untried, failing] = self.busy;
        good + untried + failing >= all
            || (standing != Standing::GOOD && untried + failing >= (all / 2).max(1))
            || (standing == Standing::FAILING && failing >= (all / 10).max(1))
    }

    /// The worker's try drags on: it no longer counts among the connections, so that others may begin, up to a bound
    /// of its own. False: that bound is reached. True: [`Self::quick`] must follow.
    pub fn slow(&mut self, job: &Job) -> bool {
        if self.slow >= limits::RELAY_SLOW {
            return false;
        }
        let Some(destination) = self.slots[job.slot].as_mut() else { return false };
        destination.slow += 1;
        self.slow += 1;
        self.busy[destination.standing()] -= 1;
        true
    }

    /// The slow try has ended.
    pub fn quick(&mut self, job: &Job) {
        if let Some(destination) = self.slots[job.slot].as_mut() {
            destination.slow -= 1;
            self.slow -= 1;
            self.busy[destination.standing()] += 1;
        }
    }

    /// Gives a job to an idle worker of its destination.
    fn hand_over(&mut self, mut job: Job, may_start: bool) -> Handed {
        while let Some(worker) = self.slots[job.slot].as_mut().and_then(|destination| destination.idle.pop()) {
            match worker.send(job) {
                Ok(()) => return Handed::Over,
                // It became tired this very moment.
                Err(back) => job = back,
            }
        }
        if may_start {
            return Handed::Back(job);
        }
        self.give_back(&job);
        Handed::Nobody
    }

    /// A job that was not tried: due as before.
    pub fn give_back(&mut self, job: &Job) {
        for recipient in &job.recipients {
            let key = (job.id, *recipient);
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.claimed = false;
                let next = entry.next;
                self.place(key, next);
            }
        }
    }

    /// The next jobs for the worker that had `job`, over the same connection: its share of what is due.
    pub fn next_for(&mut self, job: &Job, now: Timestamp) -> Vec<Job> {
        let share = self.share(job.slot, now);
        std::iter::from_fn(|| self.take(job.slot, now)).take(share).collect()
    }

    /// The job, and what its worker may take on with it.
    pub fn and_more(&mut self, job: Job, now: Timestamp) -> Vec<Job> {
        let (slot, share) = (job.slot, self.share(job.slot, now) - 1);
        let mut jobs = vec![job];
        jobs.extend(std::iter::from_fn(|| self.take(slot, now)).take(share));
        jobs
    }

    /// Messages that a worker may claim at once: read together they cost less. Never so many that another worker of
    /// the destination would have none.
    fn share(&self, slot: usize, now: Timestamp) -> usize {
        let Some(destination) = self.slots[slot].as_ref() else { return 1 };
        let due = destination.fresh.len() + destination.retries.len();
        match &destination.health {
            Health::Good => (due / self.schedule.per_destination.max(1)).clamp(1, limits::RELAY_CLAIM),
            Health::Down { until, .. } if *until > now => limits::RELAY_CLAIM,
            Health::Down { .. } | Health::Probing { .. } | Health::Unproven => 1,
        }
    }

    /// Those of the job's recipients that may still be tried: not dropped, not held since. The claims on the others
    /// end.
    pub fn still_due(&mut self, job: &Job) -> Vec<u32> {
        let due = |n: &u32| match self.entries.get_mut(&(job.id, *n)) {
            Some(entry) => {
                entry.claimed = !entry.held;
                entry.claimed
            }
            None => false,
        };
        job.recipients.iter().copied().filter(due).collect()
    }

    /// The worker has nothing to do but keeps its connection for a while; a job may come meanwhile. Who is tired
    /// of waiting closes the receiver, looks whether a job has come all the same, and leaves.
    pub fn idle(&mut self, job: &Job) -> oneshot::Receiver<Job> {
        let (sender, receiver) = oneshot::channel();
        if let Some(destination) = self.slots[job.slot].as_mut() {
            destination.idle.push(sender);
        }
        self.list(job.slot);
        receiver
    }

    /// The worker ends.
    pub fn leave(&mut self, job: &Job) {
        self.workers -= 1;
        if let Some(destination) = self.slots[job.slot].as_mut() {
            destination.workers -= 1;
            self.busy[destination.standing()] -= 1;
            destination.idle.retain(|worker| !worker.is_closed());
        }
        self.list(job.slot);
        self.forget_if_empty(job.slot);
    }

    /// The job's claims end: the store has committed this.
    pub fn settled(&mut self, job: &Job, results: &[(u32, Settled)], now: Timestamp) {
        for (recipient, result) in results {
            let key = (job.id, *recipient);
            match result {
                Settled::Gone => self.gone(key),
                Settled::Later(next) => self.unclaim(key, *next, true, now),
            }
        }
        // What the store no longer had.
        for recipient in &job.recipients {
            if !results.iter().any(|(settled, _)| settled == recipient) {
                self.gone((job.id, *recipient));
            }
        }
    }

    /// The job's claims end without a commit: the store could not. All of it is tried again then.
    pub fn unsettled(&mut self, job: &Job, next: Timestamp, now: Timestamp) {
        for recipient in &job.recipients {
            self.unclaim((job.id, *recipient), next, true, now);
        }
    }

    fn unclaim(&mut self, key: Key, next: Timestamp, retry: bool, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.claimed = false;
            entry.next = next;
            entry.retry |= retry;
            self.place(key, now);
        }
    }

    /// The destination took a message, or refused one: it answers. True: that is news.
    pub fn answered(&mut self, job: &Job) -> bool {
        match &self.slots[job.slot] {
            Some(Destination { health: Health::Good, .. }) | None => false,
            Some(_) => {
                self.set_health(job.slot, Health::Good);
                true
            }
        }
    }

    /// No server of the destination could be talked to: it is left alone for a while.
    pub fn failed(&mut self, job: &Job, words: &str, now: Timestamp) {
        let Some(destination) = self.slots[job.slot].as_ref() else { return };
        let failures = match &destination.health {
            Health::Probing { failures, .. } => failures + 1,
            // Others that failed at the same time say nothing new.
            Health::Down { .. } => return,
            Health::Unproven | Health::Good => 1,
        };
        let until = now.plus(self.schedule.pause(failures).min(limits::RELAY_DOWN));
        self.set_health(job.slot, Health::Down { until, failures, words: words.to_owned() });
        self.revive.push(Reverse((until, job.slot)));
    }

    /// The try said nothing about the destination: whoever is due next finds out.
    pub fn unlearnt(&mut self, job: &Job) {
        if let Some(Destination { health: Health::Probing { failures, words }, .. }) = &self.slots[job.slot] {
            let (failures, words) = (*failures, words.clone());
            self.set_health(job.slot, Health::Down { until: Timestamp::default(), failures, words });
        }
    }

    /// Its workers count by the destination's standing.
    fn set_health(&mut self, slot: usize, health: Health) {
        let Some(destination) = self.slots[slot].as_mut() else { return };
        let busy = destination.workers - destination.slow;
        self.busy[destination.standing()] -= busy;
        destination.health = health;
        self.busy[destination.standing()] += busy;
        self.list(slot);
    }

    /// Destinations after `after`, by name, at most `limit`; and of each what is known.
    pub fn destinations(&self, after: Option<&Domain>, limit: usize) -> Vec<Seen> {
        let mut names: Vec<&Domain> =
            self.names.keys().filter(|name| after.is_none_or(|after| *name > after)).collect();
        names.sort_unstable();
        names.truncate(limit);
        let seen = |name: &&Domain| self.slots[self.names[*name]].as_ref().map(Destination::seen);
        let mut seen: Vec<Seen> = names.iter().filter_map(seen).collect();
        let place: HashMap<usize, usize> = names.iter().enumerate().map(|(n, name)| (self.names[*name], n)).collect();
        for entry in self.entries.values().filter(|entry| !entry.held && !entry.claimed) {
            if let Some(one) = place.get(&(entry.slot as usize)).and_then(|n| seen.get_mut(*n)) {
                one.next = Some(one.next.map_or(entry.next, |known| known.min(entry.next)));
            }
        }
        seen
    }

    /// The destination's last words, where it does not answer.
    pub fn down(&self, destination: &Domain) -> Option<&str> {
        match &self.slots[*self.names.get(destination)?].as_ref()?.health {
            Health::Down { words, .. } | Health::Probing { words, .. } => Some(words),
            Health::Unproven | Health::Good => None,
        }
    }

    fn limit(&self, slot: usize) -> usize {
        match self.slots[slot].as_ref().map(|destination| &destination.health) {
            Some(Health::Good) | None => self.schedule.per_destination,
            Some(Health::Unproven) => UNPROVEN.min(self.schedule.per_destination),
            // One finds out, or writes down that nobody was asked.
            Some(Health::Down { .. } | Health::Probing { .. }) => 1,
        }
    }

    /// Claims the destination's next message.
    fn take(&mut self, slot: usize, now: Timestamp) -> Option<Job> {
        let destination = self.slots[slot].as_mut()?;
        if destination.fresh.is_empty() && destination.retries.is_empty() || self.paused.contains(&destination.name) {
            return None;
        }
        let down = match &destination.health {
            Health::Down { until, words, .. } if *until > now => Some((*until, words.clone())),
            Health::Down { failures, words, .. } => {
                destination.health = Health::Probing { failures: *failures, words: words.clone() };
                None
            }
            Health::Probing { .. } => return None,
            Health::Unproven | Health::Good => None,
        };
        destination.jobs = destination.jobs.wrapping_add(1);
        let old = destination.fresh.is_empty()
            || (destination.jobs.is_multiple_of(RETRY_EVERY) && !destination.retries.is_empty());
        let due = if old { &mut destination.retries } else { &mut destination.fresh };
        let (id, _) = *due.first()?;
        let all = (Bound::Included((id, 0)), Bound::Included((id, u32::MAX)));
        let keys: Vec<Key> = due.range(all).take(limits::RELAY_RECIPIENTS).copied().collect();
        for key in &keys {
            due.remove(key);
        }
        let name = destination.name.clone();
        for key in &keys {
            if let Some(entry) = self.entries.get_mut(key) {
                entry.claimed = true;
            }
        }
        Some(Job { id, destination: name, recipients: keys.into_iter().map(|(_, n)| n).collect(), down, slot })
    }

    fn slot(&mut self, name: &Domain) -> usize {
        if let Some(slot) = self.names.get(name) {
            return *slot;
        }
        let destination = Destination::new(name.clone());
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = Some(destination);
                slot
            }
            None => {
                self.slots.push(Some(destination));
                self.slots.len() - 1
            }
        };
        self.names.insert(name.clone(), slot);
        slot
    }

    /// Lets a destination have its turn.
    fn list(&mut self, slot: usize) {
        if let Some(destination) = self.slots.get_mut(slot).and_then(Option::as_mut)
            && destination.listed != Some(destination.standing())
        {
            destination.listed = Some(destination.standing());
            self.runnable[destination.standing()].push_back(slot);
        }
    }

    /// A destination without mail and workers is forgotten, and with it that it was down: the next mail finds out.
    fn forget_if_empty(&mut self, slot: usize) {
        let Some(destination) = self.slots.get(slot).and_then(Option::as_ref) else { return };
        if destination.entries == 0 && destination.workers == 0 {
            self.names.remove(&destination.name);
            self.slots[slot] = None;
            self.free.push(slot);
        }
    }
}

/// How long a worker keeps an idle connection: the next message often follows at once.
pub const IDLE: Duration = limits::RELAY_IDLE;

#[cfg(test)]
mod tests;
