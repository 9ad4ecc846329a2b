//! What HTTP bounds: headers, bodies in time, log-ins that fail; and what a log-in by another way is worth.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod scene;

use std::net::SocketAddr;
use std::sync::Arc;

use mail::limits;
use scene::World;
use server::Shared;
use server::listen::{Doors, Handler, Listener, Service};
use store::conformance::address;
use store::{DirectoryEntry, Scopes, Store};
use testkit::socket::Socket;
use testkit::transcript::{Enough, Subject};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A server on plain HTTP, on loopback.
fn serve(world: &mut World) -> (SocketAddr, Arc<Shared>) {
    let (shared, _) = world.system(true, |_| {});
    let handler: Handler = Arc::new(|connection, _, shared| Box::pin(server::http::serve(connection, shared)));
    let _inside = world.runtime.enter();
    let listener = Listener::bind(Service::Http, "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address().unwrap();
    world.runtime.spawn(Doors::open(vec![listener], shared.clone(), handler).stop());
    (address, shared)
}

/// Sends, and reads up to the end of the answer's header.
fn ask(at: SocketAddr, request: &str) -> String {
    let mut socket = Socket::connect(at, None).unwrap();
    // It may have heard enough before all is written.
    let _ = socket.send(request.as_bytes());
    let mut enough = |said: &[u8]| {
        if said.windows(4).any(|four| four == b"\r\n\r\n") { Enough::Yes } else { Enough::No }
    };
    String::from_utf8_lossy(&socket.receive(&mut enough).unwrap().bytes).into_owned()
}

/// `HTTP_HEADER_LEN` octets of line and fields, and one more; `HTTP_HEADERS` fields, and one more (RFC 9110 §15.5.15).
#[test]
fn headers_are_bounded() {
    let mut world = World::new();
    let (at, _) = serve(&mut world);
    let long = |length: usize| {
        let (before, after) = ("HEAD /healthz HTTP/1.1\r\nHost: x\r\nX: ", "\r\n\r\n");
        format!("{before}{}{after}", "x".repeat(length - before.len() - after.len()))
    };
    assert!(ask(at, &long(limits::HTTP_HEADER_LEN)).starts_with("HTTP/1.1 200"));
    let refused = ask(at, &long(limits::HTTP_HEADER_LEN + 1));
    assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
    let endless = ask(at, &long(4 * limits::HTTP_HEADER_LEN));
    assert!(endless.starts_with("HTTP/1.1 431"), "{endless}");
    let many = |count: usize| format!("HEAD /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    assert!(ask(at, &many(limits::HTTP_HEADERS)).starts_with("HTTP/1.1 200"));
    let refused = ask(at, &many(limits::HTTP_HEADERS + 1));
    assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
}

/// In clear and from elsewhere: no metrics, no log-in whatever the host is called, no settings where there is no TLS.
#[test]
fn strangers_in_clear_see_what_is_for_all() {
    let mut world = World::new();
    let (shared, _) = world.system(false, |_| {});
    let ask = |method: &str, path: &str| {
        let (mut client, server) = tokio::io::duplex(64 << 10);
        let (peer, local) = ("192.0.2.7:1000".parse().unwrap(), "192.0.2.1:80".parse().unwrap());
        let connection = server::Connection::over(Box::new(server), peer, local, None);
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        world.runtime.block_on(async {
            tokio::spawn(server::http::serve(connection, shared.clone()));
            client.write_all(request.as_bytes()).await.unwrap();
            let mut said = String::new();
            client.read_to_string(&mut said).await.unwrap();
            said
        })
    };
    assert!(ask("GET", "/healthz").starts_with("HTTP/1.1 200"));
    let metrics = ask("GET", "/metrics");
    assert!(metrics.starts_with("HTTP/1.1 403") && metrics.contains("not from your address"), "{metrics}");
    for (method, path) in [("POST", "/auth/login"), ("GET", "/auth/session"), ("GET", "/auth/sessions")] {
        let said = ask(method, path);
        assert!(said.starts_with("HTTP/1.1 403") && said.contains("this is for HTTPS"), "{said}");
        assert!(!said.contains("strict-transport-security"), "{said}");
    }
    let profile = ask("GET", "/mobileconfig?address=alice@red.example");
    assert!(profile.contains("there is nothing that a mail client could use"), "{profile}");
}

/// JSON of `HTTP_JSON_LEN` octets, and of one more that was not said beforehand.
#[test]
fn json_is_bounded() {
    let mut world = World::new();
    let (at, _) = serve(&mut world);
    let login = |length: usize| {
        let (before, after) = ("{\"address\":\"a@x.example\",\"password\":\"", "\"}");
        let body = format!("{before}{}{after}", "x".repeat(length - before.len() - after.len()));
        format!(
            "POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
        )
    };
    assert!(ask(at, &login(limits::HTTP_JSON_LEN)).starts_with("HTTP/1.1 401"));
    let refused = ask(at, &login(limits::HTTP_JSON_LEN + 1));
    assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
}

/// `TOTP_FAILURES` wrong codes behind the right password, and the right one has to wait, on loopback, too.
#[test]
fn wrong_codes_make_the_right_one_wait() {
    let mut world = World::new();
    let (_, shared) = serve(&mut world);
    world.runtime.block_on(async {
        let auth = &shared.auth;
        let Some(DirectoryEntry::Account(alice)) = world.store.entry(&address("alice@red.example")).await.unwrap()
        else {
            panic!("no alice");
        };
        world.store.begin_totp(alice.id, vec![7; 20]).await.unwrap().into_inner();
        world.store.confirm_totp(alice.id, 1, Vec::new()).await.unwrap().into_inner();
        let say = |code| auth.web("127.0.0.1".parse().unwrap(), "alice@red.example", "secret", Some(code), 10);
        for _ in 0..limits::TOTP_FAILURES {
            assert_eq!(say("no").await.unwrap_err(), server::LoginError::Refused);
        }
        assert_eq!(say("no").await.unwrap_err(), server::LoginError::Wait);
    });
}

/// `LOGIN_FAILURES`, as a setting, of one address: 429 at the web as elsewhere.
#[test]
fn log_ins_that_fail_count_as_elsewhere() {
    let mut world = World::new();
    let (_, shared) = serve(&mut world);
    world.runtime.block_on(async {
        let (auth, peer) = (&shared.auth, "192.0.2.7".parse().unwrap());
        assert!(auth.web(peer, "alice@red.example", "wrong", None, 2).await.is_err());
        let imap = auth.password(peer, "alice@red.example", b"wrong", Scopes::IMAP, 2).await;
        assert_eq!(imap.unwrap_err(), server::LoginError::Refused);
        let web = auth.web(peer, "alice@red.example", "secret", None, 2).await;
        assert_eq!(web.unwrap_err(), server::LoginError::Wait);
    });
}

/// An app password logs in at IMAP, POP3 and submission, where it is for that; with a second factor nothing else does.
#[test]
fn app_passwords_log_in_where_they_are_for() {
    let mut world = World::new();
    let (_, shared) = serve(&mut world);
    world.runtime.block_on(async {
        let (auth, peer) = (&shared.auth, "192.0.2.7".parse().unwrap());
        let Some(DirectoryEntry::Account(alice)) = world.store.entry(&address("alice@red.example")).await.unwrap()
        else {
            panic!("no alice");
        };
        let (id, secret) = auth.add_app_password(alice.id, "reader", Scopes::IMAP, None).await.unwrap();
        let log_in = |who, password: String, scope| async move {
            auth.password(peer, who, password.as_bytes(), scope, 1000).await.is_ok()
        };
        assert!(log_in("alice@red.example", secret.clone(), Scopes::IMAP).await);
        assert!(log_in("Alice@red.example", secret.to_uppercase().replace('-', " "), Scopes::IMAP).await);
        assert!(!log_in("alice@red.example", secret.clone(), Scopes::SMTP).await);
        assert!(!log_in("bob@red.example", secret.clone(), Scopes::IMAP).await);
        assert!(log_in("alice@red.example", "secret".into(), Scopes::SMTP).await);
        assert!(auth.scram(peer, "alice@red.example", 10).await.unwrap().account.is_some());

        world.store.begin_totp(alice.id, vec![7; 20]).await.unwrap().into_inner();
        assert!(log_in("alice@red.example", "secret".into(), Scopes::IMAP).await, "it was only begun");
        world.store.confirm_totp(alice.id, 1, Vec::new()).await.unwrap().into_inner();
        assert!(!log_in("alice@red.example", "secret".into(), Scopes::IMAP).await, "remembered, or not looked at");
        assert!(log_in("alice@red.example", secret.clone(), Scopes::IMAP).await);
        assert!(auth.scram(peer, "alice@red.example", 1000).await.unwrap().account.is_none());

        world.store.set_account_state(alice.id, store::AccountState::Disabled).await.unwrap().into_inner();
        assert!(!log_in("alice@red.example", secret.clone(), Scopes::IMAP).await);
        world.store.set_account_state(alice.id, store::AccountState::Active).await.unwrap().into_inner();
        let kind = store::TokenKind::AppPassword;
        assert!(world.store.tokens(alice.id, kind).await.unwrap()[0].used.is_some());
        world.store.remove_token(alice.id, kind, id).await.unwrap().into_inner();
        assert!(!log_in("alice@red.example", secret, Scopes::IMAP).await);
    });
}
