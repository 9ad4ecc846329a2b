//! Verified log-ins, remembered for a short time, so that a client that polls costs no hash each time.
//!
//! Does: keep per account a MAC of (account, its password's hash, the password given) under a key that lives only in this
//! process's memory. Since the stored hash is part of it, a changed password makes the old entry useless at
//! once; a disabled account is refused before this is asked. Does not: keep passwords, or write anything.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use mail::{AccountId, Timestamp, limits};
use store::Account;
use subtle::ConstantTimeEq;

use super::hash::keyed_mac;

pub(crate) struct Remembered {
    key: [u8; 32],
    entries: Mutex<HashMap<AccountId, ([u8; 32], Timestamp)>>,
}

impl Remembered {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key, entries: Mutex::default() }
    }

    fn mac(&self, account: &Account, password: &[u8]) -> [u8; 32] {
        keyed_mac(&self.key, &[&account.id.0.to_be_bytes(), account.password.0.as_bytes(), password])
    }

    pub(crate) fn knows(&self, account: &Account, password: &[u8], now: Timestamp) -> bool {
        let entry = self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(&account.id).copied();
        entry.is_some_and(|(mac, until)| now < until && bool::from(mac.ct_eq(&self.mac(account, password))))
    }

    pub(crate) fn note(&self, account: &Account, password: &[u8], now: Timestamp) {
        let entry = (self.mac(account, password), now.plus(limits::LOGIN_REMEMBERED));
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= limits::LOGINS_REMEMBERED {
            entries.retain(|_, (_, until)| now < *until);
        }
        if entries.len() < limits::LOGINS_REMEMBERED {
            entries.insert(account.id, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::{Address, Domain};
    use store::{AccountState, PasswordHash};

    fn account(hash: &str) -> Account {
        Account {
            id: AccountId(7),
            address: Address::new("alice", Domain::from_ascii("red.example").unwrap()).unwrap(),
            password: PasswordHash(hash.into()),
            scram: None,
            state: AccountState::Active,
            quota: None,
            used: 0,
            messages: 0,
            created: Timestamp::default(),
            totp: None,
            away: None,
            script: None,
        }
    }

    #[test]
    fn a_log_in_is_known_until_it_is_old_or_the_password_changes() {
        let remembered = Remembered::new([1; 32]);
        let now = Timestamp::from_secs(1000);
        remembered.note(&account("h1"), b"secret", now);
        assert!(remembered.knows(&account("h1"), b"secret", now));
        assert!(!remembered.knows(&account("h1"), b"other", now));
        assert!(!remembered.knows(&account("h2"), b"secret", now));
        assert!(!remembered.knows(&account("h1"), b"secret", now.plus(limits::LOGIN_REMEMBERED)));
    }

    /// `LOGINS_REMEMBERED` and one more: a log-in beyond them costs its hash, until others are over.
    #[test]
    fn no_more_than_so_many_are_known() {
        let remembered = Remembered::new([1; 32]);
        let now = Timestamp::from_secs(1000);
        let numbered = |n: usize| Account { id: AccountId(n as u64), ..account("h") };
        for n in 0..=limits::LOGINS_REMEMBERED {
            remembered.note(&numbered(n), b"secret", now);
        }
        assert!(remembered.knows(&numbered(limits::LOGINS_REMEMBERED - 1), b"secret", now));
        assert!(!remembered.knows(&numbered(limits::LOGINS_REMEMBERED), b"secret", now));
        let later = now.plus(limits::LOGIN_REMEMBERED);
        remembered.note(&numbered(limits::LOGINS_REMEMBERED), b"secret", later);
        assert!(remembered.knows(&numbered(limits::LOGINS_REMEMBERED), b"secret", later));
    }
}
