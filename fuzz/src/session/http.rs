//! Connections of our HTTP server on a real store: what it makes of requests, cookies, origins, paths and bodies.

use std::sync::Arc;

use mail::Domain;
use server::listen::Service;
use server::tls::{Acceptor, SiteFiles};
use server::{Connection, Settings, Shared, Shutdown};
use store::{Scopes, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::Shape;
use super::world::{self, Left, Still};

/// What transcripts log in with; Alice's app password of the session stands in its place.
const ALICE: &[u8] = b"YWxpY2VAcmVkLmV4YW1wbGU6c2VjcmV0";
/// Stands in Alice's messages.
const SECRETS: [&[u8]; 2] = [b"Bob <bob@blue.example>", b".dots"];
/// Names that stand in the XML that we write.
const ELEMENTS: &[&str] = &[
    "?xml",
    "clientConfig",
    "emailProvider",
    "domain",
    "displayName",
    "displayShortName",
    "incomingServer",
    "outgoingServer",
    "hostname",
    "port",
    "socketType",
    "authentication",
    "username",
    "Autodiscover",
    "Response",
    "Account",
    "AccountType",
    "Action",
    "Protocol",
    "Type",
    "Server",
    "Port",
    "LoginName",
    "DomainRequired",
    "SPA",
    "SSL",
    "Encryption",
    "AuthRequired",
    "User",
    "DisplayName",
    "Error",
    "ErrorCode",
    "Message",
    "DebugData",
    "UsePOPAuth",
    "SMTPLast",
    "DomainName",
    "!DOCTYPE",
    "plist",
    "dict",
    "key",
    "array",
    "string",
    "integer",
    "true",
    "false",
];

thread_local! {
    static ACCEPTOR: Acceptor = {
        let dir = tempfile::tempdir_in(world::memory()).expect("a folder");
        testkit::authority::certify(dir.path(), "mail.red.example");
        let files = SiteFiles { certificate: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
        Acceptor::load(&[files]).expect("a certificate")
    };
}

/// It ends, answers by HTTP, never fails inside, and tells nobody of mail who has not logged in.
pub fn http_request(data: &[u8]) {
    let Some(mut shape) = Shape::of(data) else { return };
    let logs_in = memchr::memmem::find(shape.sent, ALICE).is_some();
    let pieces = shape.pieces(b"");
    world::with(async |store, alice| {
        let mut settings = Settings::new(Domain::from_ascii("mail.red.example").expect("a domain"));
        let doors = [(Service::Imaps, 993), (Service::Pop3s, 995), (Service::Submission, 587)];
        settings.listening = doors.iter().map(|(service, port)| (*service, ([127, 0, 0, 1], *port).into())).collect();
        let (_switch, shutdown) = Shutdown::new();
        let acceptor = ACCEPTOR.with(Acceptor::clone);
        let shared = Arc::new(Shared::new(store.clone(), Arc::new(Still), settings, Some(acceptor), shutdown));
        let pieces = if logs_in { with_password(&shared, alice, pieces).await } else { pieces };
        let before = store.survey(alice.account).await.expect("an account");
        let (mut client, server) = duplex(1 << 20);
        let address = ([127, 0, 0, 1], 1000).into();
        let connection = Connection::over(Box::new(server), address, address, None);
        let talk = async {
            let (mut reading, mut writing) = tokio::io::split(&mut client);
            let send = async {
                for piece in pieces {
                    // It may have heard enough.
                    if writing.write_all(&piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                let _ = writing.shutdown().await;
            };
            let mut said = Vec::new();
            let ((), read) = tokio::join!(send, reading.read_to_end(&mut said));
            read.map(|_| said).unwrap_or_default()
        };
        let ((), said) = tokio::join!(server::http::serve(connection, shared), talk);
        answers(&said);
        if !logs_in {
            for secret in SECRETS {
                assert!(memchr::memmem::find(&said, secret).is_none(), "{}", said.escape_ascii());
            }
        }
        let after = store.survey(alice.account).await.expect("an account");
        if after == before && !logs_in { Left::AsItWas } else { Left::Changed }
    });
}

async fn with_password(shared: &Shared, alice: world::Alice, pieces: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let account = shared.store.account(alice.account).await.expect("a store").expect("an account");
    let made = shared.auth.add_app_password(alice.account, "fuzz", Scopes::JMAP, None).await;
    let (_, secret) = made.expect("an app password");
    let coded = wire::sasl::encode(format!("{}:{secret}", account.address).as_bytes());
    let mut all = Vec::new();
    for piece in pieces {
        let mut out = Vec::new();
        let mut rest = &piece[..];
        while let Some(at) = memchr::memmem::find(rest, ALICE) {
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(coded.as_bytes());
            rest = &rest[at + ALICE.len()..];
        }
        out.extend_from_slice(rest);
        all.push(out);
    }
    all
}

/// Answers of HTTP/1.1, none of which says that something failed here; and of a single one that is XML, no element that we
/// did not write.
fn answers(said: &[u8]) {
    assert!(said.is_empty() || said.starts_with(b"HTTP/1."), "{}", said.escape_ascii());
    let finder = memchr::memmem::Finder::new(b"HTTP/1.1 500");
    assert!(finder.find(said).is_none(), "{}", said.escape_ascii());
    let Some(end) = memchr::memmem::find(said, b"\r\n\r\n") else { return };
    let (head, body) = said.split_at(end);
    let is_xml = memchr::memmem::find(head, b"xml").is_some() || memchr::memmem::find(head, b"aspen").is_some();
    if !is_xml || memchr::memmem::find(body, b"\nHTTP/1.1 ").is_some() {
        return;
    }
    for at in memchr::memchr_iter(b'<', body) {
        let name = body[at + 1..].strip_prefix(b"/").unwrap_or(&body[at + 1..]);
        let end = name.iter().position(|byte| matches!(byte, b' ' | b'>' | b'/')).unwrap_or(name.len());
        let known = ELEMENTS.iter().any(|element| element.as_bytes() == &name[..end]);
        assert!(known, "{} in {}", name[..end].escape_ascii(), body.escape_ascii());
    }
}
