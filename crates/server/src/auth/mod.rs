//! Log-ins: who is it, and is the password right?
//!
//! Does: look the account up, verify its password with Argon2id on a bounded pool ([`hash`]), remember verified
//! log-ins for a short time ([`remember`]), and make addresses and accounts that fail too often wait
//! ([`failures`]). Does not: speak SASL (`wire` does), or decide what an account may do.
//!
//! Passwords come in as bytes from the engines and are kept nowhere.

mod failures;
pub mod hash;
mod remember;

use std::net::IpAddr;
use std::sync::Arc;

use mail::{Address, Timestamp};
use mta::world::Clock;
use store::{Account, AccountState, DirectoryEntry, PasswordHash, Store, StoreError};

use crate::listen::network_of;
use failures::Failures;
use hash::Hasher;
use remember::Remembered;

/// Why somebody is not logged in. The engines answer each with its own code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginError {
    /// Wrong name or password, or the account is disabled: a client learns no more (RFC 4954 §6: 535 5.7.8).
    Refused,
    /// Too many failures: not even looked at (454 4.7.0).
    Wait,
    /// The store can't answer.
    Store(StoreError),
}

/// SCRAM keys for a log-in under way, or made-up ones that no password fits, so that a client can't tell
/// whether the account exists or keeps such keys.
#[derive(Clone, Debug)]
pub struct ScramOffer {
    /// The account; none: made up.
    pub account: Option<Box<Account>>,
    /// Its keys.
    pub keys: store::ScramKeys,
}

/// Checks log-ins of one system.
pub struct Auth {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    hasher: Hasher,
    remembered: Remembered,
    failures: Failures,
    secret: [u8; 32],
}

impl Auth {
    /// For a store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            hasher: Hasher::new(),
            remembered: Remembered::new(hash::secret()),
            failures: Failures::default(),
            secret: hash::secret(),
        }
    }

    /// Checks name and password of a client at `peer`. `most_failures`: `limits.login_failures` of the settings.
    pub async fn password(
        &self,
        peer: IpAddr,
        login: &str,
        password: &[u8],
        most_failures: usize,
    ) -> Result<Account, LoginError> {
        let now = self.clock.now();
        // RFC 4616 §2, RFC 4013: the same preparation as when it was set, so that another keyboard's form fits.
        let prepared = std::str::from_utf8(password).map(wire::sasl::prepare);
        let password = prepared.as_ref().map_or(password, |prepared| prepared.as_bytes());
        let name = login_address(login);
        let account = match &name {
            Some(name) => self.active(name).await?,
            None => None,
        };
        if let Some(account) = &account
            && self.remembered.knows(account, password, now)
        {
            return Ok(account.clone());
        }
        let who = name.map_or_else(|| login.to_lowercase(), |name| name.to_string());
        self.may_try(peer, &who, most_failures, now)?;
        let known = account.as_ref().map(|account| account.password.clone());
        let right = self.hasher.verify(known, password.to_vec()).await;
        match account {
            Some(account) if right => {
                self.remembered.note(&account, password, now);
                self.failures.forgive(network_of(peer));
                Ok(account)
            }
            _ => {
                self.failed(peer, &who, now);
                Err(LoginError::Refused)
            }
        }
    }

    /// The keys for a SCRAM log-in (RFC 5802 §5).
    pub async fn scram(&self, peer: IpAddr, login: &str, most_failures: usize) -> Result<ScramOffer, LoginError> {
        let now = self.clock.now();
        let name = login_address(login);
        let who = name.as_ref().map_or_else(|| login.to_lowercase(), Address::to_string);
        self.may_try(peer, &who, most_failures, now)?;
        let account = match &name {
            Some(name) => self.active(name).await?,
            None => None,
        };
        let kept = account.and_then(|account| account.scram.clone().map(|keys| (account, keys)));
        Ok(match kept {
            Some((account, keys)) => ScramOffer { account: Some(Box::new(account)), keys },
            None => ScramOffer { account: None, keys: hash::made_up_keys(&self.secret, &who) },
        })
    }

    /// How a SCRAM log-in ended, for the limits.
    pub fn scram_ended(&self, peer: IpAddr, login: &str, success: bool) {
        if success {
            self.failures.forgive(network_of(peer));
        } else {
            let who = login_address(login).map_or_else(|| login.to_lowercase(), |name| name.to_string());
            self.failed(peer, &who, self.clock.now());
        }
    }

    /// Hashes a new password.
    pub async fn hash(&self, password: &[u8]) -> Result<PasswordHash, String> {
        self.hasher.hash(password.to_vec()).await
    }

    fn may_try(&self, peer: IpAddr, who: &str, most: usize, now: Timestamp) -> Result<(), LoginError> {
        let limited = !peer.to_canonical().is_loopback() && !self.failures.may_try(network_of(peer), who, most, now);
        if limited { Err(LoginError::Wait) } else { Ok(()) }
    }

    fn failed(&self, peer: IpAddr, who: &str, now: Timestamp) {
        if !peer.to_canonical().is_loopback() {
            self.failures.note(network_of(peer), who, now);
        }
    }

    async fn active(&self, name: &Address) -> Result<Option<Account>, LoginError> {
        match self.store.entry(name).await.map_err(LoginError::Store)? {
            Some(DirectoryEntry::Account(account)) if account.state == AccountState::Active => Ok(Some(*account)),
            _ => Ok(None),
        }
    }
}

/// A log-in name as an address: the log-in name is the address, in any case.
fn login_address(login: &str) -> Option<Address> {
    wire::address::mailbox(login.trim()).ok().map(|address| address.folded())
}
