//! Learning what an account calls junk.
//!
//! Does: read the messages that lessons are about ([`store::Lessons`]), find their words and have them counted, one lesson after
//! the other. Does not: judge anything; hold up who moves his mail.

use std::sync::Arc;

use mail::{BodyId, limits};
use store::{Learnt, Lesson, Store, StoreError, StoreResult};

use crate::shared::Shared;

/// Lessons learnt in one go.
const AT_ONCE: usize = 32;

/// Learns until the system stops.
pub async fn learn(shared: Arc<Shared>) {
    loop {
        let done = tokio::select! {
            done = learn_some(&*shared.store) => done,
            () = shared.shutdown.wait() => return,
        };
        match done {
            Ok(()) => {}
            Err(StoreError::Poisoned(_)) => return,
            Err(error) => {
                tracing::warn!(%error, "lessons about junk can't be learnt now");
                tokio::select! {
                    () = shared.clock.sleep(limits::JUNK_PAUSE) => {}
                    () = shared.shutdown.wait() => return,
                }
            }
        }
    }
}

/// Waits for lessons, and learns some.
async fn learn_some(store: &dyn Store) -> StoreResult<()> {
    let mut learnt = Vec::new();
    for lesson in store.lessons(AT_ONCE).await? {
        let message = read(store, lesson).await.unwrap_or_else(|error| {
            // It can't be read now, and would not be later: the others go on.
            tracing::debug!(%error, mailbox = lesson.mailbox.0, uid = lesson.uid.get(), "a lesson can't be read");
            None
        });
        learnt.push(Learnt { lesson, message });
    }
    store.learn(learnt).await
}

/// The message and the keys of its words; none where it is not there any more.
async fn read(store: &dyn Store, lesson: Lesson) -> StoreResult<Option<(BodyId, Vec<u64>)>> {
    let Some((_, body)) = store.bodies(lesson.mailbox, &[lesson.uid]).await?.into_iter().next() else {
        return Ok(None);
    };
    let front = body.read(0..limits::READ_CHUNK as u64).await?;
    let keys = tokio::task::spawn_blocking(move || ::junk::words(&front).into_iter().map(|word| word.key).collect());
    Ok(keys.await.ok().map(|keys| (body.id(), keys)))
}
