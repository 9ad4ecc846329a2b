//! `[dns]`: who answers questions about names, and how far he is believed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use server::dns::{DnsSettings, Dnssec};
use toml::de::DeValue;

use super::read::{Value, section};

section! {
    /// DNS servers.
    Dns {
        /// Servers to ask; none: the system's (`/etc/resolv.conf`).
        servers: Vec<SocketAddr> = Vec::new();
        /// Whether answers are checked by their signatures (DNSSEC): `"auto"` does so where the servers pass signatures
        /// through, and takes nothing for secure where they do not; `"required"` lets mail wait there; `"off"` never
        /// does. Without it mail can't be protected by DANE.
        dnssec: Checks = Checks(Dnssec::Auto);
        /// File with the DNSKEY records of another root than the world's; for tests and closed networks.
        trust_anchor: Option<PathBuf> = None;
    }
}

/// Whether answers are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checks(Dnssec);

impl Value for Checks {
    const KIND: &'static str = "\"auto\", \"required\" or \"off\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("auto") => Ok(Self(Dnssec::Auto)),
            Some("required") => Ok(Self(Dnssec::Required)),
            Some("off") => Ok(Self(Dnssec::Off)),
            _ => Err(format!("write {}", Self::KIND)),
        }
    }

    fn show(&self) -> String {
        let word = match self.0 {
            Dnssec::Auto => "auto",
            Dnssec::Required => "required",
            Dnssec::Off => "off",
        };
        format!("{word:?}")
    }
}

impl Dns {
    /// `dir`: where relative paths begin.
    pub(super) fn settings(self, dir: &Path) -> DnsSettings {
        let trust_anchor = self.trust_anchor.map(|file| dir.join(file));
        DnsSettings { servers: self.servers, dnssec: self.dnssec.0, trust_anchor }
    }
}
