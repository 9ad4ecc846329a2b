//! File descriptors: as many as the system allows, and what is done when they run out.
//!
//! Does: take the whole of what this process may have, say how many connections that makes, and keep a spare with
//! which clients can be turned away in words. Does not: count connections (`listen` does).

use std::fs::File;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use mail::limits;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};

/// Makes the soft limit the hard one, and says for how many connections there are descriptors. Systems keep the soft
/// one at 1,024 for the sake of select(2), which nothing here uses.
pub(crate) fn for_connections() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let soft = std::mem::replace(&mut limit.current, limit.maximum);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of file descriptors can't be raised");
            limit.current = soft;
        }
    }
    let all = limit.current.map_or(usize::MAX, |all| usize::try_from(all).unwrap_or(usize::MAX));
    room(all)
}

/// Connections for which so many descriptors are enough.
fn room(all: usize) -> usize {
    all - limits::DESCRIPTORS_KEPT.min(all / 2)
}

/// A descriptor that is held for nothing, so that it can be given up for the one of a client who must be told to come
/// later: left in the backlog he would wait in vain, and nobody could accept him.
pub(crate) struct Spare(Option<File>);

impl Spare {
    /// Takes one, if there is one.
    pub(crate) fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Takes one again where it was lost.
    pub(crate) fn keep(&mut self) {
        if self.0.is_none() {
            *self = Self::new();
        }
    }

    /// Gives it up to accept all that wait, one after the other, each with these words, and takes it back. How many.
    pub(crate) fn turn_away(&mut self, listener: &TcpListener, words: &[u8]) -> usize {
        if self.0.take().is_none() {
            return 0;
        }
        let mut told = 0;
        while told < limits::TURNED_AWAY_AT_ONCE
            && let Some(socket) = accept_now(listener)
        {
            // Best effort, without waiting: the socket's empty buffer takes a line.
            let _ = socket.try_write(words);
            told += 1;
        }
        self.keep();
        told
    }
}

/// A connection that waits already.
fn accept_now(listener: &TcpListener) -> Option<TcpStream> {
    let accepting = pin!(listener.accept());
    match accepting.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok((socket, _))) => Some(socket),
        Poll::Ready(Err(_)) | Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[test]
    fn connections_leave_descriptors_to_the_store() {
        assert_eq!(room(1024), 512);
        assert_eq!(room(524_288), 524_288 - limits::DESCRIPTORS_KEPT);
        assert!(for_connections() > 0);
    }

    #[tokio::test]
    async fn who_waits_is_told_to_come_later() {
        let listener = TcpListener::bind::<SocketAddr>("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        // The first one comes when the listener has heard of it; the others wait behind it.
        drop(listener.accept().await.unwrap());
        let mut spare = Spare::new();
        assert_eq!(spare.turn_away(&listener, b"421 later\r\n"), 2);
        for client in &mut clients[1..] {
            let mut said = String::new();
            client.read_to_string(&mut said).await.unwrap();
            assert_eq!(said, "421 later\r\n");
        }
        assert_eq!(spare.turn_away(&listener, b""), 0);
        assert!(spare.0.is_some());
        spare.0 = None;
        assert_eq!(spare.turn_away(&listener, b""), 0, "without a spare nobody can be accepted");
    }

    /// `TURNED_AWAY_AT_ONCE` are told in one go, one more in the next.
    #[tokio::test]
    async fn a_crowd_is_told_in_portions() {
        let listener = TcpListener::bind::<SocketAddr>("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        for (more, then) in [(0, 0), (1, 1)] {
            let mut clients = Vec::new();
            // One is accepted as always: then the listener has heard of those behind it.
            for _ in 0..1 + limits::TURNED_AWAY_AT_ONCE + more {
                clients.push(TcpStream::connect(address).await.unwrap());
            }
            drop(listener.accept().await.unwrap());
            let mut spare = Spare::new();
            assert_eq!(spare.turn_away(&listener, b""), limits::TURNED_AWAY_AT_ONCE);
            assert_eq!(spare.turn_away(&listener, b""), then);
        }
    }
}
