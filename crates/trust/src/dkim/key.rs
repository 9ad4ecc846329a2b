//! Keys: the record in DNS, and the private half that signs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_auth::common::crypto::{CryptoError, DkimKey, Ed25519Key, RsaKey, Sha256};
use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::common::verify::DomainKey;
use mail_auth::dkim::Canonicalization;
use ring::signature::{Ed25519KeyPair, KeyPair as _, RsaKeyPair};

use crate::Verdict;
use crate::dns::{Answers, Known, Question, Said, folded, is_name};

/// RFC 8301 §3.2: shorter ones count for nothing.
const SHORTEST_RSA: usize = 1024;

/// Why a signature is not good.
pub(crate) type Why = (Verdict, &'static str);

/// Where a key is published.
pub fn name(selector: &str, domain: &str) -> String {
    folded(&format!("{selector}._domainkey.{domain}"))
}

pub(crate) fn question(selector: &str, domain: &str) -> Option<Question> {
    let name = name(selector, domain);
    is_name(&name).then_some(Question::Txt(name))
}

/// A key as it is published.
pub(crate) struct Published {
    key: DomainKey,
    /// `t=s`: `i=` is of this very domain.
    pub(crate) is_for_same_domain: bool,
}

impl Published {
    /// The key of a signature, or why it has none.
    pub(crate) fn find(answers: &Answers, selector: &str, domain: &str) -> Known<Result<Self, Why>> {
        let Some(question) = question(selector, domain) else {
            return Ok(Err((Verdict::PermError, "s= or d= is no name")));
        };
        let records = match answers.get(question)? {
            Said::Txt(records) => records,
            Said::Failed => return Ok(Err((Verdict::TempError, "the key can't be looked up now"))),
            _ => return Ok(Err((Verdict::PermError, "there is no key"))),
        };
        // RFC 6376 §3.6.2.2: several records are undefined. The first that is a key is it.
        let mut why = (Verdict::PermError, "the key's record can't be read");
        for record in records {
            match DomainKey::parse(record) {
                Ok(key) => return Ok(usable(key, record)),
                Err(mail_auth::Error::Dkim(mail_auth::dkim::DkimError::RevokedPublicKey)) => {
                    why = (Verdict::PermError, "the key was revoked");
                }
                Err(_) => {}
            }
        }
        Ok(Err(why))
    }

    /// Whether the key made `signature` over these fields, the last of which is the signature's own without `b=`.
    pub(crate) fn verify<'a>(
        &self,
        fields: &mut dyn Iterator<Item = (&'a [u8], &'a [u8])>,
        signature: &[u8],
        form: Canonicalization,
        algorithm: mail_auth::common::crypto::Algorithm,
    ) -> Result<(), Why> {
        self.key.p.verify(fields, signature, form, algorithm).map_err(|error| match error {
            mail_auth::Error::Crypto(CryptoError::IncompatibleAlgorithms) => {
                (Verdict::PermError, "the key is of another kind")
            }
            _ => (Verdict::Fail, "the header was changed, or another key signed"),
        })
    }
}

/// What a record says of the use of its key.
fn usable(key: DomainKey, record: &[u8]) -> Result<Published, Why> {
    let says = |tag: &str, values: &[&str]| list(record, tag).map(|mut said| said.any(|one| values.contains(&&*one)));
    // RFC 6376 §3.6.1
    if says("s", &["*", "email"]) == Some(false) {
        return Err((Verdict::PermError, "the key is not for mail"));
    }
    // RFC 8301 §3.1: SHA-1 is no more; who allows nothing else allows nothing.
    if says("h", &["sha256"]) == Some(false) {
        return Err((Verdict::PermError, "the key is not for SHA-256"));
    }
    if key.p.public_key_bits() < SHORTEST_RSA {
        return Err((Verdict::PermError, "the key is shorter than 1024 bits"));
    }
    Ok(Published { key, is_for_same_domain: says("t", &["s"]) == Some(true) })
}

/// The values of a tag that has several (`tag-list` of RFC 6376 §3.2), in lower case.
fn list<'a>(record: &'a [u8], tag: &str) -> Option<impl Iterator<Item = String> + use<'a>> {
    let tags = record.split(|b| *b == b';').filter_map(|spec| {
        let equals = spec.iter().position(|b| *b == b'=')?;
        spec.split_at_checked(equals)
    });
    let mut of_name = tags.filter(|(name, _)| name.trim_ascii() == tag.as_bytes());
    let (_, value) = of_name.next()?;
    let values = value.get(1..).unwrap_or_default().split(|b| *b == b':');
    Some(values.map(|value| String::from_utf8_lossy(value.trim_ascii()).to_ascii_lowercase()))
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA with SHA-256, which everybody checks.
    Rsa,
    /// Ed25519 (RFC 8463), with a short record and cheap.
    Ed25519,
}

impl Algorithm {
    /// `k=` of its record.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// A private key that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKey;

/// A private key, with its place in DNS.
pub struct Signer {
    pub(crate) domain: String,
    pub(crate) selector: String,
    pub(crate) key: DkimKey,
}

impl Signer {
    /// From PKCS #8.
    ///
    /// # Errors
    /// It is no key of this kind.
    pub fn new(domain: &str, selector: &str, algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, BadKey> {
        let key = match algorithm {
            Algorithm::Rsa => {
                #[expect(deprecated, reason = "the other way needs a type of another crate")]
                let key = RsaKey::<Sha256>::from_pkcs8_der(pkcs8);
                DkimKey::Rsa(key.map_err(|_| BadKey)?)
            }
            Algorithm::Ed25519 => {
                DkimKey::Ed25519(Ed25519Key::from_pkcs8_maybe_unchecked_der(pkcs8).map_err(|_| BadKey)?)
            }
        };
        Ok(Self { domain: domain.to_owned(), selector: selector.to_owned(), key })
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({}, …)", name(&self.selector, &self.domain))
    }
}

/// The record that publishes a key's public half.
///
/// # Errors
/// It is no key of this kind.
pub fn record(algorithm: Algorithm, pkcs8: &[u8]) -> Result<String, BadKey> {
    let public = match algorithm {
        Algorithm::Rsa => {
            let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| BadKey)?;
            subject_public_key_info(pair.public_key().as_ref())
        }
        // RFC 8463 §4.2: the bare 32 octets.
        Algorithm::Ed25519 => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| BadKey)?;
            pair.public_key().as_ref().to_vec()
        }
    };
    Ok(format!("v=DKIM1; k={}; p={}", algorithm.word(), STANDARD.encode(public)))
}

/// RFC 5280 §4.1.2.7 around an RSAPublicKey, as every verifier reads it (RFC 6376 §3.6.1, erratum 3017).
fn subject_public_key_info(key: &[u8]) -> Vec<u8> {
    // SEQUENCE { OBJECT IDENTIFIER rsaEncryption, NULL }
    const ALGORITHM: [u8; 15] =
        [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let mut bits = vec![0];
    bits.extend_from_slice(key);
    let mut inner = ALGORITHM.to_vec();
    inner.extend(der(0x03, &bits));
    der(0x30, &inner)
}

/// A value of DER with its tag and length.
fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let length = length.get(length.iter().take_while(|b| **b == 0).count()..).unwrap_or_default();
    let mut out = vec![tag];
    match length {
        [short] if *short < 0x80 => out.push(*short),
        [] => out.push(0),
        // A length has at most eight octets.
        long => {
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8463 appendix A.
    const ED25519: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn find(record: &str) -> Result<Published, Why> {
        let mut answers = Answers::default();
        answers.put(Question::Txt("s._domainkey.a.example".into()), Said::Txt(vec![record.into()]));
        Published::find(&answers, "s", "a.example").unwrap()
    }

    #[test]
    fn a_record_says_what_its_key_is_for() {
        let said =
            |more: &str| find(&format!("{ED25519}; {more}")).map(|key| key.is_for_same_domain).map_err(|(_, why)| why);
        assert_eq!(said(""), Ok(false));
        assert_eq!(said("t=y : s; s=*"), Ok(true));
        assert_eq!(said("t=y; s=tlsrpt: Email"), Ok(false));
        assert_eq!(said("s=tlsrpt"), Err("the key is not for mail"));
        assert_eq!(said("h=sha1:sha256"), Ok(false));
        assert_eq!(said("h=sha1"), Err("the key is not for SHA-256"));
    }

    #[test]
    fn what_is_no_key_says_why() {
        let why = |record: &str| find(record).map(|_| ()).unwrap_err();
        assert_eq!(why("v=DKIM1; p="), (Verdict::PermError, "the key was revoked"));
        assert_eq!(why("v=spf1 -all"), (Verdict::PermError, "the key's record can't be read"));
        // An RSA key of 512 bits.
        let short = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALM3xLFVY0PfUS1fVm4Hd0Id8JbRVdzpzj3sNyyPfW8e\
                     Cvq1qH8mUPuEuEtbNDDcPW2Wf0FLQxoIxSlpAmSyGK0CAwEAAQ==";
        assert_eq!(why(&format!("p={short}")), (Verdict::PermError, "the key is shorter than 1024 bits"));
        assert_eq!(
            Published::find(&Answers::default(), "s", "a..b").unwrap().err(),
            Some((Verdict::PermError, "s= or d= is no name"))
        );
    }

    #[test]
    fn der_lengths() {
        assert_eq!(der(4, &[]), [4, 0]);
        assert_eq!(der(4, &[7; 127])[..2], [4, 127]);
        assert_eq!(der(4, &[7; 128])[..3], [4, 0x81, 128]);
        assert_eq!(der(4, &[7; 300])[..4], [4, 0x82, 1, 44]);
    }
}
