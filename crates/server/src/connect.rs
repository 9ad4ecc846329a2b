//! Connections to other mail servers. Does: open TCP, begin TLS as a client, and say what it came to. Does not:
//! decide whether TLS is wanted, or how long to wait: `mta::relay` does.

mod dane;

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use mta::world::{Connect, Random, Stream, Trust};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

const NO_ROOTS: &str = "this system has no root certificates to check the server's by";

/// The real network.
pub struct Network {
    provider: Arc<CryptoProvider>,
    any: TlsConnector,
    verified: Option<TlsConnector>,
    /// Judges certificates by the system's roots; none where it has none.
    judge: Option<Arc<WebPkiServerVerifier>>,
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Network {
    /// With the system's root certificates.
    pub fn new() -> Self {
        let provider = Arc::new(ring::default_provider());
        // Without a file nothing can be wrong.
        let roots = roots(None).unwrap_or_else(|_| RootCertStore::empty());
        let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().ok();
        let any = connector(&provider, Arc::new(AnyCertificate(provider.clone())));
        let verified = judge.clone().map(|judge| connector(&provider, judge));
        Self { provider, any, verified, judge }
    }

    /// Whether the certificate would have passed.
    fn verdict(&self, certificates: Option<&[CertificateDer<'_>]>, name: &ServerName<'_>) -> Option<bool> {
        let (judge, [leaf, rest @ ..]) = (self.judge.as_ref()?, certificates?) else { return None };
        Some(judge.verify_server_cert(leaf, rest, name, &[], UnixTime::now()).is_ok())
    }
}

/// Roots of the system, and those of a PEM file. The error is a sentence.
pub(crate) fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = file {
        let broken = |error: &dyn std::fmt::Display| format!("ca_file {}: {error}", file.display());
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| broken(&error))? {
            roots.add(certificate.map_err(|error| broken(&error))?).map_err(|error| broken(&error))?;
        }
    }
    Ok(roots)
}

pub(crate) fn connector(provider: &Arc<CryptoProvider>, verifier: Arc<dyn ServerCertVerifier>) -> TlsConnector {
    #[allow(clippy::expect_used, reason = "ring supports TLS 1.2 and 1.3, so the builder can't refuse them")]
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[async_trait]
impl Connect for Network {
    async fn connect(&self, to: SocketAddr) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(to).await?;
        // Whole flights are written at once: waiting for more only costs time.
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    async fn connect_unix(&self, path: &Path) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(UnixStream::connect(path).await?))
    }

    async fn tls(
        &self,
        stream: Box<dyn Stream>,
        name: &str,
        trust: Trust,
    ) -> io::Result<(Box<dyn Stream>, store::Tls)> {
        let matches;
        let (connector, dane) = match trust {
            Trust::Any => (&self.any, None),
            Trust::Verified => (self.verified.as_ref().ok_or_else(|| io::Error::other(NO_ROOTS))?, None),
            Trust::Dane(ref records) => {
                let verifier = Arc::new(dane::Matches::new(records.clone(), self.provider.clone()));
                matches = connector(&self.provider, verifier.clone());
                (&matches, Some(verifier))
            }
        };
        // RFC 6066 §3: a name goes as SNI, an address does not; rustls keeps to that.
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the server's name can't be used for TLS"))?;
        let secured = connector.connect(name.clone(), stream).await?;
        let (_, session) = secured.get_ref();
        let verified = match trust {
            Trust::Verified | Trust::Dane(_) => Some(true),
            Trust::Any => self.verdict(session.peer_certificates(), &name),
        };
        let version = session.protocol_version().map(|version| format!("{version:?}").replace('_', "."));
        let tls = store::Tls {
            version: version.unwrap_or_default(),
            cipher: session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())).unwrap_or_default(),
            verified,
            policy: dane
                .and_then(|verifier| verifier.matched())
                .map(|record| format!("DANE: the certificate matches TLSA {record}")),
        };
        Ok((Box::new(secured), tls))
    }

    fn is_local(&self, ip: IpAddr) -> bool {
        // Only an address of this machine can be bound; nothing is sent.
        ip.is_loopback() || UdpSocket::bind(SocketAddr::new(ip, 0)).is_ok()
    }
}

/// Takes every certificate, but still checks that the server holds its key: opportunistic encryption (RFC 7435 §3).
#[derive(Debug)]
pub(crate) struct AnyCertificate(pub(crate) Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next(&self) -> u64 {
        // Fails only where a system has no randomness at all; the clock's nanoseconds will do for jitter then.
        getrandom::u64().unwrap_or_else(|_| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            now.as_nanos() as u64
        })
    }
}
