//! Turns: so many at once for each of some, and the next one waits.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// See above. Who has none under way is not remembered.
pub(crate) struct Turns<K> {
    each: usize,
    all: Mutex<HashMap<K, Weak<Semaphore>>>,
}

impl<K: Eq + Hash> Turns<K> {
    /// `each` at once.
    pub(crate) fn new(each: usize) -> Self {
        Self { each, all: Mutex::default() }
    }

    /// Waits until it is its turn, which lasts as long as what is returned.
    pub(crate) async fn wait(&self, key: K) -> Option<OwnedSemaphorePermit> {
        let own = {
            let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, own| own.strong_count() > 0);
            let known = all.get(&key).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let own = Arc::new(Semaphore::new(self.each));
                all.insert(key, Arc::downgrade(&own));
                own
            })
        };
        // A permit keeps its semaphore, which is never closed.
        own.acquire_owned().await.ok()
    }
}
