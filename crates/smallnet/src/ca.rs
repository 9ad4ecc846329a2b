//! A throw-away certificate authority for the small internet, kept in a directory.
//!
//! Does: makes and keeps the CA (`ca.pem`, `ca.key`), signs certificates for servers and makes them anew
//! when they are old, damaged or lack a name. Does not: revoke, or vouch for any name beyond
//! the small internet's (name constraints, RFC 5280 §4.2.1.10), so that who imports `ca.pem` into
//! a mail client takes no risk. Keys are written with mode 0600 and never logged.

use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::Digest;

/// A server's certificate is valid for so long: what browsers and Apple's clients take at most.
const VALID_FOR: Duration = Duration::from_secs(397 * 86_400);
/// It is made anew when less than this is left.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 86_400);
/// Clocks differ; a certificate begins to be valid this long before it is made.
const BACKDATE: Duration = Duration::from_secs(86_400);
/// Names that the CA can vouch for. `example` covers `red.example` and all others of RFC 2606's domain.
const PERMITTED_NAMES: [&str; 2] = ["example", "localhost"];

/// The authority, ready to sign.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(…)")
    }
}

/// A certificate on disk with its key, ready for a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// SHA-256 of the public key (SubjectPublicKeyInfo), for a TLSA record.
    pub public_key_sha256: Vec<u8>,
    /// Whether it was made just now.
    pub fresh: bool,
}

fn failed(what: &str, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{what}: {error}"))
}

fn parameters() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Postrider's small internet (not for real mail)");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = rcgen::date_time_ymd(2024, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 12, 31);
    let names = PERMITTED_NAMES.iter().map(|name| GeneralSubtree::DnsName((*name).to_owned()));
    let addresses = [
        GeneralSubtree::IpAddress(CidrSubnet::V4([127, 0, 0, 0], [255, 0, 0, 0])),
        GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(std::net::Ipv6Addr::LOCALHOST.octets(), 128)),
    ];
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees: names.chain(addresses).collect(), excluded_subtrees: Vec::new() });
    params
}

impl Authority {
    /// Reads the CA of `dir`, or makes it. A pair that can't be read, or does not belong together, is an error
    /// that says so: a CA that people may have imported is not replaced behind their backs.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let (certificate_file, key_file) = (dir.join("ca.pem"), dir.join("ca.key"));
        if !certificate_file.exists() || !key_file.exists() {
            return Self::create(&certificate_file, &key_file);
        }
        let broken = |error: &dyn std::fmt::Display| {
            let (certificate, key) = (certificate_file.display(), key_file.display());
            failed(&format!("{certificate} and {key} can't be used; remove both to have new ones made"), error)
        };
        let pem = fs::read_to_string(&certificate_file)?;
        let key = KeyPair::from_pem(&fs::read_to_string(&key_file)?).map_err(|error| broken(&error))?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| broken(&error))?;
        let info = key.subject_public_key_info();
        if !certificate.windows(info.len()).any(|window| window == info) {
            return Err(broken(&"the key is not the certificate's"));
        }
        Ok(Self { issuer: Issuer::new(parameters(), key), certificate, pem })
    }

    fn create(certificate_file: &Path, key_file: &Path) -> io::Result<Self> {
        let key = KeyPair::generate().map_err(|error| failed("no key for the CA", error))?;
        let certificate = parameters().self_signed(&key).map_err(|error| failed("no certificate for the CA", error))?;
        let pem = certificate.pem();
        write(key_file, &key.serialize_pem(), 0o600)?;
        write(certificate_file, &pem, 0o644)?;
        Ok(Self { issuer: Issuer::new(parameters(), key), certificate: certificate.der().clone(), pem })
    }

    /// The CA's certificate, PEM: what clients are told to trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Makes sure that `fullchain` and `key` hold a certificate of this CA for all `names` (DNS names or
    /// addresses) that is valid for a while.
    pub fn ensure(&self, names: &[&str], fullchain: &Path, key: &Path) -> io::Result<Issued> {
        if let Some(issued) = self.existing(names, fullchain, key) {
            return Ok(issued);
        }
        let pair = KeyPair::generate().map_err(|error| failed("no key", error))?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).map_err(|error| failed("no certificate", error))?;
        let now = SystemTime::now();
        params.not_before = (now - BACKDATE).into();
        params.not_after = (now + VALID_FOR).into();
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if let Some(first) = params.subject_alt_names.first() {
            let name = match first {
                rcgen::SanType::DnsName(name) => name.as_str().to_owned(),
                _ => "Postrider".to_owned(),
            };
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
        }
        let certificate = params.signed_by(&pair, &self.issuer).map_err(|error| failed("no certificate", error))?;
        write(key, &pair.serialize_pem(), 0o600)?;
        write(fullchain, &certificate.pem(), 0o644)?;
        Ok(Issued { public_key_sha256: fingerprint(&pair), fresh: true })
    }

    /// What is on disk, where it is of this CA, names all, and is valid for a while.
    fn existing(&self, names: &[&str], fullchain: &Path, key: &Path) -> Option<Issued> {
        let pair = KeyPair::from_pem(&fs::read_to_string(key).ok()?).ok()?;
        let certificate = CertificateDer::from_pem_file(fullchain).ok()?;
        let info = pair.subject_public_key_info();
        if !certificate.windows(info.len()).any(|window| window == info) {
            return None;
        }
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).ok()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
        let then = SystemTime::now() + RENEW_BEFORE;
        let then = UnixTime::since_unix_epoch(then.duration_since(SystemTime::UNIX_EPOCH).ok()?);
        for name in names {
            let name = match name.parse::<IpAddr>() {
                Ok(address) => ServerName::from(address),
                Err(_) => ServerName::try_from(*name).ok()?,
            };
            verifier.verify_server_cert(&certificate, &[], &name, &[], then).ok()?;
        }
        Some(Issued { public_key_sha256: fingerprint(&pair), fresh: false })
    }
}

fn fingerprint(pair: &KeyPair) -> Vec<u8> {
    sha2::Sha256::digest(pair.subject_public_key_info()).to_vec()
}

/// Writes a file whole or not at all, its folders with it.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let step = || -> io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let new = path.with_extension("new");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        let mut file = options.open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    step().map_err(|error| failed(&format!("can't write {}", path.display()), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["mail.red.example", "red.example", "localhost", "127.0.0.1", "::1"];

    #[test]
    fn certificates_stay_until_they_lack_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let (chain, key) = (dir.path().join("tls/fullchain.pem"), dir.path().join("tls/key.pem"));
        let first = Authority::open(dir.path()).unwrap().ensure(&NAMES, &chain, &key).unwrap();
        assert!(first.fresh);
        // Opened anew: the same CA, the same certificate.
        let authority = Authority::open(dir.path()).unwrap();
        assert_eq!(authority.ensure(&NAMES, &chain, &key).unwrap(), Issued { fresh: false, ..first.clone() });
        let more = authority.ensure(&["mail.blue.example"], &chain, &key).unwrap();
        assert!(more.fresh && more.public_key_sha256 != first.public_key_sha256);
    }

    #[test]
    fn certificates_of_another_ca_or_without_their_key_are_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let (chain, key) = (dir.path().join("fullchain.pem"), dir.path().join("key.pem"));
        let authority = Authority::open(dir.path()).unwrap();
        assert!(Authority::open(other.path()).unwrap().ensure(&NAMES, &chain, &key).unwrap().fresh);
        assert!(authority.ensure(&NAMES, &chain, &key).unwrap().fresh);
        fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert!(authority.ensure(&NAMES, &chain, &key).unwrap().fresh);
        fs::write(&chain, "").unwrap();
        assert!(authority.ensure(&NAMES, &chain, &key).unwrap().fresh);
    }

    #[test]
    fn the_ca_vouches_for_the_small_internet_only() {
        let dir = tempfile::tempdir().unwrap();
        let (chain, key) = (dir.path().join("fullchain.pem"), dir.path().join("key.pem"));
        let authority = Authority::open(dir.path()).unwrap();
        authority.ensure(&["www.example.org"], &chain, &key).unwrap();
        assert_eq!(authority.existing(&["www.example.org"], &chain, &key), None);
    }

    #[cfg(unix)]
    #[test]
    fn keys_are_private_and_a_broken_ca_is_told() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        Authority::open(dir.path()).unwrap();
        let key = dir.path().join("ca.key");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&key, "").unwrap();
        let words = Authority::open(dir.path()).unwrap_err().to_string();
        assert!(words.contains("ca.key") && words.contains("remove both"), "{words}");
    }
}
