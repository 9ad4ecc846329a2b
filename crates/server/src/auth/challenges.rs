//! Challenges that passkeys sign: random, ours, for one occasion, for some minutes, once.
//!
//! Does: make them so that they show by themselves that they are ours and for how long (a MAC), which costs no memory: whoever
//! asks for many keeps nobody else from having one. Remember those that were used up, which only owners of passkeys can do.
//! Does not: outlast the process; what is under way then is begun again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use mail::{Timestamp, TokenId, limits};
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
    /// There are too many to remember one more.
    Full,
}

/// Random octets in a challenge (WebAuthn Level 3 §13.4.3: 16 at least).
const NONCE: usize = 16;
/// When it is over, in milliseconds since 1970.
const END: usize = 8;

pub(crate) struct Challenges {
    key: [u8; 32],
    used: Mutex<HashMap<[u8; NONCE], Timestamp>>,
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

    /// Uses one up.
    pub(crate) fn take(&self, challenge: &[u8], occasion: Occasion, now: Timestamp) -> Taken {
        let Some((before, mac)) = challenge.split_at_checked(NONCE + END) else { return Taken::NotGood };
        if !bool::from(self.mac(occasion, before).ct_eq(mac)) {
            return Taken::NotGood;
        }
        let Some((nonce, end)) = before.split_first_chunk() else { return Taken::NotGood };
        let end = end.try_into().map_or(now, |end| Timestamp::from_millis(i64::from_be_bytes(end)));
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= end || used.contains_key(nonce) {
            return Taken::NotGood;
        }
        if used.len() >= limits::PASSKEY_CHALLENGES_USED {
            used.retain(|_, end| now < *end);
        }
        if used.len() >= limits::PASSKEY_CHALLENGES_USED {
            return Taken::Full;
        }
        used.insert(*nonce, end);
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
            assert_eq!(challenges.take(&one, other, NOW), Taken::NotGood);
        }
        assert_eq!(challenges.take(&one, Occasion::LogIn, NOW), Taken::Good);
        assert_eq!(challenges.take(&one, Occasion::LogIn, NOW), Taken::NotGood);
        let new = challenges.make(Occasion::Register(TokenId(1)), NOW);
        assert_eq!(challenges.take(&new, Occasion::Register(TokenId(2)), NOW), Taken::NotGood);
        assert_eq!(challenges.take(&new, Occasion::LogIn, NOW), Taken::NotGood);
        assert_eq!(challenges.take(&new, Occasion::Register(TokenId(1)), NOW), Taken::Good);
    }

    #[test]
    fn no_other_is_good() {
        let (challenges, others) = (Challenges::new(), Challenges::new());
        let one = challenges.make(Occasion::LogIn, NOW);
        assert_eq!(others.take(&one, Occasion::LogIn, NOW), Taken::NotGood);
        for at in 0..one.len() {
            let mut bent = one.clone();
            bent[at] ^= 1;
            assert_eq!(challenges.take(&bent, Occasion::LogIn, NOW), Taken::NotGood, "{at}");
            assert_eq!(challenges.take(&one[..at], Occasion::LogIn, NOW), Taken::NotGood, "{at}");
        }
        assert_ne!(one, challenges.make(Occasion::LogIn, NOW));
    }

    /// `PASSKEY_CHALLENGE_LIFETIME`, to the millisecond.
    #[test]
    fn a_challenge_has_an_end() {
        let challenges = Challenges::new();
        let end = NOW.plus(limits::PASSKEY_CHALLENGE_LIFETIME);
        let one = challenges.make(Occasion::LogIn, NOW);
        assert_eq!(challenges.take(&one, Occasion::LogIn, end), Taken::NotGood);
        assert_eq!(challenges.take(&one, Occasion::LogIn, Timestamp::from_millis(end.millis() - 1)), Taken::Good);
    }

    /// `PASSKEY_CHALLENGES_USED`, and one more; those that are over make room.
    #[test]
    fn the_table_of_used_ones_is_bounded() {
        let challenges = Challenges::new();
        for _ in 0..limits::PASSKEY_CHALLENGES_USED {
            assert_eq!(challenges.take(&challenges.make(Occasion::LogIn, NOW), Occasion::LogIn, NOW), Taken::Good);
        }
        assert_eq!(challenges.take(&challenges.make(Occasion::LogIn, NOW), Occasion::LogIn, NOW), Taken::Full);
        let later = NOW.plus(limits::PASSKEY_CHALLENGE_LIFETIME);
        assert_eq!(challenges.take(&challenges.make(Occasion::LogIn, later), Occasion::LogIn, later), Taken::Good);
        assert_eq!(challenges.used.lock().unwrap().len(), 1);
    }
}
