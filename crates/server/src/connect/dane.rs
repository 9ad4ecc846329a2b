//! Certificates judged by TLSA records instead of authorities (RFC 6698, RFC 7671, RFC 7672).
//!
//! Does: find the record that a server's certificate matches. Does not: know where the records come from, or whether they are
//! secure: `mta::route` has seen to that. With usage 3 a certificate's names and dates are of no matter; with usage 2 they
//! are, and the domain's own authority takes the place of the world's.

use std::sync::{Arc, Mutex, PoisonError};

use mta::safety::Dane;
use mta::world::Tlsa;
use ring::digest::{SHA256, SHA512, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::AnyCertificate;

/// Takes what matches a record. Made anew for each handshake, since it notes which one did.
#[derive(Debug)]
pub(super) struct Matches {
    dane: Arc<Dane>,
    any: AnyCertificate,
    matched: Mutex<Option<String>>,
}

impl Matches {
    pub(super) fn new(dane: Arc<Dane>, provider: Arc<CryptoProvider>) -> Self {
        Self { dane, any: AnyCertificate(provider), matched: Mutex::default() }
    }

    /// The record that the certificate matched: `3 1 1`.
    pub(super) fn matched(&self) -> Option<String> {
        self.matched.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn judge(&self, chain: &[&CertificateDer<'_>], now: UnixTime) -> Option<&Tlsa> {
        let leaf = chain.first()?;
        self.dane.records().iter().find(|record| match record.usage {
            // RFC 7672 §3.1.1: neither the names nor the dates of the certificate matter.
            Tlsa::DANE_EE => is(record, leaf),
            Tlsa::DANE_TA => self.is_issued(record, chain, now),
            _ => false,
        })
    }

    /// RFC 7672 §3.1.2: the authority is in the chain that the server sends, or, whole, in the record.
    fn is_issued(&self, record: &Tlsa, chain: &[&CertificateDer<'_>], now: UnixTime) -> bool {
        let Some((leaf, above)) = chain.split_first() else { return false };
        let in_record = CertificateDer::from(record.data.as_slice());
        let whole = (record.selector == 0 && record.matching == 0).then_some(&in_record);
        let anchors = above.iter().copied().filter(|certificate| is(record, certificate)).chain(whole);
        let mut roots = RootCertStore::empty();
        for anchor in anchors {
            // One that can't be read is none.
            let _ = roots.add(anchor.clone().into_owned());
        }
        if roots.is_empty() {
            return false;
        }
        let above: Vec<CertificateDer<'_>> = above.iter().map(|certificate| (*certificate).clone()).collect();
        let provider = self.any.0.clone();
        let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() else {
            return false;
        };
        // RFC 7672 §3.2.2: any of the names will do.
        self.dane.names().iter().any(|name| {
            ServerName::try_from(name.as_str())
                .is_ok_and(|name| verifier.verify_server_cert(leaf, &above, &name, &[], now).is_ok())
        })
    }
}

/// Whether the record is about this certificate (RFC 6698 §2.1.2, §2.1.3).
fn is(record: &Tlsa, certificate: &CertificateDer<'_>) -> bool {
    let key;
    let selected: &[u8] = match record.selector {
        0 => certificate,
        _ => match ParsedCertificate::try_from(certificate) {
            Ok(parsed) => {
                key = parsed.subject_public_key_info();
                &key
            }
            Err(_) => return false,
        },
    };
    match record.matching {
        0 => selected == record.data,
        1 => digest(&SHA256, selected).as_ref() == record.data,
        2 => digest(&SHA512, selected).as_ref() == record.data,
        _ => false,
    }
}

impl ServerCertVerifier for Matches {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain: Vec<&CertificateDer<'_>> = [end_entity].into_iter().chain(intermediates).collect();
        match self.judge(&chain, now) {
            Some(record) => {
                *self.matched.lock().unwrap_or_else(PoisonError::into_inner) = Some(record.to_string());
                Ok(ServerCertVerified::assertion())
            }
            None => Err(rustls::Error::General(format!(
                "the server's certificate matches none of its domain's TLSA records ({})",
                self.dane
            ))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.any.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.any.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.any.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests;
