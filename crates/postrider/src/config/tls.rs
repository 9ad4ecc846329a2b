//! `[tls]`: certificates.

use std::path::{Path, PathBuf};

use server::tls::SiteFiles;
use toml::de::DeTable;

use super::read::{Problems, place, section};

section! {
    /// The certificate for TLS. More of them, chosen by the name that a client asks for, come as `[[tls.site]]` with the
    /// same keys. Changed files are taken at `SIGHUP`, and within a minute by themselves.
    Tls {
        /// PEM file: the certificate, followed by those that lead to the root.
        certificate: Option<PathBuf> = None;
        /// PEM file: its private key.
        key: Option<PathBuf> = None;
    }
}

/// Reads `[tls]` and every `[[tls.site]]`; the first one answers clients that ask for no known name.
pub(super) fn read(table: &DeTable<'_>, dir: &Path, problems: &mut Problems<'_>) -> Vec<SiteFiles> {
    let first = Tls::read(table, "tls", &["site"], problems);
    let mut sites: Vec<SiteFiles> = pair(first, table, "tls", dir, problems).into_iter().collect();
    let Some(more) = table.get("site") else { return sites };
    let Some(items) = more.get_ref().as_array() else {
        problems.error(&more.span(), "[tls] site: write each site as a table of its own that begins with [[tls.site]]");
        return sites;
    };
    for item in items.iter() {
        let Some(table) = item.get_ref().as_table() else {
            problems.error(&item.span(), "[tls] site: write each site as a table that begins with [[tls.site]]");
            continue;
        };
        let site = Tls::read(table, "tls.site", &[], problems);
        sites.extend(pair(site, table, "tls.site", dir, problems));
    }
    sites
}

fn pair(tls: Tls, table: &DeTable<'_>, path: &str, dir: &Path, problems: &mut Problems<'_>) -> Option<SiteFiles> {
    match (tls.certificate, tls.key) {
        (Some(certificate), Some(key)) => Some(SiteFiles { certificate: dir.join(certificate), key: dir.join(key) }),
        (Some(_), None) if !table.contains_key("key") => {
            problems
                .error(&place(table, "certificate"), format!("[{path}] certificate: its key is missing; set key too"));
            None
        }
        (None, Some(_)) if !table.contains_key("certificate") => {
            problems
                .error(&place(table, "key"), format!("[{path}] key: its certificate is missing; set certificate too"));
            None
        }
        _ => None,
    }
}
