//! Challenges that passkeys sign: random, ours, for one occasion, for some minutes, once.
//!
//! Does: make them so that they show by themselves that they are ours and for how long (a MAC), which costs no memory: whoever
//! asks for many keeps nobody else from having one. Remember those that were used up, which only owners of passkeys can do, and no
//! account so many that others wait.
//! Does not: outlast the process; what is under way then is begun again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use mail::{AccountId, Timestamp, TokenId, limits};
use subtle::ConstantTimeEq as _;

use super::hash::{keyed_mac, secret};

/// What a challenge is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A log-in, by whoever it will be.
    LogIn,
    /// A new passkey, in this session.
    Register(TokenId),
}

/// How a challenge was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is used up now.
    Good,
    /// It is not ours, not for this, over, or was used up.
    NotGood,
    /// There are too many to remember one more, of this account or of all.
    Full,
}

/// Random octets in a challenge (WebAuthn Level 3 §13.4.3: 16 at least).
const NONCE: usize = 16;
/// When it is over, in milliseconds since 1970.
const END: usize = 8;

pub(crate) struct Challenges {
    key: [u8; 32],
    used: Mutex<Used>,
}

/// Those that were used, by whom, and until when.
#[derive(Default)]
struct Used {
    all: HashMap<[u8; NONCE], (AccountId, Timestamp)>,
    counts: HashMap<AccountId, usize>,
}

impl Used {
    fn is_full_for(&self, account: AccountId) -> bool {
        let here = self.counts.get(&account).copied().unwrap_or_default();
        here >= limits::PASSKEY_CHALLENGES_USED_PER_ACCOUNT || self.all.len() >= limits::PASSKEY_CHALLENGES_USED
    }

    fn add(&mut self, nonce: [u8; NONCE], account: AccountId, end: Timestamp) {
        self.all.insert(nonce, (account, end));
        *self.counts.entry(account).or_default() += 1;
    }

    /// Forgets those that are over.
    fn forget(&mut self, now: Timestamp) {
        self.all.retain(|_, (_, end)| now < *end);
        self.counts.clear();
        for (account, _) in self.all.values() {
            *self.counts.entry(*account).or_default() += 1;
        }
    }
}

impl Challenges {
    pub(crate) fn new() -> Self {
        Self { key: secret(), used: Mutex::default() }
    }

    /// A new one.
    pub(crate) fn make(&self, occasion: Occasion, now: Timestamp) -> Vec<u8> {
        let nonce = &secret()[..NONCE];
        let end = now.plus(limits::PASSKEY_CHALLENGE_LIFETIME).millis().to_be_bytes();
        let before = [nonce, &end].concat();
        [&before[..], &self.mac(occasion, &before)].concat()
    }

    /// Uses one up, for this account.
    pub(crate) fn take(&self, challenge: &[u8], occasion: Occasion, account: AccountId, now: Timestamp) -> Taken {
        let Some((before, mac)) = challenge.split_at_checked(NONCE + END) else { return Taken::NotGood };
        if !bool::from(self.mac(occasion, before).ct_eq(mac)) {
            return Taken::NotGood;
        }
        let Some((nonce, end)) = before.split_first_chunk() else { return Taken::NotGood };
        let end = end.try_into().map_or(now, |end| Timestamp::from_millis(i64::from_be_bytes(end)));
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= end || used.all.contains_key(nonce) {
            return Taken::NotGood;
        }
        if used.is_full_for(account) {
            used.forget(now);
        }
        if used.is_full_for(account) {
            return Taken::Full;
        }
        used.add(*nonce, account, end);
        Taken::Good
    }

    fn mac(&self, occasion: Occasion, before: &[u8]) -> [u8; 32] {
        match occasion {
            Occasion::LogIn => keyed_mac(&self.key, &[b"log in", before]),
            Occasion::Register(session) => keyed_mac(&self.key, &[b"register", &session.0.to_be_bytes(), before]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    #[test]
    fn a_challenge_is_for_one_occasion_and_once() {
        let challenges = Challenges::new();
        let one = challenges.make(Occasion::LogIn, NOW);
        for other in [Occasion::Register(TokenId(1)), Occasion::Register(TokenId(0))] {
            assert_eq!(challenges.take(&one, other, AccountId(1), NOW), Taken::NotGood);
        }
        assert_eq!(challenges.take(&one, Occasion::LogIn, AccountId(1), NOW), Taken::Good);
        assert_eq!(challenges.take(&one, Occasion::LogIn, AccountId(1), NOW), Taken::NotGood);
        let new = challenges.make(Occasion::Register(TokenId(1)), NOW);
        assert_eq!(challenges.take(&new, Occasion::Register(TokenId(2)), AccountId(1), NOW), Taken::NotGood);
        assert_eq!(challenges.take(&new, Occasion::LogIn, AccountId(1), NOW), Taken::NotGood);
        assert_eq!(challenges.take(&new, Occasion::Register(TokenId(1)), AccountId(1), NOW), Taken::Good);
    }

    #[test]
    fn no_other_is_good() {
        let (challenges, others) = (Challenges::new(), Challenges::new());
        let one = challenges.make(Occasion::LogIn, NOW);
        assert_eq!(others.take(&one, Occasion::LogIn, AccountId(1), NOW), Taken::NotGood);
        for at in 0..one.len() {
            let mut bent = one.clone();
            bent[at] ^= 1;
            assert_eq!(challenges.take(&bent, Occasion::LogIn, AccountId(1), NOW), Taken::NotGood, "{at}");
            assert_eq!(challenges.take(&one[..at], Occasion::LogIn, AccountId(1), NOW), Taken::NotGood, "{at}");
        }
        assert_ne!(one, challenges.make(Occasion::LogIn, NOW));
    }

    /// `PASSKEY_CHALLENGE_LIFETIME`, to the millisecond.
    #[test]
    fn a_challenge_has_an_end() {
        let challenges = Challenges::new();
        let end = NOW.plus(limits::PASSKEY_CHALLENGE_LIFETIME);
        let one = challenges.make(Occasion::LogIn, NOW);
        assert_eq!(challenges.take(&one, Occasion::LogIn, AccountId(1), end), Taken::NotGood);
        assert_eq!(
            challenges.take(&one, Occasion::LogIn, AccountId(1), Timestamp::from_millis(end.millis() - 1)),
            Taken::Good
        );
    }

    /// `PASSKEY_CHALLENGES_USED_PER_ACCOUNT`, `PASSKEY_CHALLENGES_USED`, and one more of each; those that are over make room.
    #[test]
    fn the_table_of_used_ones_is_bounded() {
        let challenges = Challenges::new();
        let log_in = |account: usize, now| {
            let challenge = challenges.make(Occasion::LogIn, now);
            challenges.take(&challenge, Occasion::LogIn, AccountId(account as u64), now)
        };
        let each = limits::PASSKEY_CHALLENGES_USED_PER_ACCOUNT;
        for _ in 0..each {
            assert_eq!(log_in(0, NOW), Taken::Good);
        }
        assert_eq!(log_in(0, NOW), Taken::Full);
        for n in each..limits::PASSKEY_CHALLENGES_USED {
            assert_eq!(log_in(n / each, NOW), Taken::Good);
        }
        assert_eq!(log_in(usize::MAX, NOW), Taken::Full);
        assert_eq!(log_in(0, NOW.plus(limits::PASSKEY_CHALLENGE_LIFETIME)), Taken::Good);
        let used = challenges.used.lock().unwrap();
        assert_eq!((used.all.len(), used.counts.len()), (1, 1));
    }
}
