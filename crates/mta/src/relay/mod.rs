//! Mail out: workers that carry what is due to other servers.
//!
//! **Does:** loads the queue, hears of news from the store, and keeps workers busy ([`Relay::run`]): one
//! worker holds one connection and sends message after message over it. Each try ends with one commit of
//! outcomes, events and reports; the next message's end is not sent before it.
//!
//! **Does not:** decide when ([`crate::queue`]) or where ([`crate::route`]).
//!
//! **Data** comes from the store's queue and goes over [`crate::world::Connect`]; what came of it goes back
//! into the store.

mod attempt;
mod connection;
mod verify;
mod worker;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use store::{QueueFeed, Store, StoreError};
use tokio::sync::Notify;

use crate::bounce::Reporter;
use crate::queue::{Schedule, Scheduler, Seen};
use crate::route::Routing;
use crate::world::World;
pub use verify::{Answer, Verifier};
use worker::Worker;

/// Recipients loaded at once at the start.
const PAGE: usize = 10_000;
/// Commits whose news are taken at once.
const NEWS: usize = 256;

/// Mail out of one mail system.
pub struct Relay {
    world: World,
    store: Arc<dyn Store>,
    routing: RwLock<Arc<Routing>>,
    scheduler: Mutex<Scheduler>,
    /// Something happened that may give work.
    bell: Notify,
    /// Workers that are gone.
    left: Notify,
}

impl Relay {
    /// Ready to [`run`](Self::run).
    pub fn new(world: World, store: Arc<dyn Store>, routing: Routing, schedule: Schedule) -> Arc<Self> {
        Arc::new(Self {
            world,
            store,
            routing: RwLock::new(Arc::new(routing)),
            scheduler: Mutex::new(Scheduler::new(schedule)),
            bell: Notify::new(),
            left: Notify::new(),
        })
    }

    /// Takes a new configuration; connections that are open go on as they began.
    pub fn reload(&self, routing: Routing, schedule: Schedule) {
        *self.routing.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(routing);
        self.scheduler().reschedule(schedule);
        self.bell.notify_one();
    }

    /// Routes and our own name, as of now.
    pub fn routing(&self) -> Arc<Routing> {
        self.routing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes reports with the configuration of now.
    pub fn reporter(&self) -> Reporter {
        Reporter { world: self.world.clone(), routing: self.routing(), lifetime: self.schedule().lifetime }
    }

    /// Recipients queued, and workers that carry them.
    pub fn load(&self) -> (usize, usize) {
        let scheduler = self.scheduler();
        (scheduler.len(), scheduler.workers())
    }

    /// The last words of a destination that does not answer.
    pub fn down(&self, destination: &mail::Domain) -> Option<String> {
        self.scheduler().down(destination).map(str::to_owned)
    }

    /// What is known of destinations, by name, after `after`, at most `limit`.
    pub fn destinations(&self, after: Option<&mail::Domain>, limit: usize) -> Vec<Seen> {
        self.scheduler().destinations(after, limit)
    }

    fn schedule(&self) -> Schedule {
        *self.scheduler().schedule()
    }

    fn scheduler(&self) -> MutexGuard<'_, Scheduler> {
        // No code panics while it holds the lock half-way through a change; if one did, the queue in memory is
        // still better than none, and the store has the truth.
        self.scheduler.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works until `stop` returns; then messages under way are finished (the caller bounds how long it waits),
    /// and no new ones begin. Fails where the queue can't be read.
    pub async fn run(self: Arc<Self>, stop: impl Future<Output = ()>) -> Result<(), StoreError> {
        // First the feed, then what is there: so nothing falls between.
        let mut feed = self.store.queue_feed();
        self.load_queue().await?;
        tokio::pin!(stop);
        let (stopped, stopping) = tokio::sync::watch::channel(false);
        loop {
            let wait = self.dispatch(&stopping);
            tokio::select! {
                biased;
                () = &mut stop => break,
                open = self.hear(&mut feed) => if !open { break },
                () = self.bell.notified() => {}
                () = self.sleep(wait) => {}
            }
        }
        let _ = stopped.send(true);
        while self.scheduler().workers() > 0 {
            self.left.notified().await;
        }
        Ok(())
    }

    async fn load_queue(&self) -> Result<(), StoreError> {
        for (destination, _) in self.store.paused_destinations().await? {
            self.scheduler().pause(destination);
        }
        let mut after = None;
        loop {
            let items = self.store.queue_items(after, PAGE).await?;
            let Some(last) = items.last() else { return Ok(()) };
            after = Some((last.id, last.recipient));
            let now = self.world.clock.now();
            let mut scheduler = self.scheduler();
            for item in items {
                scheduler.changed(item, now);
            }
        }
    }

    /// Takes news; false: there will be no more.
    async fn hear(&self, feed: &mut QueueFeed) -> bool {
        let mut news = Vec::new();
        if feed.recv_many(&mut news, NEWS).await == 0 {
            return false;
        }
        let now = self.world.clock.now();
        let mut scheduler = self.scheduler();
        for news in news.into_iter().flatten() {
            scheduler.news(news, now);
        }
        true
    }

    async fn sleep(&self, wait: Option<Duration>) {
        match wait {
            Some(wait) => self.world.clock.sleep(wait).await,
            None => std::future::pending().await,
        }
    }

    /// Starts what can be started; returns how long nothing else is due.
    fn dispatch(self: &Arc<Self>, stopping: &tokio::sync::watch::Receiver<bool>) -> Option<Duration> {
        let now = self.world.clock.now();
        let mut scheduler = self.scheduler();
        scheduler.tick(now);
        while let Some(job) = scheduler.start(now) {
            tokio::spawn(Worker::new(self.clone(), stopping.clone()).run(job));
        }
        scheduler.deadline().map(|at| at.since(now).max(Duration::from_millis(1)))
    }
}
