//! How the engine's face makes changes and reads, for all its transactions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::Durable;
use rusqlite::Connection;
use store::{Body, StoreError, StoreResult};
use tokio::sync::oneshot;

use super::read;
use crate::log::{Pending, Place, Submission as ToAppend};
use crate::open::LocalStore;
use crate::submit::Work;
use crate::truth::{Placed, Truth};

/// How long an answer about free space is believed.
const SPACE_BELIEVED: Duration = Duration::from_millis(200);

impl LocalStore {
    /// Makes a change without bytes.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        change: impl FnMut(&mut Truth, &[Place]) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<Durable<T>> {
        self.change_with(Vec::new(), change).await
    }

    /// Hands a change to the writer; what it gives back comes once it is on stable storage.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        bodies: Vec<Pending>,
        change: impl FnMut(&mut Truth, &[Place]) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<oneshot::Receiver<StoreResult<T>>> {
        let (answer, committed) = oneshot::channel();
        let job = Box::new(Work { change, done: None, answer });
        let pushed = if bodies.is_empty() {
            self.to_commit.push(Placed { places: Vec::new(), job }).map_err(|(_, why)| why)
        } else {
            self.to_append.push(ToAppend { bodies, job }).map_err(|(_, why)| why)
        };
        match pushed {
            Ok(()) => Ok(committed),
            Err(why) => Err(self.published.poison.reason().map_or(why, StoreError::Poisoned)),
        }
    }

    /// Makes a change that needs `bodies` on stable storage first.
    pub(crate) async fn change_with<T: Send + 'static>(
        &self,
        bodies: Vec<Pending>,
        change: impl FnMut(&mut Truth, &[Place]) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<Durable<T>> {
        let committed = self.begin(bodies, change)?;
        let done = committed.await.unwrap_or_else(|_| {
            let why = self.published.poison.reason().unwrap_or_else(|| "its writer has stopped".into());
            Err(StoreError::Poisoned(why))
        })?;
        Ok(Durable::attest(done))
    }

    /// Whether there is room to take mail in.
    pub(super) fn has_space(&self) -> bool {
        let mut space = self.space.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (asked, enough) = *space;
        if asked.is_some_and(|asked| asked.elapsed() < SPACE_BELIEVED) && enough {
            return true;
        }
        // Where nobody can say how much is free, writing will tell.
        let enough = self.options.disk.free(&self.dir).map_or(true, |free| free >= self.options.reserve);
        *space = (Some(Instant::now()), enough);
        enough
    }

    /// Reads bodies. Where a file is not there, it may have been given back between reading the row and opening it:
    /// then the row says something else now.
    pub(crate) async fn read_bodies<T: Send + 'static>(
        &self,
        read: impl Fn(&Connection) -> StoreResult<Vec<(T, read::Found)>> + Clone + Send + 'static,
    ) -> StoreResult<Vec<(T, Arc<dyn Body>)>> {
        let mut found = self.readers.read_known(read.clone()).await?;
        for _ in 0..3 {
            if found.iter().all(|(_, body)| matches!(body, read::Found::Here(_))) {
                break;
            }
            found = self.readers.read_known(read.clone()).await?;
        }
        Ok(found.into_iter().map(|(key, body)| (key, body.into_body())).collect())
    }

    pub(crate) fn directory(&self) -> std::sync::RwLockReadGuard<'_, crate::directory::Directory> {
        self.published.directory.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Writes when tokens were used last, where that is not written yet.
    pub(super) async fn write_uses(&self) -> StoreResult<()> {
        let waiting = std::mem::take(&mut *self.uses.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        if waiting.is_empty() {
            return Ok(());
        }
        let uses: Vec<_> = waiting.into_iter().map(|(id, (at, from))| (id, at, from)).collect();
        self.change(move |truth, _| truth.note_uses(&uses)).await.map(drop)
    }

    /// Writes the refusals that wait, where there are any.
    pub(super) async fn write_refusals(&self) -> StoreResult<()> {
        let waiting = std::mem::take(&mut *self.refusals.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        if waiting.is_empty() {
            return Ok(());
        }
        self.change(move |truth, _| truth.add_refusals(&waiting)).await.map(drop)
    }
}
