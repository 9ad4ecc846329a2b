//! One accepted connection: plain or TLS.
//!
//! Does: read what is there without holding a buffer while nothing is, write with a time limit, change to TLS,
//! and tell what a protocol may want to know of the peer and of TLS. Does not: know any protocol.
//!
//! Bytes come in through [`Connection::fill`] and are looked at through [`Connection::buffer`]; what an engine took
//! is told with [`Connection::consume`]. Bytes go out through [`Connection::write_all`].

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use mail::limits;
use mta::world::Stream;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use wire::sasl::ChannelBinding;

use crate::buffer::Buffer;
use crate::listen::Admission;
use crate::tls::Acceptor;

/// What is known of a connection's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// `TLSv1.3`.
    pub version: String,
    /// `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The name that the client asked for.
    pub sni: Option<String>,
    /// What both sides chose to speak (RFC 7301), where they chose.
    pub alpn: Option<Vec<u8>>,
    /// Channel binding `tls-exporter` (RFC 9266 §2). Only on TLS 1.3: before, it needs the extended master secret
    /// (RFC 9266 §4.2), which rustls does not tell about.
    pub exporter: Option<[u8; 32]>,
    /// Channel binding `tls-server-end-point` (RFC 5929 §4): the hash of our certificate.
    pub server_end_point: Option<Vec<u8>>,
}

impl TlsInfo {
    /// As the journey keeps it. Clients show no certificate, so nothing was verified.
    pub fn journey(&self) -> store::Tls {
        store::Tls { version: self.version.clone(), cipher: self.cipher.clone(), verified: None, policy: None }
    }

    /// What ties a log-in to this connection.
    pub fn binding(&self) -> ChannelBinding {
        ChannelBinding {
            tls_exporter: self.exporter.map(Vec::from),
            tls_server_end_point: self.server_end_point.clone(),
        }
    }
}

/// What bytes go over: a socket, but for tests in memory.
pub type Link = Box<dyn Stream + Sync>;

enum Io {
    Plain(Link),
    Tls(Box<TlsStream<Link>>),
    /// A handshake failed and took the socket with it.
    Gone,
}

/// An accepted connection.
pub struct Connection {
    io: Io,
    peer: SocketAddr,
    local: SocketAddr,
    tls: Option<TlsInfo>,
    buffer: Option<Buffer>,
    #[allow(dead_code, reason = "held for its Drop: counts the connection until it ends")]
    admission: Option<Admission>,
}

impl Connection {
    /// Of an accepted socket, from this client.
    pub fn new(socket: TcpStream, peer: SocketAddr, admission: Option<Admission>) -> io::Result<Self> {
        // Replies are written whole, so waiting for more (Nagle) only delays them.
        socket.set_nodelay(true)?;
        let local = socket.local_addr()?;
        Ok(Self::over(Box::new(socket), peer, local, admission))
    }

    /// Over any stream, between these addresses.
    pub fn over(stream: Link, peer: SocketAddr, local: SocketAddr, admission: Option<Admission>) -> Self {
        let (peer, local) = (plain_v4(peer), plain_v4(local));
        Self { io: Io::Plain(stream), peer, local, tls: None, buffer: None, admission }
    }

    /// The client's address; an IPv4 client of a dual-stack socket as IPv4.
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Our address.
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether the client is this machine.
    pub const fn is_loopback(&self) -> bool {
        self.peer.ip().is_loopback()
    }

    /// TLS, if the connection has it.
    pub const fn tls(&self) -> Option<&TlsInfo> {
        self.tls.as_ref()
    }

    /// What was read and not consumed.
    pub fn buffer(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], Buffer::bytes)
    }

    /// The first `count` octets of [`Connection::buffer`] are done with.
    pub fn consume(&mut self, count: usize) {
        if let Some(buffer) = &mut self.buffer {
            buffer.consume(count);
            if buffer.is_empty() {
                self.buffer = None;
            }
        }
    }

    /// Waits for bytes and appends them to [`Connection::buffer`]; returns how many, 0 at the end of the input.
    /// Holds no buffer while it waits, unless there are unconsumed bytes. May be dropped at any time without
    /// losing bytes. A full buffer is an error: an engine that consumes nothing then never will.
    pub async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| {
            let mut buffer = self.buffer.take().unwrap_or_else(Buffer::take);
            let space = buffer.space();
            if space.is_empty() {
                self.buffer = Some(buffer);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "too much input is unread")));
            }
            let mut read = ReadBuf::new(space);
            let poll = match &mut self.io {
                Io::Plain(socket) => Pin::new(socket.as_mut()).poll_read(cx, &mut read),
                Io::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, &mut read),
                Io::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            };
            let count = read.filled().len();
            buffer.filled(count);
            if !buffer.is_empty() {
                self.buffer = Some(buffer);
            }
            match poll {
                Poll::Ready(Ok(())) => Poll::Ready(Ok(count)),
                // A peer that ends TCP without ending TLS: all that counts in mail has an end of its own.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(0)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Writes all and flushes. Fails with `TimedOut` when the client takes nothing for `limits::WRITE_TIMEOUT`; each
    /// piece that it takes gives it as much time again.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = in_time(async {
                match &mut self.io {
                    Io::Plain(socket) => socket.write(bytes).await,
                    Io::Tls(stream) => stream.write(bytes).await,
                    Io::Gone => Err(io::ErrorKind::NotConnected.into()),
                }
            })
            .await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[count..];
        }
        match &mut self.io {
            // TLS keeps records back when the socket is full.
            Io::Tls(stream) => in_time(stream.flush()).await,
            Io::Plain(_) | Io::Gone => Ok(()),
        }
    }

    /// Begins TLS as the server. What was read before and not consumed is dropped: it was sent in the clear and
    /// must not count as sent over TLS (RFC 3207 §4.2; STARTTLS injection).
    pub async fn start_tls(&mut self, acceptor: &Acceptor) -> io::Result<()> {
        self.buffer = None;
        let Io::Plain(socket) = std::mem::replace(&mut self.io, Io::Gone) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "TLS has begun already"));
        };
        let handshake = tokio::time::timeout(limits::TLS_HANDSHAKE_TIMEOUT, acceptor.accept(socket));
        let (stream, info) = handshake.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        self.tls = Some(info);
        self.io = Io::Tls(Box::new(stream));
        Ok(())
    }

    /// Ends the connection for writing, with TLS's own end where there is TLS, and reads on for a moment, so that the
    /// last reply is not lost in a reset (RFC 9112 §9.6 tells why). Errors don't matter any more.
    pub async fn shutdown(mut self) {
        let ending = async {
            let _ = match &mut self.io {
                Io::Plain(socket) => socket.shutdown().await,
                Io::Tls(stream) => stream.shutdown().await,
                Io::Gone => Ok(()),
            };
            self.buffer = None;
            while let Ok(1..) = self.fill().await {
                self.buffer = None;
            }
        };
        let _ = tokio::time::timeout(limits::CLOSE_TIMEOUT, ending).await;
    }
}

/// For HTTP, whose engine wants a stream.
impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, read: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.buffer().is_empty() {
            let count = this.buffer().len().min(read.remaining());
            read.put_slice(&this.buffer()[..count]);
            this.consume(count);
            return Poll::Ready(Ok(()));
        }
        match &mut this.io {
            Io::Plain(socket) => Pin::new(socket.as_mut()).poll_read(cx, read),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, read),
            Io::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().io {
            Io::Plain(socket) => Pin::new(socket.as_mut()).poll_write(cx, bytes),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
            Io::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(socket) => Pin::new(socket.as_mut()).poll_flush(cx),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
            Io::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(socket) => Pin::new(socket.as_mut()).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            Io::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({} to {}, {})", self.peer, self.local, self.tls.as_ref().map_or("no TLS", |t| &t.version))
    }
}

async fn in_time<T>(writing: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(limits::WRITE_TIMEOUT, writing).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// `::ffff:192.0.2.1` as 192.0.2.1: rules and limits must see one address of one client.
fn plain_v4(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(address, |ip| SocketAddr::new(IpAddr::V4(ip), address.port())),
        IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    async fn pair() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        (Connection::new(socket, client.local_addr().unwrap(), None).unwrap(), client)
    }

    #[tokio::test]
    async fn reads_what_is_there_and_holds_no_buffer_afterwards() {
        let (mut connection, mut client) = pair().await;
        client.write_all(b"hello world").await.unwrap();
        assert_eq!(connection.fill().await.unwrap(), 11);
        connection.consume(6);
        assert_eq!(connection.buffer(), b"world");
        client.write_all(b"!").await.unwrap();
        connection.fill().await.unwrap();
        assert_eq!(connection.buffer(), b"world!");
        connection.consume(6);
        assert!(connection.buffer.is_none());
        drop(client);
        assert_eq!(connection.fill().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_full_buffer_is_an_error_not_a_spin() {
        let (mut connection, mut client) = pair().await;
        let writer = tokio::spawn(async move {
            let _ = client.write_all(&vec![b'x'; 2 * limits::CONNECTION_BUFFER]).await;
            client
        });
        let error = loop {
            if let Err(error) = connection.fill().await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        drop(connection);
        let _ = writer.await;
    }

    #[tokio::test]
    async fn shutdown_delivers_the_last_reply() {
        let (mut connection, mut client) = pair().await;
        client.write_all(b"unread").await.unwrap();
        connection.write_all(b"421 bye\r\n").await.unwrap();
        let closing = tokio::spawn(connection.shutdown());
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "421 bye\r\n");
        drop(client);
        closing.await.unwrap();
    }

    /// Who takes nothing is given up after `WRITE_TIMEOUT`; who does not go after our end, after `CLOSE_TIMEOUT`.
    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_and_who_does_not_go_are_left() {
        let (mut connection, client) = pair().await;
        let since = tokio::time::Instant::now();
        // More than both sockets' buffers take.
        let error = connection.write_all(&vec![b'x'; 64 << 20]).await.unwrap_err();
        assert_eq!((error.kind(), since.elapsed()), (io::ErrorKind::TimedOut, limits::WRITE_TIMEOUT));
        drop(client);

        let (connection, _client) = pair().await;
        let since = tokio::time::Instant::now();
        connection.shutdown().await;
        assert_eq!(since.elapsed(), limits::CLOSE_TIMEOUT);
    }

    /// A handshake that does not end, after `TLS_HANDSHAKE_TIMEOUT`.
    #[tokio::test(start_paused = true)]
    async fn a_handshake_that_does_not_end_is_left() {
        let folder = tempfile::tempdir().unwrap();
        testkit::authority::certify(folder.path(), "mail.red.example");
        let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        let acceptor = Acceptor::load(&[crate::tls::SiteFiles { certificate, key }]).unwrap();
        let (mut connection, _client) = pair().await;
        let since = tokio::time::Instant::now();
        let error = connection.start_tls(&acceptor).await.unwrap_err();
        assert_eq!((error.kind(), since.elapsed()), (io::ErrorKind::TimedOut, limits::TLS_HANDSHAKE_TIMEOUT));
    }
}
