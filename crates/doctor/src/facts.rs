//! What is known before anything is judged.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// What a mail system is meant to be; all records follow from it.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The server's name.
    pub hostname: String,
    /// Where it is reached from outside; none: not known.
    pub addresses: Vec<IpAddr>,
    /// Domains that it has mail of.
    pub domains: Vec<String>,
    /// Ports that mail clients use, by the name of the service (`imaps`).
    pub ports: BTreeMap<String, u16>,
    /// SHA-256 of the public key on port 25.
    pub public_key_sha256: Option<[u8; 32]>,
    /// DKIM keys: name of the record, and its value.
    pub dkim: Vec<(String, String)>,
}

/// Types of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    A,
    Aaaa,
    Cname,
    Mx,
    Ptr,
    Srv,
    Tlsa,
    Txt,
}

impl Kind {
    /// As in a zone file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Mx => "MX",
            Self::Ptr => "PTR",
            Self::Srv => "SRV",
            Self::Tlsa => "TLSA",
            Self::Txt => "TXT",
        }
    }
}

/// What was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told<T> {
    /// This.
    Known(T),
    /// Nothing, and why.
    Unknown(String),
}

/// What DNS said: records in the form of a zone file, names in lower case without a final dot; none: there are none.
#[derive(Clone, Debug, Default)]
pub struct Answers(pub BTreeMap<(String, Kind), Told<Vec<String>>>);

impl Answers {
    /// Of a name and a type.
    pub fn of(&self, name: &str, kind: Kind) -> Told<&[String]> {
        match self.0.get(&(name.to_ascii_lowercase(), kind)) {
            Some(Told::Known(records)) => Told::Known(records),
            Some(Told::Unknown(why)) => Told::Unknown(why.clone()),
            None => Told::Unknown("it was not asked".into()),
        }
    }

    /// The records; none also where nobody knows.
    pub fn known(&self, name: &str, kind: Kind) -> &[String] {
        match self.of(name, kind) {
            Told::Known(records) => records,
            Told::Unknown(_) => &[],
        }
    }

    /// Addresses of a name.
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let both = [Kind::A, Kind::Aaaa].into_iter().flat_map(|kind| self.known(name, kind));
        both.filter_map(|text| text.parse().ok()).collect()
    }
}

/// A listener, as a client sees it.
#[derive(Clone, Debug)]
pub struct Listener {
    /// `imaps`.
    pub service: String,
    /// Where.
    pub address: SocketAddr,
    /// What its TLS shows; none: it has none.
    pub tls: Option<Told<Shown>>,
}

/// What a TLS server shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// `TLSv1.3`
    pub version: String,
    /// Its certificate ends then, in seconds since 1970.
    pub until: i64,
    /// Why clients that ask for the host name would refuse it; none: they take it.
    pub refused: Option<String>,
    /// SHA-256 of its public key.
    pub public_key_sha256: [u8; 32],
}

/// The machine, as seen from here.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The folder of the store.
    pub folder: String,
    /// Octets that are free there.
    pub free: Told<u64>,
    /// Below this nothing is accepted.
    pub reserve: u64,
    /// What lies in memory only is gone with the power.
    pub in_memory: bool,
    /// Nanoseconds that a write of 4 KiB and its sync take; the middle one of some.
    pub sync: Told<u64>,
    /// Connections that there are file descriptors for.
    pub connections: u64,
    /// Connections that are allowed.
    pub connections_allowed: u64,
}

/// What somebody outside sees of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Probed {
    /// From where we came.
    pub address: Option<IpAddr>,
    /// Ports that could be connected to.
    #[serde(default)]
    pub open: Vec<u16>,
    /// Ports that could not.
    #[serde(default)]
    pub closed: Vec<u16>,
    /// Seconds since 1970, by its clock.
    pub now: Option<i64>,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Seconds since 1970, by our clock.
    pub now: i64,
    /// What it is meant to be.
    pub plan: Plan,
    /// DNS.
    pub answers: Answers,
    /// Whether the resolver says that it validates (RFC 4035 §3.2.3).
    pub validates: Told<bool>,
    /// Listeners.
    pub listeners: Vec<Listener>,
    /// The machine.
    pub machine: Machine,
    /// Whether port 25 of others can be reached: whose, and what came of it.
    pub outward: Option<(String, Result<(), String>)>,
    /// What somebody outside sees; none: nobody was asked.
    pub probed: Option<Told<Probed>>,
    /// From where mail came lately, and how often.
    pub clients: BTreeMap<IpAddr, u64>,
}
