//! Who receives what is sent to an address: accounts here, addresses elsewhere, or nobody.
//!
//! **Does:** judges what the directory says ([`crate::directory`]): whether an account takes mail now, and whether this
//! client may send elsewhere.
//!
//! **Does not:** take a recipient for elsewhere without an [`Authorized`]: that is what keeps this server from being an
//! open relay.

use std::sync::Arc;

use mail::{AccountId, Address, Domain, Reply, ReversePath};
use store::{Account, AccountState, AwayNotice, StoreError};
use wire::smtp::server::Role;

use super::{Client, Desk, Identity, replies};
use crate::directory::{Expansion, Step, Walk};
use crate::milter::Refused;

/// Somebody who receives.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where.
    pub place: Place,
    /// The address of the last alias on the way, if there was one.
    pub alias: Option<Address>,
    /// What its owner, who may be away, has told to those who write.
    pub away: Option<Arc<AwayNotice>>,
    /// The name of its active script.
    pub script: Option<String>,
}

impl Target {
    /// Whether it is that account.
    pub(super) fn is_at(&self, account: AccountId) -> bool {
        matches!(self.place, Place::Here(here, _) if here == account)
    }
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
            (Role::Submission, Identity::Account(..) | Identity::Operator) => Some(Self(())),
            _ => None,
        }
    }

    /// A machine in a network that the operator trusts, under a sender that it may name.
    fn by_network(client: &Client, sender_is_ours: bool) -> Option<Self> {
        let trusted = client.trusted.as_ref()?;
        (sender_is_ours || trusted.as_anybody).then_some(Self(()))
    }

    /// A domain that is configured to be sent on.
    fn by_gateway(desk: &Desk, domain: &Domain) -> Option<Self> {
        desk.policy.routing.is_gateway(domain).then_some(Self(()))
    }

    /// An alias of ours names the address.
    const fn by_alias(_alias: &Address) -> Self {
        Self(())
    }

    /// A filter that the operator has chosen added the address to a message that was taken.
    const fn by_filter() -> Self {
        Self(())
    }
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
    /// Who, where the rule leaves it to others.
    pub by: Option<String>,
}

impl Refusal {
    /// By a rule of this system.
    pub const fn new(reply: Reply, rule: &'static str) -> Self {
        Self { reply, rule, by: None }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self { reply: refused.reply, rule: "milter", by: Some(refused.by) }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "an address can't be looked up");
        Self::new(replies::of_store(&error), "store")
    }
}

impl Desk {
    /// Who `address` is. `size`: SIZE=, for the quota.
    pub async fn resolve(
        &self,
        client: &Client,
        sender: &ReversePath,
        address: &Address,
        size: u64,
    ) -> Result<Resolved, Refusal> {
        let mut resolved = Resolved::default();
        let mut refusal = None;
        let mut walk = self.walk(address);
        while let Some(step) = walk.next().await? {
            match step {
                Step::Account(account, at, alias) => match check(&account, &at, size) {
                    Ok(()) => push_account(&mut resolved, &account, alias),
                    // Some of a group are full: the sender keeps the message and tries again, for none is left out.
                    Err(why) if why.reply.code.is_transient() => return Err(why),
                    Err(why) => refusal = Some(why),
                },
                Step::Elsewhere(at, alias) => {
                    let authorized = match &alias {
                        Some(via) => Authorized::by_alias(via),
                        None => self.authorize(client, sender, &at).await?,
                    };
                    resolved.targets.push(Target {
                        place: Place::Elsewhere(at, authorized),
                        alias,
                        away: None,
                        script: None,
                    });
                }
                Step::Others(expansion) => resolved.expansions.push(expansion),
                Step::TooMany => return Err(Refusal::new(replies::alias_loop(address), "alias-loop")),
                Step::Nobody(at) => refusal = Some(Refusal::new(replies::unknown(&at), "unknown-user")),
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

    /// Who `address` is, which a filter added to those who get a message.
    pub(super) async fn resolve_added(
        &self,
        client: &Client,
        sender: &ReversePath,
        address: &Address,
    ) -> Result<Resolved, Refusal> {
        let domain = address.domain();
        if self.walk(address).is_ours(domain).await? || self.policy.routing.is_gateway(domain) {
            return self.resolve(client, sender, address, 0).await;
        }
        let place = Place::Elsewhere(address.clone(), Authorized::by_filter());
        Ok(Resolved { targets: vec![Target { place, alias: None, away: None, script: None }], expansions: Vec::new() })
    }

    fn walk(&self, address: &Address) -> Walk<'_> {
        Walk::new(&*self.store, &self.policy.routing, address)
    }

    /// Whether this client may send to an address elsewhere.
    async fn authorize(&self, client: &Client, sender: &ReversePath, address: &Address) -> Result<Authorized, Refusal> {
        // The server in front of us delivers here; what it may relay is its own to send.
        if client.role == Role::Lmtp {
            return Err(Refusal::new(replies::relaying_denied(address), "relaying-denied"));
        }
        if let Some(authorized) = Authorized::by_log_in(client) {
            return Ok(authorized);
        }
        if let Some(authorized) = self.trusts(client, sender).await? {
            return Ok(authorized);
        }
        let Some(authorized) = Authorized::by_gateway(self, address.domain()) else {
            return Err(Refusal::new(replies::relaying_denied(address), "relaying-denied"));
        };
        if let Some(verify) = &self.verify {
            verify.verify(sender, address).await.map_err(|reply| Refusal::new(reply, "gateway"))?;
        }
        Ok(authorized)
    }

    /// Whether the client may send without log-in as that sender. A report (null) is nobody's of ours: what is trusted for
    /// the sake of its senders' domain would relay anything.
    pub(super) async fn trusts(&self, client: &Client, sender: &ReversePath) -> Result<Option<Authorized>, StoreError> {
        if client.trusted.is_none() {
            return Ok(None);
        }
        let is_ours = match sender.address() {
            Some(address) => self.walk(address).is_ours(address.domain()).await?,
            None => false,
        };
        Ok(Authorized::by_network(client, is_ours))
    }

    /// Whether the account may send as `address`: its own, with a detail, or an alias that leads to it.
    pub(super) async fn is_own(&self, account: AccountId, address: &Address) -> Result<bool, StoreError> {
        let mut walk = self.walk(address);
        if !walk.is_ours(address.domain()).await? {
            return Ok(false);
        }
        while let Some(step) = walk.next().await? {
            if matches!(step, Step::Account(found, ..) if found.id == account) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether an account takes mail now.
pub(crate) fn check(account: &Account, address: &Address, size: u64) -> Result<(), Refusal> {
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
        let script = account.script.as_ref().map(|(name, _)| name.clone());
        resolved.targets.push(Target { place, alias, away: account.away.clone(), script });
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
