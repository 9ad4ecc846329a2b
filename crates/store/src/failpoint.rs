//! Named places at which the process can be made to die, for crash tests.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// Names the place, and how often it is passed before the process dies: `log.before-sync:3`.
const VARIABLE: &str = "POSTRIDER_FAILPOINT";

const UNREAD: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNREAD);
static CHOSEN: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();

/// Aborts the process when `POSTRIDER_FAILPOINT` is `name` or `name:N` and this is the N-th time that the
/// place is passed. Where the variable is not set this costs one relaxed load.
///
/// Places in `store-local`: `log.before-sync`, `log.after-sync`, `log.new-segment`, `commit.before`,
/// `commit.before-sync`, `commit.after`, `checkpoint.before`, `checkpoint.after`, `reclaim.copied`, `reclaim.committed`;
/// in `mta`: `relay.begin`, `relay.after-remote` (the other side has taken it, we have not recorded it).
/// `tests/crash/run` finds the names in the source and dies at each.
pub fn failpoint(name: &str) {
    if STATE.load(Ordering::Relaxed) != OFF {
        pass(name);
    }
}

#[cold]
fn pass(name: &str) {
    let chosen = CHOSEN.get_or_init(|| {
        let value = std::env::var(VARIABLE).ok().filter(|value| !value.is_empty())?;
        let (place, times) = value.rsplit_once(':').unwrap_or((&value, "1"));
        Some((place.to_owned(), AtomicU32::new(times.parse().unwrap_or(1).max(1))))
    });
    STATE.store(if chosen.is_some() { ON } else { OFF }, Ordering::Relaxed);
    if let Some((place, left)) = chosen
        && place == name
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        std::process::abort();
    }
}
