//! What is kept of ACME, in a folder of the data directory for its owner alone: the account, for each name a file with key
//! and certificates, and what failed.
//!
//! Each file is written whole or not at all, and synced. Key and certificates are one file, so that no reader finds the one
//! without the other.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use mail::{Domain, Timestamp};
use rcgen::{CertificateParams, KeyPair};
use serde::{Deserialize, Serialize};

use crate::tls::SiteFiles;

const ACCOUNT: &str = "account.json";
const TROUBLES: &str = "troubles.json";

/// The folder.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// Why a name has no new certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// How often it failed, one time after the other.
    pub failures: u32,
    /// When it failed last, in milliseconds since 1970.
    pub at: i64,
    /// It is tried again then.
    pub again: i64,
    /// What the authority, or whatever failed, said.
    pub why: String,
}

/// An account, and the authority that it is of.
#[derive(Serialize, Deserialize)]
struct Account {
    directory: String,
    credentials: AccountCredentials,
}

impl Folder {
    /// In this place; it need not be there yet.
    pub fn at(place: &Path) -> Self {
        Self(place.into())
    }

    /// Where key and certificates of a name are.
    pub fn file(&self, name: &Domain) -> PathBuf {
        self.0.join(format!("{name}.pem"))
    }

    /// The certificates that are there, as sites; that of `first` before all others.
    pub fn sites(&self, first: &Domain) -> Vec<SiteFiles> {
        let mut files: Vec<PathBuf> = fs::read_dir(&self.0).into_iter().flatten().flatten().map(|e| e.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "pem"));
        let first = self.file(first);
        files.sort_by_key(|file| (*file != first, file.clone()));
        files.into_iter().map(|file| SiteFiles { certificate: file.clone(), key: file }).collect()
    }

    /// The key of a name: that of the certificate before, else that of `otherwise`, else a new one.
    pub(super) fn key(&self, name: &Domain, otherwise: Option<&Path>) -> Result<KeyPair, String> {
        for file in [Some(self.file(name)), otherwise.map(Into::into)].into_iter().flatten() {
            let failed = |why: &dyn std::fmt::Display| {
                format!(
                    "the key in {} can't be read ({why}): mend it, or move the file away for a new key",
                    file.display()
                )
            };
            match fs::read_to_string(&file) {
                Ok(text) => return KeyPair::from_pem(&text).map_err(|error| failed(&error)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Another key in its place would make what TLSA records say of it untrue.
                Err(error) => return Err(failed(&error)),
            }
        }
        KeyPair::generate().map_err(|error| format!("no key can be made: {error}"))
    }

    /// Keeps a certificate with its key.
    pub(super) fn keep(&self, name: &Domain, key: &KeyPair, chain: &str) -> io::Result<()> {
        self.write(&self.file(name), format!("{}{chain}", key.serialize_pem()).as_bytes())
    }

    /// Makes sure that there is a certificate for a name, one of our own signing if there is none: TLS is there from the start.
    pub fn stand_in(&self, name: &Domain, key: Option<&Path>) -> Result<(), String> {
        if self.file(name).exists() {
            return Ok(());
        }
        let key = self.key(name, key)?;
        let made = CertificateParams::new([name.to_string()]).and_then(|params| params.self_signed(&key));
        let made = made.map_err(|error| format!("no certificate can be made: {error}"))?;
        self.keep(name, &key, &made.pem()).map_err(|error| format!("{}: {error}", self.file(name).display()))
    }

    /// The account at an authority, if there is one.
    pub(super) fn account(&self, directory: &str) -> Option<AccountCredentials> {
        let text = fs::read_to_string(self.0.join(ACCOUNT)).ok()?;
        let account: Account = serde_json::from_str(&text).ok()?;
        (account.directory == directory).then_some(account.credentials)
    }

    /// Keeps an account.
    pub(super) fn keep_account(&self, directory: &str, credentials: AccountCredentials) -> io::Result<()> {
        let text = serde_json::to_string(&Account { directory: directory.into(), credentials })?;
        self.write(&self.0.join(ACCOUNT), text.as_bytes())
    }

    /// What failed, by name.
    pub fn troubles(&self) -> BTreeMap<String, Trouble> {
        let text = fs::read_to_string(self.0.join(TROUBLES)).unwrap_or_default();
        // Lost troubles cost one try too early.
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Keeps what failed.
    pub(super) fn keep_troubles(&self, troubles: &BTreeMap<String, Trouble>) -> io::Result<()> {
        self.write(&self.0.join(TROUBLES), serde_json::to_string_pretty(troubles)?.as_bytes())
    }

    fn write(&self, file: &Path, octets: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let new = file.with_extension("new");
        // What a crash left there may have another mode.
        let _ = fs::remove_file(&new);
        let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        written.write_all(octets)?;
        written.sync_all()?;
        fs::rename(&new, file)?;
        File::open(&self.0)?.sync_all()
    }
}

impl Trouble {
    /// One more failure, after those before.
    pub(super) fn after(before: Option<&Self>, why: String, now: Timestamp) -> Self {
        let failures = before.map_or(0, |before| before.failures).saturating_add(1);
        Self { failures, at: now.millis(), again: now.plus(super::pause(failures)).millis(), why }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::certificate::Certificate;
    use crate::tls::Acceptor;

    fn name(text: &str) -> Domain {
        Domain::from_ascii(text).unwrap()
    }

    #[test]
    fn a_stand_in_is_for_its_owner_and_keeps_its_key() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::at(&place.path().join("data/acme"));
        assert!(folder.sites(&name("mail.red.example")).is_empty());
        for each in ["autoconfig.red.example", "mail.red.example"] {
            folder.stand_in(&name(each), None).unwrap();
        }
        let sites = folder.sites(&name("mail.red.example"));
        assert!(sites[0].certificate.ends_with("mail.red.example.pem") && sites.len() == 2);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&sites[0].key), mode(&folder.0)), (0o600, 0o700));
        Acceptor::load(&sites).unwrap();
        let before = Certificate::read(&sites[0].certificate).unwrap();
        assert!(before.self_signed);
        let key = folder.key(&name("mail.red.example"), None).unwrap();
        let renewed = CertificateParams::new(["mail.red.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        folder.keep(&name("mail.red.example"), &key, &renewed.pem()).unwrap();
        let after = Certificate::read(&sites[0].certificate).unwrap();
        assert_eq!(after.public_key_sha256, before.public_key_sha256);
        // Another name begins with a key that is there.
        let third = folder.key(&name("other.example"), Some(&sites[1].key)).unwrap();
        assert_eq!(third.serialize_pem(), folder.key(&name("autoconfig.red.example"), None).unwrap().serialize_pem());
    }

    #[test]
    fn troubles_add_up_and_are_kept() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::at(place.path());
        let now = Timestamp::from_secs(1000);
        let first = Trouble::after(None, "no".into(), now);
        let second = Trouble::after(Some(&first), "no".into(), now);
        assert_eq!((first.failures, second.failures), (1, 2));
        assert!(second.again > first.again);
        let troubles = BTreeMap::from([("mail.red.example".to_owned(), second)]);
        folder.keep_troubles(&troubles).unwrap();
        assert_eq!(folder.troubles(), troubles);
    }
}
