//! What lies between us and the servers outside: links that are slow, parted or dead, DNS in every mood; in virtual time
//! (`start_paused`).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mta::world::{Answer, Clock, Connect, Dns, Mx, Stream, Trust, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::Outside;

/// What DNS does with a question.
#[derive(Clone, Debug)]
pub enum Mood {
    /// Says what it knows.
    Says,
    /// Fails at once: SERVFAIL, REFUSED, an answer that makes no sense.
    Fails(&'static str),
    /// Nothing for so long, then the resolver gives up.
    Lingers(Duration),
    NoDomain,
}

/// How a link is at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Open,
    /// Nothing passes, and nobody is told.
    Parted,
    /// After so many octets to the server, one octet in this time.
    Slow(usize, Duration),
    /// The same, towards us.
    Dribbles(usize, Duration),
}

/// What a network is like at a time, for an address or a name.
pub type At<K, V> = Box<dyn Fn(&K, Duration) -> V + Send + Sync>;

/// The network.
pub struct Net {
    pub outside: Arc<Outside>,
    clock: Arc<dyn Clock>,
    begin: tokio::time::Instant,
    mood: At<str, Mood>,
    link: Arc<At<SocketAddr, Link>>,
    /// Handshakes that hang, by address.
    pub hangs: Mutex<HashMap<SocketAddr, usize>>,
    last: Mutex<Option<SocketAddr>>,
}

impl Net {
    pub fn new(outside: Outside, clock: Arc<dyn Clock>, mood: At<str, Mood>, link: At<SocketAddr, Link>) -> Arc<Self> {
        let (outside, link) = (Arc::new(outside), Arc::new(link));
        let begin = tokio::time::Instant::now();
        Arc::new(Self { outside, clock, begin, mood, link, hangs: Mutex::default(), last: Mutex::default() })
    }

    pub fn world(self: &Arc<Self>) -> World {
        let (with_random, _) = self.outside.world();
        World { clock: self.clock.clone(), random: with_random.random, dns: self.clone(), connect: self.clone() }
    }

    async fn asked<T>(&self, name: &str, says: impl Future<Output = Answer<T>>) -> Answer<T> {
        match (self.mood)(name, self.begin.elapsed()) {
            Mood::Says => says.await,
            Mood::Fails(why) => Answer::Temporary(why.to_owned()),
            Mood::Lingers(time) => {
                tokio::time::sleep(time).await;
                Answer::Temporary("the DNS servers do not answer".to_owned())
            }
            Mood::NoDomain => Answer::NoDomain,
        }
    }
}

#[async_trait]
impl Dns for Net {
    async fn mx(&self, name: &str) -> Answer<Mx> {
        self.asked(name, Dns::mx(&*self.outside, name)).await
    }

    async fn ipv4(&self, name: &str) -> Answer<Ipv4Addr> {
        self.asked(name, self.outside.ipv4(name)).await
    }

    async fn ipv6(&self, name: &str) -> Answer<Ipv6Addr> {
        self.asked(name, self.outside.ipv6(name)).await
    }

    async fn txt(&self, name: &str) -> Answer<Vec<u8>> {
        self.asked(name, self.outside.txt(name)).await
    }
}

#[async_trait]
impl Connect for Net {
    async fn connect(&self, to: SocketAddr) -> io::Result<Box<dyn Stream>> {
        while (self.link)(&to, self.begin.elapsed()) == Link::Parted {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        *self.last.lock().unwrap() = Some(to);
        let far = self.outside.connect(to).await?;
        let (ours, near) = tokio::io::duplex(1024);
        let (from_us, to_us) = tokio::io::split(near);
        let (from_them, to_them) = tokio::io::split(far);
        let link = |upstream| Carrier { link: self.link.clone(), to, begin: self.begin, upstream };
        tokio::spawn(link(true).carry(from_us, to_them));
        tokio::spawn(link(false).carry(from_them, to_us));
        Ok(Box::new(ours))
    }

    async fn tls(
        &self,
        stream: Box<dyn Stream>,
        name: &str,
        trust: Trust,
    ) -> io::Result<(Box<dyn Stream>, store::Tls)> {
        let last = *self.last.lock().unwrap();
        let hangs = last.is_some_and(|to| match self.hangs.lock().unwrap().get_mut(&to) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        });
        if hangs {
            std::future::pending::<()>().await;
        }
        self.outside.tls(stream, name, trust).await
    }

    fn is_local(&self, ip: IpAddr) -> bool {
        ip.is_loopback()
    }
}

/// One direction of a connection.
struct Carrier {
    link: Arc<At<SocketAddr, Link>>,
    to: SocketAddr,
    begin: tokio::time::Instant,
    upstream: bool,
}

impl Carrier {
    async fn carry<R, W>(self, mut from: ReadHalf<R>, mut to: WriteHalf<W>)
    where
        R: tokio::io::AsyncRead,
        W: tokio::io::AsyncWrite,
    {
        let mut passed = 0;
        let mut buffer = [0; 256];
        loop {
            let now = || (self.link)(&self.to, self.begin.elapsed());
            let (most, pause) = match (now(), self.upstream) {
                (Link::Slow(after, pause), true) | (Link::Dribbles(after, pause), false) if passed >= after => {
                    (1, pause)
                }
                (Link::Slow(after, _), true) | (Link::Dribbles(after, _), false) => {
                    ((after - passed).min(256), Duration::ZERO)
                }
                _ => (256, Duration::ZERO),
            };
            let many = from.read(&mut buffer[..most]).await.unwrap_or(0);
            while now() == Link::Parted {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            tokio::time::sleep(pause).await;
            if many == 0 {
                let _ = to.shutdown().await;
                return;
            }
            passed += many;
            if to.write_all(&buffer[..many]).await.is_err() {
                return;
            }
        }
    }
}
