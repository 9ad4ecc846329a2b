//! Log-ins: who is it, and is the password right?
//!
//! Does: look the account up, verify its password with Argon2id on a bounded pool ([`hash`]), remember verified
//! log-ins for a short time ([`remember`]), and make addresses and accounts that fail too often wait
//! ([`failures`]). App passwords ([`secret`]) log in everywhere but at the web, where the account's own password does, with
//! the second factor ([`totp`]) where there is one ([`web`]), and passkeys in the place of both ([`passkeys`], which sign
//! [`challenges`]). Say whether what somebody was let in by is still good ([`proof`]). Does not: speak SASL (`wire` does), or decide what an account may do.
//!
//! Passwords come in as bytes from the engines and are kept nowhere.

mod challenges;
mod failures;
pub mod hash;
mod passkeys;
mod proof;
mod remember;
mod secret;
mod strength;
mod totp;
mod web;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use mail::{Address, Timestamp, limits};
use mta::world::Clock;
use store::{Account, AccountState, DirectoryEntry, PasswordHash, Scopes, Store, StoreError, Token};

use crate::listen::network_of;
use challenges::Challenges;
use failures::{Failures, Leave};
use hash::Hasher;
use remember::Remembered;

pub use challenges::Occasion;
pub use passkeys::{PasskeyError, PasskeySaid, take_away, user_handle};
pub use proof::{Holds, Proof};
pub use strength::is_weak;
pub use web::{WebLogin, add_app_password};

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
    challenges: Challenges,
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
            challenges: Challenges::new(),
            secret: hash::secret(),
        }
    }

    /// Checks name and password of a client at `peer` that wants to use `scope`. `most_failures`: `limits.login_failures` of
    /// the settings. An app password will do; with a second factor nothing else does.
    pub async fn password(
        &self,
        peer: IpAddr,
        login: &str,
        password: &[u8],
        scope: Scopes,
        most_failures: usize,
    ) -> Result<Account, LoginError> {
        self.proved(peer, login, password, scope, most_failures).await.map(|(account, _)| account)
    }

    /// The same, and what it was that proved it.
    pub async fn proved(
        &self,
        peer: IpAddr,
        login: &str,
        password: &[u8],
        scope: Scopes,
        most_failures: usize,
    ) -> Result<(Account, Proof), LoginError> {
        let now = self.clock.now();
        let password = &*prepared(password);
        let name = login_address(login);
        let account = match &name {
            Some(name) => self.active(name).await?,
            None => None,
        };
        // By whichever of its names: another domain's alias is no further try.
        let named = account.as_ref().map(|account| &account.address).or(name.as_ref());
        let who = counted_as(named, login);
        let leave = self.leave(peer, &who, most_failures, now);
        if let Some(account) = &account
            && leave != Leave::None
        {
            if let Some(token) = self.app_password(account, password, scope, peer).await? {
                return Ok((account.clone(), Proof::of_token(&token)));
            }
            if !needs_more(account) && self.remembered.knows(account, password, now) {
                return Ok((account.clone(), Proof::of_password(account)));
            }
        }
        if leave != Leave::Full {
            self.failed(peer, &who, most_failures, now);
            return Err(LoginError::Wait);
        }
        let known = account.as_ref().map(|account| account.password.clone());
        let right = self.hasher.verify(known, password.to_vec()).await;
        match account {
            Some(account) if right && !needs_more(&account) => {
                self.remembered.note(&account, password, now);
                self.failures.forgive(network_of(peer));
                let proof = Proof::of_password(&account);
                Ok((account, proof))
            }
            _ => {
                if right {
                    // Not told to the client: it would tell a stranger that the password is right.
                    tracing::info!(user = who, "this account has a second factor: its clients need app passwords");
                }
                self.failed(peer, &who, most_failures, now);
                Err(LoginError::Refused)
            }
        }
    }

    /// The keys for a SCRAM log-in (RFC 5802 §5).
    pub async fn scram(&self, peer: IpAddr, login: &str, most_failures: usize) -> Result<ScramOffer, LoginError> {
        let now = self.clock.now();
        let name = login_address(login);
        let who = counted_as(name.as_ref(), login);
        if self.leave(peer, &who, most_failures, now) != Leave::Full {
            return Err(LoginError::Wait);
        }
        let account = match &name {
            Some(name) => self.active(name).await?,
            None => None,
        };
        let kept = account
            .filter(|account| !needs_more(account))
            .and_then(|account| account.scram.clone().map(|keys| (account, keys)));
        Ok(match kept {
            Some((account, keys)) => ScramOffer { account: Some(Box::new(account)), keys },
            None => ScramOffer { account: None, keys: hash::made_up_keys(&self.secret, &who) },
        })
    }

    /// How a SCRAM log-in ended, for the limits.
    pub fn scram_ended(&self, peer: IpAddr, login: &str, success: bool, most_failures: usize) {
        if success {
            self.failures.forgive(network_of(peer));
        } else {
            let who = counted_as(login_address(login).as_ref(), login);
            self.failed(peer, &who, most_failures, self.clock.now());
        }
    }

    /// Hashes a new password.
    pub async fn hash(&self, password: &[u8]) -> Result<PasswordHash, String> {
        self.hasher.hash(password.to_vec()).await
    }

    async fn app_password(
        &self,
        account: &Account,
        password: &[u8],
        scope: Scopes,
        peer: IpAddr,
    ) -> Result<Option<Token>, LoginError> {
        let Ok(password) = std::str::from_utf8(password) else { return Ok(None) };
        let found = self.bearer(password, scope, peer).await.map_err(LoginError::Store)?;
        Ok(found.filter(|(owner, _)| owner.id == account.id).map(|(_, token)| token))
    }

    fn leave(&self, peer: IpAddr, who: &str, most: usize, now: Timestamp) -> Leave {
        if peer.to_canonical().is_loopback() {
            return Leave::Full;
        }
        self.failures.leave(network_of(peer), who, most, now)
    }

    fn failed(&self, peer: IpAddr, who: &str, most: usize, now: Timestamp) {
        if !peer.to_canonical().is_loopback() {
            self.failures.note(network_of(peer), who, most, now);
        }
    }

    /// The account of that name, perhaps in a domain that stands for its own.
    async fn active(&self, name: &Address) -> Result<Option<Account>, LoginError> {
        let mut entry = self.store.entry(name).await.map_err(LoginError::Store)?;
        if entry.is_none()
            && let Ok(every) = Address::new(Address::EVERY, name.domain().clone())
            && let Some(DirectoryEntry::Alias(alias)) = self.store.entry(&every).await.map_err(LoginError::Store)?
            && let [target] = &alias.targets[..]
            && target.is_every()
        {
            entry = self.store.entry(&name.at(target.domain())).await.map_err(LoginError::Store)?;
        }
        match entry {
            Some(DirectoryEntry::Account(account)) if account.state == AccountState::Active => Ok(Some(*account)),
            _ => Ok(None),
        }
    }
}

/// RFC 4616 §2, RFC 4013: the same preparation as when it was set, so that another keyboard's form fits.
fn prepared(password: &[u8]) -> Cow<'_, [u8]> {
    match std::str::from_utf8(password).map(wire::sasl::prepare) {
        Ok(prepared) => Cow::Owned(prepared.into_bytes()),
        Err(_) => Cow::Borrowed(password),
    }
}

/// Whether its own password is not enough.
fn needs_more(account: &Account) -> bool {
    account.totp.as_ref().is_some_and(|totp| totp.confirmed)
}

/// A log-in name as an address: the log-in name is the address, in any case.
fn login_address(login: &str) -> Option<Address> {
    wire::address::mailbox(login.trim()).ok().map(|address| address.folded())
}

/// Under which name failures are counted. What is no address can be as long as a command; so much of it is not kept.
fn counted_as(name: Option<&Address>, login: &str) -> String {
    name.map_or_else(
        || login.chars().take(limits::LOCAL_PART_LEN).collect::<String>().to_lowercase(),
        Address::to_string,
    )
}

#[cfg(test)]
mod tests {
    use mail::Domain;
    use store::NewAccount;
    use store_local::{LocalStore, Options};

    use super::*;
    use crate::SystemClock;

    #[tokio::test]
    async fn a_log_in_that_is_remembered_is_no_oracle_for_guesses() {
        const MOST: usize = 2;
        let dir = tempfile::tempdir().unwrap();
        let store = LocalStore::open(dir.path(), Options::default()).unwrap();
        let domain = Domain::from_ascii("red.example").unwrap();
        let _ = store.add_domain(&domain).await.unwrap();
        let auth = Auth::new(store.clone(), Arc::new(SystemClock));
        let address = Address::new("alice", domain).unwrap();
        let password = auth.hash(b"secret").await.unwrap();
        let account = NewAccount { address, password, scram: None, quota: None };
        let _ = store.add_account(account, auth.clock.now()).await.unwrap();
        let [home, bad]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        let say =
            |peer, password: &'static [u8]| auth.password(peer, "alice@red.example", password, Scopes::IMAP, MOST);

        assert!(say(home, b"secret").await.is_ok());
        for _ in 0..MOST {
            assert_eq!(say(bad, b"wrong").await.err(), Some(LoginError::Refused));
        }
        // The account's name in a domain that stands for its own is the same account.
        let other = Domain::from_ascii("rouge.example").unwrap();
        let _ = store.add_domain(&other).await.unwrap();
        let every = |name| Address::new(Address::EVERY, Domain::from_ascii(name).unwrap()).unwrap();
        let alias = store::Alias { address: every("rouge.example"), targets: vec![every("red.example")] };
        let _ = store.set_alias(alias).await.unwrap();
        assert!(auth.password(home, "Alice@rouge.example", b"secret", Scopes::IMAP, MOST).await.is_ok());
        let said = auth.password(bad, "alice@rouge.example", b"wrong", Scopes::IMAP, MOST).await;
        assert_eq!(said.err(), Some(LoginError::Wait));
        // Somebody else behind the same address is not kept out of what is remembered, ...
        assert_eq!(say(bad, b"wrong").await.err(), Some(LoginError::Wait));
        assert!(say(bad, b"secret").await.is_ok());
        // ... but who goes on guessing learns nothing more.
        for _ in 0..MOST * limits::LOGIN_FAILURES_ACCOUNT_FACTOR {
            assert_eq!(say(bad, b"wrong").await.err(), Some(LoginError::Wait));
        }
        assert_eq!(say(bad, b"secret").await.err(), Some(LoginError::Wait));
        assert!(say(home, b"secret").await.is_ok());
    }

    #[test]
    fn a_name_that_is_no_address_is_not_kept_whole() {
        assert_eq!(counted_as(None, &"Ab".repeat(5000)).len(), limits::LOCAL_PART_LEN);
    }
}
