//! One listener.

use std::sync::Arc;

use jmap::User;
use jmap::push::{Changed, States, Types};
use tokio::time::Instant;

use super::Place;
use super::hub::Hub;
use crate::auth::Proof;
use crate::shared::Shared;

/// It is told nothing any more: the server stops, or its log-in is no longer good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over;

/// A listener; dropping it ends that.
pub struct Listening {
    shared: Arc<Shared>,
    user: User,
    proof: Proof,
    types: Types,
    /// What it was told last, before this connection.
    since: Option<String>,
    hub: Hub,
    told: Option<Arc<States>>,
    /// The log-in was looked at when this was so.
    access: Option<u64>,
    /// Then it is to be looked at again.
    good_until: Option<Instant>,
    _place: Place,
}

impl Listening {
    pub(super) fn new(
        shared: Arc<Shared>,
        user: User,
        proof: Proof,
        types: Types,
        since: Option<String>,
        (hub, place): (Hub, Place),
    ) -> Self {
        let (told, access, good_until) = (None, None, None);
        Self { shared, user, proof, types, since, hub, told, access, good_until, _place: place }
    }

    /// Begins anew, with these types. Told is what changes after this call, also where the hub has not yet heard what came
    /// before it; returned is what changed since `since`, the id of what the listener was told last.
    ///
    /// # Errors
    /// There is nothing to listen to any more.
    pub async fn begin_anew(&mut self, types: Types, since: Option<String>) -> Result<Changed, Over> {
        (self.types, self.since) = (types, since);
        self.hub.look().await.ok_or(Over)?;
        let missed = self.ready().await?;
        // What was heard of the log-in counts as seen now.
        self.look(false).await?;
        Ok(missed)
    }

    /// From now on it hears of these types.
    pub fn set_types(&mut self, types: Types) {
        self.types = types;
    }

    /// By which the listener says what it was told up to now. Empty before [`Listening::ready`].
    pub fn id(&self) -> String {
        self.told.as_ref().map(|told| told.id()).unwrap_or_default()
    }

    /// Returns once it listens: what changes after it is told. What changed before, since what it was told last.
    ///
    /// # Errors
    /// There is nothing to listen to any more.
    pub async fn ready(&mut self) -> Result<Changed, Over> {
        tokio::select! {
            ready = self.hub.now.wait_for(Option::is_some) => drop(ready.map_err(|_| Over)?),
            () = self.shared.shutdown.wait() => return Err(Over),
        }
        let now = self.hub.now.borrow_and_update().clone().ok_or(Over)?;
        let missed = match self.since.take() {
            Some(since) => self.shared.jmap.missed(&self.user, &now.states, &since, self.types).await,
            None => Changed::default(),
        };
        self.told = Some(now.states);
        Ok(missed)
    }

    /// Waits for the next change. May be dropped at any time, and nothing is lost.
    ///
    /// # Errors
    /// The listener is to end.
    pub async fn next(&mut self) -> Result<Changed, Over> {
        loop {
            let changed = self.look(true).await?;
            if !changed.is_empty() {
                return Ok(changed);
            }
            self.stirs().await?;
        }
    }

    /// Looks at the log-in where it is to be looked at, and, where changes are to be told, at what changed since those that were
    /// told; else they are told later.
    ///
    /// # Errors
    /// The listener is to end.
    pub async fn look(&mut self, tells: bool) -> Result<Changed, Over> {
        let now = self.hub.now.borrow_and_update().clone().ok_or(Over)?;
        if self.access != Some(now.access) {
            self.look_at_log_in().await?;
            self.access = Some(now.access);
        }
        let is_told = self.told.as_ref().is_none_or(|told| Arc::ptr_eq(told, &now.states));
        if !tells || is_told {
            return Ok(Changed::default());
        }
        let told = self.told.replace(now.states.clone());
        Ok(told.map(|told| now.states.since(&told, self.types)).unwrap_or_default())
    }

    /// Waits until there is something to look at. May be dropped at any time; [`Listening::look`] may not where it is called
    /// again and again, or it never ends.
    ///
    /// # Errors
    /// The listener is to end.
    pub async fn stirs(&mut self) -> Result<(), Over> {
        tokio::select! {
            more = self.hub.now.changed() => more.map_err(|_| Over),
            () = over(self.good_until) => {
                self.access = None;
                Ok(())
            }
            () = self.shared.shutdown.wait() => Err(Over),
        }
    }

    async fn look_at_log_in(&mut self) -> Result<(), Over> {
        let holds = self.shared.auth.holds(self.user.account, &self.proof).await;
        let holds = holds.ok().flatten().ok_or(Over)?;
        self.good_until = holds.until.map(|until| Instant::now() + until.since(self.shared.clock.now()));
        Ok(())
    }
}

/// Never, where there is no such time.
async fn over(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
