//! Failed log-ins, counted per address (IPv6: /64) and per account.
//!
//! Does: make an address wait after its failures, and an account after many more (so that a few wrong guesses of a
//! stranger don't lock its owner out). A log-in that is remembered passes also then, but not for ever: that it passes is
//! an answer too, and whoever guesses must not have as many as he likes. Does not: count on loopback; the caller leaves
//! that out.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use mail::{AccountId, Timestamp, limits};

#[derive(Default)]
pub(crate) struct Failures {
    networks: Mutex<HashMap<IpAddr, Count>>,
    accounts: Mutex<HashMap<String, Count>>,
    /// Wrong codes of second factors, behind a right password.
    codes: Mutex<HashMap<AccountId, Count>>,
}

/// What somebody may do who wants to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Have any password looked at.
    Full,
    /// Wait, unless the log-in is remembered.
    Remembered,
    /// Wait.
    None,
}

#[derive(Clone, Copy)]
struct Count {
    since: Timestamp,
    failures: usize,
}

impl Failures {
    pub(crate) fn leave(&self, network: IpAddr, who: &str, most: usize, now: Timestamp) -> Leave {
        let (of_network, of_account) = (count(&self.networks, &network, now), count(&self.accounts, who, now));
        let more = most.saturating_mul(limits::LOGIN_FAILURES_ACCOUNT_FACTOR);
        if of_network < most && of_account < more {
            Leave::Full
        } else if of_network < more && of_account < more.saturating_mul(limits::LOGIN_FAILURES_ACCOUNT_FACTOR) {
            Leave::Remembered
        } else {
            Leave::None
        }
    }

    /// A wrong password, whether it was looked at or had to wait.
    pub(crate) fn note(&self, network: IpAddr, who: &str, most: usize, now: Timestamp) {
        // What an address says while it waits counts for itself alone: it can't lock an account out for others.
        if count(&self.networks, &network, now) < most {
            add(&self.accounts, who.to_owned(), now);
        }
        add(&self.networks, network, now);
    }

    /// How many wrong codes there were for an account.
    pub(crate) fn codes(&self, account: AccountId, now: Timestamp) -> usize {
        count(&self.codes, &account, now)
    }

    /// A wrong code.
    pub(crate) fn note_code(&self, account: AccountId, now: Timestamp) {
        add(&self.codes, account, now);
    }

    /// A right code: the wrong ones before it were slips.
    pub(crate) fn forget_codes(&self, account: AccountId) {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner).remove(&account);
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
    if counts.len() >= limits::LOGIN_FAILURES_KEPT {
        // Who fills the table must not go on uncounted: the older half goes.
        let mut since: Vec<Timestamp> = counts.values().map(|count| count.since).collect();
        let (_, middle, _) = since.select_nth_unstable(limits::LOGIN_FAILURES_KEPT / 2);
        let middle = *middle;
        // Of those that came in the same moment as the middle one, as many stay as make half.
        let newer = since.iter().filter(|since| **since > middle).count();
        let mut even = (limits::LOGIN_FAILURES_KEPT / 2).saturating_sub(newer);
        counts.retain(|_, count| {
            let stays = count.since > middle || count.since == middle && even > 0;
            even -= usize::from(stays && count.since == middle);
            stays
        });
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

    /// `LOGIN_FAILURES_KEPT` that came in one moment: one more, and half of them stay.
    #[test]
    fn half_of_a_full_table_stays() {
        let counts = Mutex::default();
        let now = Timestamp::from_secs(1000);
        for key in 0..limits::LOGIN_FAILURES_KEPT {
            add(&counts, key, now);
        }
        assert_eq!(counts.lock().unwrap().len(), limits::LOGIN_FAILURES_KEPT);
        add(&counts, limits::LOGIN_FAILURES_KEPT, now);
        assert_eq!(counts.lock().unwrap().len(), limits::LOGIN_FAILURES_KEPT / 2 + 1);
    }

    /// `LOGIN_FAILURES`, as a setting.
    #[test]
    fn an_address_waits_after_its_failures_and_no_other_does() {
        let failures = Failures::default();
        let [bad, good]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        let now = Timestamp::from_secs(1000);
        for _ in 0..3 {
            assert_eq!(failures.leave(bad, "a@x", 3, now), Leave::Full);
            failures.note(bad, "a@x", 3, now);
        }
        assert_eq!(failures.leave(bad, "b@x", 3, now), Leave::Remembered);
        assert_eq!(failures.leave(good, "a@x", 3, now), Leave::Full);
        for _ in 3..3 * limits::LOGIN_FAILURES_ACCOUNT_FACTOR {
            assert_eq!(failures.leave(bad, "b@x", 3, now), Leave::Remembered);
            failures.note(bad, "b@x", 3, now);
        }
        assert_eq!(failures.leave(bad, "c@x", 3, now), Leave::None);
        assert_eq!(failures.leave(good, "b@x", 3, now), Leave::Full, "one address locked an account out");
        assert_eq!(failures.leave(bad, "b@x", 3, now.plus(limits::LOGIN_FAILURE_WINDOW)), Leave::Full);
        failures.forgive(bad);
        assert_eq!(failures.leave(bad, "b@x", 3, now), Leave::Full);
    }

    #[test]
    fn who_fills_the_table_is_counted_all_the_same() {
        let failures = Failures::default();
        let most = limits::LOGIN_FAILURES_KEPT as u32;
        let address = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        for n in 0..most {
            failures.note(address(n), "a@x", 1, Timestamp::from_millis(1_000_000 + i64::from(n)));
        }
        let now = Timestamp::from_millis(1_000_000 + i64::from(most));
        failures.note(address(most), "a@x", 1, now);
        assert_eq!(failures.leave(address(most), "b@x", 1, now), Leave::Remembered);
        assert_eq!(failures.leave(address(most - 1), "b@x", 1, now), Leave::Remembered);
        assert_eq!(failures.leave(address(0), "b@x", 1, now), Leave::Full);
        assert!(failures.networks.lock().unwrap().len() <= limits::LOGIN_FAILURES_KEPT);
    }

    #[test]
    fn an_account_waits_only_after_many_more() {
        let failures = Failures::default();
        let now = Timestamp::from_secs(1000);
        for n in 0..3 * limits::LOGIN_FAILURES_ACCOUNT_FACTOR {
            let ip = IpAddr::from([192, 0, 2, u8::try_from(n).unwrap()]);
            assert_eq!(failures.leave(ip, "a@x", 3, now), Leave::Full);
            failures.note(ip, "a@x", 3, now);
        }
        let other = "198.51.100.1".parse().unwrap();
        assert_eq!(failures.leave(other, "a@x", 3, now), Leave::Remembered);
        assert_eq!(failures.leave(other, "b@x", 3, now), Leave::Full);
        for n in 0..3 * limits::LOGIN_FAILURES_ACCOUNT_FACTOR.pow(2) {
            failures.note(IpAddr::from([198, 51, (n / 250) as u8, (n % 250) as u8]), "a@x", 3, now);
        }
        assert_eq!(failures.leave(other, "a@x", 3, now), Leave::None);
    }
}
