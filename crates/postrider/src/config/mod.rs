//! `postrider.toml`: one file per section, each with its keys, defaults and documentation.
//!
//! Does: read the file, say what is wrong with it (file, line, what, remedy), and make the server's typed settings
//! of it. Does not: write to it; accounts, domains and aliases live in the store.

mod acme;
mod auth;
mod dns;
#[cfg(test)]
mod docs;
mod doctor;
mod http;
mod journey;
mod limits;
mod listen;
mod local;
mod log;
mod milter;
mod policy;
pub(crate) mod read;
mod relay;
mod route;
mod sieve;
mod smtp;
mod tls;
mod trusted;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail::Domain;
use mta::route::FixedRoute;
use server::Settings;
use server::acme::Folder;
use server::settings::HttpSettings;
use server::tls::{Acceptor, SiteFiles};
use toml::de::{DeTable, DeValue};

pub(crate) use listen::Listen;
pub(crate) use log::{Log, LogFormat};
pub(crate) use read::{Problem, duration, size};
use read::{Problems, section};

section! {
    /// At the top of the file, before any section.
    Top {
        /// The server's name: in greetings, EHLO and Received. It should have an A or AAAA record. Required.
        hostname: Option<Domain> = None;
        /// Where mail, queue and accounts are kept.
        data_dir: PathBuf = "data".into();
    }
}

/// A whole configuration, without errors.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The file that it came from.
    pub(crate) file: PathBuf,
    /// Where the store is.
    pub(crate) data_dir: PathBuf,
    /// Listeners.
    pub(crate) listen: Listen,
    /// Certificates of `[tls]`; the first is the default.
    pub(crate) sites: Vec<SiteFiles>,
    /// Logging.
    pub(crate) log: Log,
    /// For the server.
    pub(crate) settings: Settings,
    /// What is unwise, but works.
    pub(crate) advice: Vec<Problem>,
}

/// What is wrong with a configuration: a line for each thing, `file:line: what; remedy`.
#[derive(Debug)]
pub(crate) struct ConfigError {
    file: PathBuf,
    problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            let space = if problem.line.is_some() { "" } else { " " };
            write!(f, "{}{}:{space}{problem}", if n > 0 { "\n" } else { "" }, self.file.display())?;
        }
        Ok(())
    }
}

impl Config {
    /// Reads a file. The error has everything that is wrong, not only the first.
    pub(crate) fn load(file: &Path) -> Result<Self, ConfigError> {
        let failed =
            |text: String| ConfigError { file: file.into(), problems: vec![Problem { line: None, error: true, text }] };
        let text = std::fs::read_to_string(file).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                failed("there is no such file; name one with --config, or make a server with \"postrider init\"".into())
            }
            _ => failed(format!("it can't be read: {error}")),
        })?;
        Self::parse(file, &text)
    }

    /// Reads a text as if it were in `file`: paths in it are relative to that.
    pub(crate) fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut problems = Problems::new(text);
        let config = match DeTable::parse(text) {
            Ok(root) => Self::read(file, root.get_ref(), &mut problems),
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                problems.error(&span, format!("this is not TOML: {}", error.message().replace('\n', "; ")));
                None
            }
        };
        let (errors, advice): (Vec<_>, Vec<_>) = problems.found.into_iter().partition(|problem| problem.error);
        match config {
            Some(config) if errors.is_empty() => Ok(Self { advice, ..config }),
            _ => {
                let mut problems = errors;
                problems.sort_by_key(|problem| problem.line);
                Err(ConfigError { file: file.into(), problems })
            }
        }
    }

    /// `None` only with a problem: without a host name.
    fn read(file: &Path, root: &DeTable<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let top = Top::read(root, "", SECTIONS, problems);
        if top.hostname.is_none() && !root.contains_key("hostname") {
            problems.error_overall("hostname is missing; set hostname = \"mail.example.org\" at the top");
        }
        let empty = DeTable::new();
        let listen = Listen::read(table(root, "listen", &empty, problems), "listen", &[], problems);
        let sites = tls::read(table(root, "tls", &empty, problems), dir, problems);
        let dns = dns::Dns::read(table(root, "dns", &empty, problems), "dns", &[], problems);
        let relay = relay::Relay::read(table(root, "relay", &empty, problems), "relay", &[], problems);
        let routes = route::read(root, dir, problems);
        let trusted = trusted::read(root, problems);
        let milters = milter::read(root, dir, problems);
        let junk = milter::Junk::read(table(root, "junk", &empty, problems), "junk", &[], problems);
        let sieve = sieve::read(table(root, "sieve", &empty, problems), dir, problems);
        let limits = limits::Limits::read(table(root, "limits", &empty, problems), "limits", &[], problems);
        let smtp = smtp::Smtp::read(table(root, "smtp", &empty, problems), "smtp", &[], problems);
        let policy = policy::Policy::read(table(root, "policy", &empty, problems), "policy", &[], problems);
        let http = http::Http::read(table(root, "http", &empty, problems), "http", &[], problems);
        let journey = journey::Journey::read(table(root, "journey", &empty, problems), "journey", &[], problems);
        let auth = auth::Auth::read(table(root, "auth", &empty, problems), "auth", &[], problems);
        let log = Log::read(table(root, "log", &empty, problems), "log", &[], problems);
        let local = local::Local::read(table(root, "local", &empty, problems), "local", &[], problems);
        let data_dir = dir.join(top.data_dir);
        let doctor = doctor::Doctor::read(table(root, "doctor", &empty, problems), "doctor", &[], problems);
        let doctor = doctor.settings(dir, &data_dir);
        let acme = acme::read(table(root, "acme", &empty, problems), dir, &data_dir, &listen, &sites, problems);
        if acme.is_none() {
            needs_certificate(&listen, &sites, root, problems);
        }
        unwise(&listen, &routes, problems);
        Some(Self {
            file: file.into(),
            data_dir,
            settings: Settings {
                hostname: top.hostname?,
                plaintext_auth: listen.plaintext_auth,
                offer_scram: auth.scram,
                limits: limits.settings(),
                smtp: smtp.settings(&listen),
                policy: policy.settings(),
                relay: relay.settings(dns.settings(dir)),
                routes,
                trusted,
                proxy_from: listen.proxy_from.clone(),
                milters,
                junk_header: junk.header,
                sieve: Arc::new(sieve),
                http: HttpSettings { metrics_from: http.metrics_from, ..HttpSettings::default() },
                listening: listen.all(),
                journey_lifetime: journey.lifetime,
                acme,
                doctor,
                local: local.settings(),
            },
            listen,
            sites,
            log,
            advice: Vec::new(),
        })
    }

    /// TLS as configured; none where no certificate is. The error names the file.
    pub(crate) fn acceptor(&self) -> Result<Option<Acceptor>, server::tls::TlsError> {
        let sites = self.all_sites();
        if sites.is_empty() { Ok(None) } else { Acceptor::load(&sites).map(Some) }
    }

    /// Certificates that are there now: those by ACME, then those of `[tls]`.
    pub(crate) fn all_sites(&self) -> Vec<SiteFiles> {
        let acme = self.settings.acme.as_ref();
        let obtained = acme.map(|acme| Folder::at(&acme.folder).sites(&self.settings.hostname)).unwrap_or_default();
        obtained.into_iter().chain(self.sites.iter().cloned()).collect()
    }

    /// Makes a certificate where none is yet and one is to come by ACME, so that TLS is there from the start.
    pub(crate) fn stand_in(&self) -> Result<(), String> {
        match &self.settings.acme {
            Some(acme) if self.sites.is_empty() => Folder::at(&acme.folder).stand_in(&self.settings.hostname, None),
            _ => Ok(()),
        }
    }
}

const SECTIONS: &[&str] = &[
    "listen", "tls", "acme", "dns", "relay", "route", "trusted", "milter", "junk", "sieve", "auth", "limits", "smtp",
    "policy", "http", "journey", "log", "doctor", "local",
];

fn table<'a, 'i>(
    root: &'a DeTable<'i>,
    name: &str,
    empty: &'a DeTable<'i>,
    problems: &mut Problems<'_>,
) -> &'a DeTable<'i> {
    let Some(value) = root.get(name) else { return empty };
    if let DeValue::Table(table) = value.get_ref() {
        return table;
    }
    problems.error(&value.span(), format!("{name}: this is a section; write [{name}] and its keys below"));
    empty
}

/// Reads every `[[name]]`, each by `read`, which has the table and its place.
fn tables<T>(
    root: &DeTable<'_>,
    name: &str,
    problems: &mut Problems<'_>,
    read: impl Fn(&DeTable<'_>, &std::ops::Range<usize>, &mut Problems<'_>) -> Option<T>,
) -> Vec<T> {
    let Some(value) = root.get(name) else { return Vec::new() };
    let wrong = format!("{name}: write each {name} as a table that begins with [[{name}]]");
    let Some(items) = value.get_ref().as_array() else {
        problems.error(&value.span(), wrong);
        return Vec::new();
    };
    let mut all = Vec::new();
    for item in items.iter() {
        match item.get_ref().as_table() {
            Some(table) => all.extend(read(table, &item.span(), problems)),
            None => problems.error(&item.span(), wrong.clone()),
        }
    }
    all
}

fn needs_certificate(listen: &Listen, sites: &[SiteFiles], root: &DeTable<'_>, problems: &mut Problems<'_>) {
    if !sites.is_empty() || problems.found.iter().any(|problem| problem.text.starts_with("[tls")) {
        return;
    }
    let section = root.get("listen").and_then(|listen| listen.get_ref().as_table());
    for (key, list) in [
        ("submission", &listen.submission),
        ("submissions", &listen.submissions),
        ("pop3s", &listen.pop3s),
        ("imaps", &listen.imaps),
        ("https", &listen.https),
    ] {
        if !list.is_empty() {
            let place = section.map_or(0..0, |section| read::place(section, key));
            let why = format!("[listen] {key}: this needs a certificate; set certificate and key under [tls]");
            problems.error(&place, why);
        }
    }
}

fn unwise(listen: &Listen, routes: &[FixedRoute], problems: &mut Problems<'_>) {
    if listen.all().is_empty() {
        problems.advice("nothing listens: set addresses under [listen], like smtp = [\"[::]:25\"]");
    }
    let smart_host = routes.iter().find(|route| route.domain.is_none());
    if smart_host.is_some_and(|route| route.login.is_some() && route.next_hop.iter().any(|(_, port)| *port == 25)) {
        problems
            .advice("the smart host \"*\" gets a password on port 25; most providers want submission on 587 or 465");
    }
}

#[cfg(test)]
mod tests;
