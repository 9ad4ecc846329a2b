//! `[[route]]`: gateway domains and the smart host.

use std::path::{Path, PathBuf};

use mail::Domain;
use mta::route::{FixedRoute, UNIX};
use toml::de::{DeTable, DeValue};

use super::read::{Problems, Value, place, section};

section! {
    /// A domain whose mail is accepted here and sent on to a fixed next hop; `[[route]]` may come many times.
    /// The domain `*` is the smart host: it gets everything that would go out by MX.
    Route {
        /// The domain, or `*`.
        domain: Option<RouteDomain> = None;
        /// Servers to try in this order, each as host or address, with a port or without (25). For a server that speaks LMTP
        /// (Dovecot) `lmtp:host:port` (24 without one) or `lmtp:unix:/path`; then all of them do.
        next_hop: Vec<NextHop> = Vec::new();
        /// Log-in name at the next hop; then its certificate must be valid for its name.
        user: Option<String> = None;
        /// File with the password for `user`; its first line counts. Readable only by the server's user, please.
        password_file: Option<PathBuf> = None;
    }
}

/// A domain or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteDomain(Option<Domain>);

impl Value for RouteDomain {
    const KIND: &'static str = "a domain in quotes, like \"branch.example.org\", or \"*\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("*") => Ok(Self(None)),
            _ => Domain::read(value).map(|domain| Self(Some(domain))).map_err(|_| format!("write {}", Self::KIND)),
        }
    }

    fn show(&self) -> String {
        self.0.as_ref().map_or_else(|| "\"*\"".into(), Value::show)
    }
}

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NextHop {
    host: String,
    port: u16,
    lmtp: bool,
}

impl Value for NextHop {
    const KIND: &'static str =
        "a host and a port in quotes, like \"10.0.0.5:25\" or \"smarthost.example.net:587\", or \"lmtp:host:24\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let wrong = || format!("write {}", Self::KIND);
        let text = value.as_str().ok_or_else(wrong)?;
        let (text, lmtp) = text.strip_prefix("lmtp:").map_or((text, false), |text| (text, true));
        if lmtp && let Some(path) = text.strip_prefix(UNIX) {
            return if path.starts_with('/') {
                Ok(Self { host: text.to_owned(), port: 0, lmtp })
            } else {
                Err(wrong())
            };
        }
        // RFC 2033 §5: never 25, where SMTP is.
        let usual = if lmtp { 24 } else { 25 };
        if let Ok(ip) = text.parse::<std::net::IpAddr>() {
            return Ok(Self { host: ip.to_string(), port: usual, lmtp });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?),
            None => (text, usual),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let right = host.parse::<std::net::IpAddr>().is_ok() || Domain::from_ascii(host).is_ok();
        if right { Ok(Self { host: host.to_ascii_lowercase(), port, lmtp }) } else { Err(wrong()) }
    }

    fn show(&self) -> String {
        let Self { host, port, lmtp } = self;
        format!("\"{}{host}:{port}\"", if *lmtp { "lmtp:" } else { "" })
    }
}

/// Reads every `[[route]]`.
pub(super) fn read(root: &DeTable<'_>, dir: &Path, problems: &mut Problems<'_>) -> Vec<FixedRoute> {
    let Some(value) = root.get("route") else { return Vec::new() };
    let Some(items) = value.get_ref().as_array() else {
        problems.error(&value.span(), "route: write each route as a table that begins with [[route]]");
        return Vec::new();
    };
    let mut routes: Vec<FixedRoute> = Vec::new();
    for item in items.iter() {
        let Some(table) = item.get_ref().as_table() else {
            problems.error(&item.span(), "route: write each route as a table that begins with [[route]]");
            continue;
        };
        let before = problems.found.len();
        let route = Route::read(table, "route", &[], problems);
        let Some(domain) = &route.domain else {
            if problems.found.len() == before {
                problems.error(&item.span(), "[[route]] has no domain; set domain = \"…\" or \"*\"");
            }
            continue;
        };
        if route.next_hop.is_empty() && problems.found.len() == before {
            problems.error(&item.span(), "[[route]] has no next_hop; set next_hop = [\"host:25\"]");
        }
        if routes.iter().any(|earlier| earlier.domain == domain.0) {
            problems.error(
                &place(table, "domain"),
                format!("[route] domain: {} has a route already; remove one", domain.show()),
            );
        }
        let lmtp = route.next_hop.iter().any(|hop| hop.lmtp);
        if route.next_hop.iter().any(|hop| hop.lmtp != lmtp) {
            let why = "[route] next_hop: some of them speak LMTP and some don't; write \"lmtp:\" before all or none";
            problems.error(&place(table, "next_hop"), why);
        }
        let login = login(&route, table, dir, problems);
        let next_hop = route.next_hop.into_iter().map(|hop| (hop.host, hop.port)).collect();
        routes.push(FixedRoute { domain: domain.0.clone(), next_hop, login, lmtp });
    }
    routes
}

fn login(route: &Route, table: &DeTable<'_>, dir: &Path, problems: &mut Problems<'_>) -> Option<(String, String)> {
    match (&route.user, &route.password_file) {
        (Some(user), Some(file)) => {
            let path = dir.join(file);
            match std::fs::read_to_string(&path) {
                Ok(text) => Some((user.clone(), text.lines().next().unwrap_or_default().to_owned())),
                Err(error) => {
                    let why = format!("[route] password_file: {} can't be read: {error}", path.display());
                    problems.error(&place(table, "password_file"), why);
                    None
                }
            }
        }
        (Some(_), None) => {
            problems.error(&place(table, "user"), "[route] user: its password is missing; set password_file too");
            None
        }
        (None, Some(_)) => {
            problems.error(&place(table, "password_file"), "[route] password_file: its user is missing; set user too");
            None
        }
        (None, None) => None,
    }
}
