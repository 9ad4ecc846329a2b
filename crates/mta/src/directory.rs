//! Who an address is, by the store's directory: one rule for mail that comes in and for reports that we send.
//!
//! **Does:** follows aliases and groups, sub-addresses, roles and catch-alls, one [`Step`] at a time, with bounds, and
//! says for each step which rule led there.
//!
//! **Does not:** judge: whether an account takes mail now, or mail may leave for elsewhere, is the caller's to decide.

use std::collections::HashSet;

use mail::{Address, Domain, limits};
use store::{Account, AccountState, DirectoryEntry, Store, StoreError};

use crate::route::Routing;

/// Detail of a sub-address: `alice+shop` (RFC 5233).
const SEPARATOR: char = '+';

/// An address stood for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expansion {
    /// Which.
    pub address: Address,
    /// By which rule: see [`store::What::Expanded`].
    pub rule: &'static str,
    /// For whom.
    pub targets: Vec<Address>,
}

/// What the next address on the way is.
pub(crate) enum Step {
    /// An account, reached under this address, by this alias.
    Account(Box<Account>, Address, Option<Address>),
    /// An address that is not ours, by this alias.
    Elsewhere(Address, Option<Address>),
    /// It stands for others, which are followed.
    Others(Expansion),
    /// It would stand for others, but there are too many, or too many one after the other.
    TooMany,
    /// An address of ours that nobody has.
    Nobody(Address),
}

/// What one address is, one step far.
enum Here {
    Account(Box<Account>),
    /// Stands for others, by this rule.
    Others(&'static str, Address, Vec<Address>),
    Nobody,
}

/// The way from one address to all that it stands for.
pub(crate) struct Walk<'a> {
    store: &'a dyn Store,
    routing: &'a Routing,
    seen: HashSet<Address>,
    /// Addresses to look at, with the alias that led to them and how many were on the way.
    work: Vec<(Address, Option<Address>, usize)>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(store: &'a dyn Store, routing: &'a Routing, address: &Address) -> Self {
        Self { store, routing, seen: HashSet::from([address.folded()]), work: vec![(address.clone(), None, 0)] }
    }

    /// The next step; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Step>, StoreError> {
        let Some((address, alias, depth)) = self.work.pop() else { return Ok(None) };
        Ok(Some(match self.look_up(&address).await? {
            None => Step::Elsewhere(address, alias),
            Some(Here::Account(account)) => Step::Account(account, address, alias),
            Some(Here::Nobody) => Step::Nobody(address),
            Some(Here::Others(rule, at, targets)) => {
                if depth >= limits::ALIAS_DEPTH || self.seen.len() + targets.len() > limits::ALIAS_TARGETS {
                    return Ok(Some(Step::TooMany));
                }
                // What a group contains twice, or what leads back, is gone through once.
                for target in targets.iter().rev() {
                    if self.seen.insert(target.folded()) {
                        self.work.push((target.clone(), Some(at.clone()), depth + 1));
                    }
                }
                Step::Others(Expansion { address, rule, targets })
            }
        }))
    }

    /// Whether a domain's addresses are looked up here.
    pub(crate) async fn is_ours(&self, domain: &Domain) -> Result<bool, StoreError> {
        Ok(*domain == self.routing.hostname || self.store.domain(domain).await?.is_some())
    }

    /// One step, in the order of the rules: the very address, without its detail, the roles of RFC 2142, the
    /// domain's catch-all, the catch-all of all. `None`: it is not ours.
    async fn look_up(&self, address: &Address) -> Result<Option<Here>, StoreError> {
        let address = &address.folded();
        if !self.is_ours(address.domain()).await? {
            return Ok(self.caught(address));
        }
        match self.store.entry(address).await? {
            Some(DirectoryEntry::Account(account)) => return Ok(Some(Here::Account(account))),
            Some(DirectoryEntry::Alias(alias)) => return Ok(Some(Here::Others("alias", alias.address, alias.targets))),
            None => {}
        }
        if let Some(plain) = address.without_detail(SEPARATOR)
            && self.store.entry(&plain).await?.is_some()
        {
            return Ok(Some(Here::Others("sub-address", address.clone(), vec![plain])));
        }
        if let Some(admin) = self.role(address).await? {
            return Ok(Some(Here::Others("postmaster", address.clone(), vec![admin])));
        }
        let every = every(address.domain())?;
        if let Some(DirectoryEntry::Alias(alias)) = self.store.entry(&every).await? {
            let rule = if alias.targets.iter().all(Address::is_every) { "domain-alias" } else { "catch-all" };
            // Of every address there, the one that has the same name.
            let same = |target: Address| if target.is_every() { address.at(target.domain()) } else { target };
            return Ok(Some(Here::Others(rule, alias.address, alias.targets.into_iter().map(same).collect())));
        }
        Ok(Some(self.caught(address).unwrap_or(Here::Nobody)))
    }

    /// The catch-all of all, where there is one. What has a route was given to another server by name, and goes there.
    fn caught(&self, address: &Address) -> Option<Here> {
        let catch_all = self.routing.catch_all.as_ref()?;
        let caught = catch_all.folded() != *address && !self.routing.is_gateway(address.domain());
        caught.then(|| Here::Others("catch-all", address.clone(), vec![catch_all.clone()]))
    }

    /// RFC 2142 §5, RFC 5321 §4.5.1: postmaster and abuse are always there. Who has not set them gets them as the
    /// first account; those of our own host name go where a domain's go.
    async fn role(&self, address: &Address) -> Result<Option<Address>, StoreError> {
        if !matches!(address.local(), "postmaster" | "abuse") {
            return Ok(None);
        }
        let accounts = self.store.accounts(None, limits::ALIAS_TARGETS).await?;
        let of_domain = |account: &&Account| account.address.domain() == address.domain();
        let active = || accounts.iter().filter(|account| account.state == AccountState::Active);
        if let Some(first) = active().filter(of_domain).min_by_key(|account| account.id) {
            return Ok(Some(first.address.clone()));
        }
        for record in self.store.domains().await? {
            if let Ok(role) = Address::new(address.local(), record.domain)
                && role != *address
                && self.store.entry(&role).await?.is_some()
            {
                return Ok(Some(role));
            }
        }
        Ok(active().min_by_key(|account| account.id).map(|account| account.address.clone()))
    }
}

/// The alias of all that nobody else has in a domain.
pub(crate) fn every(domain: &Domain) -> Result<Address, StoreError> {
    Address::new(Address::EVERY, domain.clone()).map_err(|why| StoreError::Failed(why.to_string()))
}
