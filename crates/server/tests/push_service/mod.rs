//! A push service (RFC 8030) in the place of the internet, and the client's side of the encryption (RFC 8291).
#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests")]

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use mta::world::{Answer, Belief, Connect, Dns, Mx, Stream, Trust, World};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey as Peer, agree_ephemeral};
use ring::hmac::{HMAC_SHA256, Key, sign};
use ring::rand::SystemRandom as Random;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;
use server::SystemClock;
use server::connect::SystemRandom;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

/// What the push service does with a message.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// Answers with this: status line, and fields.
    Says(&'static str),
    /// Takes it, and answers without an end.
    Endless,
    /// Never answers.
    Silence,
}

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Pushed {
    pub(crate) path: String,
    pub(crate) fields: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Pushed {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The claims of who sent it (RFC 8292), whose signature is that of this key.
    pub(crate) fn claims(&self, key: &str) -> Value {
        let said = self.fields["authorization"].strip_prefix("vapid t=").unwrap();
        let token = said.strip_suffix(&format!(", k={key}")).unwrap();
        let (said, signature) = token.rsplit_once('.').unwrap();
        let octets = |text: &str| BASE64.decode(text).unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, octets(key))
            .verify(said.as_bytes(), &octets(signature))
            .unwrap();
        serde_json::from_slice(&octets(said.split_once('.').unwrap().1)).unwrap()
    }
}

/// Names: `inside.example` leads here, `NAME.tens.example` into a private network, all others to the push service. It does with each
/// path what was said of it, one thing after another, the last one from then on.
pub(crate) struct Service {
    does: Arc<Mutex<HashMap<String, Vec<Does>>>>,
    pushed: mpsc::UnboundedSender<Pushed>,
    pub(crate) reached: Mutex<Vec<SocketAddr>>,
}

pub(crate) const SERVICE: Ipv4Addr = Ipv4Addr::new(1, 2, 3, 4);

impl Service {
    /// And what comes to it.
    pub(crate) fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Pushed>) {
        let (pushed, receiver) = mpsc::unbounded_channel();
        (Arc::new(Self { does: Arc::default(), pushed, reached: Mutex::default() }), receiver)
    }

    pub(crate) fn world(self: &Arc<Self>) -> World {
        World { clock: Arc::new(SystemClock), random: Arc::new(SystemRandom), dns: self.clone(), connect: self.clone() }
    }

    pub(crate) fn does(&self, path: &str, does: &[Does]) {
        self.does.lock().unwrap().insert(path.to_owned(), does.to_vec());
    }
}

#[async_trait]
impl Dns for Service {
    async fn mx(&self, _: &str) -> Answer<Mx> {
        Answer::NoDomain
    }

    async fn ipv4(&self, name: &str) -> Answer<Ipv4Addr> {
        let ip = match name {
            "inside.example" => Ipv4Addr::LOCALHOST,
            name if name.ends_with("tens.example") => Ipv4Addr::new(10, 0, 0, 7),
            _ => SERVICE,
        };
        Answer::Found(vec![ip], Belief::until(Duration::ZERO))
    }

    async fn ipv6(&self, _: &str) -> Answer<Ipv6Addr> {
        Answer::NoData
    }

    async fn txt(&self, _: &str) -> Answer<Vec<u8>> {
        Answer::NoData
    }
}

#[async_trait]
impl Connect for Service {
    async fn connect(&self, to: SocketAddr) -> io::Result<Box<dyn Stream>> {
        self.reached.lock().unwrap().push(to);
        let (ours, theirs) = tokio::io::duplex(65_536);
        tokio::spawn(act(theirs, self.does.clone(), self.pushed.clone()));
        Ok(Box::new(ours))
    }

    async fn tls(&self, stream: Box<dyn Stream>, _: &str, trust: Trust) -> io::Result<(Box<dyn Stream>, store::Tls)> {
        assert_eq!(trust, Trust::Verified);
        Ok((stream, store::Tls { version: String::new(), cipher: String::new(), verified: Some(true), policy: None }))
    }

    fn is_local(&self, ip: IpAddr) -> bool {
        ip.is_loopback()
    }
}

/// What is done now with what comes to a path.
fn next(all: &Mutex<HashMap<String, Vec<Does>>>, path: &str) -> Does {
    match all.lock().unwrap().get_mut(path) {
        None => Does::Says("201 Created"),
        Some(all) if all.len() > 1 => all.remove(0),
        Some(all) => all[0].clone(),
    }
}

async fn act(
    mut stream: DuplexStream,
    does: Arc<Mutex<HashMap<String, Vec<Does>>>>,
    pushed: mpsc::UnboundedSender<Pushed>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let path = lines.next().unwrap().strip_prefix("POST ").unwrap().strip_suffix(" HTTP/1.1").unwrap().to_owned();
    let fields: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut body = vec![0; fields["content-length"].parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    let does = next(&does, &path);
    let _ = pushed.send(Pushed { path, fields, body });
    match does {
        Does::Says(answer) => {
            stream.write_all(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await.ok()
        }
        Does::Endless => {
            stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 99999999999\r\n\r\n").await.ok()?;
            loop {
                stream.write_all(&[b'x'; 4096]).await.ok()?;
            }
        }
        Does::Silence => std::future::pending().await,
    }
}

/// A client's keys. The private one opens one message.
pub(crate) struct Client {
    private: EphemeralPrivateKey,
    public: Vec<u8>,
    auth: [u8; 16],
}

impl Client {
    pub(crate) fn new() -> Self {
        let private = EphemeralPrivateKey::generate(&ECDH_P256, &Random::new()).unwrap();
        let public = private.compute_public_key().unwrap().as_ref().to_vec();
        Self { private, public, auth: *b"sixteen octets.." }
    }

    /// As a subscription has them.
    pub(crate) fn keys(&self) -> Value {
        serde_json::json!({ "p256dh": BASE64.encode(&self.public), "auth": BASE64.encode(self.auth) })
    }

    /// RFC 8188 §2, RFC 8291 §3.4: one record of a key that stands before it.
    pub(crate) fn open(self, pushed: &Pushed) -> Value {
        assert_eq!(pushed.fields["content-encoding"], "aes128gcm");
        let (head, record) = pushed.body.split_at(86);
        let (salt, sender) = (&head[..16], &head[21..]);
        assert_eq!((u32::from_be_bytes(head[16..20].try_into().unwrap()), head[20]), (4096, 65));
        let mac = |key: &[u8], parts: &[&[u8]]| sign(&Key::new(HMAC_SHA256, key), &parts.concat()).as_ref().to_vec();
        let shared = agree_ephemeral(self.private, &Peer::new(&ECDH_P256, sender), <[u8]>::to_vec).unwrap();
        let key = mac(&self.auth, &[&shared]);
        let key = mac(&key, &[b"WebPush: info\0", &self.public, sender, &[1]]);
        let key = mac(salt, &[&key]);
        let nonce = mac(&key, &[b"Content-Encoding: nonce\0", &[1]]);
        let key = mac(&key, &[b"Content-Encoding: aes128gcm\0", &[1]]);
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key[..16]).unwrap());
        let nonce = Nonce::try_assume_unique_for_key(&nonce[..12]).unwrap();
        let mut record = record.to_vec();
        let text = key.open_in_place(nonce, Aad::empty(), &mut record).unwrap();
        serde_json::from_slice(text.strip_suffix(&[2]).unwrap()).unwrap()
    }
}
