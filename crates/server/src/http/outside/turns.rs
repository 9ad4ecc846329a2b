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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use mail::limits;

    use super::*;

    /// `OUTSIDE_PER_ACCOUNT`, `PUSH_PER_HOST`, `PUSH_AT_ONCE`: so many at once, and one more waits; others do not wait for it.
    #[test]
    fn one_more_waits() {
        for each in [limits::OUTSIDE_PER_ACCOUNT, limits::PUSH_PER_HOST, limits::PUSH_AT_ONCE] {
            let turns = Turns::new(each);
            let take = |key| turns.wait(key).now_or_never().flatten();
            let mut first: Vec<_> = (0..each).map(|_| take(1).unwrap()).collect();
            assert!(take(1).is_none());
            assert!(take(2).is_some());
            first.pop();
            assert!(take(1).is_some());
            first.clear();
            assert!(take(2).is_some());
            assert_eq!(turns.all.lock().unwrap().len(), 1, "who has none is remembered");
        }
    }
}
