//! What proves to an authority that names are ours, as long as it asks.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;

/// RFC 8737 §6.2
pub const TLS_ALPN: &[u8] = b"acme-tls/1";

/// Answers that may be asked for now. Few: one name is proved at a time.
#[derive(Default)]
pub struct Answers {
    /// Key authorizations by token (RFC 8555 §8.3).
    pages: Mutex<HashMap<String, String>>,
    /// Certificates by name (RFC 8737 §3).
    handshakes: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answers(…)")
    }
}

/// An answer that is given; no longer, once this is dropped.
pub(super) struct Given {
    answers: Arc<Answers>,
    token: Option<String>,
    name: Option<String>,
}

impl Answers {
    /// What the page of a token says.
    pub fn page(&self, token: &str) -> Option<String> {
        held(&self.pages).get(token).cloned()
    }

    /// The certificate that proves a name.
    pub(crate) fn handshake(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        held(&self.handshakes).get(&name.to_ascii_lowercase()).cloned()
    }

    /// Whether any name is proved in handshakes now.
    pub(crate) fn in_handshakes(&self) -> bool {
        !held(&self.handshakes).is_empty()
    }

    /// RFC 8555 §8.3
    pub(super) fn give_page(self: &Arc<Self>, token: &str, key_authorization: &str) -> Given {
        held(&self.pages).insert(token.into(), key_authorization.into());
        Given { answers: self.clone(), token: Some(token.into()), name: None }
    }

    /// RFC 8737 §3: a certificate for the name alone, with the digest of the key authorization. The error is a sentence.
    pub(super) fn give_handshake(self: &Arc<Self>, name: &str, digest: &[u8]) -> Result<Given, String> {
        let certified = certified(name, digest).map_err(|error| format!("no certificate for the proof: {error}"))?;
        held(&self.handshakes).insert(name.to_ascii_lowercase(), Arc::new(certified));
        Ok(Given { answers: self.clone(), token: None, name: Some(name.to_ascii_lowercase()) })
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        if let Some(token) = &self.token {
            held(&self.answers.pages).remove(token);
        }
        if let Some(name) = &self.name {
            held(&self.answers.handshakes).remove(name);
        }
    }
}

fn held<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

fn certified(name: &str, digest: &[u8]) -> Result<CertifiedKey, Box<dyn std::error::Error>> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key)?;
    let der = PrivateKeyDer::try_from(key.serialize_der())?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], ring::sign::any_supported_type(&der)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_given_as_long_as_they_are_held() {
        let answers = Arc::new(Answers::default());
        let page = answers.give_page("token", "token.thumbprint");
        let handshake = answers.give_handshake("Mail.red.example", &[7; 32]).unwrap();
        assert_eq!(answers.page("token").as_deref(), Some("token.thumbprint"));
        assert_eq!(answers.page("other"), None);
        let certificate = answers.handshake("mail.RED.example").unwrap();
        // RFC 8737 §3: id-pe-acmeIdentifier, critical, an OCTET STRING of the digest within that of the extension.
        let extension = [&[0x06, 8, 0x2b, 6, 1, 5, 5, 7, 1, 31, 1, 1, 0xff, 4, 34, 4, 32][..], &[7; 32]].concat();
        let leaf = certificate.end_entity_cert().unwrap();
        assert!(leaf.windows(extension.len()).any(|window| window == extension), "{leaf:?}");
        drop((page, handshake));
        assert!(answers.page("token").is_none() && !answers.in_handshakes());
    }
}
