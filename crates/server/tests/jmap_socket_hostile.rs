//! WebSockets that mean no good: the end that is specified, heard by the client, in bounded memory, and nobody else waits for them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod scene;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use mail::limits;
use scene::World;
use scene::quiet_time::QuietTime;
use serde_json::json;
use server::{Connection, Settings, Shared, Shutdown, ShutdownSwitch};
use store::Scopes;
use store::conformance::domain;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use websocket::{ALICE, BINARY, BOB, CLOSE, FIRST, LAST, MORE, PING, Socket, TEXT, Web, frame, header, request};

/// RFC 6455 §5, §7.4.1, RFC 8887 §4.3: each breach has its code, which the client hears though it goes on sending.
#[test]
fn each_breach_has_its_end() {
    let web = Web::new();
    web.world.runtime.block_on(async {
        let mut other = web.open(BOB).await;
        let unmasked = [header(TEXT, 0, 2), b"{}".to_vec()].concat();
        let pieces = |pieces: &[(u8, &[u8])]| pieces.iter().flat_map(|(first, octets)| frame(*first, octets)).collect();
        for (breach, octets, code) in [
            ("binary", frame(BINARY, b"{}"), 1003),
            ("no UTF-8", frame(TEXT, b"\"\xff\""), 1007),
            ("half a character", frame(TEXT, b"\"\xc3"), 1007),
            ("no UTF-8 in pieces", pieces(&[(FIRST, b"\"\xc3"), (LAST, b"\xc3\"")]), 1007),
            ("not masked", unmasked, 1002),
            ("an extension's bit", frame(TEXT | 0x40, b"{}"), 1002),
            ("no such kind", frame(0x83, b"{}"), 1002),
            ("no such control", frame(0x8b, b""), 1002),
            ("a ping in pieces", frame(PING & 0x0f, b""), 1002),
            ("a long ping", frame(PING, &[b'x'; 126]), 1002),
            ("nothing that goes on", frame(LAST, b"{}"), 1002),
            ("two at once", pieces(&[(FIRST, b"{"), (TEXT, b"{}")]), 1002),
            ("a Close of one octet", frame(CLOSE, b"x"), 1002),
            ("a code that nobody may send", frame(CLOSE, &1005_u16.to_be_bytes()), 1002),
            ("longest lengths", [header(TEXT, 0x80, u64::MAX), vec![0; 4]].concat(), 1009),
            ("garbage", (0..4000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect(), 1002),
        ] {
            let mut socket = web.open(ALICE).await;
            socket.send(&octets).await;
            let told = socket.closed().await;
            assert_eq!(told, code, "{breach}");
        }
        other.echo().await;
    });
}

/// `JMAP_REQUEST_LEN`, and one octet more, in one piece and in several: what is too long is thrown away while it comes, and the
/// client hears why (RFC 6455 §7.4.1), not a reset.
#[test]
fn messages_are_bounded() {
    let web = Web::new();
    web.world.runtime.block_on(async {
        let whole = |length: usize| {
            let empty = request("a", json!([["Core/echo", { "text": "" }, "0"]])).to_string().len();
            request("a", json!([["Core/echo", { "text": "x".repeat(length - empty) }, "0"]])).to_string().into_bytes()
        };
        let mut socket = web.open(ALICE).await;
        let longest = whole(limits::JMAP_REQUEST_LEN);
        socket.send(&frame(TEXT, &longest)).await;
        assert_eq!(socket.hear().await["requestId"], "a");
        let (first, rest) = longest.split_at(limits::JMAP_REQUEST_LEN / 2);
        socket.send(&frame(FIRST, first)).await;
        socket.send(&frame(LAST, rest)).await;
        assert_eq!(socket.hear().await["requestId"], "a");
        socket.send(&frame(FIRST, first)).await;
        socket.send(&frame(MORE, rest)).await;
        socket.send(&frame(LAST, b" ")).await;
        assert_eq!(socket.closed().await, 1009);

        // All of it, before it reads anything.
        let mut socket = web.open(ALICE).await;
        socket.send(&frame(TEXT, &whole(limits::JMAP_REQUEST_LEN + 1))).await;
        assert_eq!(socket.closed().await, 1009);
        let mut socket = web.open(ALICE).await;
        socket.send(&frame(TEXT, &vec![b' '; 4 * limits::JMAP_REQUEST_LEN])).await;
        assert_eq!(socket.closed().await, 1009);
    });
}

/// RFC 6455 §4.2: what opens no WebSocket, and who may not.
#[test]
fn what_opens_no_socket() {
    let web = Web::new();
    web.world.runtime.block_on(async {
        let cookie = web.cookie().await;
        let (_, bearer) = web.app_password().await;
        let (cookie, bearer) = (("Cookie", cookie.as_str()), ("Authorization", bearer.as_str()));
        let (alice, ours) = (("Authorization", ALICE), ("Origin", "http://localhost"));
        let theirs = ("Origin", "http://evil.localhost");
        let cases: &[(&[(&str, &str)], u16)] = &[
            (&[], 401),
            (&[("Authorization", "Basic eDp5")], 401),
            (&[alice, ("Upgrade", "")], 426),
            (&[alice, ("Upgrade", "h2c")], 426),
            (&[alice, ("Connection", "keep-alive")], 426),
            (&[alice, ("Sec-WebSocket-Version", "8")], 426),
            (&[alice, ("Sec-WebSocket-Version", "")], 426),
            (&[alice, ("Sec-WebSocket-Protocol", "")], 400),
            (&[alice, ("Sec-WebSocket-Protocol", "xmpp, JMAP")], 400),
            (&[alice, ("Sec-WebSocket-Key", "")], 400),
            (&[alice, ("Sec-WebSocket-Key", "c2hvcnQ=")], 400),
            // Whoever sends a cookie is a browser, and says where the page is from.
            (&[cookie], 403),
            (&[cookie, theirs], 403),
            (&[cookie, ("Origin", "null")], 403),
            (&[cookie, ("Origin", "https://localhost")], 403),
            (&[cookie, ours, ("Sec-Fetch-Site", "same-site")], 403),
            (&[alice, theirs], 403),
            (&[cookie, ours], 101),
            (&[cookie, ours, ("Sec-Fetch-Site", "same-origin")], 101),
            (&[alice, ours], 101),
            (&[bearer, theirs], 101),
            (&[alice, ("Upgrade", "WebSocket"), ("Connection", "keep-alive, upgrade")], 101),
            (
                &[alice, ("Sec-WebSocket-Protocol", "xmpp, jmap"), ("Sec-WebSocket-Extensions", "permessage-deflate")],
                101,
            ),
        ];
        for (fields, expected) in cases {
            let (socket, status) = web.ask(fields).await;
            assert_eq!(status, *expected, "{fields:?}");
            if status == 426 {
                assert!(socket.head.contains("sec-websocket-version: 13\r\n"), "{}", socket.head);
            }
            // RFC 7692 is not agreed on.
            assert!(!socket.head.contains("sec-websocket-extensions"), "{}", socket.head);
        }
    });
}

/// Who vanishes in the middle of anything leaves nothing behind: the account's places are free again.
#[test]
fn who_vanishes_leaves_nothing() {
    let web = Web::new();
    web.world.runtime.block_on(async {
        let message = frame(TEXT, request("a", json!([["Core/echo", {}, "0"]])).to_string().as_bytes());
        for cut in [0, 1, 7, message.len() - 1, message.len()] {
            let mut socket = web.open(ALICE).await;
            socket.send(&message[..cut]).await;
            socket.stream.shutdown().await.unwrap();
            while socket.frame().await.is_some() {}
        }
        let mut all = Vec::new();
        for _ in 0..limits::JMAP_SOCKETS_PER_ACCOUNT {
            all.push(web.open(ALICE).await);
        }
    });
}

/// A system in virtual time.
struct Door {
    _world: World,
    runtime: Runtime,
    time: Arc<QuietTime>,
    shared: Arc<Shared>,
    bearer: String,
    _switch: ShutdownSwitch,
}

impl Door {
    fn new() -> Self {
        let world = World::new();
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let time = runtime.block_on(async { Arc::new(QuietTime::new()) });
        let (switch, shutdown) = Shutdown::new();
        let settings = Settings::new(domain("mail.red.example"));
        let shared = Arc::new(Shared::new(world.between.clone(), time.clone(), settings, None, shutdown));
        let bearer = runtime.block_on(async {
            let alice = websocket::alice(&world).await;
            shared.auth.add_app_password(alice, "x", Scopes::JMAP, None).await.unwrap().1
        });
        Self { _world: world, runtime, time, shared, bearer: format!("Bearer {bearer}"), _switch: switch }
    }

    /// Runs a client against a connection, and says how long that took from when it was open until the connection had ended.
    fn client(&self, room: usize, client: impl AsyncFnOnce(&mut Socket<DuplexStream>)) -> Duration {
        self.runtime.block_on(async {
            let (near, far) = tokio::io::duplex(room);
            let here = "127.0.0.1:80".parse().unwrap();
            let connection = Connection::over(Box::new(far), here, here, None);
            let serving = tokio::spawn(server::http::serve(connection, self.shared.clone()));
            let (mut socket, status) = Socket::open(near, &[("Authorization", &self.bearer)]).await;
            assert_eq!(status, 101);
            let since = self.time.passed();
            client(&mut socket).await;
            serving.await.unwrap();
            self.time.passed() - since
        })
    }
}

/// `JMAP_SOCKET_PING`: who does not answer by the next is left, also in the middle of a frame; who answers stays.
#[test]
fn who_is_silent_is_left() {
    let door = Door::new();
    for half in [&b""[..], &frame(TEXT, b"{}")[..4]] {
        let took = door.client(1024, async |socket| {
            socket.send(half).await;
            assert_eq!(socket.frame().await, Some((PING, Vec::new())));
            assert_eq!(socket.frame().await, None);
        });
        assert_eq!(took, 2 * limits::JMAP_SOCKET_PING);
    }
    let took = door.client(1024, async |socket| {
        for _ in 0..10 {
            assert_eq!(socket.frame().await, Some((PING, Vec::new())));
            socket.send(&frame(websocket::PONG, b"")).await;
        }
        socket.send(&frame(CLOSE, b"")).await;
        while socket.frame().await.is_some() {}
        socket.stream.shutdown().await.unwrap();
    });
    assert_eq!(took, 10 * limits::JMAP_SOCKET_PING);
}

/// Who sends and takes no answers is not read any more, while at most `JMAP_REQUESTS_AT_ONCE` are under way, and is left after
/// `JMAP_SOCKET_PING`.
#[test]
fn who_takes_nothing_is_held_up_and_left() {
    let door = Door::new();
    let message =
        frame(TEXT, request("a", json!([["Core/echo", { "text": "x".repeat(4000) }, "0"]])).to_string().as_bytes());
    let took = door.client(1024, async |socket| {
        let mut sent = 0;
        // The end of the connection is the end of this.
        while socket.stream.write_all(&message).await.is_ok() {
            sent += 1;
        }
        // Those under way, one that is sent, one that waits, and what buffers hold.
        assert!(sent <= limits::JMAP_REQUESTS_AT_ONCE + 5, "{sent}");
    });
    assert_eq!(took, limits::JMAP_SOCKET_PING);
}

/// `JMAP_SOCKET_ANSWER`: who takes a piece just in time, again and again, is left: the account's turn is not his for ever.
#[test]
fn who_takes_an_answer_slowly_is_left() {
    let door = Door::new();
    let pause = limits::JMAP_SOCKET_PING - Duration::from_secs(1);
    let pieces = 2 * limits::JMAP_SOCKET_ANSWER.as_secs() / pause.as_secs();
    let text = "x".repeat(usize::try_from(pieces).unwrap() * limits::JMAP_SOCKET_FRAME);
    let message = frame(TEXT, request("a", json!([["Core/echo", { "text": text }, "0"]])).to_string().as_bytes());
    let took = door.client(1024, async |socket| {
        socket.send(&message).await;
        let mut octets = vec![0; limits::JMAP_SOCKET_FRAME];
        while socket.stream.read_exact(&mut octets).await.is_ok() {
            tokio::time::sleep(pause).await;
        }
    });
    assert!(took >= limits::JMAP_SOCKET_ANSWER && took < limits::JMAP_SOCKET_ANSWER + pause, "{took:?}");
}

/// `CLOSE_TIMEOUT`: who stays after the end is left.
#[test]
fn who_does_not_go_is_left() {
    let door = Door::new();
    let took = door.client(1024, async |socket| {
        socket.send(&frame(BINARY, b"")).await;
        let (first, payload) = socket.frame().await.unwrap();
        assert_eq!((first, &payload[..2]), (CLOSE, &1003_u16.to_be_bytes()[..]));
        socket.send(b"more, and it stays").await;
    });
    assert_eq!(took, limits::CLOSE_TIMEOUT);
}

/// A flood of pings, of which nobody takes the answers, takes no memory; the answer to the last is enough (RFC 6455 §5.5.3).
#[test]
fn a_flood_of_pings_is_no_burden() {
    let web = Web::new();
    web.world.runtime.block_on(async {
        let mut socket: Socket<TcpStream> = web.open(ALICE).await;
        let flood = frame(PING, &[b'x'; 125]).repeat(20_000);
        socket.send(&flood).await;
        socket.send(&frame(CLOSE, b"")).await;
        let mut pongs = 0;
        while let Some((first, _)) = socket.frame().await {
            pongs += usize::from(first == websocket::PONG);
        }
        assert!((1..=20_000).contains(&pongs));
    });
}
