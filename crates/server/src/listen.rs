//! Listeners: sockets that accept connections within the limits and give them to a pump.
//!
//! Does: bind, dual-stack where the address is IPv6's any; count connections in all and per address, and take no more
//! than there are file descriptors for; turn clients away with words when those run out all the same; open and close
//! listeners while running; stop on the sign and give open sessions time to say goodbye. Does not: know any protocol.

mod doors;
mod proxied;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use mail::limits;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::conn::Connection;
use crate::shared::Shared;

pub use doors::{BindError, Doors};

/// What speaks on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// 25: between servers.
    Smtp,
    /// 587: from users, STARTTLS.
    Submission,
    /// 465: from users, TLS from the start.
    Submissions,
    /// From the mail server in front of us, on a Unix socket.
    Lmtp,
    /// 110.
    Pop3,
    /// 995: TLS from the start.
    Pop3s,
    /// 143.
    Imap,
    /// 993: TLS from the start.
    Imaps,
    /// 4190: ManageSieve.
    Sieve,
    /// 8080 or so.
    Http,
    /// 443: TLS from the start.
    Https,
}

impl Service {
    /// Every one that listens on the network, in the order of the configuration.
    pub const ALL: [Self; 10] = [
        Self::Smtp,
        Self::Submission,
        Self::Submissions,
        Self::Pop3,
        Self::Pop3s,
        Self::Imap,
        Self::Imaps,
        Self::Sieve,
        Self::Http,
        Self::Https,
    ];

    /// Its key under `[listen]`, in logs and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Submission => "submission",
            Self::Submissions => "submissions",
            Self::Lmtp => "lmtp",
            Self::Pop3 => "pop3",
            Self::Pop3s => "pop3s",
            Self::Imap => "imap",
            Self::Imaps => "imaps",
            Self::Sieve => "sieve",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// TLS from the first byte (RFC 8314 §3).
    pub const fn implicit_tls(self) -> bool {
        matches!(self, Self::Submissions | Self::Pop3s | Self::Imaps | Self::Https)
    }

    /// What a client that is turned away at once is told, where the protocol has words for it.
    const fn too_many(self) -> &'static [u8] {
        match self {
            // RFC 5321 §3.8: 421 may come at any time, also as the greeting.
            Self::Smtp | Self::Submission | Self::Lmtp => b"421 4.7.0 Too many connections, try again later\r\n",
            Self::Pop3 => b"-ERR [SYS/TEMP] Too many connections, try again later\r\n",
            Self::Sieve => b"BYE (TRYLATER) \"Too many connections, try again later\"\r\n",
            Self::Imap => b"* BYE Too many connections, try again later\r\n",
            Self::Submissions | Self::Pop3s | Self::Imaps | Self::Http | Self::Https => b"",
        }
    }
}

/// Serves one connection to its end.
pub type Handler =
    Arc<dyn Fn(Connection, Service, Arc<Shared>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Bound, not yet accepting.
pub struct Listener {
    service: Service,
    /// As it was asked for.
    asked: SocketAddr,
    socket: TcpListener,
}

impl Listener {
    /// Binds. An address with IPv6's any (`[::]`) takes IPv4 clients too. Port 0 takes a free one.
    pub fn bind(service: Service, address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            // Said, not left to the system's default: `[::]` is both families everywhere.
            socket.set_only_v6(address.ip() != Ipv6Addr::UNSPECIFIED)?;
        }
        // A restart must not wait for connections in TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(limits::LISTEN_BACKLOG)?;
        Ok(Self { service, asked: address, socket: TcpListener::from_std(socket.into())? })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What speaks there.
    pub const fn service(&self) -> Service {
        self.service
    }
}

/// Counts connections in all and per address.
#[derive(Clone)]
struct Admissions {
    counts: Arc<Mutex<Counts>>,
    /// Whatever the limit: there are descriptors for so many.
    room: usize,
}

#[derive(Default)]
struct Counts {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// One connection's place in the counts; dropping it frees the place.
pub struct Admission {
    counts: Arc<Mutex<Counts>>,
    network: IpAddr,
}

impl Admissions {
    fn new(room: usize) -> Self {
        Self { counts: Arc::default(), room }
    }

    fn admit(&self, peer: IpAddr, in_all: usize, per_address: usize) -> Result<Admission, &'static str> {
        let network = network_of(peer);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= self.room {
            return Err("descriptors");
        }
        if counts.total >= in_all {
            return Err("connections");
        }
        let here = counts.by_network.entry(network).or_default();
        if *here >= per_address && !network.is_loopback() {
            return Err("connections_per_address");
        }
        *here += 1;
        counts.total += 1;
        Ok(Admission { counts: self.counts.clone(), network })
    }

    /// Connections that are open.
    fn count(&self) -> usize {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total = counts.total.saturating_sub(1);
        if let Some(here) = counts.by_network.get_mut(&self.network) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                counts.by_network.remove(&self.network);
            }
        }
    }
}

/// What counts as one address: an IPv4 address, or an IPv6 /64, which is what one customer gets (RFC 6177 §2).
pub fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        other => other,
    }
}

/// Addresses that share their first bits: `192.0.2.0/24`, `2001:db8::/32`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpNetwork {
    address: IpAddr,
    bits: u8,
}

impl IpNetwork {
    /// Whether every address of its family is in it.
    pub const fn is_everything(&self) -> bool {
        self.bits == 0
    }

    /// Whether the address is in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(self.bits),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(self.bits),
            _ => false,
        }
    }
}

/// The text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidNetwork;

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a network: write an address, or an address and a prefix length, like 192.0.2.0/24")
    }
}

impl std::error::Error for InvalidNetwork {}

impl std::str::FromStr for IpNetwork {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| InvalidNetwork)?;
        if bits > most { Err(InvalidNetwork) } else { Ok(Self { address, bits }) }
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `CONNECTIONS` and `CONNECTIONS_PER_ADDRESS`, as settings.
    #[test]
    fn places_are_counted_and_freed() {
        let admissions = Admissions::new(4);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = admissions.admit(ip("2001:db8::1"), 3, 1).ok().unwrap();
        assert_eq!(admissions.admit(ip("2001:db8::2"), 3, 1).err(), Some("connections_per_address"));
        let _other = admissions.admit(ip("2001:db8:0:1::2"), 3, 1).ok().unwrap();
        let _loopback = admissions.admit(ip("127.0.0.1"), 3, 0).ok().unwrap();
        assert_eq!(admissions.admit(ip("127.0.0.1"), 3, 0).err(), Some("connections"));
        drop(first);
        let _again = admissions.admit(ip("2001:db8::2"), 3, 1).ok().unwrap();
        let _fourth = admissions.admit(ip("192.0.2.1"), 9, 1).ok().unwrap();
        assert_eq!(admissions.admit(ip("192.0.2.2"), 9, 1).err(), Some("descriptors"));
    }

    #[test]
    fn networks_contain_what_they_should() {
        let contains = |network: &str, ip: &str| network.parse::<IpNetwork>().unwrap().contains(ip.parse().unwrap());
        assert!(contains("192.0.2.0/24", "192.0.2.77"));
        assert!(contains("192.0.2.0/24", "::ffff:192.0.2.77"));
        assert!(!contains("192.0.2.0/24", "192.0.3.1"));
        assert!(contains("0.0.0.0/0", "203.0.113.1"));
        assert!(!contains("192.0.2.1", "192.0.2.2"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1"));
        for bad in ["", "x", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/"] {
            assert!(bad.parse::<IpNetwork>().is_err(), "{bad}");
        }
    }
}
