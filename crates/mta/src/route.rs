//! Where mail for an address goes: fixed routes, MX, address records (RFC 5321 §5.1).
//!
//! **Does:** asks DNS and decides: hosts in the order to try, or never, or not now. Every decision carries
//! the rule's name and the steps that led to it, so that `postrider route` can print them.
//!
//! **Does not:** connect to anything, nor know what is local: `accept` asks that first.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use mail::{Address, Domain, limits};

use crate::safety::{Dane, Policy};
use crate::world::{Answer, Belief, Mx, World};

/// A next hop that the configuration fixes (one `[[route]]`).
#[derive(Clone, PartialEq, Eq)]
pub struct FixedRoute {
    /// For this domain; none: for all that no other route names (the smart host).
    pub domain: Option<Domain>,
    /// Host (a name or an address) and port, in the order to try.
    pub next_hop: Vec<(String, u16)>,
    /// Log-in at the next hop: user and password.
    pub login: Option<(String, String)>,
    /// The next hop speaks LMTP (RFC 2033).
    pub lmtp: bool,
}

/// How the name of a next hop begins that is a Unix socket: its path follows, and its address is this machine's.
pub const UNIX: &str = "unix:";

impl std::fmt::Debug for FixedRoute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let user = self.login.as_ref().map(|(user, _)| user);
        write!(f, "FixedRoute({:?} to {:?}, user {user:?})", self.domain, self.next_hop)
    }
}

/// What routing depends on besides DNS.
#[derive(Clone, Debug)]
pub struct Routing {
    /// Our own name: as it may stand in MX records, and a domain whose postmaster is ours.
    pub hostname: Domain,
    /// Where we listen for SMTP ourselves.
    pub listening: Vec<SocketAddr>,
    /// Where an MX listens.
    pub port: u16,
    /// Fixed routes.
    pub routes: Vec<FixedRoute>,
    /// Gets mail for every address and domain that nobody has; nothing leaves the machine. Only in `local`.
    pub catch_all: Option<Address>,
}

impl Routing {
    /// The fixed route for a domain: its own, else the smart host.
    pub fn fixed(&self, domain: &Domain) -> Option<&FixedRoute> {
        let own = self.routes.iter().find(|route| route.domain.as_ref() == Some(domain));
        own.or_else(|| self.routes.iter().find(|route| route.domain.is_none()))
    }

    /// Whether the domain is a gateway domain: mail for it is taken from anybody and sent on.
    pub fn is_gateway(&self, domain: &Domain) -> bool {
        self.routes.iter().any(|route| route.domain.as_ref() == Some(domain))
    }

    /// What mail for this address is scheduled under: its domain, or, for the smart host, the smart host's name,
    /// since what goes to one server shares its connections.
    pub fn destination(&self, address: &Address) -> Domain {
        let domain = address.domain();
        match self.fixed(domain) {
            Some(FixedRoute { domain: None, next_hop, .. }) => {
                next_hop.first().and_then(|(host, _)| host_domain(host)).unwrap_or_else(|| domain.clone())
            }
            _ => domain.clone(),
        }
    }

    /// Whether a connection to `to` would reach ourselves.
    fn is_self(&self, world: &World, to: SocketAddr) -> bool {
        self.listening.iter().any(|own| {
            own.port() == to.port()
                && (own.ip() == to.ip() || (own.ip().is_unspecified() && world.connect.is_local(to.ip())))
        })
    }
}

fn host_domain(host: &str) -> Option<Domain> {
    match host.parse::<IpAddr>() {
        Ok(ip) => Some(Domain::literal(ip)),
        Err(_) => Domain::from_ascii(host).ok(),
    }
}

/// A server to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name, or its address where it has none: for SNI and the journey.
    pub name: String,
    /// Where to connect to, in order; never empty.
    pub addresses: Vec<SocketAddr>,
    /// How safe the connection must be.
    pub policy: Policy,
}

impl Host {
    /// As in the journey: `name [address]`.
    fn shown(&self) -> String {
        match self.addresses.first() {
            Some(to) => format!("{} [{}]", self.name, to.ip()),
            None => self.name.clone(),
        }
    }
}

/// What is to be done with mail for a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try these, in order.
    Hosts(Vec<Host>),
    /// It can never be delivered: SMTP code, enhanced code, words.
    Never(u16, (u8, u16, u16), String),
    /// Nobody can tell now.
    Later((u8, u16, u16), String),
}

/// A decision with its reasons.
#[derive(Clone, PartialEq, Eq)]
pub struct Route {
    /// The rule that decided: see [`store::What::Routed`].
    pub rule: &'static str,
    /// What follows.
    pub verdict: Verdict,
    /// How it came about, in words, one line per step.
    pub steps: Vec<String>,
    /// Log-in at the next hop: user and password. Never shown.
    pub login: Option<(String, String)>,
    /// The next hop speaks LMTP.
    pub lmtp: bool,
    /// How long it may be believed: no answer of DNS that it rests on is older then.
    pub ttl: Duration,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let user = self.login.as_ref().map(|(user, _)| user);
        write!(f, "Route({}: {:?}, {:?}, user {user:?})", self.rule, self.verdict, self.steps)
    }
}

impl Route {
    /// The hosts as the journey shows them.
    pub fn hosts(&self) -> Vec<String> {
        match &self.verdict {
            Verdict::Hosts(hosts) => hosts.iter().map(Host::shown).collect(),
            _ => Vec::new(),
        }
    }

    /// How safe the connection to each of them must be, in words.
    pub fn policies(&self) -> Vec<String> {
        match &self.verdict {
            Verdict::Hosts(hosts) => hosts.iter().map(|host| host.policy.to_string()).collect(),
            _ => Vec::new(),
        }
    }
}

/// Decides where mail for `domain` goes.
pub async fn route(world: &World, routing: &Routing, domain: &Domain) -> Route {
    let mut finder = Finder { world, routing, steps: Vec::new(), ttl: limits::ROUTE_BELIEVED };
    let (rule, verdict) = finder.find(domain).await;
    let fixed = routing.fixed(domain);
    let (login, lmtp) = (fixed.and_then(|fixed| fixed.login.clone()), fixed.is_some_and(|fixed| fixed.lmtp));
    // What failed may be mended a moment later.
    let ttl = if matches!(verdict, Verdict::Hosts(_)) { finder.ttl } else { Duration::ZERO };
    Route { rule, verdict, steps: finder.steps, login, lmtp, ttl }
}

type Found = (&'static str, Verdict);

struct Finder<'a> {
    world: &'a World,
    routing: &'a Routing,
    steps: Vec<String>,
    /// The shortest time that an answer may be believed.
    ttl: Duration,
}

impl Finder<'_> {
    async fn find(&mut self, domain: &Domain) -> Found {
        if let Some(fixed) = self.routing.fixed(domain) {
            let rule = if fixed.domain.is_some() { "route" } else { "smart-host" };
            self.note(format!("{domain} has a fixed next hop in the configuration ({rule})"));
            return self.fixed(rule, fixed).await;
        }
        if let Some(ip) = domain.as_ip() {
            // RFC 5321 §4.1.3: an address literal bypasses DNS.
            self.note(format!("{domain} is an address literal: no DNS"));
            let to = SocketAddr::new(ip, self.routing.port);
            if self.routing.is_self(self.world, to) {
                return self.is_loop(domain);
            }
            return (
                "literal",
                Verdict::Hosts(vec![Host {
                    name: ip.to_string(),
                    addresses: vec![to],
                    // RFC 7672 §2.2: without a name there is nothing that DANE could be asked by.
                    policy: Policy::Opportunistic,
                }]),
            );
        }
        match self.world.dns.mx(domain.as_str()).await {
            Answer::Found(records, belief) => {
                self.ttl = self.ttl.min(belief.ttl);
                self.by_mx(domain, records, belief.secure).await
            }
            Answer::NoData => self.implicit(domain).await,
            Answer::NoDomain => {
                self.note(format!("DNS: there is no domain {domain}"));
                self.never("no-domain", 550, (5, 1, 2), format!("the domain {domain} does not exist"))
            }
            Answer::Temporary(why) => self.later(format!("MX of {domain}: {why}")),
        }
    }

    /// A fixed next hop: no MX, its addresses in the order of the file.
    async fn fixed(&mut self, rule: &'static str, fixed: &FixedRoute) -> Found {
        let names: Vec<(String, u16)> = fixed.next_hop.iter().take(limits::RELAY_HOSTS).cloned().collect();
        let (hosts, trouble) = self.addresses(names, Some(&[])).await;
        let (own, hosts): (Vec<Host>, Vec<Host>) =
            hosts.into_iter().partition(|host| host.addresses.iter().any(|to| self.routing.is_self(self.world, *to)));
        if !hosts.is_empty() {
            return (rule, Verdict::Hosts(hosts));
        }
        if !own.is_empty() {
            return self.never("loop", 554, (5, 4, 6), "the configured next hop is this very server".into());
        }
        // An operator's typing error must not bounce mail: it waits until it is put right.
        self.later(trouble.unwrap_or_else(|| "the configured next hop has no address".into()))
    }

    async fn by_mx(&mut self, domain: &Domain, records: Vec<Mx>, secure: bool) -> Found {
        // RFC 7505 §3: one MX with an empty exchange: this domain takes no mail.
        if let [Mx { exchange, .. }] = records.as_slice()
            && exchange.is_empty()
        {
            self.note(format!("DNS: {domain} has a null MX (RFC 7505)"));
            return self.never("null-mx", 556, (5, 1, 10), format!("the domain {domain} takes no mail"));
        }
        let mut records: Vec<Mx> = records.into_iter().filter(|mx| !mx.exchange.is_empty()).collect();
        self.shuffle(&mut records);
        let list: Vec<String> = records.iter().map(|mx| format!("{} {}", mx.preference, mx.exchange)).collect();
        self.note(format!("DNS: MX of {domain}: {}", list.join(", ")));
        let total = records.len();
        records.truncate(limits::RELAY_HOSTS);
        let names = records.iter().map(|mx| (mx.exchange.clone(), self.routing.port)).collect();
        // RFC 7672 §2.2.1: an MX record that anybody may have forged leads to no host that DANE would vouch for. §3.2.2: the
        // domain itself is a name that the certificate may have, since the MX records are its own.
        let also = [domain.to_string()];
        let (hosts, trouble) = self.addresses(names, secure.then_some(&also)).await;
        let hosts: Vec<(u16, Host)> = hosts
            .into_iter()
            .filter_map(|host| records.iter().find(|mx| mx.exchange == host.name).map(|mx| (mx.preference, host)))
            .collect();
        // RFC 5321 §5.1: a server that finds itself among the MX drops itself and all that are not better,
        // by name or by address, or mail would go round in circles.
        let own_name = records.iter().filter(|mx| mx.exchange.eq_ignore_ascii_case(self.routing.hostname.as_str()));
        let own_address = hosts
            .iter()
            .filter(|(_, host)| host.addresses.iter().any(|to| self.routing.is_self(self.world, *to)))
            .map(|(preference, _)| *preference);
        let own = own_name.map(|mx| mx.preference).chain(own_address).min();
        let better: Vec<Host> = match own {
            Some(own) => {
                self.note(format!(
                    "this server is an MX of {domain} itself, with preference {own}: only better ones count"
                ));
                hosts.into_iter().filter(|(preference, _)| *preference < own).map(|(_, host)| host).collect()
            }
            None => hosts.into_iter().map(|(_, host)| host).collect(),
        };
        if !better.is_empty() {
            return ("mx", Verdict::Hosts(better));
        }
        match (own, trouble) {
            (Some(own), _) if records.iter().all(|mx| mx.preference >= own) => self.is_loop(domain),
            (_, Some(trouble)) => self.later(trouble),
            (Some(_), None) => self.is_loop(domain),
            (None, None) if total > records.len() => self.later(format!("the first MX of {domain} have no address")),
            // RFC 5321 §5.1: MX records without any usable address: an error, no look at the domain's own address.
            (None, None) => {
                self.never("mx", 550, (5, 4, 4), format!("none of the MX hosts of {domain} has an address"))
            }
        }
    }

    /// No MX: the domain's own address (RFC 5321 §5.1, implicit MX).
    async fn implicit(&mut self, domain: &Domain) -> Found {
        self.note(format!("DNS: {domain} has no MX: its own address counts (implicit MX)"));
        let (hosts, trouble) = self.addresses(vec![(domain.to_string(), self.routing.port)], Some(&[])).await;
        let is_self = |to: &SocketAddr| self.routing.is_self(self.world, *to);
        match (hosts.is_empty(), trouble) {
            (false, _) if hosts.iter().any(|host| host.addresses.iter().any(is_self)) => self.is_loop(domain),
            (false, _) => ("implicit-mx", Verdict::Hosts(hosts)),
            (true, Some(trouble)) => self.later(trouble),
            (true, None) => {
                let words = format!("the domain {domain} has neither MX nor address");
                self.never("implicit-mx", 550, (5, 4, 4), words)
            }
        }
    }

    /// Equals in random order, so that load spreads (RFC 5321 §5.1).
    fn shuffle(&self, records: &mut [Mx]) {
        for end in (1..records.len()).rev() {
            let other = usize::try_from(self.world.random.below(end as u64 + 1)).unwrap_or(0);
            records.swap(end, other);
        }
        records.sort_by_key(|mx| mx.preference);
    }

    /// Addresses of hosts; those without are left out, and the words of a temporary failure come back.
    /// With what their certificates are to be judged by, where their addresses are secure; `dane`: names besides their own
    /// that certificates may have; none: the hosts' names are not to be relied on.
    async fn addresses(&mut self, names: Vec<(String, u16)>, dane: Option<&[String]>) -> (Vec<Host>, Option<String>) {
        let world = self.world;
        let answers = join_all(names.iter().map(|(name, port)| look(world, name, *port, dane))).await;
        let (mut hosts, mut trouble) = (Vec::new(), None);
        let mut seen = BTreeMap::new();
        for ((name, port), Looked { ips, failures, ttl, policy }) in names.into_iter().zip(answers) {
            self.ttl = self.ttl.min(ttl);
            let shown: Vec<String> = ips.iter().map(IpAddr::to_string).collect();
            for failure in failures {
                self.note(format!("DNS: {failure}"));
                trouble = Some(failure);
            }
            if ips.is_empty() {
                self.note(format!("DNS: {name} has no address"));
                continue;
            }
            self.note(format!("DNS: address of {name}: {}", shown.join(", ")));
            if seen.insert((name.clone(), port), ()).is_none() {
                let addresses = ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
                if policy != Policy::Opportunistic {
                    self.note(format!("{name}: {policy}"));
                }
                hosts.push(Host { name, addresses, policy });
            }
        }
        (hosts, trouble)
    }

    fn is_loop(&mut self, domain: &Domain) -> Found {
        // RFC 5321 §6.3, RFC 3463 §3.5 (5.4.6: routing loop).
        self.never("loop", 554, (5, 4, 6), format!("mail for {domain} loops back to this server"))
    }

    fn never(&mut self, rule: &'static str, code: u16, status: (u8, u16, u16), words: String) -> Found {
        self.note(words.clone());
        (rule, Verdict::Never(code, status, words))
    }

    /// RFC 3463 §3.5: 4.4.3, directory server failure. Never a bounce.
    fn later(&mut self, words: String) -> Found {
        self.note(words.clone());
        ("dns-error", Verdict::Later((4, 4, 3), words))
    }

    fn note(&mut self, step: String) {
        self.steps.push(step);
    }
}

/// What DNS says of a host.
struct Looked {
    ips: Vec<IpAddr>,
    /// What failed for now.
    failures: Vec<String>,
    /// How long it may be believed.
    ttl: Duration,
    policy: Policy,
}

/// A, AAAA, and TLSA where those are secure.
async fn look(world: &World, name: &str, port: u16, dane: Option<&[String]>) -> Looked {
    if name.starts_with(UNIX) {
        let (ips, failures) = (vec![Ipv4Addr::LOCALHOST.into()], Vec::new());
        return Looked { ips, failures, ttl: Duration::MAX, policy: Policy::Opportunistic };
    }
    if let Ok(ip) = name.parse() {
        let (ips, failures) = (vec![ip], Vec::new());
        return Looked { ips, failures, ttl: Duration::MAX, policy: Policy::Opportunistic };
    }
    let (six, four) = futures_util::future::join(world.dns.ipv6(name), world.dns.ipv4(name)).await;
    let (mut ips, mut failures, mut beliefs) = (Vec::new(), Vec::new(), Vec::new());
    let answers = [("AAAA", six.map(IpAddr::V6)), ("A", four.map(IpAddr::V4))];
    for (kind, answer) in answers {
        match answer {
            Answer::Found(found, belief) => {
                ips.extend(found);
                beliefs.push(belief);
            }
            Answer::NoData | Answer::NoDomain => {}
            Answer::Temporary(why) => failures.push(format!("{kind} of {name}: {why}")),
        }
    }
    let mut ttl = beliefs.iter().map(|belief| belief.ttl).min().unwrap_or(Duration::MAX);
    // RFC 7672 §2.2.2: where an address is not secure, TLSA records are not looked for.
    let secure = !beliefs.is_empty() && beliefs.iter().all(|belief| belief.secure);
    let (policy, believed) = match dane.filter(|_| secure) {
        Some(also) => by_tlsa(world, name, port, also, beliefs.first()).await,
        None => (Policy::Opportunistic, Duration::MAX),
    };
    ttl = ttl.min(believed);
    Looked { ips, failures, ttl, policy }
}

/// What a host's TLSA records ask for, and how long that may be believed.
async fn by_tlsa(
    world: &World,
    name: &str,
    port: u16,
    also: &[String],
    addresses: Option<&Belief>,
) -> (Policy, Duration) {
    // RFC 7672 §2.2.2: first below the name that the CNAMEs end at, then below the one that they begin with.
    let bases = addresses.and_then(|belief| belief.canonical.as_deref()).into_iter().chain([name]);
    for base in bases {
        let owner = format!("_{port}._tcp.{base}");
        match world.dns.tlsa(&owner).await {
            Answer::Found(records, belief) if belief.secure => {
                // RFC 7672 §3.2.2.
                let mut names = vec![base.to_owned()];
                names.extend(also.iter().chain([&name.to_owned()]).filter(|more| *more != base).cloned());
                return (Dane::policy(records, names), belief.ttl);
            }
            // RFC 7672 §2.1.3: records that are not secure are as good as none.
            Answer::Found(..) | Answer::NoData | Answer::NoDomain => {}
            // RFC 7672 §2.1.2: somebody may be suppressing them.
            Answer::Temporary(why) => return (Policy::Unknown(format!("TLSA of {owner}: {why}")), Duration::ZERO),
        }
    }
    (Policy::Opportunistic, Duration::MAX)
}

#[cfg(test)]
mod tests;
