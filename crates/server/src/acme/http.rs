//! HTTPS to the authority: a request and its answer, over our own TLS. Nothing is reused: there are some ten requests a month.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use mail::limits;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::connect::{connector, roots};

/// The way to an authority, or to who else is asked now and then.
pub(crate) struct Https(TlsConnector);

impl Https {
    /// Trusts the system's roots, and those of a file. The error is a sentence.
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(ca_file)?), provider.clone()).build();
        let verifier = verifier.map_err(|error| format!("no certificate can be checked here: {error}"))?;
        Ok(Self(connector(&provider, verifier)))
    }
}

impl HttpClient for Https {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let connector = self.0.clone();
        Box::pin(async move {
            let host = request.uri().host().unwrap_or_default().to_owned();
            let said = match tokio::time::timeout(limits::ACME_TIMEOUT, ask(&connector, request)).await {
                Ok(answered) => answered,
                Err(_) => Err("no answer in time".into()),
            };
            said.map_err(|why| Error::Other(format!("{host} can't be asked: {why}").into()))
        })
    }
}

type Trouble = Box<dyn std::error::Error + Send + Sync>;

async fn ask(connector: &TlsConnector, mut request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Trouble> {
    let uri = std::mem::take(request.uri_mut());
    // RFC 8555 §6.1
    if uri.scheme_str() != Some("https") {
        return Err(format!("{uri} is no https URL").into());
    }
    let authority = uri.authority().ok_or("its URL has no host")?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let stream = TcpStream::connect((host.as_str(), authority.port_u16().unwrap_or(443))).await?;
    let stream = connector.connect(ServerName::try_from(host)?, stream).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // What goes wrong is told to who waits for the answer.
        let _ = connection.await;
    });
    request.headers_mut().insert(HOST, HeaderValue::from_str(authority.as_str())?);
    *request.uri_mut() =
        uri.path_and_query().map_or_else(|| Ok(Uri::from_static("/")), |path| path.as_str().parse())?;
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, limits::ACME_ANSWER_LEN).collect().await?.to_bytes();
    Ok(BytesResponse { parts, body: Box::new(body) })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    fn get(address: &str) -> Request<BodyWrapper<Bytes>> {
        Request::get(address).body(BodyWrapper::default()).unwrap()
    }

    async fn error(https: &Https, address: &str) -> String {
        https.request(get(address)).await.err().unwrap().to_string()
    }

    /// `ACME_ANSWER_LEN`, over a TLS that the file vouches for.
    #[tokio::test]
    async fn answers_come_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        testkit::authority::certify(folder.path(), "localhost");
        let https = Https::new(Some(&folder.path().join("ca.pem"))).unwrap();
        let site =
            crate::tls::SiteFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        let acceptor = TlsAcceptor::from(crate::tls::Acceptor::load(&[site]).unwrap().config());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://localhost:{}/dir", listener.local_addr().unwrap().port());
        for (length, whole) in [(limits::ACME_ANSWER_LEN, true), (limits::ACME_ANSWER_LEN + 1, false)] {
            let serving = async {
                let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
                let mut head = [0; 64];
                let _ = stream.read(&mut head).await.unwrap();
                assert!(head.starts_with(b"GET /dir HTTP/1.1\r\n"));
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                let _ = stream.write_all(&[head.into_bytes(), vec![b'x'; length]].concat()).await;
                let _ = stream.shutdown().await;
            };
            let (answer, ()) = tokio::join!(https.request(get(&address)), serving);
            assert_eq!(answer.is_ok(), whole);
        }
        // Without that file nobody vouches for it.
        let stranger = Https::new(None).unwrap();
        let serving = async { acceptor.accept(listener.accept().await.unwrap().0).await.is_err() };
        let (words, refused) = tokio::join!(error(&stranger, &address), serving);
        assert!(words.starts_with("localhost can't be asked: ") && refused, "{words}");
        assert!(error(&https, "http://localhost/dir").await.contains("is no https URL"));
        assert!(Https::new(Some(Path::new("/nowhere.pem"))).err().unwrap().starts_with("ca_file /nowhere.pem: "));
    }

    /// `ACME_TIMEOUT`
    #[tokio::test(start_paused = true)]
    async fn silence_has_an_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port());
        let since = tokio::time::Instant::now();
        let words = error(&Https::new(None).unwrap(), &address).await;
        assert_eq!(words, "127.0.0.1 can't be asked: no answer in time");
        assert!(since.elapsed() >= limits::ACME_TIMEOUT);
    }
}
