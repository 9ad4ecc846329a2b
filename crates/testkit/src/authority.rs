//! A certification authority for one test. Names go in; files for a server and a client that trusts them come out.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ClientConfig;

use crate::socket::trusting;

/// Writes cert.pem and key.pem for a host (and `localhost`) into a folder, signed by an authority made for it, whose
/// certificate is ca.pem; returns a client that trusts that alone.
///
/// # Panics
/// When the folder is not writable, or the host is no name.
pub fn certify(folder: &Path, host: &str) -> Arc<ClientConfig> {
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).expect("the folder is writable");
    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::new(Vec::<String>::new()).expect("no names");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    write("ca.pem", ca.self_signed(&ca_key).expect("a root certificate").pem());
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().expect("a key");
    let names = [host.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut certificate = CertificateParams::new(names).expect("good names");
    certificate.distinguished_name.push(DnType::CommonName, host);
    let certificate = certificate.signed_by(&key, &issuer);
    write("cert.pem", certificate.expect("a certificate").pem());
    write("key.pem", key.serialize_pem());
    trusting(&folder.join("ca.pem"))
}
