//! Failed log-ins, counted per address (IPv6: /64) and per account.
//!
//! Does: make an address wait after its failures, and an account after many more (so that a few wrong guesses of a
//! stranger don't lock its owner out; a remembered log-in passes anyway). Does not: count on loopback; the caller
//! leaves that out.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use mail::{Timestamp, limits};

#[derive(Default)]
pub(crate) struct Failures {
    networks: Mutex<HashMap<IpAddr, Count>>,
    accounts: Mutex<HashMap<String, Count>>,
}

#[derive(Clone, Copy)]
struct Count {
    since: Timestamp,
    failures: usize,
}

impl Failures {
    pub(crate) fn may_try(&self, network: IpAddr, who: &str, most: usize, now: Timestamp) -> bool {
        count(&self.networks, &network, now) < most
            && count(&self.accounts, who, now) < most.saturating_mul(limits::LOGIN_FAILURES_ACCOUNT_FACTOR)
    }

    pub(crate) fn note(&self, network: IpAddr, who: &str, now: Timestamp) {
        add(&self.networks, network, now);
        add(&self.accounts, who.to_owned(), now);
    }

    pub(crate) fn forgive(&self, network: IpAddr) {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner).remove(&network);
    }
}

fn current(count: &Count, now: Timestamp) -> bool {
    now.since(count.since) < limits::LOGIN_FAILURE_WINDOW
}

fn count<K, Q>(counts: &Mutex<HashMap<K, Count>>, key: &Q, now: Timestamp) -> usize
where
    K: std::borrow::Borrow<Q> + Hash + Eq,
    Q: Hash + Eq + ?Sized,
{
    let counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    counts.get(key).filter(|count| current(count, now)).map_or(0, |count| count.failures)
}

fn add<K: Hash + Eq>(counts: &Mutex<HashMap<K, Count>>, key: K, now: Timestamp) {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    if counts.len() >= limits::LOGIN_FAILURES_KEPT {
        counts.retain(|_, count| current(count, now));
    }
    if counts.len() >= limits::LOGIN_FAILURES_KEPT && !counts.contains_key(&key) {
        return;
    }
    let fresh = Count { since: now, failures: 0 };
    let count = counts.entry(key).or_insert(fresh);
    if !current(count, now) {
        *count = fresh;
    }
    count.failures += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_waits_after_its_failures_and_no_other_does() {
        let failures = Failures::default();
        let [bad, good]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        let now = Timestamp::from_secs(1000);
        for _ in 0..3 {
            assert!(failures.may_try(bad, "a@x", 3, now));
            failures.note(bad, "a@x", now);
        }
        assert!(!failures.may_try(bad, "b@x", 3, now));
        assert!(failures.may_try(good, "a@x", 3, now));
        assert!(failures.may_try(bad, "b@x", 3, now.plus(limits::LOGIN_FAILURE_WINDOW)));
        failures.forgive(bad);
        assert!(failures.may_try(bad, "b@x", 3, now));
    }

    #[test]
    fn an_account_waits_only_after_many_more() {
        let failures = Failures::default();
        let now = Timestamp::from_secs(1000);
        for n in 0..3 * limits::LOGIN_FAILURES_ACCOUNT_FACTOR {
            let ip = IpAddr::from([192, 0, 2, u8::try_from(n).unwrap()]);
            assert!(failures.may_try(ip, "a@x", 3, now));
            failures.note(ip, "a@x", now);
        }
        assert!(!failures.may_try("198.51.100.1".parse().unwrap(), "a@x", 3, now));
        assert!(failures.may_try("198.51.100.1".parse().unwrap(), "b@x", 3, now));
    }
}
