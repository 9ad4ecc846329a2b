//! A client that takes nothing of its answer is left after a while: an answer may be long, and must not be held for ever.
//! And one that still sends when we end is listened to for a moment, so that the last answer reaches it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use mail::limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::conn::Connection;

/// A connection whose writes fail once the client has taken nothing for `limits::WRITE_TIMEOUT`.
pub(super) struct Patience {
    connection: Connection,
    /// While something waits to be taken.
    ends: Option<Pin<Box<Sleep>>>,
    /// Once our side has ended.
    lingers: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub(super) const fn new(connection: Connection) -> Self {
        Self { connection, ends: None, lingers: None }
    }

    fn judge<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.ends = None;
            return written;
        }
        let ends = self.ends.get_or_insert_with(|| Box::pin(sleep(limits::WRITE_TIMEOUT)));
        ready!(ends.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patience {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, read: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_read(cx, read)
    }
}

impl AsyncWrite for Patience {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.connection).poll_write(cx, bytes);
        this.judge(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.connection).poll_flush(cx);
        this.judge(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingers.is_none() {
            let ended = Pin::new(&mut this.connection).poll_shutdown(cx);
            ready!(this.judge(cx, ended))?;
        }
        // RFC 9112 §9.6: what is unread would make the system reset the connection, and the last answer be lost.
        let lingers = this.lingers.get_or_insert_with(|| Box::pin(sleep(limits::CLOSE_TIMEOUT)));
        if lingers.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut octets = [0; 1024];
        loop {
            let mut read = ReadBuf::new(&mut octets);
            match ready!(Pin::new(&mut this.connection).poll_read(cx, &mut read)) {
                Ok(()) if !read.filled().is_empty() => {}
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    /// `WRITE_TIMEOUT` for a client that takes nothing; each piece that it takes gives it as much time again.
    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_left() {
        let (server, mut client) = duplex(4);
        let address = "192.0.2.1:80".parse().unwrap();
        let mut patience = Patience::new(Connection::over(Box::new(server), address, address, None));
        let since = Instant::now();
        patience.write_all(b"1234").await.unwrap();
        let writing = tokio::spawn(async move { patience.write_all(b"567890").await });
        sleep(limits::WRITE_TIMEOUT / 2).await;
        client.read_exact(&mut [0; 4]).await.unwrap();
        let failed = writing.await.unwrap().unwrap_err();
        assert_eq!((failed.kind(), since.elapsed()), (io::ErrorKind::TimedOut, limits::WRITE_TIMEOUT * 3 / 2));
    }

    /// What still comes is read when we end, until the client ends too, and for `CLOSE_TIMEOUT` at most.
    #[tokio::test(start_paused = true)]
    async fn who_still_sends_is_listened_to_for_a_moment() {
        for stays in [true, false] {
            let (server, mut client) = duplex(4);
            let address = "192.0.2.1:80".parse().unwrap();
            let mut patience = Patience::new(Connection::over(Box::new(server), address, address, None));
            let since = Instant::now();
            let ending = tokio::spawn(async move { patience.shutdown().await });
            client.write_all(b"more than the four octets that fit").await.unwrap();
            let kept = stays.then_some(client);
            ending.await.unwrap().unwrap();
            assert_eq!(since.elapsed(), if stays { limits::CLOSE_TIMEOUT } else { std::time::Duration::ZERO });
            drop(kept);
        }
    }
}
