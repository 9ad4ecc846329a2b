//! What strangers, and our own users, may do how often: rates, lists, rules about senders and recipients, greylisting.
//!
//! **Does:** judges a connection ([`Door::connection`]), a sender ([`Door::sender`]) and a recipient ([`Door::recipient`]);
//! what is not taken gets a reply that says why and when to come again, and the name of the rule for the ring of
//! refusals.
//!
//! **Does not:** judge loopback. Look at messages ([`crate::accept::inspect`] does). Say 5yz for what may be our own
//! trouble: where DNS does not answer, the mail is taken.
//!
//! **Data** comes in as addresses and moments; rates and what greylisting remembers is in memory and, now and then,
//! in the store ([`Door::remember`]).

mod lists;
mod rates;

use std::net::IpAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use mail::{Address, Domain, Reply, ReversePath, Timestamp, limits};
use store::{Store, StoreResult};

use crate::accept::resolve::Refusal;
use crate::world::{Clock, Dns};
use lists::Named;
pub use rates::{Rate, Rates};

/// What the operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Connections of one address within a minute.
    pub connections: u32,
    /// Messages of one address within an hour.
    pub messages: u32,
    /// Recipients of one address within an hour.
    pub recipients: u32,
    /// Recipients of one account within an hour.
    pub account: u32,
    /// Lists of addresses that bring nothing.
    pub blocklists: Vec<Domain>,
    /// Lists of addresses that are not looked for in the others, nor made to wait.
    pub allowlists: Vec<Domain>,
    /// An address must have a name that leads back to it.
    pub reverse_dns: bool,
    /// Senders, or domains of senders, that bring nothing.
    pub refused_senders: Vec<String>,
    /// Recipients who get nothing from elsewhere.
    pub refused_recipients: Vec<String>,
    /// Who is not known has to come again.
    pub greylist: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            connections: limits::POLICY_CONNECTIONS,
            messages: limits::POLICY_MESSAGES,
            recipients: limits::POLICY_RECIPIENTS,
            account: limits::POLICY_ACCOUNT_RECIPIENTS,
            blocklists: Vec::new(),
            allowlists: Vec::new(),
            reverse_dns: false,
            refused_senders: Vec::new(),
            refused_recipients: Vec::new(),
            greylist: false,
        }
    }
}

/// How names begin of networks that greylisting knows, and of who has come once.
const KNOWN: &str = "known ";
const ONCE: &str = "grey ";

/// Who stands at the door of one system.
pub struct Door {
    clock: Arc<dyn Clock>,
    dns: Option<Arc<dyn Dns>>,
    rules: RwLock<Arc<Rules>>,
    rates: Rates,
    /// Whom greylisting knows, and who has come once. Apart from the rates and from each other: strangers who come in numbers
    /// make neither a rate nor a friend forgotten.
    known: Rates,
    once: Rates,
}

impl Door {
    /// With these rules; without DNS, lists and names are not asked for.
    pub fn new(clock: Arc<dyn Clock>, dns: Option<Arc<dyn Dns>>, rules: Rules) -> Arc<Self> {
        Arc::new(Self {
            clock,
            dns,
            rules: RwLock::new(Arc::new(rules)),
            rates: Rates::default(),
            known: Rates::default(),
            once: Rates::default(),
        })
    }

    /// Takes other rules; what was counted stays.
    pub fn reload(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(rules);
    }

    fn rules(&self) -> Arc<Rules> {
        self.rules.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// What the store has kept.
    ///
    /// # Errors
    /// The store's.
    pub async fn recall(&self, store: &dyn Store) -> StoreResult<()> {
        self.take_up(store.tallies().await?);
        Ok(())
    }

    fn take_up(&self, kept: Vec<(String, Timestamp)>) {
        let (known, others): (Vec<_>, Vec<_>) = kept.into_iter().partition(|(name, _)| name.starts_with(KNOWN));
        let (once, rates): (Vec<_>, Vec<_>) = others.into_iter().partition(|(name, _)| name.starts_with(ONCE));
        self.known.load(known);
        self.once.load(once);
        self.rates.load(rates);
    }

    fn not_kept(&self, now: Timestamp) -> Vec<(String, Timestamp)> {
        [&self.rates, &self.known, &self.once].into_iter().flat_map(|rates| rates.changed(now)).collect()
    }

    /// Keeps in the store what it does not know.
    ///
    /// # Errors
    /// The store's.
    pub async fn remember(&self, store: &dyn Store) -> StoreResult<()> {
        let now = self.clock.now();
        store.keep_tallies(self.not_kept(now), now).await
    }

    /// A connection to port 25.
    ///
    /// # Errors
    /// What the client hears instead of a greeting.
    pub fn connection(&self, ip: IpAddr) -> Result<(), Refusal> {
        let rate = Rate::minutely(self.rules().connections);
        self.counted("connections", ip, rate).map_err(|wait| {
            Refusal::new(
                Reply::new(421, (4, 7, 0), format!("Too many connections from {ip}, come again in {}", told(wait))),
                "rate-connections",
            )
        })
    }

    /// MAIL from a stranger.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn sender(&self, ip: IpAddr, sender: &ReversePath) -> Result<(), Refusal> {
        let rules = self.rules();
        if let ReversePath::Address(address) = sender
            && rules.refused_senders.iter().any(|name| address.is_meant_by(name))
        {
            let reply = Reply::new(550, (5, 7, 1), format!("<{address}>: this sender is not accepted here"));
            return Err(Refusal::new(reply, "refused-sender"));
        }
        self.counted("messages", ip, Rate::hourly(rules.messages)).map_err(|wait| {
            Refusal::new(
                Reply::new(450, (4, 7, 1), format!("Too many messages from {ip}, come again in {}", told(wait))),
                "rate-messages",
            )
        })
    }

    /// RCPT from a stranger, of a recipient that would be taken.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn recipient(&self, ip: IpAddr, sender: &ReversePath, recipient: &Address) -> Result<(), Refusal> {
        if ip.is_loopback() {
            return Ok(());
        }
        let rules = self.rules();
        if rules.refused_recipients.iter().any(|name| recipient.is_meant_by(name)) {
            let reply = Reply::new(550, (5, 7, 1), format!("<{recipient}>: takes no mail from elsewhere"));
            return Err(Refusal::new(reply, "refused-recipient"));
        }
        self.counted("recipients", ip, Rate::hourly(rules.recipients)).map_err(|wait| {
            Refusal::new(
                Reply::new(450, (4, 7, 1), format!("Too many recipients from {ip}, come again in {}", told(wait))),
                "rate-recipients",
            )
        })?;
        // RFC 5321 §4.5.1: who is refused can write to the postmaster about it.
        if recipient.local().eq_ignore_ascii_case("postmaster") {
            return Ok(());
        }
        let allowed = self.is_on(&rules.allowlists, ip).await.is_some();
        if !allowed && let Some(list) = self.is_on(&rules.blocklists, ip).await {
            let reply =
                Reply::new(554, (5, 7, 1), format!("{ip} is listed by {list}; ask there, or write to postmaster"));
            return Err(Refusal::new(reply, "blocklist"));
        }
        if rules.reverse_dns
            && !allowed
            && let Some(dns) = &self.dns
            && lists::named(&**dns, ip).await == Named::Badly
        {
            let words = format!("{ip} has no name in DNS that leads back to it; give it one, or write to postmaster");
            return Err(Refusal::new(Reply::new(550, (5, 7, 25), words), "reverse-dns"));
        }
        if rules.greylist && !allowed { self.greylist(ip, sender, recipient) } else { Ok(()) }
    }

    /// RCPT from an account.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn account(&self, account: &Address) -> Result<(), Refusal> {
        let (name, rate) = (format!("account {}", account.folded()), Rate::hourly(self.rules().account));
        self.rates.take(&name, rate, 1, self.clock.now()).map_err(|wait| {
            tracing::warn!(%account, "sends to more recipients within an hour than an account may");
            let words = format!("{account} sends to too many recipients, come again in {}", told(wait));
            Refusal::new(Reply::new(450, (4, 7, 1), words), "rate-account")
        })
    }

    /// Counts for an address, and for the network that it is of.
    fn counted(&self, what: &str, ip: IpAddr, rate: Rate) -> Result<(), Duration> {
        if ip.is_loopback() {
            return Ok(());
        }
        let (address, network) = places(ip);
        let now = self.clock.now();
        // One that is refused takes nothing from its neighbours.
        self.rates.take(&format!("{what} {address}"), rate, 1, now)?;
        self.rates.take(&format!("{what} {network}"), rate.times(limits::POLICY_NETWORK_TIMES), 1, now)
    }

    /// The first of these lists that has the address.
    async fn is_on<'a>(&self, lists: &'a [Domain], ip: IpAddr) -> Option<&'a Domain> {
        let dns = self.dns.as_ref()?;
        for list in lists {
            if lists::is_listed(&**dns, ip, list).await {
                return Some(list);
            }
        }
        None
    }

    /// Who comes for the first time is asked to come again: programs that send junk seldom do. Once he has, he is known for
    /// a while, with all that he brings from there.
    fn greylist(&self, ip: IpAddr, sender: &ReversePath, recipient: &Address) -> Result<(), Refusal> {
        let (now, network) = (self.clock.now(), places(ip).1);
        let known = format!("{KNOWN}{network}");
        let first = format!("{ONCE}{network} {sender} {}", recipient.folded());
        let wait = match (self.known.until(&known, now), self.once.until(&first, now)) {
            (Some(_), _) => {
                self.known.set(&known, now.plus(limits::GREYLIST_KNOWN), now);
                return Ok(());
            }
            (None, Some(until)) => {
                let came = until.since(now).saturating_sub(limits::GREYLIST_WINDOW - limits::GREYLIST_WAIT);
                if came.is_zero() {
                    self.known.set(&known, now.plus(limits::GREYLIST_KNOWN), now);
                    return Ok(());
                }
                came
            }
            (None, None) => {
                // One network that comes under ever other names makes nobody else forgotten.
                let rate = Rate::hourly(limits::GREYLIST_NAMES);
                if self.rates.take(&format!("greylisted {network}"), rate, 1, now).is_ok() {
                    self.once.set(&first, now.plus(limits::GREYLIST_WINDOW), now);
                }
                limits::GREYLIST_WAIT
            }
        };
        let words = format!("<{recipient}>: you are not known here yet, come again in {}", told(wait));
        Err(Refusal::new(Reply::new(450, (4, 7, 1), words), "greylist"))
    }
}

/// What one host has, and what it shares with its neighbours: of IPv6 a host has a /64 at least.
fn places(ip: IpAddr) -> (String, String) {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            (ip.to_string(), format!("{a}.{b}.{c}.0/24"))
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            (format!("{a:x}:{b:x}:{c:x}:{d:x}::/64"), format!("{a:x}:{b:x}:{c:x}::/48"))
        }
    }
}

/// `12 minutes`; never less than what is meant.
fn told(wait: Duration) -> String {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    match seconds {
        0..=1 => "1 second".to_owned(),
        2..120 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests;
