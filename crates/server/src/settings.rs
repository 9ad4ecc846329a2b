//! What an operator may set, as the pumps see it: typed, checked, without TOML.
//!
//! Does: hold values; defaults come from [`mail::limits`]. Does not: read files: the program's configuration does,
//! and hands over a new value at each reload. A connection keeps the value that it began with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mail::{Address, Domain, limits};
use mta::accept::authenticate::Enforce;
use mta::milter::{FieldRule, Milter};
use mta::policy::Rules;
use mta::queue::Schedule;
use mta::route::FixedRoute;
use mta::script::Everybody;

use crate::acme::AcmeSettings;
use crate::dns::DnsSettings;
use crate::doctor::DoctorSettings;
use crate::listen::{IpNetwork, Service};
use crate::trusted::TrustedNetwork;

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// In greetings, EHLO and Received.
    pub hostname: Domain,
    /// Whether POP3, IMAP and HTTP may log in without TLS on loopback. Elsewhere never.
    pub plaintext_auth: PlaintextAuth,
    /// Whether SCRAM is offered, on every protocol. Clients prefer it where it is, and fail with an account that keeps
    /// no SCRAM keys; so it is for systems whose accounts all keep them.
    pub offer_scram: bool,
    /// Bounds.
    pub limits: Limits,
    /// Mail that comes in.
    pub smtp: SmtpSettings,
    /// Who may bring how much, and who nothing.
    pub policy: PolicySettings,
    /// Mail that goes out.
    pub relay: RelaySettings,
    /// Gateway domains and the smart host, in the order of the file.
    pub routes: Vec<FixedRoute>,
    /// Networks that may send without log-in.
    pub trusted: Vec<TrustedNetwork>,
    /// Proxies that say whose connections they pass on (PROXY protocol).
    pub proxy_from: Vec<IpNetwork>,
    /// Filters of others, in the order in which they are asked.
    pub milters: Vec<Milter>,
    /// The field of theirs that sends a message into Junk.
    pub junk_header: FieldRule,
    /// Filters that run for everybody.
    pub sieve: Arc<Everybody>,
    /// HTTP.
    pub http: HttpSettings,
    /// Which services listen where, for those who ask how to reach them.
    pub listening: Vec<(Service, SocketAddr)>,
    /// How long journeys are kept.
    pub journey_lifetime: Duration,
    /// Certificates by ACME; none: they come from files alone.
    pub acme: Option<AcmeSettings>,
    /// What the doctor may look at.
    pub doctor: DoctorSettings,
    /// Only in the small internet of `local`.
    pub local: LocalSettings,
}

impl Settings {
    /// All defaults, with this hostname.
    pub fn new(hostname: Domain) -> Self {
        Self {
            hostname,
            plaintext_auth: PlaintextAuth::Loopback,
            offer_scram: false,
            limits: Limits::default(),
            smtp: SmtpSettings::default(),
            policy: PolicySettings::default(),
            relay: RelaySettings::default(),
            routes: Vec::new(),
            trusted: Vec::new(),
            proxy_from: Vec::new(),
            milters: Vec::new(),
            junk_header: FieldRule::default(),
            sieve: Arc::default(),
            http: HttpSettings::default(),
            listening: Vec::new(),
            journey_lifetime: limits::JOURNEY_LIFETIME,
            acme: None,
            doctor: DoctorSettings::default(),
            local: LocalSettings::default(),
        }
    }
}

/// Log-in without TLS on POP3, IMAP and HTTP (submission never allows it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaintextAuth {
    /// From this very machine.
    Loopback,
    /// Not even from there.
    Never,
}

/// What strangers meet at port 25, and users at the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySettings {
    /// What is done where a domain says by DMARC what it wants done with mail that is not its own.
    pub dmarc: Enforce,
    /// The rules.
    pub rules: Rules,
    /// The greeting comes after this; who speaks before is turned away.
    pub greet_delay: Duration,
}

/// Bounds that an operator may set; each default is the constant of the same name in [`mail::limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of one message.
    pub message_size: u64,
    /// Recipients of one message.
    pub recipients: usize,
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address (IPv6: one /64). Loopback is exempt.
    pub connections_per_address: usize,
    /// Commands that failed before 421 ends an SMTP session.
    pub errors: usize,
    /// Commands of one SMTP session.
    pub commands: usize,
    /// Messages of one SMTP session.
    pub messages: usize,
    /// Received fields before a message counts as looping.
    pub hops: usize,
    /// Failed log-ins of one address before it waits. Loopback is exempt.
    pub login_failures: usize,
    /// Wait for an SMTP command.
    pub command_timeout: Duration,
    /// Wait for the next piece of a message.
    pub data_timeout: Duration,
    /// A whole message must arrive in this time.
    pub message_timeout: Duration,
    /// POP3's inactivity timer.
    pub pop3_timeout: Duration,
    /// IMAP's autologout timer.
    pub imap_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: limits::MESSAGE_SIZE as u64,
            recipients: limits::SMTP_RECIPIENTS,
            connections: limits::CONNECTIONS,
            connections_per_address: limits::CONNECTIONS_PER_ADDRESS,
            errors: limits::SMTP_ERRORS,
            commands: limits::SMTP_COMMANDS,
            messages: limits::SMTP_MESSAGES,
            hops: limits::RECEIVED_HOPS,
            login_failures: limits::LOGIN_FAILURES,
            command_timeout: limits::SMTP_COMMAND_TIMEOUT,
            data_timeout: limits::SMTP_DATA_TIMEOUT,
            message_timeout: limits::SMTP_MESSAGE_TIMEOUT,
            pop3_timeout: limits::POP3_TIMEOUT,
            imap_timeout: limits::IMAP_TIMEOUT,
        }
    }
}

/// Mail that comes in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmtpSettings {
    /// Where mail from other servers comes in: this system never sends there itself.
    pub listening: Vec<SocketAddr>,
    /// Whether the Received field of a submission shows the client's address.
    pub show_client: bool,
    /// What the MTA-STS policy of our domains asks of other servers.
    pub mta_sts: StsMode,
}

/// What happens where a server that sends mail here finds no good certificate (RFC 8461 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StsMode {
    /// It sends, as without a policy.
    None,
    /// It sends, and reports.
    #[default]
    Testing,
    /// It does not send.
    Enforce,
}

impl StsMode {
    /// As in a policy, and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Testing => "testing",
            Self::Enforce => "enforce",
        }
    }
}

/// Mail that goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelaySettings {
    /// Where an MX listens.
    pub port: u16,
    /// Who is asked for names, and how far he is believed.
    pub dns: DnsSettings,
    /// When mail is tried again and given up, and how many connections it may take.
    pub schedule: Schedule,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self { port: 25, dns: DnsSettings::default(), schedule: Schedule::default() }
    }
}

/// HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpSettings {
    /// Networks that may see /metrics, besides loopback.
    pub metrics_from: Vec<IpNetwork>,
    /// What `local` shows at `/local` and below it, by the name there (`/local` itself: empty); none: there are no such pages.
    pub local: BTreeMap<&'static str, LocalPage>,
}

/// A page that only `local` has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPage {
    /// Its media type.
    pub kind: &'static str,
    /// What it is.
    pub content: String,
    /// What it may load, and who may have it in a frame: its Content-Security-Policy.
    pub policy: String,
}

/// What only `local` sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalSettings {
    /// Whether what comes over loopback is checked like what comes from elsewhere.
    pub authenticate: bool,
    /// `later@`, `refused@`, `full@`, `slow@` and `cut@` do what their names say.
    pub misbehave: bool,
    /// Gets mail for every address and domain that nobody has; nothing leaves the machine.
    pub catch_all: Option<Address>,
    /// Who is logged in by `/local/in`, without a password; none: nobody.
    pub visitor: Option<Address>,
    /// Origins whose pages may have the webmail in a frame, as a policy names them; none: nobody's.
    pub framed_by: Option<String>,
    /// Reached for an account (pictures, unsubscriptions) though no address that all can reach; empty for all but tests.
    pub reach: Vec<SocketAddr>,
}
