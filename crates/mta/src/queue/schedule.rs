//! When something is tried again, and when it is given up.

use std::time::Duration;

use mail::{Timestamp, limits};

use crate::world::Random;

/// Times and bounds of the queue; defaults from `mail::limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The first retry comes after this.
    pub first_retry: Duration,
    /// No retry waits longer than this.
    pub last_retry: Duration,
    /// After this a message is returned.
    pub lifetime: Duration,
    /// After this a delay is told to the sender.
    pub warning: Duration,
    /// Connections to one destination at once.
    pub per_destination: usize,
    /// Connections to all destinations at once.
    pub connections: usize,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            first_retry: limits::QUEUE_FIRST_RETRY,
            last_retry: limits::QUEUE_LAST_RETRY,
            lifetime: limits::QUEUE_LIFETIME,
            warning: limits::QUEUE_WARNING,
            per_destination: limits::RELAY_PER_DESTINATION,
            connections: limits::RELAY_CONNECTIONS,
        }
    }
}

impl Schedule {
    /// The pause after so many failures: doubled each time, up to the last (RFC 5321 §4.5.4.1).
    pub fn pause(&self, failures: u32) -> Duration {
        let factor = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first_retry.saturating_mul(factor).min(self.last_retry)
    }

    /// When a recipient is tried again after `attempts` tries: up to a quarter later than the pause, at
    /// random, so that what failed together does not come back together; never after it has expired.
    pub fn next_attempt(&self, attempts: u32, received: Timestamp, now: Timestamp, random: &dyn Random) -> Timestamp {
        let pause = self.pause(attempts.max(1));
        let quarter = u64::try_from(pause.as_millis() / 4).unwrap_or(u64::MAX);
        let next = now.plus(pause).plus(Duration::from_millis(random.below(quarter + 1)));
        // One more try at the end of its life, then it expires.
        let end = received.plus(self.lifetime);
        if now < end { next.min(end) } else { next }
    }

    /// Whether a message that came at `received` is too old.
    pub fn is_expired(&self, received: Timestamp, now: Timestamp) -> bool {
        now.since(received) >= self.lifetime
    }

    /// Whether the sender should hear of the delay.
    pub fn is_late(&self, received: Timestamp, now: Timestamp) -> bool {
        now.since(received) >= self.warning
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Least;

    impl Random for Least {
        fn next(&self) -> u64 {
            0
        }
    }

    /// `QUEUE_FIRST_RETRY`, `QUEUE_LAST_RETRY`, `QUEUE_WARNING`, `QUEUE_LIFETIME`: at the moment and just before it.
    #[test]
    fn times() {
        let schedule = Schedule::default();
        assert_eq!(schedule.pause(1), limits::QUEUE_FIRST_RETRY);
        assert_eq!(schedule.pause(2), 2 * limits::QUEUE_FIRST_RETRY);
        let pauses: Vec<Duration> = (1..100).map(|failures| schedule.pause(failures)).collect();
        assert!(pauses.is_sorted() && pauses.iter().all(|pause| *pause <= limits::QUEUE_LAST_RETRY));
        assert_eq!(schedule.pause(u32::MAX), limits::QUEUE_LAST_RETRY);
        let received = Timestamp::from_secs(1_700_000_000);
        let (tick, at) = (Duration::from_millis(1), |time| received.plus(time));
        assert!(!schedule.is_late(received, at(limits::QUEUE_WARNING - tick)));
        assert!(schedule.is_late(received, at(limits::QUEUE_WARNING)));
        assert!(!schedule.is_expired(received, at(limits::QUEUE_LIFETIME - tick)));
        assert!(schedule.is_expired(received, at(limits::QUEUE_LIFETIME)));
        // The last try is at the very end, not after it.
        let late = at(limits::QUEUE_LIFETIME - tick);
        assert_eq!(schedule.next_attempt(50, received, late, &Least), at(limits::QUEUE_LIFETIME));
    }
}
