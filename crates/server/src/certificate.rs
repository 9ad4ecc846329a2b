//! What a certificate says: names, dates, who vouches for it.
//!
//! Does: read it out of DER or the first one of a PEM file, for who has to know when it ends. Does not: judge whether it is
//! to be trusted: rustls does.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use mail::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::parse_x509_certificate;

/// What is told of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Names and addresses that it is for (RFC 5280 §4.2.1.6).
    pub names: Vec<String>,
    /// Who signed it, as written there.
    pub issuer: String,
    /// It is valid from then
    pub from: Timestamp,
    /// to then.
    pub until: Timestamp,
    /// Nobody but itself vouches for it.
    pub self_signed: bool,
    /// SHA-256 of its public key, which a TLSA record has (RFC 6698 §2.1.1: selector 1).
    pub public_key_sha256: [u8; 32],
}

impl Certificate {
    /// Of DER; none where it is no certificate.
    pub fn of(der: &[u8]) -> Option<Self> {
        let (_, parsed) = parse_x509_certificate(der).ok()?;
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.map(|names| names.value.general_names.iter().filter_map(named).collect());
        let validity = parsed.validity();
        Some(Self {
            names: names.unwrap_or_default(),
            issuer: parsed.issuer().to_string(),
            from: Timestamp::from_secs(validity.not_before.timestamp()),
            until: Timestamp::from_secs(validity.not_after.timestamp()),
            self_signed: parsed.issuer() == parsed.subject() && names_own_key(&parsed),
            public_key_sha256: Sha256::digest(parsed.public_key().raw).into(),
        })
    }

    /// The first of a PEM file. The error is the end of a sentence.
    pub fn read(file: &Path) -> Result<Self, String> {
        let der = CertificateDer::from_pem_file(file).map_err(|error| error.to_string())?;
        Self::of(&der).ok_or_else(|| "it holds something that is no X.509 certificate".into())
    }
}

fn named(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => <[u8; 4]>::try_from(*octets)
            .map(|octets| Ipv4Addr::from(octets).to_string())
            .or_else(|_| <[u8; 16]>::try_from(*octets).map(|octets| Ipv6Addr::from(octets).to_string()))
            .ok(),
        _ => None,
    }
}

/// RFC 5280 §4.2.1.1: one that another key signed names that key; a self-signed one may leave it out.
fn names_own_key(certificate: &X509Certificate<'_>) -> bool {
    let (mut signer, mut own) = (None, None);
    for extension in certificate.iter_extensions() {
        match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => signer = id.key_identifier.as_ref().map(|id| id.0),
            ParsedExtension::SubjectKeyIdentifier(id) => own = Some(id.0),
            _ => {}
        }
    }
    signer.is_none() || signer == own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_dates_and_signers_are_read() {
        let folder = tempfile::tempdir().unwrap();
        testkit::authority::certify(folder.path(), "mail.red.example");
        let made = Certificate::read(&folder.path().join("cert.pem")).unwrap();
        assert_eq!(made.names, ["mail.red.example", "localhost", "127.0.0.1"]);
        assert!(!made.self_signed && made.from < made.until);
        let own = rcgen::generate_simple_self_signed(["a.example".to_owned(), "::1".to_owned()]).unwrap();
        let read = Certificate::of(own.cert.der()).unwrap();
        assert_eq!((read.names, read.self_signed), (vec!["a.example".to_owned(), "::1".to_owned()], true));
        let key = Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(&own.signing_key));
        assert_eq!(read.public_key_sha256[..], key[..]);
        assert_eq!(Certificate::of(b"x"), None);
        assert!(Certificate::read(&folder.path().join("key.pem")).is_err());
    }
}
