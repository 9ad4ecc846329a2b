//! `postrider certificate …`: which certificates there are, and new ones by ACME.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use mail::{Domain, Timestamp};
use serde::Serialize;
use server::acme::{Folder, due};
use server::certificate::Certificate as Said;
use server::control::Request;

use super::ask::ask_server;
use super::table::{moment, table};
use super::{Outcome, Server, domain, print, print_json};
use crate::config::Config;

/// Certificates: which there are, and new ones by ACME.
#[derive(Debug, Subcommand)]
pub(crate) enum Certificate {
    /// Lists certificates: names, who vouches for them, until when, and what keeps the next one from coming.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Gets new certificates from the authority under [acme], now; the server must run.
    Renew {
        /// For these names (default: all).
        #[arg(value_parser = domain)]
        names: Vec<Domain>,
        #[command(flatten)]
        server: Server,
    },
}

/// One certificate, as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct View {
    file: String,
    names: Vec<String>,
    issuer: String,
    /// Milliseconds since 1970.
    until: i64,
    self_signed: bool,
    /// By ACME, at the latest then.
    renewed: Option<i64>,
}

/// A name that got no certificate.
#[derive(Debug, Serialize)]
struct Failed {
    name: String,
    failures: u32,
    again: i64,
    why: String,
}

#[derive(Debug, Serialize)]
struct All {
    certificates: Vec<View>,
    failed: Vec<Failed>,
}

impl Certificate {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::List { json, server } => {
                let all = all(&server.load()?);
                if json { print_json(&all) } else { show(&all) }
            }
            Self::Renew { names, server } => {
                let request = Request::CertificateRenew { names };
                let (names, _) = ask_server::<Vec<String>>(&server.load()?, request).await?;
                print(&format!("new certificates: {}", names.join(", ")));
                Ok(())
            }
        }
    }
}

fn all(config: &Config) -> All {
    let folder = config.settings.acme.as_ref().map(|acme| Folder::at(&acme.folder));
    let own = config.settings.acme.as_ref().map(|acme| acme.folder.clone());
    let view = |site: server::tls::SiteFiles| {
        let said = Said::read(&site.certificate).ok()?;
        let by_acme = own.as_ref().is_some_and(|own| site.certificate.starts_with(own));
        Some(View {
            file: site.certificate.display().to_string(),
            renewed: by_acme.then(|| due(&said).millis()),
            names: said.names,
            issuer: said.issuer,
            until: said.until.millis(),
            self_signed: said.self_signed,
        })
    };
    let troubles = folder.map(|folder| folder.troubles()).unwrap_or_default();
    let failed = |(name, trouble): (String, server::acme::Trouble)| Failed {
        name,
        failures: trouble.failures,
        again: trouble.again,
        why: trouble.why,
    };
    All {
        certificates: config.all_sites().into_iter().filter_map(view).collect(),
        failed: troubles.into_iter().map(failed).collect(),
    }
}

fn show(all: &All) -> Outcome {
    let row = |view: &View| {
        let issuer = if view.self_signed { "itself" } else { &view.issuer };
        let renewed = view.renewed.map_or_else(|| "by you".to_owned(), moment);
        vec![view.names.join(" "), moment(view.until), renewed, issuer.to_owned(), view.file.clone()]
    };
    let rows: Vec<_> = all.certificates.iter().map(row).collect();
    print(&table(&["NAMES", "UNTIL", "RENEWED", "SIGNED BY", "FILE"], &rows));
    for failed in &all.failed {
        let (times, again) = (failed.failures, moment(failed.again));
        print(&format!("{}: no new certificate ({times} times), again at {again}: {}", failed.name, failed.why));
    }
    Ok(())
}

/// What `check` says of certificates: one that has ended is an error, since clients refuse it; one that is about to is advice.
pub(super) fn findings(config: &Config) -> Vec<(bool, String)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp::default().plus(now);
    let mut found = Vec::new();
    let All { certificates, failed } = all(config);
    for View { file, until, renewed, .. } in certificates {
        let (until, shown) = (Timestamp::from_millis(until), moment(until));
        if until <= now {
            found.push((true, format!("the certificate {file} has ended at {shown}: put a new one there")));
        } else if renewed.is_none() && until.since(now) < SOON {
            found.push((false, format!("the certificate {file} ends at {shown}: put a new one there in time")));
        }
    }
    for Failed { name, why, again, .. } in failed {
        let again = moment(again);
        found.push((false, format!("{name} has no new certificate: {why}; it is tried again at {again}")));
    }
    found
}

/// An operator is told so long before: a week.
const SOON: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);
