//! JMAP clients that mean no good, against the running server: the error that is specified, in bounded memory, and nobody else
//! waits for them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod scene;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use mail::limits;
use scene::World;
use server::listen::{Doors, Handler, Listener, Service};

/// `alice@red.example:secret`, `bob@red.example:secret`
const ALICE: &str = "YWxpY2VAcmVkLmV4YW1wbGU6c2VjcmV0";
const BOB: &str = "Ym9iQHJlZC5leGFtcGxlOnNlY3JldA==";

fn serve(world: &mut World) -> SocketAddr {
    let (shared, _) = world.system(true, |_| {});
    let handler: Handler = Arc::new(|connection, _, shared| Box::pin(server::http::serve(connection, shared)));
    let _inside = world.runtime.enter();
    let listener = Listener::bind(Service::Http, "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address().unwrap();
    world.runtime.spawn(Doors::open(vec![listener], shared, handler).stop());
    address
}

/// A connection with a request under way.
struct Client(BufReader<TcpStream>);

impl Client {
    /// Sends the head of a POST; `more` are fields of it, each with its line end.
    fn post(at: SocketAddr, who: &str, path: &str, more: &str) -> Self {
        let mut stream = TcpStream::connect(at).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {who}\r\nContent-Type: application/json\r\n{more}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        Self(BufReader::new(stream))
    }

    /// It may have heard enough before all is written.
    fn send(&mut self, octets: &[u8]) {
        let _ = self.0.get_mut().write_all(octets);
    }

    /// The status, and the body.
    fn answer(&mut self) -> (u16, String) {
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "it hung up");
            let line = line.trim_end();
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest[..3].parse().unwrap();
            }
            if let Some(rest) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = rest.parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }
}

/// A request with its body, whole; the status and the body of the answer.
fn ask(at: SocketAddr, who: &str, path: &str, body: &[u8]) -> (u16, String) {
    let mut client = Client::post(at, who, path, &format!("Content-Length: {}\r\n", body.len()));
    client.send(body);
    client.answer()
}

/// One in chunks: its length is not said beforehand.
fn ask_in_chunks(at: SocketAddr, path: &str, length: usize) -> (u16, String) {
    let mut client = Client::post(at, ALICE, path, "Transfer-Encoding: chunked\r\n");
    let piece = vec![b' '; 1 << 20];
    let mut left = length;
    while left > 0 {
        let now = left.min(piece.len());
        client.send(format!("{now:x}\r\n").as_bytes());
        client.send(&piece[..now]);
        client.send(b"\r\n");
        left -= now;
    }
    client.send(b"0\r\n\r\n");
    client.answer()
}

fn calls(count: usize) -> Vec<u8> {
    let call = r#"["Core/echo",{},"0"]"#;
    format!(r#"{{"using":["urn:ietf:params:jmap:core"],"methodCalls":[{}]}}"#, vec![call; count].join(",")).into_bytes()
}

#[track_caller]
fn refused((status, body): (u16, String), expected: u16, words: &[&str]) {
    assert!(status == expected && words.iter().all(|word| body.contains(word)), "{status} {body}");
}

const API: &str = "/jmap/api";
const NOT_JSON: &str = "urn:ietf:params:jmap:error:notJSON";
const NOT_REQUEST: &str = "urn:ietf:params:jmap:error:notRequest";
const LIMIT: &str = "urn:ietf:params:jmap:error:limit";

/// RFC 8620 §3.6.1: garbage, deep JSON, a thousand calls, a million values, more octets than may be; and after all that the
/// connection's next request, and everybody else's, is answered.
#[test]
fn each_gets_the_error_that_is_specified() {
    let mut world = World::new();
    let at = serve(&mut world);
    let garbage: Vec<u8> = (0..5000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for octets in
        [&garbage[..], b"", b"\0", b"{", br#"{"a":1,"a":2}"#, b"\xef\xbb\xbf{}", "[".repeat(1 << 20).as_bytes()]
    {
        refused(ask(at, ALICE, API, octets), 400, &[NOT_JSON]);
    }
    refused(ask(at, ALICE, API, "{\"a\":".repeat(100_000).as_bytes()), 400, &[NOT_JSON]);
    for octets in [&b"[]"[..], b"{}", br#"{"using":[],"methodCalls":[["Core/echo",{}]]}"#, b"7"] {
        refused(ask(at, ALICE, API, octets), 400, &[NOT_REQUEST]);
    }
    refused(ask(at, ALICE, API, &calls(limits::JMAP_CALLS + 1)), 400, &[LIMIT, "maxCallsInRequest"]);
    refused(ask(at, ALICE, API, &calls(1000)), 400, &[LIMIT, "maxCallsInRequest"]);
    let million = format!("[{}0]", "{\"a\":0},".repeat(1_000_000));
    refused(ask(at, ALICE, API, million.as_bytes()), 400, &[LIMIT, "maxSizeRequest"]);
    assert_eq!(ask(at, ALICE, API, &calls(limits::JMAP_CALLS)).0, 200);

    // So much, and one more; said beforehand, and not.
    refused(ask_in_chunks(at, API, limits::JMAP_REQUEST_LEN), 400, &[NOT_JSON]);
    refused(ask_in_chunks(at, API, limits::JMAP_REQUEST_LEN + 1), 400, &[LIMIT, "maxSizeRequest"]);
    for (path, length, limit) in
        [(API, limits::JMAP_REQUEST_LEN, "maxSizeRequest"), ("/jmap/upload/A1/", limits::MESSAGE_SIZE, "maxSizeUpload")]
    {
        for length in [(length + 1).to_string(), (1_u64 << 60).to_string()] {
            let mut client = Client::post(at, ALICE, path, &format!("Content-Length: {length}\r\n"));
            refused(client.answer(), 400, &[LIMIT, limit]);
        }
    }
    refused(ask_in_chunks(at, "/jmap/upload/A1/", limits::MESSAGE_SIZE + 1), 400, &[LIMIT, "maxSizeUpload"]);
    assert_eq!(ask_in_chunks(at, "/jmap/upload/A1/", limits::MESSAGE_SIZE).0, 201);
    assert_eq!(ask(at, BOB, API, &calls(1)).0, 200);
}

/// `JMAP_REQUESTS_AT_ONCE`, `JMAP_UPLOADS_AT_ONCE`: bodies that come slowly count from their beginning, so that a user has no more
/// of them in memory; one more is refused at once, others don't notice, and those under way are answered when they are whole.
#[test]
fn slow_bodies_hold_up_nobody() {
    let mut world = World::new();
    let at = serve(&mut world);
    let body = calls(1);
    for (path, most, limit, done) in [
        (API, limits::JMAP_REQUESTS_AT_ONCE, "maxConcurrentRequests", 200),
        ("/jmap/upload/A1/", limits::JMAP_UPLOADS_AT_ONCE, "maxConcurrentUpload", 201),
    ] {
        let fields = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len());
        let mut slow: Vec<Client> = Vec::new();
        for _ in 0..most {
            let mut client = Client::post(at, ALICE, path, &fields);
            // Said when the body begins to be read.
            assert_eq!(client.answer().0, 100);
            client.send(&body[..10]);
            slow.push(client);
        }
        refused(ask(at, ALICE, path, &body), 400, &[LIMIT, limit]);
        assert_eq!(ask(at, BOB, API, &body).0, 200);
        // Those under way are answered; then there is room again.
        for client in &mut slow {
            client.send(&body[10..]);
            assert_eq!(client.answer().0, done);
        }
        assert_eq!(ask(at, ALICE, path, &body).0, done);
    }
}
