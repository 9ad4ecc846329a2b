//! The world outside as the mail path sees it: time, names, connections, chance.
//!
//! **Does:** states what a world must answer. `server` has the real one; tests have others.
//!
//! **Does not:** decide anything: what a DNS failure means for a message is `route`'s to say.
//!
//! **Data:** every question is one method; every answer is a value that keeps apart what must be
//! treated apart (no such domain bounces, a resolver that failed does not).

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mail::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::safety::Dane;

/// Time.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
    /// Returns after `how_long`.
    async fn sleep(&self, how_long: Duration);
}

/// Chance. Not for secrets: those come from the operating system where they are needed.
pub trait Random: Send + Sync + 'static {
    /// Any number, all equally likely.
    fn next(&self) -> u64;

    /// A number below `end`; 0 where `end` is 0.
    fn below(&self, end: u64) -> u64 {
        // The bias of a 64-bit remainder is of no matter to shuffling and jitter.
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// A text that no other message of this host has: for Message-IDs and MIME boundaries.
    fn token(&self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }
}

/// How far records may be believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Belief {
    /// For how long.
    pub ttl: Duration,
    /// DNSSEC vouches for them and for every CNAME that led to them (RFC 4033 §5: "secure"). What failed validation is
    /// no answer at all, but [`Answer::Temporary`].
    pub secure: bool,
    /// The name at the end of the CNAMEs, where there were any.
    pub canonical: Option<String>,
}

impl Belief {
    /// For this time, without DNSSEC.
    pub const fn until(ttl: Duration) -> Self {
        Self { ttl, secure: false, canonical: None }
    }

    /// For this time, by DNSSEC.
    pub const fn secure(ttl: Duration) -> Self {
        Self { ttl, secure: true, canonical: None }
    }
}

/// What DNS said. The four must be told apart: RFC 5321 §5.1 treats each in another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// Records, never empty, and how far they may be believed.
    Found(Vec<T>, Belief),
    /// The name exists, but has no record of this kind (NODATA).
    NoData,
    /// The name does not exist (NXDOMAIN).
    NoDomain,
    /// Nobody knows now: SERVFAIL, REFUSED, time-out, an answer that makes no sense; with words for people.
    Temporary(String),
}

impl<T> Answer<T> {
    /// The same answer about something else.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Answer<U> {
        match self {
            Self::Found(records, belief) => Answer::Found(records.into_iter().map(f).collect(), belief),
            Self::NoData => Answer::NoData,
            Self::NoDomain => Answer::NoDomain,
            Self::Temporary(why) => Answer::Temporary(why),
        }
    }
}

/// An MX record (RFC 1035 §3.3.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mx {
    /// Lower is better.
    pub preference: u16,
    /// The host in lower case without a final dot; empty: the root, a null MX (RFC 7505).
    pub exchange: String,
}

/// A TLSA record (RFC 6698 §2.1), as it stands in DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlsa {
    /// Which certificate it is about: 0 to 3.
    pub usage: u8,
    /// What of it: 0 the whole, 1 its public key.
    pub selector: u8,
    /// In which form: 0 as it is, 1 SHA-256, 2 SHA-512.
    pub matching: u8,
    /// That.
    pub data: Vec<u8>,
}

/// Names. Every method follows CNAMEs; names are ASCII without a final dot.
#[async_trait]
pub trait Dns: Send + Sync + 'static {
    /// MX records, in any order.
    async fn mx(&self, name: &str) -> Answer<Mx>;
    /// A records.
    async fn ipv4(&self, name: &str) -> Answer<Ipv4Addr>;
    /// AAAA records.
    async fn ipv6(&self, name: &str) -> Answer<Ipv6Addr>;
    /// Names of an address (PTR). A world that knows none has none.
    async fn ptr(&self, _ip: IpAddr) -> Answer<String> {
        Answer::NoData
    }
    /// TXT records, each with its strings joined.
    async fn txt(&self, name: &str) -> Answer<Vec<u8>>;
    /// TLSA records, of a name like `_25._tcp.mx.example`.
    async fn tlsa(&self, _name: &str) -> Answer<Tlsa> {
        // A world without DNSSEC has none that would count.
        Answer::NoData
    }
}

/// An open connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How much a certificate matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Any will do: encryption against those who only listen (RFC 7435). Whether it was a good one is recorded.
    Any,
    /// It must be valid for the name: for smart hosts that get a password.
    Verified,
    /// It must match one of the TLSA records (RFC 7672 §3.1, §3.2).
    Dane(Arc<Dane>),
}

/// Connections to other servers.
#[async_trait]
pub trait Connect: Send + Sync + 'static {
    /// Opens a connection. The caller bounds how long it waits.
    async fn connect(&self, to: SocketAddr) -> io::Result<Box<dyn Stream>>;

    /// Opens a connection to a socket of this machine. The caller bounds how long it waits.
    async fn connect_unix(&self, path: &Path) -> io::Result<Box<dyn Stream>> {
        let why = format!("there is no way to {}", path.display());
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    /// Begins TLS on an open connection, `name` as SNI (none for an address literal). `Any` records in
    /// [`store::Tls::verified`] whether the certificate would have passed; `Dane` in [`store::Tls::policy`] what it matched.
    async fn tls(&self, stream: Box<dyn Stream>, name: &str, trust: Trust)
    -> io::Result<(Box<dyn Stream>, store::Tls)>;

    /// Whether this address is one of this very machine: then a connection to one of our own ports there
    /// would be a loop.
    fn is_local(&self, ip: IpAddr) -> bool;
}

/// All of it, to pass around.
#[derive(Clone)]
pub struct World {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Names.
    pub dns: Arc<dyn Dns>,
    /// Connections.
    pub connect: Arc<dyn Connect>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}
