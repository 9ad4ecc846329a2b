//! Connections that a proxy passes on: whose they are. Does: read the PROXY header of a proxy that is named, and no octet of
//! what follows it. Does not: believe anybody else: what others send there is no command, and refused as one.

use std::io;
use std::net::SocketAddr;

use mail::limits;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use wire::proxy::{Source, Step, read};

/// The client's address; the proxy's own where it speaks for itself.
pub(super) async fn client(socket: &mut TcpStream, proxy: SocketAddr) -> io::Result<SocketAddr> {
    let header = tokio::time::timeout(limits::PROXY_HEADER_TIMEOUT, header(socket));
    match header.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
        Source::Client(client) => Ok(client),
        Source::Proxy => Ok(proxy),
    }
}

async fn header(socket: &mut TcpStream) -> io::Result<Source> {
    let mut header = Vec::new();
    loop {
        match read(&header).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
            Step::Done(source) => return Ok(source),
            Step::More(more) => {
                let came = header.len();
                header.resize(came + more, 0);
                socket.read_exact(&mut header[came..]).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;

    /// `PROXY_HEADER_TIMEOUT`: a header that lacks its last octet when it is over.
    #[tokio::test(start_paused = true)]
    async fn a_header_is_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut proxy = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut socket, peer) = listener.accept().await.unwrap();
        proxy.write_all(b"PROXY UNKNOWN\r").await.unwrap();
        let began = Instant::now();
        let error = client(&mut socket, peer).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, limits::PROXY_HEADER_TIMEOUT));
        proxy.write_all(b"PROXY UNKNOWN\r\n").await.unwrap();
        assert_eq!(client(&mut socket, peer).await.unwrap(), peer);
    }
}
