//! Silence on every protocol, in virtual time: the clock stands still until nothing else can happen and then runs ahead to
//! the next time-out, so each wait is measured whole and costs nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "scene/quiet_time.rs"]
#[allow(dead_code, unreachable_pub, reason = "a part of the scene of other tests")]
mod quiet_time;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mail::limits;
use mta::accept::inspect::Inspectors;
use mta::world::Clock as _;
use quiet_time::QuietTime;
use server::connect::SystemRandom;
use server::listen::{Doors, Handler, Listener, Service};
use server::smtp::{Extras, Reception};
use server::{Settings, Shared, Shutdown, ShutdownSwitch};
use store::conformance::{address, domain};
use store::{DirectoryEntry, NewAccount, Scopes, Store};
use store_local::{LocalStore, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;

struct System {
    at: SocketAddr,
    store: Arc<LocalStore>,
    clock: Arc<QuietTime>,
    listening: JoinHandle<()>,
    switch: ShutdownSwitch,
    _folder: tempfile::TempDir,
}

impl System {
    async fn start(service: Service) -> Self {
        Self::with(service, |reception| {
            Arc::new(move |connection, service, shared| match service {
                Service::Pop3 => Box::pin(server::pop3::serve(connection, service, shared)),
                Service::Imap => Box::pin(server::imap::serve(connection, service, shared)),
                Service::Http => Box::pin(server::http::serve(connection, shared)),
                _ => Box::pin(reception.clone().serve(connection, service, shared)),
            })
        })
        .await
    }

    async fn with(service: Service, handler: impl FnOnce(Arc<Reception>) -> Handler) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path().join("data"), Options { reserve: 0, ..Options::default() }).unwrap();
        let clock = Arc::new(QuietTime::new());
        store.add_domain(&domain("red.example")).await.unwrap().into_inner();
        let auth = server::Auth::new(store.clone(), clock.clone());
        let account = NewAccount {
            address: address("alice@red.example"),
            password: auth.hash(b"secret").await.unwrap(),
            scram: None,
            quota: None,
        };
        store.add_account(account, clock.now()).await.unwrap().into_inner();
        let (switch, shutdown) = Shutdown::new();
        let settings = Settings::new(domain("mail.red.example"));
        let shared = Arc::new(Shared::new(store.clone(), clock.clone(), settings, None, shutdown));
        let extras = Extras {
            random: Arc::new(SystemRandom),
            door: None,
            verify: None,
            misbehave: None,
            reporter: None,
            inspectors: Box::new(|_| Inspectors::default()),
        };
        let listener = Listener::bind(service, SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let at = listener.address().unwrap();
        let doors = Doors::open(vec![listener], shared, handler(Arc::new(Reception::new(extras))));
        Self { at, store, clock, listening: tokio::spawn(doors.stop()), switch, _folder: folder }
    }

    async fn client(&self) -> Client {
        let stream = TcpStream::connect(self.at).await.unwrap();
        // A small segment must not wait for an acknowledgement, which comes in real time (Nagle).
        stream.set_nodelay(true).unwrap();
        Client { stream, said: String::new() }
    }

    async fn end(self) {
        self.switch.stop();
        self.listening.await.unwrap();
        let findings = self.store.check(true).await.unwrap();
        assert!(findings.iter().all(|finding| !finding.error), "{findings:?}");
        self.store.close().await;
    }
}

struct Client {
    stream: TcpStream,
    said: String,
}

impl Client {
    /// Says something and waits for a line that begins so.
    async fn say(&mut self, words: &str, begins: &str) {
        self.stream.write_all(words.as_bytes()).await.unwrap();
        self.said.clear();
        while !self.said.ends_with("\r\n") || !self.said.lines().any(|line| line.starts_with(begins)) {
            let mut octets = [0; 1024];
            let count = self.stream.read(&mut octets).await.unwrap();
            assert!(count > 0, "it closed without {begins}: {}", self.said);
            self.said += std::str::from_utf8(&octets[..count]).unwrap();
        }
    }

    /// Silent from now on: what is said up to the end, and how long that takes.
    async fn silence(mut self) -> (String, Duration) {
        let since = Instant::now();
        let mut said = String::new();
        self.stream.read_to_string(&mut said).await.unwrap();
        (said, whole(since))
    }
}

/// Timers are as fine as a millisecond, and may be one late.
fn whole(since: Instant) -> Duration {
    Duration::from_secs((since.elapsed() + Duration::from_millis(5)).as_secs())
}

/// RFC 5321 §4.5.3.2.7: `SMTP_COMMAND_TIMEOUT`; within DATA `SMTP_DATA_TIMEOUT` for each piece, and
/// `SMTP_MESSAGE_TIMEOUT` for all of them.
#[tokio::test(start_paused = true)]
async fn smtp() {
    let system = System::start(Service::Smtp).await;
    let mut client = system.client().await;
    client.say("", "220 ").await;
    let timeout = "421 4.4.2 mail.red.example Timeout, closing connection\r\n";
    assert_eq!(client.silence().await, (timeout.to_owned(), limits::SMTP_COMMAND_TIMEOUT));

    let in_data = async || {
        let mut client = system.client().await;
        client.say("", "220 ").await;
        client.say("EHLO client.example\r\n", "250 ").await;
        client.say("MAIL FROM:<carol@elsewhere.example>\r\n", "250 ").await;
        client.say("RCPT TO:<alice@red.example>\r\n", "250 ").await;
        client.say("DATA\r\n", "354 ").await;
        client
    };
    let mut client = in_data().await;
    client.stream.write_all(b"Subject: x\r\n").await.unwrap();
    assert_eq!(client.silence().await, (timeout.to_owned(), limits::SMTP_DATA_TIMEOUT));

    // An octet now and then, each in time: all of it together is not.
    let mut client = in_data().await;
    let since = Instant::now();
    let pause = limits::SMTP_DATA_TIMEOUT - Duration::from_secs(1);
    let said = loop {
        tokio::select! {
            biased;
            read = client.stream.read_u8() => break read.unwrap(),
            () = tokio::time::sleep(pause) => client.stream.write_all(b"x").await.unwrap(),
        }
    };
    assert_eq!((said, whole(since)), (b'4', limits::SMTP_MESSAGE_TIMEOUT));
    system.end().await;
}

/// RFC 1939 §3: `POP3_TIMEOUT`, without a word and without UPDATE.
#[tokio::test(start_paused = true)]
async fn pop3() {
    let system = System::start(Service::Pop3).await;
    let mut client = system.client().await;
    client.say("", "+OK").await;
    assert_eq!(client.silence().await, (String::new(), limits::POP3_TIMEOUT));
    let mut client = system.client().await;
    client.say("", "+OK").await;
    client.say("USER alice@red.example\r\n", "+OK").await;
    client.say("PASS secret\r\n", "+OK").await;
    assert_eq!(client.silence().await, (String::new(), limits::POP3_TIMEOUT));
    system.end().await;
}

/// RFC 3501 §5.4: `IMAP_TIMEOUT` once logged in, `IMAP_UNAUTHENTICATED_TIMEOUT` before; RFC 2177: in IDLE a sign of life
/// each `IMAP_IDLE_NOTICE`, and no end.
#[tokio::test(start_paused = true)]
async fn imap() {
    let system = System::start(Service::Imap).await;
    let mut client = system.client().await;
    client.say("", "* OK").await;
    let (said, after) = client.silence().await;
    assert_eq!(said, "* BYE You were silent for too long\r\n");
    assert_eq!(after, limits::IMAP_UNAUTHENTICATED_TIMEOUT);

    let mut client = system.client().await;
    client.say("", "* OK").await;
    client.say("a LOGIN alice@red.example secret\r\n", "a OK").await;
    client.say("b SELECT INBOX\r\n", "b OK").await;
    client.say("c IDLE\r\n", "+").await;
    let since = Instant::now();
    while since.elapsed() < 2 * limits::IMAP_TIMEOUT {
        let last = Instant::now();
        client.say("", "* OK Still here").await;
        assert_eq!(whole(last), limits::IMAP_IDLE_NOTICE);
    }
    client.say("DONE\r\n", "c OK").await;
    let (said, after) = client.silence().await;
    assert_eq!(said, "* BYE You were silent for too long\r\n");
    assert_eq!(after, limits::IMAP_TIMEOUT);

    // RFC 3501 §7.1.5: who is there when the server stops is told.
    let mut client = system.client().await;
    client.say("", "* OK").await;
    system.switch.stop();
    assert_eq!(client.silence().await.0, "* BYE [UNAVAILABLE] The server is stopping\r\n");
    system.end().await;
}

/// A header that does not end, and a second request that does not come: `HTTP_TIMEOUT`.
#[tokio::test(start_paused = true)]
async fn http() {
    let system = System::start(Service::Http).await;
    let mut client = system.client().await;
    client.stream.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    assert_eq!(client.silence().await.1, limits::HTTP_TIMEOUT);
    let mut client = system.client().await;
    client.stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let (said, after) = client.silence().await;
    assert!(said.ends_with("ok\n"), "{said}");
    assert_eq!(after, limits::HTTP_TIMEOUT);
    system.end().await;
}

/// An event source lasts as long as what it was let in by. Up to then it is heard of: every `PUSH_PING_MOST` at least,
/// every `PUSH_PING_LEAST` at most, by pings where it asks for them (RFC 8620 §7.3).
#[tokio::test(start_paused = true)]
async fn an_event_source() {
    const DAY: Duration = Duration::from_secs(86_400);
    let system = System::start(Service::Http).await;
    let Some(DirectoryEntry::Account(alice)) = system.store.entry(&address("alice@red.example")).await.unwrap() else {
        panic!("no alice");
    };
    for (ping, text, every) in [
        ("100000", "event: ping\ndata: {\"interval\":300}\n\n", limits::PUSH_PING_MOST),
        ("1", "event: ping\ndata: {\"interval\":5}\n\n", limits::PUSH_PING_LEAST),
        ("60", "event: ping\ndata: {\"interval\":60}\n\n", Duration::from_secs(60)),
        ("0", ":\n", limits::PUSH_PING_MOST),
    ] {
        let now = system.clock.now();
        let made = server::auth::add_app_password(&*system.store, alice.id, "x", Scopes::JMAP, Some(1), now);
        let (_, secret) = made.await.unwrap();
        let mut client = system.client().await;
        let head = format!(
            "GET /jmap/events?ping={ping} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n\r\n"
        );
        client.stream.write_all(head.as_bytes()).await.unwrap();
        let (said, after) = client.silence().await;
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
        // The end of the response, and then of the connection.
        assert_eq!((said.ends_with("\r\n0\r\n\r\n"), after), (true, DAY + limits::HTTP_TIMEOUT));
        let told = said.matches(text).count() as u64;
        assert!((DAY.as_secs() / every.as_secs()).abs_diff(told) <= 1, "{told} of {ping}");
    }
    system.end().await;
}

/// A session that does not end by itself is cut `STOP_TIMEOUT` after the sign.
#[tokio::test(start_paused = true)]
async fn a_stop() {
    let system = System::with(Service::Smtp, |_| {
        Arc::new(|connection, _, _| {
            Box::pin(async move {
                let _held = connection;
                std::future::pending().await
            })
        })
    })
    .await;
    let client = system.client().await;
    // The connection is a session once the server's side was polled.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let since = Instant::now();
    let ended = tokio::spawn(system.end());
    assert_eq!(client.silence().await, (String::new(), limits::STOP_TIMEOUT));
    ended.await.unwrap();
    assert_eq!(whole(since), limits::STOP_TIMEOUT);
}
