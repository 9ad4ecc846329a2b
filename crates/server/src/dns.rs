//! Names, by hickory. Does: ask the configured servers, or the system's, over UDP and TCP, with a cache. Does not:
//! guess: what is no clear answer is a temporary failure, and that never bounces mail.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use mta::world::{Answer, Dns, Mx};

/// Answers are believed for no longer than this, so that a change is seen while an operator watches.
const LONGEST_TTL: Duration = Duration::from_secs(3600);
/// "No such thing" is believed for no longer than this.
const LONGEST_NEGATIVE_TTL: Duration = Duration::from_secs(300);

/// CNAMEs that are followed, one after the other.
const ALIASES: usize = 16;

/// The real DNS.
pub struct Resolver(ArcSwap<TokioResolver>);

/// Servers that can be asked.
pub struct Servers(TokioResolver);

impl Servers {
    /// `servers`, or the system's where there are none. The error is a sentence.
    pub fn new(servers: &[SocketAddr]) -> Result<Self, String> {
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
        // Mail routing is DNS alone (RFC 5321 §5.1); /etc/hosts is for smart hosts, which have no MX.
        options.use_hosts_file = if servers.is_empty() { ResolveHosts::Auto } else { ResolveHosts::Never };
        builder.build().map(Self).map_err(|why| format!("DNS can't be used: {why}"))
    }
}

impl Resolver {
    /// Asks `servers`, or the system's where there are none. The error is a sentence.
    pub fn new(servers: &[SocketAddr]) -> Result<Self, String> {
        Servers::new(servers).map(|servers| Self(ArcSwap::from_pointee(servers.0)))
    }

    /// Asks these from now on; what the others said is forgotten.
    pub fn ask_instead(&self, servers: Servers) {
        self.0.store(Arc::new(servers.0));
    }

    async fn ask<T>(&self, name: &str, kind: RecordType, take: impl Fn(&RData) -> Option<T>) -> Answer<T> {
        // A final dot: no search list.
        let Ok(fqdn) = Name::from_ascii(format!("{name}.")) else {
            return Answer::Temporary(format!("DNS can't be asked for {name}"));
        };
        match self.0.load_full().lookup(fqdn.clone(), kind).await {
            Ok(lookup) => {
                let found: Vec<T> = lookup.answers().iter().filter_map(|record| take(&record.data)).collect();
                let ttl = lookup.valid_until().saturating_duration_since(Instant::now());
                // A CNAME that leads to nothing of this kind.
                if found.is_empty() { Answer::NoData } else { Answer::Found(found, ttl) }
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => match none.response_code {
                // RFC 2308 §2.2: a zone that says so shows its SOA. An answer of nothing but CNAMEs has none.
                ResponseCode::NoError if none.soa.is_none() => {
                    self.alias_trouble(fqdn).await.map_or(Answer::NoData, Answer::Temporary)
                }
                ResponseCode::NoError => Answer::NoData,
                ResponseCode::NXDomain => Answer::NoDomain,
                other => Answer::Temporary(format!("the DNS server says {other}")),
            },
            Err(NetError::Timeout) => Answer::Temporary("the DNS servers do not answer".to_owned()),
            Err(why) => Answer::Temporary(why.to_string()),
        }
    }

    /// Why the CNAMEs of a name lead nowhere; none: they end, or there are none. hickory gives up a chain that is too
    /// long or a circle as "no such record", but somebody's slip of the pen is no statement about a domain.
    async fn alias_trouble(&self, name: Name) -> Option<String> {
        let mut seen = vec![name];
        while seen.len() <= ALIASES {
            let last = seen.last()?.clone();
            let next = match self.0.load_full().lookup(last, RecordType::CNAME).await {
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
}
