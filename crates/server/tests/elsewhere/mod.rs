//! Servers of others that the webmail's proxy is sent to, and a letter that names them.
#![allow(clippy::unwrap_used, reason = "for tests")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mta::world::{Answer, Belief, Connect, Dns, Mx, Stream, Trust};
use server::SystemClock;
use server::connect::SystemRandom;
use store::conformance::{address, append};
use store::{DirectoryEntry, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::scene::World;

/// From a list, which is left at list.example; M1.
const LETTER: &str = "From: list@list.example\r\nSubject: News\r\n\
    List-Unsubscribe: <https://list.example/leave?u=1>, <https://refuses.example/leave>, <https://inside.example/leave>\r\n\
    List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\nHello.\r\n";
/// The same without the word for one click; M2.
const PAGE_ONLY: &str = "From: list@list.example\r\nSubject: News\r\n\
    List-Unsubscribe: <https://list.example/leave?u=2>\r\n\r\nHello.\r\n";

struct Elsewhere;

pub(crate) fn world() -> mta::world::World {
    let (dns, connect) = (Arc::new(Elsewhere), Arc::new(Elsewhere));
    mta::world::World { clock: Arc::new(SystemClock), random: Arc::new(SystemRandom), dns, connect }
}

/// Puts the letters into alice's INBOX.
pub(crate) async fn letter(world: &World) {
    let Ok(Some(DirectoryEntry::Account(alice))) = world.store.entry(&address("alice@red.example")).await else {
        return;
    };
    let inbox = world.store.mailbox(alice.id, "INBOX").await.unwrap().unwrap();
    for letter in [LETTER, PAGE_ONLY] {
        append(&*world.store, inbox, letter.as_bytes()).await;
    }
}

#[async_trait]
impl Dns for Elsewhere {
    async fn mx(&self, _: &str) -> Answer<Mx> {
        Answer::NoDomain
    }

    async fn ipv4(&self, name: &str) -> Answer<Ipv4Addr> {
        let ip = match name {
            "inside.example" => [127, 0, 0, 1],
            "silent.example" => [1, 2, 3, 5],
            _ => [1, 2, 3, 4],
        };
        Answer::Found(vec![Ipv4Addr::from(ip)], Belief::until(Duration::from_secs(1)))
    }

    async fn ipv6(&self, _: &str) -> Answer<Ipv6Addr> {
        Answer::NoData
    }

    async fn txt(&self, _: &str) -> Answer<Vec<u8>> {
        Answer::NoData
    }
}

#[async_trait]
impl Connect for Elsewhere {
    async fn connect(&self, to: SocketAddr) -> io::Result<Box<dyn Stream>> {
        if to.ip() != IpAddr::from([1, 2, 3, 4]) {
            return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
        }
        let (ours, mut theirs) = tokio::io::duplex(4096);
        tokio::spawn(async move {
            let mut asked = vec![0; 4096];
            let length = theirs.read(&mut asked).await.unwrap_or(0);
            let _ = theirs.write_all(&answer(&String::from_utf8_lossy(&asked[..length]))).await;
        });
        Ok(Box::new(ours))
    }

    async fn tls(&self, stream: Box<dyn Stream>, _: &str, _: Trust) -> io::Result<(Box<dyn Stream>, store::Tls)> {
        Ok((stream, store::Tls { version: String::new(), cipher: String::new(), verified: Some(true), policy: None }))
    }

    fn is_local(&self, _: IpAddr) -> bool {
        false
    }
}

/// What the server says, whatever it is called.
fn answer(asked: &str) -> Vec<u8> {
    let of = |kind: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nSet-Cookie: a=b\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let nothing =
        |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\n\r\n").into_bytes();
    let line = asked.lines().next().unwrap_or_default();
    match line.split(' ').nth(1).unwrap_or_default() {
        // Whatever it says that it is.
        "/dot" => of("text/html", b"GIF89a, and the rest\r\n"),
        "/huge" => {
            let length = mail::limits::PROXY_PICTURE_LEN + 1;
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nGIF89a").into_bytes()
        }
        "/moved" => nothing("302 Found", "Location: http://inside.example/\r\n"),
        "/svg" => of("image/svg+xml", b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>"),
        "/page" => of("image/png", b"<!doctype html><script>alert(1)</script>"),
        "/leave?u=1" if asked.starts_with("POST ") && asked.ends_with("\r\n\r\nList-Unsubscribe=One-Click") => {
            nothing("200 OK", "")
        }
        "/leave" => nothing("500 Internal Server Error", ""),
        _ => nothing("404 Not Found", ""),
    }
}
