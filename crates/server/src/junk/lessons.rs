//! Learning what an account calls junk.
//!
//! Does: read the messages that lessons are about ([`store::Lessons`]), find their words and have them counted, one lesson after
//! the other. Does not: judge anything; hold up who moves his mail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mail::{AccountId, BodyId, Flags, limits};
use store::{Learnt, Lesson, Store, StoreError, StoreResult};

use crate::shared::Shared;

/// Wait after what was taught could not be learnt.
const PAUSE: Duration = Duration::from_secs(60);

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
                    () = shared.clock.sleep(PAUSE) => {}
                    () = shared.shutdown.wait() => return,
                }
            }
        }
    }
}

/// Waits for lessons, and learns some.
async fn learn_some(store: &dyn Store) -> StoreResult<()> {
    let mut learnt = Vec::new();
    let mut lessons = store.lessons(AT_ONCE).await?;
    lessons.extend(good_ones(store, &lessons).await?);
    for lesson in lessons {
        let message = read(store, lesson).await.unwrap_or_else(|error| {
            // It can't be read now, and would not be later: the others go on.
            tracing::debug!(%error, mailbox = lesson.mailbox.0, uid = lesson.uid.get(), "a lesson can't be read");
            None
        });
        learnt.push(Learnt { lesson, message });
    }
    store.learn(learnt).await
}

/// Who only ever throws junk out teaches nothing of good mail: what such an account has read and left in its INBOX is good, as
/// much of it, the newest, as it takes for the balance. What it calls junk later counts as that then.
async fn good_ones(store: &dyn Store, lessons: &[Lesson]) -> StoreResult<Vec<Lesson>> {
    let mut junk: BTreeMap<AccountId, (u64, u32)> = BTreeMap::new();
    for lesson in lessons.iter().filter(|lesson| lesson.junk) {
        let (number, count) = junk.entry(lesson.account).or_default();
        (*number, *count) = (lesson.number, *count + 1);
    }
    let mut good = Vec::new();
    for (account, (number, count)) in junk {
        let taught = store.taught(account);
        let lacks = (taught.junk + count).saturating_sub(taught.good) as usize;
        let Some(mailbox) = store.mailbox(account, "INBOX").await? else { continue };
        let Some(newest) = store.watch(mailbox).await?.newest() else { continue };
        let read = newest.iter().rev().filter(|row| row.flags.contains(Flags::SEEN));
        let read = read.take(lacks.min(limits::LESSONS_AT_ONCE));
        good.extend(read.map(|row| Lesson { number, account, mailbox, uid: row.uid, junk: false }));
    }
    Ok(good)
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
