//! `[acme]`: certificates from an authority, by themselves.

use std::path::{Path, PathBuf};

use mail::{Address, Domain};
use server::acme::{AcmeSettings, Challenge, LETS_ENCRYPT};
use server::tls::SiteFiles;
use toml::de::{DeTable, DeValue};

use super::Listen;
use super::read::{Problems, Value, place, section};

section! {
    /// Certificates from an authority that speaks ACME (RFC 8555), as Let's Encrypt does: asked for, renewed at two thirds of
    /// their life and taken without a restart. They come before those of `[tls]`, which serve until the first one is there;
    /// without those one that this server signed itself does. `postrider certificate list` tells how it stands.
    Acme {
        /// Turns it on: you have read the terms of the authority and agree to them.
        agree_to_terms: bool = false;
        /// The authority's directory.
        directory: String = LETS_ENCRYPT.into();
        /// Whom the authority may write to.
        contact: Vec<Address> = Vec::new();
        /// Certificates for these; none: for the hostname, and for each domain's `mta-sts.`, `autoconfig.` and `autodiscover.`
        /// that DNS has an address of.
        names: Vec<Domain> = Vec::new();
        /// How names are proved: in a TLS handshake, which the authority makes on port 443 (`https` must listen there); over
        /// HTTP on port 80 (`http` must listen there, for all); or in DNS, by a hook.
        challenge: Kind = Kind::TlsAlpn;
        /// For `dns-01`: a program that is run as `HOOK add NAME VALUE` and `HOOK remove NAME VALUE`, and exits with 0 once all
        /// servers of the zone have the TXT record NAME with VALUE, or have it no more.
        hook: Option<PathBuf> = None;
        /// PEM file: vouches for the authority's own HTTPS, besides what the system trusts. For an authority of your own.
        ca_file: Option<PathBuf> = None;
    }
}

/// A way to prove a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    TlsAlpn,
    Http,
    Dns,
}

impl Value for Kind {
    const KIND: &'static str = "\"tls-alpn-01\", \"http-01\" or \"dns-01\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("tls-alpn-01") => Ok(Self::TlsAlpn),
            Some("http-01") => Ok(Self::Http),
            Some("dns-01") => Ok(Self::Dns),
            _ => Err(format!("write {}", Self::KIND)),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::TlsAlpn => "\"tls-alpn-01\"".into(),
            Self::Http => "\"http-01\"".into(),
            Self::Dns => "\"dns-01\"".into(),
        }
    }
}

/// Reads the section; none where it is off. `sites`: those of `[tls]`.
pub(super) fn read(
    table: &DeTable<'_>,
    dir: &Path,
    data_dir: &Path,
    listen: &Listen,
    sites: &[SiteFiles],
    problems: &mut Problems<'_>,
) -> Option<AcmeSettings> {
    let acme = Acme::read(table, "acme", &[], problems);
    if !acme.agree_to_terms {
        if !table.is_empty() && !table.contains_key("agree_to_terms") {
            problems.advice("[acme] does nothing: set agree_to_terms = true once you agree to the authority's terms");
        }
        return None;
    }
    let at = place(table, if table.contains_key("challenge") { "challenge" } else { "agree_to_terms" });
    let challenge = match (acme.challenge, acme.hook) {
        (Kind::Dns, Some(hook)) => Challenge::Dns(dir.join(hook)),
        (Kind::Dns, None) => {
            problems.error(&at, "[acme] challenge: dns-01 needs a program that writes to your DNS; set hook too");
            return None;
        }
        (Kind::Http, _) => Challenge::Http,
        (Kind::TlsAlpn, _) => Challenge::TlsAlpn,
    };
    let (kind, list, key, port) = match challenge {
        Challenge::TlsAlpn => ("tls-alpn-01", &listen.https, "https", 443),
        Challenge::Http => ("http-01", &listen.http, "http", 80),
        Challenge::Dns(_) => ("dns-01", &listen.https, "", 0),
    };
    if !key.is_empty() && list.is_empty() {
        let remedy = format!("set {key} = [\"[::]:{port}\"] under [listen], or another challenge");
        problems.error(&at, format!("[acme] challenge: the authority comes to see {kind} on port {port}; {remedy}"));
    } else if !key.is_empty() && !list.iter().any(|address| address.port() == port && !address.ip().is_loopback()) {
        problems.advice(format!(
            "[acme] challenge: the authority comes to see {kind} on port {port} of each name, and [listen] {key} is elsewhere; \
             see that what comes to port {port} gets there"
        ));
    }
    Some(AcmeSettings {
        directory: acme.directory,
        contact: acme.contact,
        names: acme.names,
        challenge,
        ca_file: acme.ca_file.map(|file| dir.join(file)),
        folder: data_dir.join("acme"),
        first_key: sites.first().map(|site| site.key.clone()),
    })
}
