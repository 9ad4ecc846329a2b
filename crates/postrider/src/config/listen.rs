//! `[listen]`: which services listen where.

use std::net::SocketAddr;
use std::path::PathBuf;

use server::listen::{IpNetwork, Service};
use server::settings::PlaintextAuth;
use toml::de::DeValue;

use super::read::{Value, section};

section! {
    /// Lists of address and port for each service; a service without a list is off. `[::]` is all addresses of
    /// both families.
    Listen {
        /// Mail from other servers. Usually port 25.
        smtp: Vec<SocketAddr> = Vec::new();
        /// Mail from users, with STARTTLS; AUTH is offered only after it. Usually port 587.
        submission: Vec<SocketAddr> = Vec::new();
        /// Mail from users, TLS from the start. Usually port 465.
        submissions: Vec<SocketAddr> = Vec::new();
        /// Unix sockets where a mail server in front of this one delivers by LMTP; relative paths begin at `data_dir`. Whoever may
        /// write there (owner and group) is believed as this machine is. Counts from the next start.
        lmtp: Vec<SocketPath> = Vec::new();
        /// POP3 with STLS. Usually port 110.
        pop3: Vec<SocketAddr> = Vec::new();
        /// POP3, TLS from the start. Usually port 995.
        pop3s: Vec<SocketAddr> = Vec::new();
        /// IMAP with STARTTLS. Usually port 143.
        imap: Vec<SocketAddr> = Vec::new();
        /// IMAP, TLS from the start. Usually port 993.
        imaps: Vec<SocketAddr> = Vec::new();
        /// Filters by ManageSieve, with STARTTLS. Usually port 4190.
        sieve: Vec<SocketAddr> = Vec::new();
        /// Health, metrics, settings for mail clients; log-in from this very machine alone (docs/http.md).
        http: Vec<SocketAddr> = Vec::new();
        /// The same with TLS, and log-in from everywhere. Usually port 443.
        https: Vec<SocketAddr> = Vec::new();
        /// Proxies (HAProxy) that begin each connection with a PROXY header, version 1 or 2, on every listener: the client that it
        /// names counts, for limits, log-in and journeys. From other addresses no such header is believed.
        proxy_from: Vec<IpNetwork> = Vec::new();
        /// Whether POP3, IMAP, ManageSieve and HTTP may log in without TLS: from this very machine, or not even from there.
        /// Elsewhere they never may; submission never may at all.
        plaintext_auth: PlaintextAuth = PlaintextAuth::Loopback;
    }
}

impl Value for PlaintextAuth {
    const KIND: &'static str = "\"loopback\" or \"never\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("loopback") => Ok(Self::Loopback),
            Some("never") => Ok(Self::Never),
            _ => Err(format!("write {}", Self::KIND)),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Loopback => "\"loopback\"".into(),
            Self::Never => "\"never\"".into(),
        }
    }
}

/// A Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SocketPath(pub(crate) PathBuf);

impl Value for SocketPath {
    const KIND: &'static str = "\"unix:\" and a path in quotes, like \"unix:/run/postrider/lmtp\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let path = value.as_str().and_then(|text| text.strip_prefix("unix:")).filter(|path| !path.is_empty());
        path.map(|path| Self(path.into())).ok_or_else(|| format!("write {}", Self::KIND))
    }

    fn show(&self) -> String {
        format!("\"unix:{}\"", self.0.display())
    }
}

impl Listen {
    /// Every listener, in the order of the services.
    pub(crate) fn all(&self) -> Vec<(Service, SocketAddr)> {
        let none = Vec::new();
        let of = |service| match service {
            Service::Smtp => &self.smtp,
            Service::Submission => &self.submission,
            Service::Submissions => &self.submissions,
            // Not on the network.
            Service::Lmtp => &none,
            Service::Pop3 => &self.pop3,
            Service::Pop3s => &self.pop3s,
            Service::Imap => &self.imap,
            Service::Imaps => &self.imaps,
            Service::Sieve => &self.sieve,
            Service::Http => &self.http,
            Service::Https => &self.https,
        };
        Service::ALL
            .into_iter()
            .flat_map(|service| of(service).iter().map(move |address| (service, *address)))
            .collect()
    }
}
