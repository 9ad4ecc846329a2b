//! A world for tests of mail out: DNS from a table, servers that say what the test tells them to, a clock that stands
//! still until it is moved.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "for tests, each of which uses its part"
)]

pub mod net;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mail::Timestamp;
use mta::world::{Answer, Belief, Clock, Connect, Dns, Mx, Random, Stream, Tlsa, Trust, World};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::Notify;

/// Time that the test moves. It begins at a round number.
pub struct TestClock {
    now: AtomicI64,
    moved: Notify,
}

impl TestClock {
    pub fn advance(&self, by: Duration) {
        self.now.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
        self.moved.notify_waiters();
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }

    async fn sleep(&self, how_long: Duration) {
        let end = self.now().plus(how_long);
        loop {
            let moved = self.moved.notified();
            if self.now() >= end {
                return;
            }
            moved.await;
        }
    }
}

/// A fixed sequence.
pub struct TestRandom(AtomicU64);

impl Random for TestRandom {
    fn next(&self) -> u64 {
        let n = self.0.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
    }
}

/// What a server does after a line from its client. `.` stands for the end of the message.
pub enum Say {
    Line(&'static str),
    Owned(String),
    Close,
    /// Says this, then closes.
    Last(&'static str),
    /// Nothing, ever.
    Silence,
}

pub type Script = Arc<dyn Fn(usize, &str) -> Say + Send + Sync>;

/// Everything outside.
#[derive(Default)]
pub struct Outside {
    pub mx: Mutex<HashMap<String, Answer<Mx>>>,
    pub v4: Mutex<HashMap<String, Answer<Ipv4Addr>>>,
    /// By owner; all of it is secure, and so is what leads there.
    pub tlsa: Mutex<HashMap<String, Answer<Tlsa>>>,
    servers: Mutex<HashMap<SocketAddr, Script>>,
    /// Connections so far, by address.
    pub connections: Mutex<Vec<SocketAddr>>,
    /// What was said on the wire: address and line; messages as one.
    pub heard: Arc<Mutex<Vec<(SocketAddr, String)>>>,
    /// STARTTLS handshakes fail.
    pub bad_tls: bool,
}

impl Outside {
    pub fn mx(&self, domain: &str, hosts: &[(u16, &str)]) {
        let records = hosts.iter().map(|(p, h)| Mx { preference: *p, exchange: (*h).to_owned() }).collect();
        self.mx
            .lock()
            .unwrap()
            .insert(domain.to_owned(), Answer::Found(records, Belief::until(Duration::from_secs(60))));
    }

    pub fn a(&self, host: &str, ip: &str) {
        let answer = Answer::Found(vec![ip.parse().unwrap()], Belief::until(Duration::from_secs(60)));
        self.v4.lock().unwrap().insert(host.to_owned(), answer);
    }

    /// DNSSEC vouches for the MX records of a domain, for the address of its host, and for these TLSA records.
    pub fn secure(&self, domain: &str, host: &str, tlsa: Answer<Tlsa>) {
        fn vouched<T>(answer: Option<&mut Answer<T>>) {
            let Some(Answer::Found(_, belief)) = answer else { panic!("nothing to vouch for") };
            belief.secure = true;
        }
        vouched(self.mx.lock().unwrap().get_mut(domain));
        vouched(self.v4.lock().unwrap().get_mut(host));
        self.tlsa.lock().unwrap().insert(format!("_25._tcp.{host}"), tlsa);
    }

    /// A server at `ip` that follows `script`: called with the number of the connection and each line (`` at the
    /// beginning); `None` of the table: connection refused.
    pub fn server(&self, ip: &str, script: impl Fn(usize, &str) -> Say + Send + Sync + 'static) {
        self.server_at(SocketAddr::new(ip.parse().unwrap(), 25), script);
    }

    /// The same on another port.
    pub fn server_at(&self, at: SocketAddr, script: impl Fn(usize, &str) -> Say + Send + Sync + 'static) {
        self.servers.lock().unwrap().insert(at, Arc::new(script));
    }

    pub fn world(self: &Arc<Self>) -> (World, Arc<TestClock>) {
        let now = AtomicI64::new(1_700_000_000_000);
        let clock = Arc::new(TestClock { now, moved: Notify::new() });
        let random = Arc::new(TestRandom(AtomicU64::new(0)));
        let world = World { clock: clock.clone(), random, dns: self.clone(), connect: self.clone() };
        (world, clock)
    }

    pub fn lines(&self) -> Vec<String> {
        self.heard.lock().unwrap().iter().map(|(_, line)| line.clone()).collect()
    }
}

#[async_trait]
impl Dns for Outside {
    async fn mx(&self, name: &str) -> Answer<Mx> {
        self.mx.lock().unwrap().get(name).cloned().unwrap_or(Answer::NoDomain)
    }

    async fn ipv4(&self, name: &str) -> Answer<Ipv4Addr> {
        self.v4.lock().unwrap().get(name).cloned().unwrap_or(Answer::NoDomain)
    }

    async fn ipv6(&self, _name: &str) -> Answer<Ipv6Addr> {
        Answer::NoData
    }

    async fn txt(&self, _name: &str) -> Answer<Vec<u8>> {
        Answer::NoData
    }

    async fn tlsa(&self, name: &str) -> Answer<Tlsa> {
        self.tlsa.lock().unwrap().get(name).cloned().unwrap_or(Answer::NoData)
    }
}

#[async_trait]
impl Connect for Outside {
    async fn connect(&self, to: SocketAddr) -> io::Result<Box<dyn Stream>> {
        self.connections.lock().unwrap().push(to);
        let number = self.connections.lock().unwrap().iter().filter(|other| **other == to).count();
        let script = self.servers.lock().unwrap().get(&to).cloned();
        let script = script.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        let (ours, theirs) = tokio::io::duplex(65536);
        tokio::spawn(act(theirs, to, number, script, self.heard.clone()));
        Ok(Box::new(ours))
    }

    async fn tls(&self, stream: Box<dyn Stream>, name: &str, _: Trust) -> io::Result<(Box<dyn Stream>, store::Tls)> {
        if self.bad_tls {
            return Err(io::Error::other(format!("bad handshake with {name}")));
        }
        Ok((stream, store::Tls { version: "TLSv1.3".into(), cipher: "test".into(), verified: None, policy: None }))
    }

    fn is_local(&self, ip: IpAddr) -> bool {
        ip.is_loopback()
    }
}

async fn act(
    stream: DuplexStream,
    me: SocketAddr,
    number: usize,
    script: Script,
    heard: Arc<Mutex<Vec<(SocketAddr, String)>>>,
) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let mut chunk = 0usize;
    loop {
        let said = line.trim_end().to_owned();
        if !said.is_empty() {
            heard.lock().unwrap().push((me, said.clone()));
        }
        if let Some(size) = said.strip_prefix("BDAT ").and_then(|rest| rest.split(' ').next()) {
            chunk = size.parse().unwrap();
            let mut body = vec![0; chunk];
            if stream.read_exact(&mut body).await.is_err() {
                return;
            }
            heard.lock().unwrap().push((me, String::from_utf8_lossy(&body).into_owned()));
        }
        let answer = match script(number, if chunk > 0 { "." } else { &said }) {
            Say::Line(text) => text.to_owned(),
            Say::Owned(text) => text,
            Say::Close => return,
            Say::Last(text) => {
                let _ = stream.write_all(format!("{text}\r\n").as_bytes()).await;
                return;
            }
            Say::Silence => std::future::pending().await,
        };
        chunk = 0;
        if stream.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
        line.clear();
        if answer.starts_with("354") {
            let mut message = String::new();
            while !message.ends_with("\r\n.\r\n") && message != ".\r\n" {
                if stream.read_line(&mut message).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            heard.lock().unwrap().push((me, message));
            line = ".".to_owned();
            continue;
        }
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 || said == "QUIT" {
            return;
        }
    }
}

/// A server that takes everything.
pub fn good(_: usize, line: &str) -> Say {
    let verb = line.split([' ', ':']).next().unwrap_or_default();
    Say::Line(match verb {
        "" => "220 hello",
        "EHLO" => "250-peer\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE\r\n250 ENHANCEDSTATUSCODES",
        "MAIL" => "250 2.1.0 sender fine",
        "RCPT" => "250 2.1.5 recipient fine",
        "DATA" => "354 go on",
        "." => "250 2.0.0 taken",
        "QUIT" => "221 bye",
        _ => "250 fine",
    })
}
