//! Whom we trust, and TLS over a connection.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{MuaError, MuaResult};

/// The authorities whose certificates are believed.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Those in a PEM file (`--ca`), and no others.
    pub fn file(path: &Path) -> MuaResult<Self> {
        let shown = path.display();
        let wrong = |why: &dyn std::fmt::Display| MuaError::new(format!("can't use the CA file {shown}: {why}"));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
            roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
        }
        if roots.is_empty() {
            return Err(wrong(&"there is no certificate in it"));
        }
        Self::new(roots)
    }

    /// The system's.
    pub fn system() -> MuaResult<Self> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        Self::new(roots)
    }

    fn new(roots: RootCertStore) -> MuaResult<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| MuaError::new(format!("TLS can't be set up: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    /// The handshake. `host` must be named in the certificate.
    pub(crate) async fn handshake(&self, host: &str, tcp: TcpStream) -> MuaResult<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| MuaError::new(format!("{host} is no name that a certificate can have")))?;
        TlsConnector::from(self.0.clone()).connect(name, tcp).await.map_err(|error| refused(host, &error))
    }
}

/// Why there is no TLS, and what to do.
fn refused(host: &str, error: &std::io::Error) -> MuaError {
    let why = error.to_string();
    // webpki's own word; no type of rustls has it.
    if why.contains("CaUsedAsEndEntity") {
        return MuaError::new(format!(
            "no TLS with {host}: its certificate is an authority's own (CA:TRUE), which may sign certificates but not stand \
             for a server. Give the server one with CA:FALSE (openssl req -x509 … -addext basicConstraints=CA:FALSE); \
             --ca FILE may then name that same file"
        ));
    }
    MuaError::new(format!(
        "no TLS with {host}: {why}. If it has a certificate of its own authority, name that with --ca FILE"
    ))
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::net::TcpListener;

    use super::*;

    /// What a client says that trusts a server's own certificate; none: all is well.
    async fn with_self_signed(kind: IsCa) -> Option<String> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.is_ca = kind;
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, certificate.pem()).unwrap();
        let trust = Trust::file(&file).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let (handshake, _) = tokio::join!(trust.handshake("localhost", tcp), acceptor.accept(server));
        handshake.err().map(|error| error.to_string())
    }

    #[tokio::test]
    async fn an_authority_in_a_servers_place_is_explained() {
        assert_eq!(with_self_signed(IsCa::ExplicitNoCa).await, None);
        let why = with_self_signed(IsCa::Ca(BasicConstraints::Unconstrained)).await.unwrap();
        assert!(why.contains("CA:TRUE") && why.contains("basicConstraints=CA:FALSE"), "{why}");
    }
}
