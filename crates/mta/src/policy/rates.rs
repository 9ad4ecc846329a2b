//! How much within a time: buckets that leak.
//!
//! Does: say whether so much more may come now, and if not, after which time (GCRA: of each bucket only the moment is kept at
//! which it will be empty again). Does not: read a clock, or know what is counted.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mail::{Timestamp, limits};

/// So many within this time; as many at once, where there were none before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub most: u32,
    /// Within.
    pub within: Duration,
}

impl Rate {
    /// So many within an hour.
    pub const fn hourly(most: u32) -> Self {
        Self { most, within: Duration::from_secs(3600) }
    }

    /// So many within a minute.
    pub const fn minutely(most: u32) -> Self {
        Self { most, within: Duration::from_secs(60) }
    }

    /// The same for `times` as many.
    pub const fn times(self, times: u32) -> Self {
        Self { most: self.most.saturating_mul(times), ..self }
    }
}

/// A bucket: it is empty again then, in microseconds since 1970, so that no drop is too small to be told.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    empty_at: i64,
    /// The store does not know it.
    changed: bool,
}

/// Buckets by name.
#[derive(Debug, Default)]
pub struct Rates {
    buckets: Mutex<HashMap<String, Bucket>>,
}

impl Rates {
    /// Those that the store has kept.
    pub fn load(&self, kept: Vec<(String, Timestamp)>) {
        let bucket = |at: Timestamp| Bucket { empty_at: at.millis().saturating_mul(1000), changed: false };
        let mut kept = kept;
        // The longest remembered, where there are more than may be.
        kept.sort_unstable_by_key(|(_, at)| std::cmp::Reverse(*at));
        kept.truncate(limits::POLICY_BUCKETS);
        self.buckets().extend(kept.into_iter().map(|(name, at)| (name, bucket(at))));
    }

    fn buckets(&self) -> MutexGuard<'_, HashMap<String, Bucket>> {
        // Each change is one assignment.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts so many more; an error: they are too many, and may come after this time.
    pub fn take(&self, name: &str, rate: Rate, count: u32, now: Timestamp) -> Result<(), Duration> {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let (now, whole) = (now.millis().saturating_mul(1000), micros(rate.within));
        let drop = whole / i64::from(rate.most.max(1));
        let mut buckets = self.buckets();
        let before = buckets.get(name).map_or(now, |bucket| bucket.empty_at.max(now));
        let after = before.saturating_add(drop.saturating_mul(i64::from(count)));
        // What would never fit comes when the bucket is empty.
        let over = after.saturating_sub(now).saturating_sub(whole).min(before - now);
        if over > 0 {
            return Err(Duration::from_micros(over.unsigned_abs()));
        }
        put(&mut buckets, name, after, now);
        Ok(())
    }

    /// Until when this is remembered, where it still is.
    pub fn until(&self, name: &str, now: Timestamp) -> Option<Timestamp> {
        let at = Timestamp::from_millis(self.buckets().get(name)?.empty_at / 1000);
        (at > now).then_some(at)
    }

    /// Remembers this until then, whatever was before; where there is room.
    pub fn set(&self, name: &str, until: Timestamp, now: Timestamp) {
        put(&mut self.buckets(), name, until.millis().saturating_mul(1000), now.millis().saturating_mul(1000));
    }

    /// What the store does not know yet.
    pub fn changed(&self, now: Timestamp) -> Vec<(String, Timestamp)> {
        let mut buckets = self.buckets();
        buckets.retain(|_, bucket| bucket.empty_at > now.millis().saturating_mul(1000));
        let changed = buckets.iter_mut().filter(|(_, bucket)| bucket.changed);
        changed
            .map(|(name, bucket)| {
                bucket.changed = false;
                (name.clone(), Timestamp::from_millis(bucket.empty_at / 1000))
            })
            .collect()
    }
}

fn put(buckets: &mut HashMap<String, Bucket>, name: &str, empty_at: i64, now: i64) {
    if buckets.len() >= limits::POLICY_BUCKETS && !buckets.contains_key(name) {
        make_room(buckets, now);
    }
    buckets.insert(name.to_owned(), Bucket { empty_at, changed: true });
}

/// Those that are empty go, or those that are soonest: they say least. An eighth at once, so that who fills them all pays
/// for one look at all of them with many names.
fn make_room(buckets: &mut HashMap<String, Bucket>, now: i64) {
    buckets.retain(|_, bucket| bucket.empty_at > now);
    if buckets.len() < limits::POLICY_BUCKETS {
        return;
    }
    let mut ends: Vec<i64> = buckets.values().map(|bucket| bucket.empty_at).collect();
    let (_, last, _) = ends.select_nth_unstable(limits::POLICY_BUCKETS / 8);
    let last = *last;
    buckets.retain(|_, bucket| bucket.empty_at > last);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    #[test]
    fn a_burst_then_the_rate() {
        let (rates, rate) = (Rates::default(), Rate::hourly(60));
        for _ in 0..60 {
            assert_eq!(rates.take("a", rate, 1, NOW), Ok(()));
        }
        assert_eq!(rates.take("a", rate, 1, NOW), Err(Duration::from_secs(60)));
        assert_eq!(rates.take("a", rate, 10, NOW), Err(Duration::from_secs(600)));
        assert_eq!(rates.take("b", rate, 1, NOW), Ok(()), "each has its own");
        let later = NOW.plus(Duration::from_secs(60));
        assert_eq!(rates.take("a", rate, 1, later), Ok(()));
        assert!(rates.take("a", rate, 1, later).is_err());
        // More than ever fits: once, when there was nothing for a while.
        assert_eq!(rates.take("c", rate, 100, NOW), Ok(()));
        assert_eq!(rates.take("c", rate, 100, NOW), Err(Duration::from_secs(6000)));
    }

    #[test]
    fn what_is_kept_counts_after_a_restart() {
        let (rates, rate) = (Rates::default(), Rate::hourly(2));
        assert!(rates.take("a", rate, 2, NOW).is_ok());
        let kept = rates.changed(NOW);
        assert_eq!((kept.len(), rates.changed(NOW).len()), (1, 0));
        let again = Rates::default();
        again.load(kept);
        assert_eq!(again.take("a", rate, 1, NOW), Err(Duration::from_secs(1800)));
        // What is empty again is forgotten.
        let later = NOW.plus(Duration::from_secs(3600));
        assert_eq!(again.changed(later), []);
        assert_eq!(again.buckets().len(), 0);
    }

    /// `POLICY_BUCKETS`, and one more: those that are empty make room, else those that are soonest.
    #[test]
    fn buckets_are_bounded() {
        let (rates, rate) = (Rates::default(), Rate::hourly(1));
        let moment = |n: usize| NOW.plus(Duration::from_millis(n as u64));
        for n in 0..limits::POLICY_BUCKETS {
            rates.take(&n.to_string(), rate, 1, moment(n)).unwrap();
        }
        assert_eq!(rates.buckets().len(), limits::POLICY_BUCKETS);
        let full = moment(limits::POLICY_BUCKETS);
        assert_eq!(rates.take("more", rate, 1, full), Ok(()));
        assert!(rates.take("more", rate, 1, full).is_err(), "it is counted");
        assert_eq!(rates.buckets().len(), limits::POLICY_BUCKETS - limits::POLICY_BUCKETS / 8);
        assert!(rates.take(&(limits::POLICY_BUCKETS - 1).to_string(), rate, 1, full).is_err(), "the newest stay");
        assert!(rates.take("0", rate, 1, full).is_ok(), "the oldest went");
        let later = full.plus(Duration::from_secs(3600));
        for n in 0..limits::POLICY_BUCKETS {
            rates.take(&format!("later {n}"), rate, 1, later).unwrap();
        }
        assert_eq!(rates.buckets().len(), limits::POLICY_BUCKETS);
    }
}
