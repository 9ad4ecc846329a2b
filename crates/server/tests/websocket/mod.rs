//! A WebSocket client that says what it is told to, octet by octet, right or wrong.
#![allow(dead_code, unreachable_pub, reason = "for tests, each of which uses its part")]

use std::sync::Arc;

use mail::AccountId;
use serde_json::{Value, json};
use server::Shared;
use server::listen::Service;
use store::conformance::{address, append};
use store::{DirectoryEntry, Scopes, Store, TokenKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::scene::World;

/// `alice@red.example:secret`
pub const ALICE: &str = "Basic YWxpY2VAcmVkLmV4YW1wbGU6c2VjcmV0";
/// `bob@red.example:secret`
pub const BOB: &str = "Basic Ym9iQHJlZC5leGFtcGxlOnNlY3JldA==";

/// A server on plain HTTP, on loopback.
pub struct Web {
    pub world: World,
    pub shared: Arc<Shared>,
    pub at: std::net::SocketAddr,
    pub alice: AccountId,
}

impl Web {
    pub fn new() -> Self {
        let mut world = World::new();
        let (shared, _) = world.system(true, |_| {});
        let at = world.web(Service::Http, &shared);
        let alice = world.runtime.block_on(alice(&world));
        Self { world, shared, at, alice }
    }

    pub async fn deliver(&self) {
        let inbox = self.world.store.mailbox(self.alice, "INBOX").await.unwrap().unwrap();
        append(&*self.world.store, inbox, b"Subject: x\r\n\r\n").await;
    }

    pub async fn app_password(&self) -> (mail::TokenId, String) {
        let (id, secret) = self.shared.auth.add_app_password(self.alice, "x", Scopes::JMAP, None).await.unwrap();
        (id, format!("Bearer {secret}"))
    }

    /// A browser's session, as its cookie.
    pub async fn cookie(&self) -> String {
        let session = self.shared.auth.begin_session(self.alice, "x", "127.0.0.1".parse().unwrap()).await.unwrap();
        format!("postrider-mail.red.example={session}")
    }

    pub async fn end(&self, kind: TokenKind, id: mail::TokenId) {
        self.world.store.remove_token(self.alice, kind, id).await.unwrap().into_inner();
    }

    pub async fn open(&self, credentials: &str) -> Socket<TcpStream> {
        let (socket, status) = self.ask(&[("Authorization", credentials)]).await;
        assert_eq!(status, 101, "{}", socket.head);
        socket
    }

    /// The same with these fields, whatever comes of it.
    pub async fn ask(&self, fields: &[(&str, &str)]) -> (Socket<TcpStream>, u16) {
        let stream = TcpStream::connect(self.at).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Socket::open(stream, fields).await
    }
}

pub async fn alice(world: &World) -> AccountId {
    let entry = world.store.entry(&address("alice@red.example")).await.unwrap();
    let Some(DirectoryEntry::Account(alice)) = entry else { panic!("{entry:?}") };
    alice.id
}

pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;
/// The first of several, one in between, the last.
pub const FIRST: u8 = 0x01;
pub const MORE: u8 = 0x00;
pub const LAST: u8 = 0x80;

/// What a request must have (RFC 6455 §4.1); the key is the example of §1.3.
pub const HANDSHAKE: [(&str, &str); 6] = [
    ("Host", "localhost"),
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Protocol", "jmap"),
];

/// One connection.
pub struct Socket<S> {
    pub stream: S,
    /// The head of the answer.
    pub head: String,
}

/// A frame as a client sends it (RFC 6455 §5.2), of octets that are the same when masked and masked again.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut octets = header(first, 0x80, payload.len() as u64);
    octets.extend(KEY);
    octets.extend(payload.iter().zip(KEY.iter().cycle()).map(|(octet, key)| octet ^ key));
    octets
}

/// Its first octets; `mask`: 0x80 where a key follows.
pub fn header(first: u8, mask: u8, length: u64) -> Vec<u8> {
    let mut octets = vec![first];
    match length {
        0..126 => octets.push(mask | u8::try_from(length).unwrap()),
        126..65536 => {
            octets.push(mask | 126);
            octets.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            octets.push(mask | 127);
            octets.extend(length.to_be_bytes());
        }
    }
    octets
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Asks for a WebSocket; a field in `fields` takes the place of the same one in the handshake, an empty one leaves it out.
    pub async fn open(mut stream: S, fields: &[(&str, &str)]) -> (Self, u16) {
        let mut request = "GET /jmap/ws HTTP/1.1\r\n".to_owned();
        let left = HANDSHAKE.iter().filter(|(name, _)| fields.iter().all(|(other, _)| other != name));
        for (name, value) in left.chain(fields).filter(|(_, value)| !value.is_empty()) {
            request += &format!("{name}: {value}\r\n");
        }
        stream.write_all((request + "\r\n").as_bytes()).await.unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(char::from(stream.read_u8().await.unwrap()));
        }
        let status = head["HTTP/1.1 ".len()..][..3].parse().unwrap();
        (Self { stream, head }, status)
    }

    pub async fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.unwrap();
    }

    pub async fn say(&mut self, value: &Value) {
        self.send(&frame(TEXT, value.to_string().as_bytes())).await;
    }

    /// The next frame: its first octet and what it holds. `None`: the connection has ended, in order.
    pub async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut first = [0];
        if self.stream.read(&mut first).await.unwrap() == 0 {
            return None;
        }
        let length = match self.stream.read_u8().await.unwrap() {
            126 => u64::from(self.stream.read_u16().await.unwrap()),
            127 => self.stream.read_u64().await.unwrap(),
            // RFC 6455 §5.1: a server masks nothing.
            length => {
                assert!(length < 126);
                u64::from(length)
            }
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).await.unwrap();
        Some((first[0], payload))
    }

    /// The next message, of however many frames.
    pub async fn hear(&mut self) -> Value {
        let mut text = Vec::new();
        loop {
            let (first, payload) = self.frame().await.unwrap();
            assert!(if text.is_empty() { first & 0x0f == 1 } else { first & 0x0f == 0 }, "{first:x}");
            text.extend(payload);
            if first & 0x80 != 0 {
                return serde_json::from_slice(&text).unwrap();
            }
        }
    }

    /// The code with which the server ends the connection, after all else that it says; and it does end, without a reset.
    pub async fn closed(&mut self) -> u16 {
        loop {
            let (first, payload) = self.frame().await.expect("no Close");
            if first == CLOSE {
                assert_eq!(self.frame().await, None);
                return u16::from_be_bytes(payload[..2].try_into().unwrap());
            }
        }
    }

    /// That all before it was heeded.
    pub async fn echo(&mut self) {
        self.say(&request("echo", json!([["Core/echo", {}, "0"]]))).await;
        assert_eq!(self.hear().await["requestId"], "echo");
    }
}

pub fn request(id: &str, calls: Value) -> Value {
    let using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"];
    json!({ "@type": "Request", "id": id, "using": using, "methodCalls": calls })
}

/// The account that something changed in, and the types.
pub fn changed(change: &Value) -> Vec<&str> {
    assert_eq!(change["@type"], "StateChange", "{change}");
    let accounts = change["changed"].as_object().unwrap();
    assert_eq!(accounts.len(), 1);
    accounts.values().next().unwrap().as_object().unwrap().keys().map(String::as_str).collect()
}
