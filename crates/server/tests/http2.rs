//! HTTP/2 over TLS: chosen by ALPN, many requests at once, what the server tells of its bounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod scene;
mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Version;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mail::limits;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use scene::World;
use server::listen::{Doors, Handler, Listener, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

fn serve(world: &mut World) -> SocketAddr {
    let (shared, _) = world.system(true, |_| {});
    let handler: Handler = Arc::new(|connection, _, shared| Box::pin(server::http::serve(connection, shared)));
    let _inside = world.runtime.enter();
    let listener = Listener::bind(Service::Https, "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address().unwrap();
    world.runtime.spawn(Doors::open(vec![listener], shared, handler).stop());
    address
}

async fn connect(trusted: &Arc<ClientConfig>, at: SocketAddr) -> TlsStream<TcpStream> {
    let mut config = (**trusted).clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let socket = TcpStream::connect(at).await.unwrap();
    let name = ServerName::try_from("mail.red.example").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    stream
}

#[test]
fn many_requests_at_once() {
    let mut world = World::new();
    let (at, trusted) = (serve(&mut world), world.trusted.clone());
    world.runtime.block_on(async {
        let stream = TokioIo::new(connect(&trusted, at).await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let ask = |method: &str, path: &str, body: &'static str| {
            let mut sender = sender.clone();
            let request = hyper::Request::builder()
                .method(method)
                .uri(format!("https://mail.red.example{path}"))
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from_static(body.as_bytes())))
                .unwrap();
            async move {
                let answer = sender.send_request(request).await.unwrap();
                assert_eq!(answer.version(), Version::HTTP_2);
                let (head, body) = answer.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                (head, String::from_utf8(body.to_vec()).unwrap())
            }
        };
        let login = r#"{"address":"alice@red.example","password":"secret"}"#;
        let ((health, ok), (nowhere, _), (session, who)) =
            tokio::join!(ask("GET", "/healthz", ""), ask("GET", "/nowhere", ""), ask("POST", "/auth/login", login));
        assert_eq!((health.status.as_u16(), ok.as_str(), nowhere.status.as_u16()), (200, "ok\n", 404));
        assert!(health.headers.contains_key("strict-transport-security"));
        assert_eq!((session.status.as_u16(), who.contains("alice@red.example")), (200, true));
        assert!(session.headers["set-cookie"].to_str().unwrap().starts_with("__Host-postrider="));
        // RFC 9113 §8.2.2: no field of a connection, also where the connection is to end.
        let long = Box::leak("x".repeat(limits::HTTP_JSON_LEN + 1).into_boxed_str());
        let (refused, _) = ask("POST", "/auth/login", long).await;
        assert_eq!((refused.status.as_u16(), refused.headers.contains_key("connection")), (413, false));
        assert_eq!(ask("GET", "/healthz", "").await.0.status.as_u16(), 200);
    });
}

/// RFC 9113 §6.5.2: SETTINGS tells of `HTTP_STREAMS` (3) and of the longest header (6).
#[test]
fn bounds_are_told() {
    let mut world = World::new();
    let (at, trusted) = (serve(&mut world), world.trusted.clone());
    world.runtime.block_on(async {
        let mut stream = connect(&trusted, at).await;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(head[3], 4, "no SETTINGS");
        let mut settings = vec![0; usize::from(head[2])];
        stream.read_exact(&mut settings).await.unwrap();
        let value = |wanted| {
            let mut all = settings.chunks(6);
            let found = all.find(|one| u16::from_be_bytes([one[0], one[1]]) == wanted).unwrap();
            u32::from_be_bytes(found[2..].try_into().unwrap())
        };
        assert_eq!((value(3), value(6) as usize), (limits::HTTP_STREAMS, 2 * limits::HTTP_HEADER_LEN));
    });
}

/// RFC 8441: a WebSocket on a stream, beside others on the same connection; RFC 8887 speaks over it.
#[test]
fn a_websocket_on_a_stream() {
    let mut world = World::new();
    let (at, trusted) = (serve(&mut world), world.trusted.clone());
    world.runtime.block_on(async {
        let stream = TokioIo::new(connect(&trusted, at).await);
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let ask = |protocol: &'static str, origin: &str| {
            hyper::Request::connect("https://mail.red.example/jmap/ws")
                .extension(hyper::ext::Protocol::from_static(protocol))
                .header("authorization", websocket::ALICE)
                .header("origin", origin)
                .header("sec-websocket-version", "13")
                .header("sec-websocket-protocol", "jmap")
                .body(Full::new(Bytes::new()))
                .unwrap()
        };
        let ours = "https://mail.red.example";
        for (protocol, origin, status) in [("webtransport", ours, 426), ("websocket", "https://red.example", 403)] {
            let refused = sender.send_request(ask(protocol, origin)).await.unwrap();
            assert_eq!(refused.status().as_u16(), status, "{protocol}");
        }
        let answer = sender.send_request(ask("websocket", ours)).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["sec-websocket-protocol"]),
            (200, &"jmap".parse().unwrap())
        );
        let stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
        let mut socket = websocket::Socket { stream, head: String::new() };
        socket.echo().await;
        let health = hyper::Request::get("https://mail.red.example/healthz").body(Full::new(Bytes::new())).unwrap();
        assert_eq!(sender.send_request(health).await.unwrap().status().as_u16(), 200);
        socket.echo().await;
        // The stream ends, the connection goes on.
        socket.send(&websocket::frame(websocket::BINARY, b"")).await;
        assert_eq!(socket.closed().await, 1003);
        let health = hyper::Request::get("https://mail.red.example/healthz").body(Full::new(Bytes::new())).unwrap();
        assert_eq!(sender.send_request(health).await.unwrap().status().as_u16(), 200);
    });
}
