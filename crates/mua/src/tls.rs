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
        TlsConnector::from(self.0.clone()).connect(name, tcp).await.map_err(|error| {
            MuaError::new(format!(
                "no TLS with {host}: {error}. If it has a certificate of its own authority, name that with --ca FILE"
            ))
        })
    }
}
