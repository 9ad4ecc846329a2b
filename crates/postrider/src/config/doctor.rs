//! `[doctor]`: what `postrider doctor` may look at.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use mail::Domain;
use server::doctor::DoctorSettings;

use super::read::section;

section! {
    /// What `postrider doctor` may look at, and whom it may ask (docs/doctor.md).
    Doctor {
        /// Where others reach this host; none: this machine's own addresses, where all can reach them.
        addresses: Vec<IpAddr> = Vec::new();
        /// A domain whose mail server is connected to, to see whether mail can leave. No mail is sent.
        reach: Option<Domain> = None;
        /// A URL (https) that looks at this host from outside and answers what it sees, in JSON.
        probe: Option<String> = None;
        /// PEM file: vouches for this server's certificates, and for the probe's, besides what the system trusts.
        ca_file: Option<PathBuf> = None;
    }
}

impl Doctor {
    pub(super) fn settings(self, dir: &Path, folder: &Path) -> DoctorSettings {
        DoctorSettings {
            addresses: self.addresses,
            reach: self.reach,
            probe: self.probe,
            ca_file: self.ca_file.map(|file| dir.join(file)),
            folder: folder.into(),
        }
    }
}
