//! Who an address is: accounts here, addresses elsewhere, or nobody.
//!
//! **Does:** follows aliases and groups, sub-addresses, catch-alls, and postmaster and abuse, with bounds, and says
//! for each step which rule led there.
//!
//! **Does not:** take a recipient for elsewhere without an [`Authorized`]: that is what keeps this server from being an
//! open relay.

use std::collections::HashSet;

use mail::{AccountId, Address, Domain, Reply, ReversePath, limits};
use store::{Account, AccountState, DirectoryEntry, StoreError};
use wire::smtp::server::Role;

use super::{Client, Desk, Identity, replies};

/// Detail of a sub-address: `alice+shop` (RFC 5233).
const SEPARATOR: char = '+';

/// Somebody who receives.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where.
    pub place: Place,
    /// The address of the last alias on the way, if there was one.
    pub alias: Option<Address>,
}

/// Where somebody receives.
#[derive(Clone, Debug)]
pub enum Place {
    /// In a mailbox here.
    Here(AccountId, Address),
    /// Elsewhere, with the reason why we may send it there.
    Elsewhere(Address, Authorized),
}

/// Proof that mail may leave for elsewhere: only this file makes one.
#[derive(Clone, Copy, Debug)]
pub struct Authorized(());

impl Authorized {
    /// Who is logged in may send anywhere.
    const fn by_log_in(client: &Client) -> Option<Self> {
        match (client.role, &client.identity) {
            (Role::Submission, Identity::Account(..)) => Some(Self(())),
            _ => None,
        }
    }

    /// A domain that is configured to be sent on.
    fn by_gateway(desk: &Desk, domain: &Domain) -> Option<Self> {
        desk.policy.routing.is_gateway(domain).then_some(Self(()))
    }

    /// An alias of ours names the address.
    const fn by_alias(_alias: &Address) -> Self {
        Self(())
    }
}

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

/// What an address leads to: at least one target.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// Who receives; nobody twice.
    pub targets: Vec<Target>,
    /// How it came about.
    pub expansions: Vec<Expansion>,
}

/// Why an address is not taken: the reply, and the rule for the ring of refusals.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What the client hears.
    pub reply: Reply,
    /// Which rule.
    pub rule: &'static str,
}

impl Refusal {
    pub(super) const fn new(reply: Reply, rule: &'static str) -> Self {
        Self { reply, rule }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "an address can't be looked up");
        Self::new(replies::of_store(&error), "store")
    }
}

/// What one address is, one step far.
enum Here {
    Account(Box<Account>),
    /// Stands for others, by this rule.
    Others(&'static str, Address, Vec<Address>),
    Nobody,
}

impl Desk {
    /// Whether a domain's addresses are looked up here.
    async fn is_ours(&self, domain: &Domain) -> Result<bool, StoreError> {
        Ok(*domain == self.policy.hostname || self.store.domain(domain).await?.is_some())
    }

    /// Who `address` is. `size`: SIZE=, for the quota.
    pub async fn resolve(
        &self,
        client: &Client,
        sender: &ReversePath,
        address: &Address,
        size: u64,
    ) -> Result<Resolved, Refusal> {
        if !self.is_ours(address.domain()).await? {
            return self.elsewhere(client, sender, address).await;
        }
        let mut resolved = Resolved::default();
        let mut seen = HashSet::from([address.folded()]);
        let mut work = vec![(address.clone(), None::<Address>, 0)];
        let mut refusal = None;
        while let Some((next, alias, depth)) = work.pop() {
            if !self.is_ours(next.domain()).await? {
                if let Some(via) = &alias {
                    let place = Place::Elsewhere(next, Authorized::by_alias(via));
                    resolved.targets.push(Target { place, alias });
                }
                continue;
            }
            match self.look_up(&next.folded()).await? {
                Here::Account(account) => match check(&account, &next, size) {
                    Ok(()) => push_account(&mut resolved, &account, alias),
                    // Some of a group are full: the sender keeps the message and tries again, for none is left out.
                    Err(why) if why.reply.code.is_transient() => return Err(why),
                    Err(why) => refusal = Some(why),
                },
                Here::Others(rule, at, targets) => {
                    let expansion = Expansion { address: next.clone(), rule, targets: targets.clone() };
                    resolved.expansions.push(expansion);
                    if depth >= limits::ALIAS_DEPTH || seen.len() + targets.len() > limits::ALIAS_TARGETS {
                        return Err(Refusal::new(replies::alias_loop(address), "alias-loop"));
                    }
                    // What a group contains twice, or what leads back, is gone through once.
                    let fresh = targets.into_iter().rev().filter(|target| seen.insert(target.folded()));
                    work.extend(fresh.map(|target| (target, Some(at.clone()), depth + 1)));
                }
                Here::Nobody => refusal = Some(Refusal::new(replies::unknown(&next), "unknown-user")),
            }
        }
        if resolved.targets.is_empty() {
            let loops = || Refusal::new(replies::alias_loop(address), "alias-loop");
            return Err(refusal.map_or_else(loops, |why| Refusal::new(about(why.reply, address), why.rule)));
        }
        if let Some(refusal) = refusal {
            tracing::warn!(%address, reason = %refusal.reply, "a target of an alias does not exist and is passed over");
        }
        Ok(resolved)
    }

    async fn elsewhere(&self, client: &Client, sender: &ReversePath, address: &Address) -> Result<Resolved, Refusal> {
        // What has a route was given to another server by name, and goes there.
        let caught = |_: &&Address| !self.policy.routing.is_gateway(address.domain());
        if let Some(catch_all) = self.policy.catch_all.as_ref().filter(caught) {
            return Box::pin(self.resolve(client, sender, catch_all, 0)).await.map(|mut resolved| {
                let targets = vec![catch_all.clone()];
                let expansion = Expansion { address: address.clone(), rule: "catch-all", targets };
                resolved.expansions.insert(0, expansion);
                resolved
            });
        }
        let authorized = match Authorized::by_log_in(client) {
            Some(authorized) => authorized,
            None => {
                let gateway = Authorized::by_gateway(self, address.domain());
                let denied = || Refusal::new(replies::relaying_denied(address), "relaying-denied");
                let authorized = gateway.ok_or_else(denied)?;
                if let Some(verify) = &self.verify {
                    let refused = |reply| Refusal::new(reply, "gateway");
                    verify.verify(sender, address).await.map_err(refused)?;
                }
                authorized
            }
        };
        let place = Place::Elsewhere(address.clone(), authorized);
        Ok(Resolved { targets: vec![Target { place, alias: None }], expansions: Vec::new() })
    }

    /// One step, in the order of the rules: the very address, without its detail, the roles of RFC 2142, the
    /// domain's catch-all.
    async fn look_up(&self, address: &Address) -> Result<Here, StoreError> {
        match self.store.entry(address).await? {
            Some(DirectoryEntry::Account(account)) => return Ok(Here::Account(account)),
            Some(DirectoryEntry::Alias(alias)) => return Ok(Here::Others("alias", alias.address, alias.targets)),
            None => {}
        }
        if let Some(plain) = address.without_detail(SEPARATOR)
            && self.store.entry(&plain).await?.is_some()
        {
            return Ok(Here::Others("sub-address", address.clone(), vec![plain]));
        }
        if let Some(admin) = self.role(address).await? {
            return Ok(Here::Others("postmaster", address.clone(), vec![admin]));
        }
        let every = Address::new("*", address.domain().clone()).map_err(|why| StoreError::Failed(why.to_string()))?;
        if let Some(DirectoryEntry::Alias(alias)) = self.store.entry(&every).await? {
            return Ok(Here::Others("catch-all", alias.address, alias.targets));
        }
        Ok(match &self.policy.catch_all {
            Some(catch_all) if catch_all.folded() != *address => {
                Here::Others("catch-all", address.clone(), vec![catch_all.clone()])
            }
            _ => Here::Nobody,
        })
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

    /// Whether the account may send as `address`: its own, with a detail, or an alias that leads to it.
    pub(super) async fn is_own(&self, account: AccountId, address: &Address) -> Result<bool, StoreError> {
        let mut seen = HashSet::new();
        let mut work = vec![(address.folded(), 0)];
        while let Some((next, depth)) = work.pop() {
            if !self.is_ours(next.domain()).await? {
                continue;
            }
            match self.look_up(&next).await? {
                Here::Account(found) if found.id == account => return Ok(true),
                Here::Others(_, _, targets) if depth < limits::ALIAS_DEPTH && seen.len() < limits::ALIAS_TARGETS => {
                    let fresh = targets.into_iter().map(|target| target.folded());
                    work.extend(fresh.filter(|target| seen.insert(target.clone())).map(|target| (target, depth + 1)));
                }
                _ => {}
            }
        }
        Ok(false)
    }
}

/// Whether an account takes mail now.
fn check(account: &Account, address: &Address, size: u64) -> Result<(), Refusal> {
    if account.state == AccountState::Disabled {
        return Err(Refusal::new(replies::disabled(address), "disabled"));
    }
    match account.quota {
        Some(quota) if size > quota => Err(Refusal::new(replies::never_fits(address), "quota")),
        Some(quota) if account.used.saturating_add(size.max(1)) > quota => {
            Err(Refusal::new(replies::full(address), "quota"))
        }
        _ => Ok(()),
    }
}

/// One person reached in several ways gets one copy.
fn push_account(resolved: &mut Resolved, account: &Account, alias: Option<Address>) {
    let is_there = |target: &Target| matches!(&target.place, Place::Here(id, _) if *id == account.id);
    if !resolved.targets.iter().any(is_there) {
        let place = Place::Here(account.id, account.address.clone());
        resolved.targets.push(Target { place, alias });
    }
}

/// The reply is about the address that the client gave, not about where an alias of it leads: that is nobody's business.
fn about(reply: Reply, address: &Address) -> Reply {
    let words = match reply.text.split_once(">: ") {
        Some((_, words)) => format!("<{address}>: {words}"),
        None => reply.text,
    };
    Reply { text: words, ..reply }
}
