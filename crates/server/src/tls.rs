//! TLS for accepted connections: certificates, one site or several by SNI, exchangeable while running.
//!
//! Does: read PEM files, choose the certificate by the name that the client asks for, and say in one sentence what
//! is wrong with a file. Does not: ask clients for certificates, or make certificates.
//!
//! Files come in through [`Acceptor::load`]; a new acceptor replaces the old one for new connections.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail::Timestamp;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, ServerConfig};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::acme::{Answers, TLS_ALPN};
use crate::certificate::Certificate;
use crate::conn::{Link, TlsInfo};

/// Where one site's certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteFiles {
    /// PEM: the certificate, then those that lead to the root.
    pub certificate: PathBuf,
    /// PEM: the private key.
    pub key: PathBuf,
}

/// A certificate can't be used; its `Display` is a whole sentence that names the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError(pub String);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

/// Accepts TLS with the certificates that it was made of.
#[derive(Clone)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    sites: Arc<Sites>,
}

impl Acceptor {
    /// From files. The first site answers clients that ask for no name, or for one that no certificate has.
    pub fn load(sites: &[SiteFiles]) -> Result<Self, TlsError> {
        let keys = sites.iter().map(load_site).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(TlsError("no certificate is configured: set certificate and key under [tls]".into()));
        }
        Ok(Self::new(keys))
    }

    fn new(sites: Vec<Site>) -> Self {
        let sites = Arc::new(Sites(sites));
        // A provider that is named needs no global; both versions are ring's, so the builder can't refuse them.
        #[allow(clippy::expect_used, reason = "ring supports TLS 1.2 and 1.3, see above")]
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("ring supports TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(sites.clone());
        // One ticket is enough for clients that come one connection at a time.
        config.send_tls13_tickets = 1;
        Self { config: Arc::new(config), sites }
    }

    /// The same for HTTPS: of both versions, and for who comes to see that a name is ours (RFC 8737).
    #[must_use]
    pub fn for_web(&self, answers: &Arc<Answers>) -> Self {
        let mut config = (*self.config).clone();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if answers.in_handshakes() {
            config.alpn_protocols.push(TLS_ALPN.to_vec());
            config.cert_resolver = Arc::new(Proving { sites: self.sites.clone(), answers: answers.clone() });
        }
        Self { config: Arc::new(config), sites: self.sites.clone() }
    }

    /// When the first of the certificates ends.
    pub fn expires(&self) -> Option<Timestamp> {
        let leaves = self.sites.0.iter().filter_map(|site| site.key.end_entity_cert().ok());
        leaves.filter_map(|leaf| Some(Certificate::of(leaf)?.until)).min()
    }

    /// For tests that speak TLS themselves.
    #[cfg(test)]
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// The handshake. The caller bounds how long it may take.
    pub async fn accept(&self, stream: Link) -> io::Result<(TlsStream<Link>, TlsInfo)> {
        let stream = TlsAcceptor::from(self.config.clone()).accept(stream).await?;
        let connection = stream.get_ref().1;
        let version = connection.protocol_version();
        let exporter = (version == Some(ProtocolVersion::TLSv1_3))
            // RFC 9266 §2: this label, an empty context, 32 octets.
            .then(|| connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok())
            .flatten();
        let sni = connection.server_name().map(str::to_owned);
        let info = TlsInfo {
            version: version.map_or("TLS", version_name).into(),
            cipher: connection.negotiated_cipher_suite().map_or_else(String::new, |s| format!("{:?}", s.suite())),
            exporter,
            server_end_point: self.sites.choose(sni.as_deref()).and_then(|site| site.end_point.clone()),
            sni,
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
        };
        Ok((stream, info))
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Acceptor({} sites)", self.sites.0.len())
    }
}

/// How people write a version.
pub const fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        _ => "TLS",
    }
}

struct Site {
    key: Arc<CertifiedKey>,
    end_point: Option<Vec<u8>>,
}

struct Sites(Vec<Site>);

impl Sites {
    /// RFC 6066 §3: the name that the client asks for; for one that nobody here has, the first site answers.
    fn choose(&self, name: Option<&str>) -> Option<&Site> {
        let named = name.and_then(|name| {
            let name = rustls::pki_types::ServerName::try_from(name).ok()?;
            self.0.iter().find(|site| {
                let parsed = site.key.end_entity_cert().ok().map(rustls::server::ParsedCertificate::try_from);
                matches!(parsed, Some(Ok(cert)) if rustls::client::verify_server_name(&cert, &name).is_ok())
            })
        });
        named.or_else(|| self.0.first())
    }
}

impl fmt::Debug for Sites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sites({})", self.0.len())
    }
}

impl ResolvesServerCert for Sites {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name()).map(|site| site.key.clone())
    }
}

/// The sites, while names are proved in handshakes.
#[derive(Debug)]
struct Proving {
    sites: Arc<Sites>,
    answers: Arc<Answers>,
}

impl ResolvesServerCert for Proving {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // RFC 8737 §3: who comes to see the proof offers this protocol and no other, and gets no other certificate.
        if hello.alpn().is_some_and(|mut offered| offered.next() == Some(TLS_ALPN) && offered.next().is_none()) {
            return self.answers.handshake(hello.server_name()?);
        }
        self.sites.resolve(hello)
    }
}

fn load_site(files: &SiteFiles) -> Result<Site, TlsError> {
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable("certificate", &files.certificate, &error))?;
    let Some(leaf) = chain.first() else {
        return Err(unreadable("certificate", &files.certificate, &pem::Error::NoItemsFound));
    };
    let end_point = end_point(leaf);
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unreadable("key", &files.key, &error))?;
    let signing = ring::sign::any_supported_type(&key).map_err(|_| {
        TlsError(format!("the key {} is of no kind that is supported: use RSA, ECDSA or Ed25519", files.key.display()))
    })?;
    let key = CertifiedKey::new(chain, signing);
    match key.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => Err(TlsError(format!(
            "the key {} does not belong to the certificate {}",
            files.key.display(),
            files.certificate.display()
        ))),
        Err(rustls::Error::InvalidCertificate(_)) => {
            Err(TlsError(format!("{} holds something that is no X.509 certificate", files.certificate.display())))
        }
        _ => Ok(Site { key: Arc::new(key), end_point }),
    }
}

fn unreadable(what: &str, path: &Path, error: &pem::Error) -> TlsError {
    let path = path.display();
    TlsError(match error {
        pem::Error::Io(error) => format!("the {what} {path} can't be read: {error}"),
        pem::Error::NoItemsFound => format!("{path} holds no {what} in PEM form (\"-----BEGIN …\")"),
        other => format!("the {what} {path} is broken: {other}"),
    })
}

/// RFC 5929 §4.1: the certificate hashed with the hash of its own signature; SHA-256 where that is MD5 or SHA-1;
/// undefined for signatures without one (Ed25519).
fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, certificate_body) = der(certificate)?;
    let (after_tbs, _) = der(certificate_body)?;
    let (_, algorithm) = der(after_tbs)?;
    let (_, oid) = der(algorithm)?;
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA_SHA2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    let (family, which) = oid.split_at_checked(oid.len().checked_sub(1)?)?;
    match (family, which) {
        // md5WithRSA, sha1WithRSA, sha256WithRSA (RFC 8017 A.2.4); ecdsa-with-SHA256 (RFC 5758 §3.2).
        (RSA, [4 | 5 | 11]) | (ECDSA_SHA2, [2]) => Some(Sha256::digest(certificate).to_vec()),
        (RSA, [12]) | (ECDSA_SHA2, [3]) => Some(Sha384::digest(certificate).to_vec()),
        (RSA, [13]) | (ECDSA_SHA2, [4]) => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

/// One DER element: what follows it, and its content (X.690 §8.1).
fn der(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = input.get(1..)?.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((rest, content))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::generate_simple_self_signed;
    use rustls::ClientConfig;
    use rustls::pki_types::ServerName;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::connect::AnyCertificate;

    fn site(dir: &Path, name: &str) -> (SiteFiles, CertificateDer<'static>) {
        let made = generate_simple_self_signed([name.to_owned()]).unwrap();
        let files = SiteFiles { certificate: dir.join(format!("{name}.pem")), key: dir.join(format!("{name}.key")) };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        (files, made.cert.der().clone())
    }

    /// The certificate that a client gets which asks for `name`, and what both sides know of the connection.
    async fn shown(
        acceptor: &Acceptor,
        name: &str,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> (CertificateDer<'static>, TlsInfo, Option<[u8; 32]>) {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let (client, server) = tokio::join!(connector.connect(name, client), acceptor.accept(Box::new(server)));
        let (client, (_server, info)) = (client.unwrap(), server.unwrap());
        let connection = client.get_ref().1;
        let leaf = connection.peer_certificates().unwrap()[0].clone().into_owned();
        let exporter = connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok();
        (leaf, info, exporter)
    }

    #[tokio::test]
    async fn each_name_gets_its_certificate_and_any_other_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let (red, red_der) = site(dir.path(), "mail.red.example");
        let (blue, blue_der) = site(dir.path(), "mail.blue.example");
        let acceptor = Acceptor::load(&[red, blue]).unwrap();
        for (name, expected) in
            [("mail.red.example", &red_der), ("mail.blue.example", &blue_der), ("other.example", &red_der)]
        {
            let (leaf, info, exporter) = shown(&acceptor, name, &TLS13).await;
            assert_eq!(&leaf, expected, "{name}");
            assert_eq!(info.sni.as_deref(), Some(name));
            assert_eq!(info.version, "TLSv1.3");
            assert_eq!(info.exporter, exporter);
            // rcgen signs with ECDSA and SHA-256.
            assert_eq!(info.server_end_point, Some(Sha256::digest(&leaf).to_vec()));
        }
        let (_, info, _) = shown(&acceptor, "mail.red.example", &TLS12).await;
        assert_eq!((info.version.as_str(), info.exporter), ("TLSv1.2", None));
    }

    /// RFC 5929 §4.1, by the object identifiers of RFC 8017 A.2.4 and RFC 5758 §3.2.
    #[test]
    fn the_end_point_is_hashed_as_the_certificate_is_signed() {
        let signed = |oid: &[u8]| {
            let element = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
            let algorithm = element(0x30, &element(6, oid));
            let certificate =
                element(0x30, &[element(0x30, b"to be signed"), algorithm, element(3, b"signature")].concat());
            (certificate.clone(), end_point(&certificate.into()))
        };
        let rsa = |n| signed(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, n]);
        let ecdsa = |n| signed(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, n]);
        for (certificate, hash) in [rsa(4), rsa(5), rsa(11), ecdsa(2)] {
            assert_eq!(hash, Some(Sha256::digest(certificate).to_vec()));
        }
        for (certificate, hash) in [rsa(12), ecdsa(3)] {
            assert_eq!(hash, Some(Sha384::digest(certificate).to_vec()));
        }
        for (certificate, hash) in [rsa(13), ecdsa(4)] {
            assert_eq!(hash, Some(Sha512::digest(certificate).to_vec()));
        }
        // Ed25519 has no hash of its own.
        assert_eq!(signed(&[0x2b, 0x65, 0x70]).1, None);
    }

    #[test]
    fn wrong_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let (red, _) = site(dir.path(), "mail.red.example");
        let (blue, _) = site(dir.path(), "mail.blue.example");
        let load = |certificate: &Path, key: &Path| {
            let files = SiteFiles { certificate: certificate.into(), key: key.into() };
            Acceptor::load(&[files]).unwrap_err().0
        };
        let gone = dir.path().join("gone.pem");
        assert!(load(&gone, &red.key).contains("the certificate"), "{}", load(&gone, &red.key));
        assert!(load(&red.certificate, &gone).contains("gone.pem can't be read"));
        assert!(load(&red.key, &red.key).contains("holds no certificate in PEM form"));
        assert!(load(&red.certificate, &blue.key).contains("does not belong to the certificate"));
        std::fs::write(&gone, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(load(&gone, &red.key).contains("no X.509 certificate"), "{}", load(&gone, &red.key));
        assert!(Acceptor::load(&[]).unwrap_err().0.contains("set certificate and key under [tls]"));
    }
}
