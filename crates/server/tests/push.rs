//! Changes as they are told to those who listen: over event sources of HTTP/1.1 and HTTP/2, up to the end of what the log-in is
//! good for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod scene;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mail::{AccountId, limits};
use scene::World;
use server::Shared;
use server::listen::Service;
use store::conformance::{address, append};
use store::{AccountState, DirectoryEntry, PasswordHash, Scopes, Store, TokenKind};
use tokio::net::TcpStream;

struct Web {
    world: World,
    shared: Arc<Shared>,
    at: SocketAddr,
    alice: AccountId,
}

impl Web {
    /// A server on plain HTTP, on loopback.
    fn new() -> Self {
        let mut world = World::new();
        let (shared, _) = world.system(true, |_| {});
        let at = world.web(Service::Http, &shared);
        let entry = world.runtime.block_on(world.store.entry(&address("alice@red.example"))).unwrap();
        let Some(DirectoryEntry::Account(alice)) = entry else { panic!("{entry:?}") };
        Self { world, shared, at, alice: alice.id }
    }

    async fn deliver(&self) {
        let inbox = self.world.store.mailbox(self.alice, "INBOX").await.unwrap().unwrap();
        append(&*self.world.store, inbox, b"Subject: x\r\n\r\n").await;
    }

    async fn app_password(&self, days: Option<u32>) -> (mail::TokenId, String) {
        self.shared.auth.add_app_password(self.alice, "x", Scopes::JMAP, days).await.unwrap()
    }

    async fn listen(&self, query: &str, fields: &[(&'static str, &str)]) -> Events {
        let stream = TokioIo::new(TcpStream::connect(self.at).await.unwrap());
        let (mut sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut request = hyper::Request::get(format!("/jmap/events{query}")).header("host", "localhost");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        Events::new(response)
    }
}

const BASIC: (&str, &str) = ("authorization", "Basic YWxpY2VAcmVkLmV4YW1wbGU6c2VjcmV0");

struct Events {
    status: u16,
    kind: String,
    body: hyper::body::Incoming,
    text: String,
}

impl Events {
    fn new(response: hyper::Response<hyper::body::Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let kind = head.headers["content-type"].to_str().unwrap().to_owned();
        Self { status: head.status.as_u16(), kind, body, text: String::new() }
    }

    /// The next event, without the empty line; `None`: the response has ended.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = event.to_owned();
                self.text = rest.to_owned();
                return Some(event);
            }
            let frame = self.body.frame().await?.unwrap();
            self.text += std::str::from_utf8(&frame.into_data().unwrap()).unwrap();
        }
    }

    /// The same of an event that is to come: its name, id and data.
    async fn event(&mut self) -> (String, String, String) {
        let event = self.next().await.unwrap();
        let field = |name: &str| {
            let line = event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_default().to_owned()
        };
        (field("event"), field("id"), field("data"))
    }
}

/// RFC 8620 §7.3: changes of the types that are asked for, all that came close together at once, and those that were missed.
#[test]
fn changes_are_told_as_they_happen() {
    let web = Web::new();
    web.world.runtime.block_on(async {
        let mut all = web.listen("", &[BASIC]).await;
        let mut delivery = web.listen("?types=EmailDelivery,Identity&closeafter=state&ping=0", &[BASIC]).await;
        assert_eq!((all.status, all.kind.as_str()), (200, "text/event-stream"));
        let sent = web.world.store.mailbox(web.alice, "Sent").await.unwrap().unwrap();
        append(&*web.world.store, sent, b"Subject: y\r\n\r\n").await;
        let (event, id, data) = all.event().await;
        let changed: serde_json::Value = serde_json::from_str(&data).unwrap();
        let account = format!("A{}", web.alice.0);
        assert_eq!((event.as_str(), changed["@type"].as_str().unwrap()), ("state", "StateChange"));
        let types: Vec<_> = changed["changed"][&account].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(types, ["Email", "EmailDelivery", "Mailbox", "Thread"]);
        let (event, _, data) = delivery.event().await;
        assert_eq!(event, "state");
        assert!(data.contains("EmailDelivery") && !data.contains("Mailbox"), "{data}");
        assert_eq!(delivery.next().await, None);
        drop(all);
        // Who comes back is told at once what happened since, and is told nothing where nothing did.
        let mut nothing = web.listen("?types=*&closeafter=state", &[BASIC, ("last-event-id", &id)]).await;
        web.deliver().await;
        let (event, last, _) = nothing.event().await;
        assert_eq!((event.as_str(), last == id, nothing.next().await), ("state", false, None));
        let mut again = web.listen("?types=Mailbox", &[BASIC, ("last-event-id", &id)]).await;
        let (event, now, data) = again.event().await;
        assert_eq!((event.as_str(), now), ("state", last));
        assert!(data.contains("Mailbox") && !data.contains("Email"), "{data}");
        for bad in ["?closeafter=yes", "?ping=x", "?ping=-1", "?ping=99999999999"] {
            assert_eq!(web.listen(bad, &[BASIC]).await.status, 400, "{bad}");
        }
        assert_eq!(web.listen("", &[]).await.status, 401);
    });
}

/// Many event sources of one connection, each with its own types.
#[test]
fn changes_are_told_over_http_2() {
    let mut world = World::new();
    let (shared, _) = world.system(true, |_| {});
    let at = world.web(Service::Https, &shared);
    world.runtime.block_on(async {
        let mut config = (*world.trusted).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = rustls::pki_types::ServerName::try_from("mail.red.example").unwrap();
        let socket = TcpStream::connect(at).await.unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut all = Vec::new();
        for types in ["Mailbox", "Email", "Thread"] {
            let request = hyper::Request::get(format!("https://mail.red.example/jmap/events?types={types}"));
            let request = request.header(BASIC.0, BASIC.1).body(Empty::<Bytes>::new()).unwrap();
            let events = Events::new(sender.send_request(request).await.unwrap());
            assert_eq!(events.status, 200);
            all.push((types, events));
        }
        let Some(DirectoryEntry::Account(alice)) = world.store.entry(&address("alice@red.example")).await.unwrap()
        else {
            panic!("no alice");
        };
        let inbox = world.store.mailbox(alice.id, "INBOX").await.unwrap().unwrap();
        append(&*world.store, inbox, b"Subject: x\r\n\r\n").await;
        for (types, mut events) in all {
            let (event, _, data) = events.event().await;
            assert_eq!(event, "state");
            assert!(data.contains(&format!("\"{types}\"")), "{data}");
        }
    });
}

/// A stream ends when its log-in is no longer good, that of others of the account stays.
#[test]
fn a_stream_ends_with_its_log_in() {
    let web = Web::new();
    let store = &web.world.store;
    web.world.runtime.block_on(async {
        let bearer = |secret: &str| format!("Bearer {secret}");
        let (id, one) = web.app_password(None).await;
        let (_, other) = web.app_password(None).await;
        let session = web.shared.auth.begin_session(web.alice, "x", "127.0.0.1".parse().unwrap()).await.unwrap();
        let cookie = format!("postrider-mail.red.example={session}");
        let mut ends = web.listen("", &[("authorization", &bearer(&one))]).await;
        let mut stays = web.listen("", &[("authorization", &bearer(&other))]).await;
        let mut browser = web.listen("", &[("cookie", &cookie)]).await;
        let mut password = web.listen("", &[BASIC]).await;
        for events in [&ends, &stays, &browser, &password] {
            assert_eq!(events.status, 200);
        }
        store.remove_token(web.alice, TokenKind::AppPassword, id).await.unwrap().into_inner();
        assert_eq!(ends.next().await, None);
        let token = store.tokens(web.alice, TokenKind::Session).await.unwrap().remove(0);
        store.remove_token(web.alice, TokenKind::Session, token.id).await.unwrap().into_inner();
        assert_eq!(browser.next().await, None);
        // Another password is no end for an app password.
        store.set_password(web.alice, PasswordHash("other".into()), None).await.unwrap().into_inner();
        assert_eq!(password.next().await, None);
        web.deliver().await;
        assert_eq!(stays.event().await.0, "state");
        store.set_account_state(web.alice, AccountState::Disabled).await.unwrap().into_inner();
        assert_eq!(stays.next().await, None);
        store.set_account_state(web.alice, AccountState::Active).await.unwrap().into_inner();
        let mut last = web.listen("", &[("authorization", &bearer(&other))]).await;
        assert_eq!(last.status, 200);
        store.remove_account(web.alice).await.unwrap().into_inner();
        assert_eq!(last.next().await, None);
    });
}

/// When the server stops, all streams end.
#[test]
fn streams_end_when_the_server_stops() {
    let mut web = Web::new();
    let switch = web.world.switches.pop().unwrap();
    web.world.runtime.block_on(async {
        let mut events = web.listen("", &[BASIC]).await;
        assert_eq!(events.status, 200);
        switch.stop();
        assert_eq!(events.next().await, None);
    });
}

/// `PUSH_LISTENERS_PER_ACCOUNT`, and one more; who leaves makes room.
#[test]
fn listeners_of_an_account_are_bounded() {
    let web = Web::new();
    web.world.runtime.block_on(async {
        let mut all = Vec::new();
        for _ in 0..limits::PUSH_LISTENERS_PER_ACCOUNT {
            let events = web.listen("?closeafter=state", &[BASIC]).await;
            assert_eq!(events.status, 200);
            all.push(events);
        }
        assert_eq!(web.listen("", &[BASIC]).await.status, 429);
        web.deliver().await;
        for events in &mut all {
            assert_eq!((events.event().await.0.as_str(), events.next().await), ("state", None));
        }
        assert_eq!(web.listen("", &[BASIC]).await.status, 200);
    });
}
