//! A worker's life: message after message for one destination, over one connection.
//!
//! While what became of a message is committed, the next one is already begun on the connection; its end is not sent
//! before that commit has returned ([`Settling`]). So a crash makes at most one duplicate per connection: the one that
//! RFC 1047 forces.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mail::limits;
use store::{QueueWork, StoreError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Relay;
use super::attempt::{KnownRoute, Try};
use super::connection::Connection;
use crate::queue::{IDLE, Job, Settled};

/// After the store failed to take an outcome, the try is repeated then. Not sooner: its disk may be full.
const AFTER_STORE_ERROR: Duration = Duration::from_secs(60);

/// The outcome of the message before, on its way into the store.
#[derive(Default)]
pub(super) struct Settling {
    task: Option<JoinHandle<bool>>,
    /// It could not be committed, so the message behind it was broken off.
    failed: bool,
}

impl Settling {
    /// Of a task that says whether it was committed.
    pub(super) const fn of(task: JoinHandle<bool>) -> Self {
        Self { task: Some(task), failed: false }
    }

    /// Waits for the commit. False: there was none, so no further message may be handed over.
    pub(super) async fn recorded(&mut self) -> bool {
        let Some(task) = &mut self.task else { return true };
        let recorded = task.await.unwrap_or(false);
        self.task = None;
        self.failed = !recorded;
        recorded
    }
}

/// What a worker keeps from message to message.
#[derive(Default)]
pub(super) struct Hands {
    pub(super) connection: Option<Connection>,
    pub(super) route: Option<KnownRoute>,
    pub(super) settling: Settling,
}

pub(super) struct Worker {
    relay: Arc<Relay>,
    hands: Hands,
    stopping: watch::Receiver<bool>,
}

impl Worker {
    pub(super) fn new(relay: Arc<Relay>, stopping: watch::Receiver<bool>) -> Self {
        Self { relay, hands: Hands::default(), stopping }
    }

    /// Tries `job`, and then what else is due at its destination.
    pub(super) async fn run(mut self, job: Job) {
        let place = job.clone();
        let mut next = Some(job);
        while let Some(first) = next.take() {
            let mut jobs = {
                let (mut scheduler, now) = (self.relay.scheduler(), self.relay.world.clock.now());
                scheduler.and_more(first, now)
            };
            while !jobs.is_empty() {
                self.try_all(jobs).await;
                jobs = self.due(&place);
            }
            next = self.idle(&place).await;
        }
        // What is still being settled is this worker's: who stops waits for it.
        self.hands.settling.recorded().await;
        self.relay.scheduler().leave(&place);
        self.relay.bell.notify_one();
        self.relay.left.notify_one();
        if let Some(connection) = self.hands.connection {
            connection.quit().await;
        }
    }

    fn due(&self, place: &Job) -> Vec<Job> {
        if *self.stopping.borrow() {
            return Vec::new();
        }
        let now = self.relay.world.clock.now();
        self.relay.scheduler().next_for(place, now)
    }

    /// Waits a while for a job, if there is a connection to keep.
    async fn idle(&mut self, place: &Job) -> Option<Job> {
        if self.hands.connection.is_none() || *self.stopping.borrow() {
            return None;
        }
        let mut coming = self.relay.scheduler().idle(place);
        self.relay.bell.notify_one();
        let next = tokio::select! {
            biased;
            next = &mut coming => next.ok(),
            () = self.relay.world.clock.sleep(IDLE) => None,
            _ = self.stopping.wait_for(|stop| *stop) => None,
        };
        // A job may have come in this very moment: it is claimed for us and must not be lost.
        next.or_else(|| {
            coming.close();
            coming.try_recv().ok()
        })
    }

    /// Reads the messages in one go and tries one after the other.
    async fn try_all(&mut self, jobs: Vec<Job>) {
        let found = self.relay.store.queue_work(jobs.iter().map(|job| job.id).collect()).await;
        let mut found: BTreeMap<_, _> = match found {
            Ok(found) => found.into_iter().collect(),
            Err(why) => {
                jobs.iter().for_each(|job| self.relay.not_settled(job, &why));
                return;
            }
        };
        let mut jobs = jobs.into_iter();
        while let Some(job) = jobs.next() {
            let again = jobs.as_slice().iter().any(|other| other.id == job.id);
            let work = if again { found.get(&job.id).cloned() } else { found.remove(&job.id) };
            let goes_on = match work {
                Some(Ok(work)) => self.try_one(job, work).await,
                Some(Err(why)) => {
                    self.relay.not_settled(&job, &why);
                    true
                }
                // It is no longer queued.
                None => {
                    self.relay.settled(&job, &[]);
                    true
                }
            };
            if !goes_on || *self.stopping.borrow() {
                break;
            }
        }
        let mut scheduler = self.relay.scheduler();
        jobs.for_each(|job| scheduler.give_back(&job));
    }

    /// Tries a message. False: the destination does not answer.
    async fn try_one(&mut self, mut job: Job, work: QueueWork) -> bool {
        // An operator may have held or dropped it since it was claimed.
        job.recipients = self.relay.scheduler().still_due(&job);
        if work.message.held && !job.recipients.is_empty() && !self.relay.clone().begin(&job).await {
            return true;
        }
        let mut this = Try::new(self.relay.clone(), job, work);
        self.deliver(&mut this).await;
        let goes_on = self.relay.learn(this.job(), this.answered());
        // Our fault, which says nothing about the destination: as if it had not been tried.
        if std::mem::take(&mut self.hands.settling.failed) && this.reached_nobody() {
            self.relay.not_settled(this.job(), &StoreError::Failed("nor could the one before it".into()));
            return goes_on;
        }
        // One at a time, also where nothing was sent that waited for it.
        self.hands.settling.recorded().await;
        self.hands.settling = Settling::of(tokio::spawn(this.record()));
        goes_on
    }
}

impl Worker {
    /// A server that lets us wait holds this worker up, and nobody else.
    async fn deliver(&mut self, this: &mut Try) {
        let (relay, place) = (self.relay.clone(), this.job().clone());
        let mut delivery = std::pin::pin!(this.deliver(&mut self.hands));
        let slow = tokio::select! {
            biased;
            () = &mut delivery => return,
            () = relay.world.clock.sleep(limits::RELAY_SLOW_AFTER) => relay.scheduler().slow(&place),
        };
        relay.bell.notify_one();
        delivery.await;
        if slow {
            relay.scheduler().quick(&place);
        }
    }
}

impl Relay {
    /// The time of a message that its sender held back has come: from now on he can't take it back (RFC 4865). False:
    /// he has, or it can't be written down.
    async fn begin(&self, job: &Job) -> bool {
        match self.store.begin_sending(job.id).await {
            Ok(begun) if begun.into_inner() => return true,
            Ok(_) => self.settled(job, &[]),
            Err(why) => self.not_settled(job, &why),
        }
        false
    }

    /// Tells the scheduler what a try says about its destination. False: it does not answer.
    fn learn(&self, job: &Job, answered: Option<&Result<(), String>>) -> bool {
        let now = self.world.clock.now();
        let mut scheduler = self.scheduler();
        let news = match answered {
            Some(Ok(())) => scheduler.answered(job),
            Some(Err(words)) => {
                scheduler.failed(job, words, now);
                true
            }
            // Nothing was learnt; a probe that learns nothing must not block the others for ever.
            None if job.down.is_none() => {
                scheduler.unlearnt(job);
                true
            }
            None => false,
        };
        drop(scheduler);
        if news {
            self.bell.notify_one();
        }
        !matches!(answered, Some(Err(_)))
    }

    /// The store has committed this.
    pub(super) fn settled(&self, job: &Job, results: &[(u32, Settled)]) {
        let now = self.world.clock.now();
        self.scheduler().settled(job, results, now);
        if results.iter().any(|(_, result)| matches!(result, Settled::Later(_))) {
            self.bell.notify_one();
        }
    }

    /// The store could not be read or written: all of it is tried again later.
    pub(super) fn not_settled(&self, job: &Job, why: &StoreError) {
        tracing::error!(id = %job.id, %why, "a try could not be recorded; it is repeated");
        let now = self.world.clock.now();
        let mut scheduler = self.scheduler();
        scheduler.unlearnt(job);
        scheduler.unsettled(job, now.plus(AFTER_STORE_ERROR), now);
        drop(scheduler);
        self.bell.notify_one();
    }
}
