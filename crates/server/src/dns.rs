//! Names, by hickory. Does: ask the configured servers, or the system's, over UDP and TCP, with a cache; check answers by
//! their signatures (DNSSEC), from the root on, and say which are secure. Does not: guess: what is no clear answer, or is
//! signed wrongly, is a temporary failure, and that never bounces mail. Nor believe a server's word that it has
//! checked (the AD bit): whoever is on the way to it could say so too.

mod evidence;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::doctor::Kind;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use mta::world::{Answer, Belief, Dns, Mx, Tlsa};

use self::evidence::{Evidence, doubt, evidence, wildcard};

/// Answers are believed for no longer than this, so that a change is seen while an operator watches.
const LONGEST_TTL: Duration = Duration::from_secs(3600);
/// "No such thing" is believed for no longer than this.
const LONGEST_NEGATIVE_TTL: Duration = Duration::from_secs(300);

/// A kind of record that nobody has (RFC 6895 §3.1: for private use).
const NOBODYS: RecordType = RecordType::Unknown(65_399);

/// CNAMEs that are followed, one after the other.
const ALIASES: usize = 16;

/// How long it is believed that the servers pass DNSSEC through, or that they do not.
const PROBE_BELIEVED: Duration = Duration::from_secs(3600);
/// How long it is believed where they did not answer, or failed.
const NO_PROBE_BELIEVED: Duration = Duration::from_secs(30);

/// Whether answers are checked by their signatures (RFC 4033, RFC 4035 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dnssec {
    /// Where the servers pass signatures through. Where they do not, nothing is secure, and mail goes as without DNSSEC.
    #[default]
    Auto,
    /// Always: what should be signed and is not, fails.
    Required,
    /// Never.
    Off,
}

/// Who is asked, and how far he is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsSettings {
    /// The servers; none: the system's.
    pub servers: Vec<SocketAddr>,
    /// Whether answers are checked.
    pub dnssec: Dnssec,
    /// A file with the root's DNSKEY records; none: the root that all the world has.
    pub trust_anchor: Option<PathBuf>,
}

impl DnsSettings {
    /// These servers, without a look at signatures.
    pub fn unchecked(servers: &[SocketAddr]) -> Self {
        Self { servers: servers.to_vec(), dnssec: Dnssec::Off, trust_anchor: None }
    }
}

/// The real DNS.
pub struct Resolver(ArcSwap<Servers>);

/// Servers that can be asked.
pub struct Servers {
    plain: TokioResolver,
    validating: Option<Validating>,
}

/// The same servers, with a look at the signatures.
struct Validating {
    resolver: TokioResolver,
    /// Without a look whether they pass signatures through.
    always: bool,
    /// Whether they do, and until when that is believed.
    probed: Mutex<Option<(Instant, Option<bool>)>>,
    /// Held by the one who finds out.
    probing: tokio::sync::Mutex<()>,
}

impl Validating {
    fn new(resolver: TokioResolver, always: bool) -> Self {
        Self { resolver, always, probed: Mutex::default(), probing: tokio::sync::Mutex::default() }
    }

    /// Whether the servers pass signatures through. One that strips them would let every name that is signed look
    /// forged, and all mail to it would wait for ever.
    async fn works(&self) -> bool {
        if self.always {
            return true;
        }
        if let Some(works) = self.believed() {
            return works;
        }
        // One asks. The others go by what was, where that is known: a slow answer must not hold up all mail.
        let _asking = match (self.probing.try_lock(), self.known()) {
            (Ok(asking), _) => asking,
            (Err(_), Some(before)) => return before,
            (Err(_), None) => self.probing.lock().await,
        };
        if let Some(works) = self.believed() {
            return works;
        }
        let before = self.known();
        let (works, believed) = match self.resolver.lookup(Name::root(), RecordType::SOA).await {
            Ok(lookup) => (Some(evidence(lookup.answers(), &Name::root(), RecordType::SOA).secure), PROBE_BELIEVED),
            // Once they have passed them on, what looks forged is: else one forged answer would take DANE away from all.
            // The root has an SOA record: a denial without a proof is a stripped answer, and who can't ask for it (as
            // servers of a laboratory) has no signatures either.
            Err(NetError::Dns(
                DnsError::DnssecBogus
                | DnsError::Nsec { .. }
                | DnsError::ResponseCode(ResponseCode::NotImp | ResponseCode::Refused | ResponseCode::FormErr),
            )) => (Some(before == Some(true)), PROBE_BELIEVED),
            // No answer says nothing: as before.
            Err(_) => (before, NO_PROBE_BELIEVED),
        };
        if works == Some(false) && before != Some(false) {
            tracing::warn!(
                "the DNS servers pass no signatures on (DNSSEC): DANE can't protect mail; a resolver on this machine would"
            );
        }
        *self.probed.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now() + believed, works));
        works.unwrap_or(true)
    }

    /// What was found out, while it is believed.
    fn believed(&self) -> Option<bool> {
        let probed = *self.probed.lock().unwrap_or_else(PoisonError::into_inner);
        probed.filter(|(until, _)| *until > Instant::now()).map(|(_, works)| works.unwrap_or(true))
    }

    /// What was found out last, however long ago.
    fn known(&self) -> Option<bool> {
        self.probed.lock().unwrap_or_else(PoisonError::into_inner).and_then(|(_, works)| works)
    }
}

impl Servers {
    /// Those of the settings. The error is a sentence.
    pub fn new(settings: &DnsSettings) -> Result<Self, String> {
        let plain = build(settings, None)?;
        let anchors = match &settings.trust_anchor {
            None => TrustAnchors::default(),
            Some(path) => {
                let shown = path.display();
                let anchors = TrustAnchors::from_file(path).map_err(|why| {
                    format!("[dns] trust_anchor: {shown} can't be read ({why}): DNSKEY records stand in it, one a line")
                })?;
                if anchors.is_empty() {
                    return Err(format!("[dns] trust_anchor: {shown} has no DNSKEY record of the root"));
                }
                anchors
            }
        };
        let validating = match settings.dnssec {
            Dnssec::Off => None,
            how => {
                let resolver = build(settings, Some(Arc::new(anchors)))?;
                Some(Validating::new(resolver, how == Dnssec::Required))
            }
        };
        Ok(Self { plain, validating })
    }

    /// Who is to be asked now.
    /// Whether he looks at signatures stands beside him.
    async fn resolver(&self) -> (&TokioResolver, bool) {
        match &self.validating {
            Some(validating) if validating.works().await => (&validating.resolver, true),
            _ => (&self.plain, false),
        }
    }
}

fn build(settings: &DnsSettings, anchors: Option<Arc<TrustAnchors>>) -> Result<TokioResolver, String> {
    let servers = &settings.servers;
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio()
            .map_err(|why| format!("the system's DNS servers are unknown ({why}): name some in [dns] servers"))?
    } else {
        let servers = servers.iter().map(|server| {
            let at_port = |mut config: ConnectionConfig| {
                config.port = server.port();
                config
            };
            let ways = vec![at_port(ConnectionConfig::udp()), at_port(ConnectionConfig::tcp())];
            NameServerConfig::new(server.ip(), true, ways)
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.timeout = Duration::from_secs(5);
    options.attempts = 2;
    options.positive_max_ttl = Some(LONGEST_TTL);
    options.negative_max_ttl = Some(LONGEST_NEGATIVE_TTL);
    // CNAMEs stay in the answer: each must be secure, and where they end matters to DANE.
    options.preserve_intermediates = true;
    // Mail routing is DNS alone (RFC 5321 §5.1); /etc/hosts is for smart hosts, which have no MX.
    options.use_hosts_file = if servers.is_empty() { ResolveHosts::Auto } else { ResolveHosts::Never };
    if let Some(anchors) = anchors {
        builder = builder.with_trust_anchor(anchors);
    }
    builder.build().map_err(|why| format!("DNS can't be used: {why}"))
}

impl Resolver {
    /// Asks as the settings say. The error is a sentence.
    pub fn new(settings: &DnsSettings) -> Result<Self, String> {
        Servers::new(settings).map(|servers| Self(ArcSwap::from_pointee(servers)))
    }

    /// Asks these from now on; what the others said is forgotten.
    pub fn ask_instead(&self, servers: Servers) {
        self.0.store(Arc::new(servers));
    }

    /// Records as a zone file has them, for who shows or compares them.
    pub(crate) async fn written(&self, name: &str, kind: Kind) -> Answer<String> {
        let wanted = match kind {
            Kind::A => RecordType::A,
            Kind::Aaaa => RecordType::AAAA,
            Kind::Cname => RecordType::CNAME,
            Kind::Mx => RecordType::MX,
            Kind::Ptr => RecordType::PTR,
            Kind::Srv => RecordType::SRV,
            Kind::Tlsa => RecordType::TLSA,
            Kind::Txt => RecordType::TXT,
        };
        self.ask(name, wanted, |data| written(data, kind)).await
    }

    async fn ask<T>(&self, name: &str, kind: RecordType, take: impl Fn(&RData) -> Option<T>) -> Answer<T> {
        // A final dot: no search list.
        let Ok(fqdn) = Name::from_ascii(format!("{name}.")) else {
            return Answer::Temporary(format!("DNS can't be asked for {name}"));
        };
        let servers = self.0.load_full();
        let (resolver, checked) = servers.resolver().await;
        let (mut at, mut links_secure) = (fqdn.clone(), true);
        for _ in 0..=ALIASES {
            match ask_at(resolver, checked, &at, kind, &take).await {
                Ok(Answer::Found(found, belief)) => {
                    let canonical = belief.canonical.or_else(|| (at != fqdn).then(|| exchange(&at)));
                    let secure = belief.secure && links_secure;
                    return Answer::Found(found, Belief { canonical, secure, ..belief });
                }
                Ok(other) => return other,
                Err(Alias { target, secure }) => {
                    links_secure &= secure;
                    at = target;
                }
            }
        }
        Answer::Temporary("the CNAMEs are too many".to_owned())
    }
}

/// The name is another's alias, which is to be asked about by itself.
struct Alias {
    target: Name,
    secure: bool,
}

async fn ask_at<T>(
    resolver: &TokioResolver,
    checked: bool,
    fqdn: &Name,
    kind: RecordType,
    take: &impl Fn(&RData) -> Option<T>,
) -> Result<Answer<T>, Alias> {
    let name = fqdn.to_ascii();
    let name = name.trim_end_matches('.');
    let found = |told: Evidence<'_>, ttl| {
        let found: Vec<T> = told.records.iter().filter_map(|record| take(&record.data)).collect();
        // RFC 5452 §6: what is said of other names is no answer, and no denial either.
        if found.is_empty() {
            return Answer::Temporary(format!("the DNS server's answer is not about {name} {kind}"));
        }
        Answer::Found(found, Belief { ttl, secure: told.secure, canonical: told.canonical.map(exchange) })
    };
    Ok(match resolver.lookup(fqdn.clone(), kind).await {
        Ok(lookup) => {
            let ttl = lookup.valid_until().saturating_duration_since(Instant::now());
            found(evidence(lookup.answers(), fqdn, kind), ttl)
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            // The query is the one at the end of the CNAMEs.
            let zone = none.soa.as_ref().map(|soa| &soa.name);
            let doubt = doubt(none.query.name(), zone, none.authorities.as_deref().unwrap_or_default(), checked);
            match (none.response_code, doubt) {
                // RFC 2308 §2.2: a zone that says so shows its SOA. An answer of nothing but CNAMEs has none.
                (ResponseCode::NoError, doubt) if zone.is_none() => {
                    let why = alias_trouble(resolver, fqdn.clone()).await.or_else(|| doubt.map(str::to_owned));
                    why.map_or(Answer::NoData, Answer::Temporary)
                }
                (ResponseCode::NoError | ResponseCode::NXDomain, Some(why)) => {
                    Answer::Temporary(format!("{why} ({name} {kind})"))
                }
                (ResponseCode::NoError, None) => Answer::NoData,
                (ResponseCode::NXDomain, None) => Answer::NoDomain,
                (other, _) => Answer::Temporary(format!("the DNS server says {other}")),
            }
        }
        // A denial that proves nothing by itself, in a zone whose parameters are beyond us (RFC 9276 §3.2): insecure.
        Err(NetError::Dns(DnsError::Nsec { query, response, proof, .. })) if proof != Proof::Bogus => {
            let soa = response.authorities.iter().find(|record| record.record_type() == RecordType::SOA);
            match (
                doubt(query.name(), soa.map(|soa| &soa.name), &response.authorities, checked),
                response.response_code,
            ) {
                (Some(why), _) => Answer::Temporary(format!("{why} ({name} {kind})")),
                (None, ResponseCode::NXDomain) => Answer::NoDomain,
                (None, _) => Answer::NoData,
            }
        }
        // Quirk of hickory 0.26: it takes two good answers for forged. See `expanded` and `alias`.
        Err(NetError::Dns(DnsError::DnssecBogus | DnsError::Nsec { .. })) if kind != RecordType::CNAME => {
            if let Some(lookup) = expanded(resolver, fqdn, kind).await {
                let ttl = lookup.valid_until().saturating_duration_since(Instant::now());
                let name = lookup.query().name().clone();
                return Ok(found(evidence(lookup.answers(), &name, kind), ttl));
            }
            if let Some(alias) = alias(resolver, fqdn).await {
                return Err(alias);
            }
            Answer::Temporary(forged(name, kind))
        }
        // RFC 4035 §5.5: it is as if there had been no answer.
        Err(NetError::Dns(DnsError::DnssecBogus | DnsError::Nsec { .. })) => Answer::Temporary(forged(name, kind)),
        Err(NetError::Timeout) => Answer::Temporary("the DNS servers do not answer".to_owned()),
        Err(why) => Answer::Temporary(why.to_string()),
    })
}

fn forged(name: &str, kind: RecordType) -> String {
    format!("the answer's DNSSEC signatures are wrong, missing or expired: it may be forged ({name} {kind})")
}

/// What a wildcard gives for a name. Where NSEC records prove that (RFC 4035 §5.3.4), hickory wants to see that there is no
/// wildcard either. So the name is asked for what it does not have: that proof shows the wildcard, which is then asked itself.
async fn expanded(resolver: &TokioResolver, name: &Name, kind: RecordType) -> Option<Lookup> {
    let asterisk = match resolver.lookup(name.clone(), NOBODYS).await {
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            let authority = none.authorities.as_deref().unwrap_or_default();
            let zone = none.soa.as_ref().map(|soa| &soa.name);
            wildcard(authority, name, kind).filter(|_| doubt(name, zone, authority, true).is_none())?.clone()
        }
        Err(NetError::Dns(DnsError::Nsec { response, proof: Proof::Secure, .. })) => {
            let authority = &response.authorities[..];
            let soa = authority.iter().find(|record| record.record_type() == RecordType::SOA);
            let doubt = doubt(name, soa.map(|soa| &soa.name), authority, true);
            wildcard(authority, name, kind).filter(|_| doubt.is_none())?.clone()
        }
        _ => return None,
    };
    resolver.lookup(asterisk, kind).await.ok()
}

/// Whose alias a name is, where its CNAME can be believed: where that leads to nothing, hickory looks for the proof in the zone of
/// the CNAME.
async fn alias(resolver: &TokioResolver, name: &Name) -> Option<Alias> {
    let lookup = resolver.lookup(name.clone(), RecordType::CNAME).await.ok()?;
    let told = evidence(lookup.answers(), name, RecordType::CNAME);
    let RData::CNAME(target) = &told.records.first()?.data else { return None };
    Some(Alias { target: target.0.clone(), secure: told.secure })
}

/// Why the CNAMEs of a name lead nowhere; none: they end, or there are none. hickory gives up a chain that is too
/// long or a circle as "no such record", but somebody's slip of the pen is no statement about a domain.
async fn alias_trouble(resolver: &TokioResolver, name: Name) -> Option<String> {
    let mut seen = vec![name];
    while seen.len() <= ALIASES {
        let last = seen.last()?.clone();
        let next = match resolver.lookup(last, RecordType::CNAME).await {
            Ok(lookup) => lookup.answers().iter().find_map(|record| match &record.data {
                RData::CNAME(target) => Some(target.0.clone()),
                _ => None,
            })?,
            Err(NetError::Dns(DnsError::NoRecordsFound(_))) => return None,
            Err(why) => return Some(why.to_string()),
        };
        if seen.contains(&next) {
            return Some(format!("the CNAMEs lead round in a circle, at {next}"));
        }
        seen.push(next);
    }
    Some("the CNAMEs are too many".to_owned())
}

/// A mail server's name, in lower case. Quirk: some zones have U-labels as UTF-8, which DNS carries like any octets
/// (RFC 2181 §11); the A-labels that they stand for (RFC 5891 §4) are what TLS and the host's own records go by.
fn exchange(name: &Name) -> String {
    let octets: Vec<&[u8]> = name.iter().collect();
    let text = String::from_utf8(octets.join(&b'.')).unwrap_or_default();
    if !text.is_ascii()
        && let Ok(domain) = wire::address::domain(&text)
    {
        return domain.to_string();
    }
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

/// A record as a zone file has it, names in lower case without a final dot.
fn written(data: &RData, kind: Kind) -> Option<String> {
    Some(match (data, kind) {
        (RData::A(a), Kind::A) => a.0.to_string(),
        (RData::AAAA(a), Kind::Aaaa) => a.0.to_string(),
        (RData::CNAME(name), Kind::Cname) => exchange(&name.0),
        (RData::MX(mx), Kind::Mx) => format!("{} {}", mx.preference, exchange(&mx.exchange)),
        (RData::PTR(name), Kind::Ptr) => exchange(&name.0),
        (RData::SRV(srv), Kind::Srv) => {
            format!("{} {} {} {}", srv.priority, srv.weight, srv.port, exchange(&srv.target))
        }
        (RData::TLSA(tlsa), Kind::Tlsa) => tlsa.to_string().to_ascii_lowercase(),
        (RData::TXT(txt), Kind::Txt) => String::from_utf8_lossy(&txt.txt_data.concat()).into_owned(),
        _ => return None,
    })
}

#[async_trait]
impl Dns for Resolver {
    async fn mx(&self, name: &str) -> Answer<Mx> {
        let take = |data: &RData| match data {
            RData::MX(mx) => Some(Mx { preference: mx.preference, exchange: exchange(&mx.exchange) }),
            _ => None,
        };
        self.ask(name, RecordType::MX, take).await
    }

    async fn ipv4(&self, name: &str) -> Answer<Ipv4Addr> {
        let take = |data: &RData| if let RData::A(a) = data { Some(a.0) } else { None };
        self.ask(name, RecordType::A, take).await
    }

    async fn ipv6(&self, name: &str) -> Answer<Ipv6Addr> {
        let take = |data: &RData| if let RData::AAAA(a) = data { Some(a.0) } else { None };
        self.ask(name, RecordType::AAAA, take).await
    }

    async fn ptr(&self, ip: IpAddr) -> Answer<String> {
        let take = |data: &RData| if let RData::PTR(ptr) = data { Some(exchange(&ptr.0)) } else { None };
        // RFC 1035 §3.5, RFC 3596 §2.5
        self.ask(Name::from(ip).to_ascii().trim_end_matches('.'), RecordType::PTR, take).await
    }

    async fn txt(&self, name: &str) -> Answer<Vec<u8>> {
        let take = |data: &RData| if let RData::TXT(txt) = data { Some(txt.txt_data.concat()) } else { None };
        self.ask(name, RecordType::TXT, take).await
    }

    async fn tlsa(&self, name: &str) -> Answer<Tlsa> {
        let take = |data: &RData| match data {
            RData::TLSA(tlsa) => Some(Tlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data.clone(),
            }),
            _ => None,
        };
        self.ask(name, RecordType::TLSA, take).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_slow_probe_holds_up_nobody_who_knows_how_it_was() {
        let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let settings = DnsSettings { dnssec: Dnssec::Auto, ..DnsSettings::unchecked(&[silent.local_addr().unwrap()]) };
        let validating = Arc::new(Servers::new(&settings).unwrap().validating.unwrap());
        for before in [true, false] {
            *validating.probed.lock().unwrap() = Some((Instant::now(), Some(before)));
            let asking = tokio::spawn({
                let validating = Arc::clone(&validating);
                async move { validating.works().await }
            });
            silent.recv_from(&mut [0; 512]).await.unwrap();
            assert_eq!(validating.works().now_or_never(), Some(before));
            asking.abort();
            assert!(asking.await.unwrap_err().is_cancelled());
        }
    }
}
