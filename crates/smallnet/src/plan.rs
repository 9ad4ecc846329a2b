//! The plan of the small internet: which system listens where, and what DNS says of it.
//!
//! Does: computes ports from the port base, writes each system's `postrider.toml` as text, and lists the
//! zones. Does not: bind, create or write. Everything here is a function of the port base and the directory.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::dns::Zones;

/// The default port base.
pub const PORT_BASE: u16 = 42_000;
/// Ports from one system's to the next one's.
const PORTS_PER_SYSTEM: u16 = 1000;
/// The domain whose server answers nothing.
pub const DOWN: &str = "down.example";
/// Its address: of loopback, and nothing listens there.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
/// Where all listens.
pub const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The people, in both domains; each one's password is the name.
pub const PEOPLE: [&str; 2] = ["alice", "bob"];

/// One of the two mail systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System {
    /// `red.example`.
    pub domain: &'static str,
    /// `mail.red.example`.
    pub hostname: &'static str,
    /// Who is at home here: alice at red, bob at blue. Gets `--catch-all` mail and that to postmaster.
    pub resident: &'static str,
    /// Where its ports begin.
    base: u16,
    /// The SMTP port of the other system.
    peer_smtp: u16,
}

/// The whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The directory that all lives in.
    pub dir: PathBuf,
    /// Where ports begin.
    pub base: u16,
    /// red, blue.
    pub systems: [System; 2],
}

impl System {
    const fn at(self, offset: u16) -> SocketAddr {
        SocketAddr::new(LOOPBACK, self.base + offset)
    }

    /// SMTP between servers.
    pub const fn smtp(self) -> SocketAddr {
        self.at(25)
    }
    /// Submission with STARTTLS.
    pub const fn submission(self) -> SocketAddr {
        self.at(587)
    }
    /// Submission with implicit TLS.
    pub const fn submissions(self) -> SocketAddr {
        self.at(465)
    }
    /// POP3.
    pub const fn pop3(self) -> SocketAddr {
        self.at(110)
    }
    /// POP3 with implicit TLS.
    pub const fn pop3s(self) -> SocketAddr {
        self.at(995)
    }
    /// IMAP.
    pub const fn imap(self) -> SocketAddr {
        self.at(143)
    }
    /// IMAP with implicit TLS.
    pub const fn imaps(self) -> SocketAddr {
        self.at(993)
    }
    /// HTTP.
    pub const fn http(self) -> SocketAddr {
        self.at(80)
    }
    /// HTTPS.
    pub const fn https(self) -> SocketAddr {
        self.at(443)
    }

    /// Every listener with its key under `[listen]`.
    pub const fn listeners(self) -> [(&'static str, SocketAddr); 9] {
        [
            ("smtp", self.smtp()),
            ("submission", self.submission()),
            ("submissions", self.submissions()),
            ("pop3", self.pop3()),
            ("pop3s", self.pop3s()),
            ("imap", self.imap()),
            ("imaps", self.imaps()),
            ("http", self.http()),
            ("https", self.https()),
        ]
    }

    /// What the system is meant to be, as the doctor sees it.
    pub fn meant(self) -> doctor::Plan {
        let ports = self.listeners().into_iter().filter(|(service, _)| !["smtp", "http"].contains(service));
        doctor::Plan {
            hostname: self.hostname.into(),
            addresses: vec![LOOPBACK],
            domains: vec![self.domain.into()],
            ports: ports.map(|(service, address)| (service.to_owned(), address.port())).collect(),
            ..doctor::Plan::default()
        }
    }

    /// The domain of the other system.
    fn peer_domain(self) -> &'static str {
        if self.domain == "red.example" { "blue.example" } else { "red.example" }
    }

    /// Names that its certificate is for.
    pub const fn names(self) -> [&'static str; 5] {
        [self.hostname, self.domain, "localhost", "127.0.0.1", "::1"]
    }
}

/// The port base is too high for all ports to fit below 65,536, or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPortBase(pub u16);

impl std::fmt::Display for BadPortBase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let highest = Plan::HIGHEST_BASE;
        write!(
            f,
            "port base {} does not work: choose 1000 to {highest}, since ports up to 1995 above it are used",
            self.0
        )
    }
}

impl std::error::Error for BadPortBase {}

impl Plan {
    /// The highest port base: blue's POP3 over TLS is 1,995 above it.
    pub const HIGHEST_BASE: u16 = u16::MAX - PORTS_PER_SYSTEM - 995;

    /// A plan for a directory and a port base.
    pub fn new(dir: &Path, base: u16) -> Result<Self, BadPortBase> {
        if !(1000..=Self::HIGHEST_BASE).contains(&base) {
            return Err(BadPortBase(base));
        }
        let blue = base + PORTS_PER_SYSTEM;
        let systems = [
            System {
                domain: "red.example",
                hostname: "mail.red.example",
                resident: "alice",
                base,
                peer_smtp: blue + 25,
            },
            System {
                domain: "blue.example",
                hostname: "mail.blue.example",
                resident: "bob",
                base: blue,
                peer_smtp: base + 25,
            },
        ];
        Ok(Self { dir: dir.to_owned(), base, systems })
    }

    /// The DNS server's address.
    pub const fn dns(&self) -> SocketAddr {
        SocketAddr::new(LOOPBACK, self.base + 53)
    }

    /// A system's folder: configuration, certificate and data.
    pub fn folder(&self, system: System) -> PathBuf {
        self.dir.join(system.domain)
    }

    /// A system's configuration file.
    pub fn config_file(&self, system: System) -> PathBuf {
        self.folder(system).join("postrider.toml")
    }

    /// The zones. `fingerprints`: SHA-256 of each system's public key, for TLSA.
    pub fn zones(&self, fingerprints: [&[u8]; 2]) -> Zones {
        let mut zones = Zones::new().zone(DOWN).mx(DOWN, 10, "mail.down.example").address("mail.down.example", NOBODY);
        for (system, fingerprint) in self.systems.iter().zip(fingerprints) {
            let (domain, host) = (system.domain, system.hostname);
            zones = zones.zone(domain).address(domain, LOOPBACK).tlsa(host, 25, fingerprint).tlsa(
                host,
                system.smtp().port(),
                fingerprint,
            );
        }
        for system in self.systems {
            zones = doctor::wanted(&system.meant()).iter().fold(zones, Zones::wanted);
        }
        zones.reverse(LOOPBACK, "localhost").address("localhost", LOOPBACK)
    }

    /// A system's `postrider.toml`: an ordinary configuration that every command takes.
    pub fn configuration(&self, system: System, catch_all: bool) -> String {
        let mut text = format!(
            "# {} of the small internet that `postrider local` makes: an ordinary configuration.\n\
             # Written anew at each start of `local`; your changes belong into a server of your own.\n\n\
             hostname = \"{}\"\n\
             data_dir = \"data\"\n\n\
             [listen]\n",
            system.domain, system.hostname,
        );
        for (key, address) in system.listeners() {
            let _ = writeln!(text, "{key} = [\"{address}\"]");
        }
        let _ = write!(
            text,
            "\n[tls]\n\
             certificate = \"tls/fullchain.pem\"\n\
             key = \"tls/key.pem\"\n\n\
             [dns]\n\
             servers = [\"{}\"]   # knows both domains, and down.example\n\
             dnssec = \"off\"                # its zones are not signed\n\n\
             [relay]\n\
             port = {}                  # both systems share 127.0.0.1, so each has the other's SMTP port here\n\
             first_retry = \"2s\"\n\n\
             [doctor]                      # what \"postrider doctor\" can't know here\n\
             addresses = [\"{LOOPBACK}\"]\n\
             reach = \"{}\"\n\
             ca_file = \"../ca.pem\"\n\n\
             [local]\n\
             authenticate = true           # look at what comes from this machine as at what comes from elsewhere\n\
             misbehave = true              # later@, refused@, full@, slow@ and cut@ do what their names say\n",
            self.dns(),
            system.peer_smtp,
            system.peer_domain(),
        );
        if catch_all {
            let _ = write!(
                text,
                "catch_all = \"{}@{}\"   # gets mail for every address that nobody has\n\n\
                 [[route]]                     # but for the other system's: what has a route goes there\n\
                 domain = \"{}\"\n\
                 next_hop = [\"{}\"]\n",
                system.resident,
                system.domain,
                system.peer_domain(),
                SocketAddr::new(LOOPBACK, system.peer_smtp),
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::name;
    use hickory_proto::rr::RecordType;

    #[test]
    fn ports_are_those_promised() {
        let plan = Plan::new(Path::new("d"), PORT_BASE).unwrap();
        let [red, blue] = plan.systems;
        assert_eq!(plan.dns().port(), 42053);
        let ports = |system: System| system.listeners().map(|(_, address)| address.port());
        assert_eq!(ports(red), [42025, 42587, 42465, 42110, 42995, 42143, 42993, 42080, 42443]);
        assert_eq!(ports(blue), ports(red).map(|port| port + 1000));
        assert_eq!((red.peer_smtp, blue.peer_smtp), (43025, 42025));
        assert!(Plan::new(Path::new("d"), Plan::HIGHEST_BASE).is_ok());
        for bad in [0, 999, Plan::HIGHEST_BASE + 1, u16::MAX] {
            assert_eq!(Plan::new(Path::new("d"), bad), Err(BadPortBase(bad)));
        }
    }

    #[test]
    fn dns_leads_to_both_systems_and_to_nobody() {
        let zones = Plan::new(Path::new("d"), PORT_BASE).unwrap().zones([&[1; 32], &[2; 32]]);
        for (owner, kind) in [
            ("red.example", RecordType::MX),
            ("mail.red.example", RecordType::A),
            ("blue.example", RecordType::TXT),
            ("_imaps._tcp.blue.example", RecordType::SRV),
            ("_smtp._tls.red.example", RecordType::TXT),
            ("_25._tcp.mail.blue.example", RecordType::TLSA),
            ("_43025._tcp.mail.blue.example", RecordType::TLSA),
            (DOWN, RecordType::MX),
            ("1.0.0.127.in-addr.arpa", RecordType::PTR),
        ] {
            assert_eq!(zones.look_up(&name(owner), kind).answers.len(), 1, "{owner} {kind}");
        }
    }
}
