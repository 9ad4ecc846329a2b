//! TLS of our listeners, as a client sees it.

use std::sync::Arc;

use ::doctor::{Listener, Shown};
use futures_util::future::join_all;
use mail::limits;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls::pki_types::{ServerName, UnixTime};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::{in_time, reachable, told};
use crate::certificate::Certificate;
use crate::connect::{AnyCertificate, connector, roots};
use crate::listen::Service;
use crate::settings::Settings;
use crate::tls::version_name;

/// All of them.
pub(super) async fn look(settings: &Settings) -> Vec<Listener> {
    let judge = roots(settings.doctor.ca_file.as_deref()).and_then(|roots| {
        let provider = Arc::new(ring::default_provider());
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| error.to_string())
    });
    let name = settings.hostname.as_str();
    join_all(settings.listening.iter().map(|(service, address)| {
        let judge = &judge;
        async move {
            let tls = match service {
                Service::Http => None,
                _ => Some(told(in_time(shown(*service, reachable(*address), name, judge)).await)),
            };
            Listener { service: service.name().into(), address: *address, tls }
        }
    }))
    .await
}

async fn shown(
    service: Service,
    address: std::net::SocketAddr,
    name: &str,
    judge: &Result<Arc<WebPkiServerVerifier>, String>,
) -> Result<Shown, String> {
    let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    if !service.implicit_tls() {
        start_tls(&mut stream, service).await?;
    }
    let server = ServerName::try_from(name.to_owned()).map_err(|_| "the host name is no name".to_owned())?;
    let provider = Arc::new(ring::default_provider());
    let connector = connector(&provider, Arc::new(AnyCertificate(provider.clone())));
    let stream = connector.connect(server.clone(), stream).await.map_err(|error| error.to_string())?;
    let session = stream.get_ref().1;
    let Some([leaf, rest @ ..]) = session.peer_certificates() else { return Err("it shows no certificate".into()) };
    let certificate = Certificate::of(leaf).ok_or("it shows no X.509 certificate")?;
    let refused = match judge {
        Ok(judge) => judge.verify_server_cert(leaf, rest, &server, &[], UnixTime::now()).err().map(words),
        Err(why) => Some(why.clone()),
    };
    Ok(Shown {
        version: session.protocol_version().map_or("TLS", version_name).into(),
        until: certificate.until.secs(),
        refused,
        public_key_sha256: certificate.public_key_sha256,
    })
}

/// Why a certificate is refused, for people.
fn words(error: rustls::Error) -> String {
    use rustls::CertificateError as E;
    match error {
        rustls::Error::InvalidCertificate(E::UnknownIssuer) => "nobody that is trusted has signed it".into(),
        rustls::Error::InvalidCertificate(E::NotValidForName | E::NotValidForNameContext { .. }) => {
            "it is for another name".into()
        }
        rustls::Error::InvalidCertificate(E::Expired | E::ExpiredContext { .. }) => "it has ended".into(),
        rustls::Error::InvalidCertificate(error) => format!("{error:?}"),
        other => other.to_string(),
    }
}

/// Asks for TLS where it begins in clear (RFC 3207, RFC 2595).
async fn start_tls(stream: &mut TcpStream, service: Service) -> Result<(), String> {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read.take(limits::DOCTOR_GREETING_LEN as u64)).lines();
    let failed = |error: std::io::Error| error.to_string();
    let mut expect = async |begin: &str| loop {
        let line = lines.next_line().await.map_err(failed)?.ok_or("it ends the connection")?;
        match line.strip_prefix(begin) {
            // RFC 5321 §4.2.1: more lines follow.
            Some(rest) if rest.starts_with('-') => {}
            Some(_) => return Ok::<_, String>(()),
            // The capabilities of IMAP, and of ManageSieve.
            None if line.starts_with("* ") || line.starts_with('"') => {}
            None => return Err(format!("it says “{line}”")),
        }
    };
    match service {
        Service::Pop3 => {
            expect("+OK").await?;
            write.write_all(b"STLS\r\n").await.map_err(failed)?;
            expect("+OK").await
        }
        Service::Sieve => {
            expect("OK").await?;
            write.write_all(b"STARTTLS\r\n").await.map_err(failed)?;
            expect("OK").await
        }
        Service::Imap => {
            expect("* OK").await?;
            write.write_all(b"a STARTTLS\r\n").await.map_err(failed)?;
            expect("a OK").await
        }
        _ => {
            expect("220").await?;
            write.write_all(b"EHLO localhost\r\n").await.map_err(failed)?;
            expect("250").await?;
            write.write_all(b"STARTTLS\r\n").await.map_err(failed)?;
            expect("220").await
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What `start_tls` makes of a server that says these lines, the first by itself and each further one after a command.
    async fn said(service: Service, lines: &[String]) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let serving = async {
            for line in lines {
                server.write_all(line.as_bytes()).await.unwrap();
                let _ = server.read(&mut [0; 100]).await;
            }
        };
        let (started, ()) = tokio::join!(
            async {
                let started = start_tls(&mut stream, service).await;
                drop(stream);
                started
            },
            serving
        );
        started
    }

    #[tokio::test]
    async fn tls_is_asked_for_in_each_protocol() {
        let lines = |text: &[&str]| text.iter().map(|line| format!("{line}\r\n")).collect::<Vec<_>>();
        let smtp = lines(&["220 a\u{20}", "250-a\r\n250 STARTTLS", "220 go"]);
        assert_eq!(said(Service::Smtp, &smtp).await, Ok(()));
        assert_eq!(said(Service::Imap, &lines(&["* OK hello", "* CAPABILITY\r\na OK go"])).await, Ok(()));
        assert_eq!(said(Service::Pop3, &lines(&["+OK hello", "+OK go"])).await, Ok(()));
        let refused = said(Service::Smtp, &lines(&["220 a", "250 a", "454 no"])).await;
        assert_eq!(refused, Err("it says “454 no”".into()));
    }

    /// `DOCTOR_GREETING_LEN`: what is beyond is not read.
    #[tokio::test]
    async fn greetings_are_bounded() {
        let go = "+OK\r\n".to_owned();
        for (greeting, is) in [(limits::DOCTOR_GREETING_LEN - go.len(), true), (limits::DOCTOR_GREETING_LEN, false)] {
            let greeting = format!("+OK{}\r\n", "x".repeat(greeting - go.len()));
            assert_eq!(said(Service::Pop3, &[greeting, go.clone()]).await.is_ok(), is);
        }
    }
}
