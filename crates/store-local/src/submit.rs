//! How work reaches the threads that change things, and how its answer comes back.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use store::{StoreError, StoreResult};
use tokio::sync::oneshot;

use crate::log::Place;
use crate::truth::Truth;

/// Changes that may wait for one thread; beyond that the answer is `Busy`.
const WAITING: usize = 65_536;

/// A change of the truth. It may be run more than once (a batch that met an error is run again, each
/// change by itself), so running uses nothing up. A change checks everything first and writes then.
pub(crate) trait Job: Send {
    /// Makes the change; `places` say where its bodies are. An error leaves the transaction to the caller.
    fn run(&mut self, truth: &mut Truth, places: &[Place]) -> StoreResult<()>;
    /// Tells who waits: after COMMIT, or that there was none.
    fn finish(self: Box<Self>, committed: StoreResult<()>);
}

/// A change as a closure, and who waits for its answer.
pub(crate) struct Work<T, F> {
    pub(crate) change: F,
    pub(crate) done: Option<T>,
    pub(crate) answer: oneshot::Sender<StoreResult<T>>,
}

impl<T: Send, F: FnMut(&mut Truth, &[Place]) -> StoreResult<T> + Send> Job for Work<T, F> {
    fn run(&mut self, truth: &mut Truth, places: &[Place]) -> StoreResult<()> {
        self.done = Some((self.change)(truth, places)?);
        Ok(())
    }

    fn finish(self: Box<Self>, committed: StoreResult<()>) {
        let lost = || StoreError::Failed("the change was not run".into());
        // Who waited may have gone; then nobody needs the answer.
        let Self { done, answer, .. } = *self;
        let _ = answer.send(committed.and_then(|()| done.ok_or_else(lost)));
    }
}

/// What waits for a thread.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    news: Condvar,
}

struct State<T> {
    waiting: Vec<T>,
    sleeping: bool,
    closed: bool,
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Self { state: Mutex::new(State { waiting: Vec::new(), sleeping: false, closed: false }), news: Condvar::new() }
    }

    /// Adds items; gives them back when the queue is full or closed.
    pub(crate) fn push(&self, item: T) -> Result<(), (T, StoreError)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err((item, StoreError::Poisoned("it was closed".into())));
        }
        if state.waiting.len() >= WAITING {
            return Err((item, StoreError::Busy));
        }
        state.waiting.push(item);
        let wake = std::mem::take(&mut state.sleeping);
        drop(state);
        if wake {
            self.news.notify_one();
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).waiting.is_empty()
    }

    /// Adds all of `items`, whatever waits already: they were counted once before.
    pub(crate) fn push_all(&self, items: &mut Vec<T>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            drop(state);
            items.clear();
            return;
        }
        state.waiting.append(items);
        let wake = std::mem::take(&mut state.sleeping);
        drop(state);
        if wake {
            self.news.notify_one();
        }
    }

    /// Waits until there is something or it is closed, and no longer than `time`; false: nothing came.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.sleeping = true;
        let idle = |state: &mut State<T>| state.waiting.is_empty() && !state.closed;
        let state = self.news.wait_timeout_while(state, time, idle).unwrap_or_else(PoisonError::into_inner);
        !state.1.timed_out()
    }

    /// Waits until there is something, and moves at most `limit` of it into `batch`, which is empty. False: closed
    /// and empty.
    pub(crate) fn take(&self, batch: &mut Vec<T>, limit: usize) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.waiting.is_empty() {
            if state.closed {
                return false;
            }
            state.sleeping = true;
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.waiting.len() <= limit {
            std::mem::swap(batch, &mut state.waiting);
        } else {
            batch.extend(state.waiting.drain(..limit));
        }
        true
    }

    /// No more is taken in; what waits is still done.
    pub(crate) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.news.notify_all();
    }

    /// Closes it and drops what waits: the thread is gone, and nobody would ever answer.
    pub(crate) fn abandon(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        let dropped = std::mem::take(&mut state.waiting);
        drop(state);
        drop(dropped);
        self.news.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use mail::limits;

    use super::*;

    /// `COMMIT_CHANGES` go into one transaction; what is more waits for the next.
    #[test]
    fn batches_are_bounded() {
        let queue = Queue::new();
        for n in 0..=limits::COMMIT_CHANGES {
            assert!(queue.push(n).is_ok());
        }
        let mut batch = Vec::new();
        assert!(queue.take(&mut batch, limits::COMMIT_CHANGES));
        assert_eq!(batch.len(), limits::COMMIT_CHANGES);
        batch.clear();
        assert!(queue.take(&mut batch, limits::COMMIT_CHANGES));
        assert_eq!(batch, [limits::COMMIT_CHANGES]);
        queue.close();
        batch.clear();
        assert!(!queue.take(&mut batch, limits::COMMIT_CHANGES));
        // As many as fit wait; one more is told that the store is busy.
        let queue = Queue::new();
        assert!((0..WAITING).all(|n| queue.push(n).is_ok()));
        assert!(matches!(queue.push(WAITING), Err((WAITING, StoreError::Busy))));
    }
}
