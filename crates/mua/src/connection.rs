//! A connection to a server: lines and counted octets, TLS underneath or not yet.

use std::time::Duration;

use mail::limits;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wire::line::{Line, LineReader};
use wire::sasl::ChannelBinding;

use crate::{MuaError, MuaResult, ServerUrl, Trust};

/// How long a server may take for an answer.
const PATIENCE: Duration = limits::MUA_TIMEOUT;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

enum Transport {
    Plain(TcpStream),
    Tls(Box<dyn Stream>),
    /// Between the two, and after a handshake that failed.
    Closed,
}

/// An open connection.
pub(crate) struct Connection {
    transport: Transport,
    server: ServerUrl,
    loopback: bool,
    /// What TLS gives to bind a log-in to.
    binding: ChannelBinding,
    /// Received, not yet taken: from `taken` on.
    buffer: Vec<u8>,
    taken: usize,
}

impl Connection {
    /// Connects; with implicit TLS the handshake too.
    pub(crate) async fn open(server: &ServerUrl, trust: &Trust) -> MuaResult<Self> {
        let failed = |why: &dyn std::fmt::Display| MuaError::new(format!("can't connect to {server}: {why}"));
        let connecting = TcpStream::connect((server.host.as_str(), server.port));
        let tcp =
            timeout(PATIENCE, connecting).await.map_err(|_| failed(&"it does not answer"))?.map_err(|e| failed(&e))?;
        let loopback = tcp.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
        let mut connection = Self {
            transport: Transport::Plain(tcp),
            server: server.clone(),
            loopback,
            binding: ChannelBinding::default(),
            buffer: Vec::new(),
            taken: 0,
        };
        if server.implicit_tls {
            connection.start_tls(trust).await?;
        }
        Ok(connection)
    }

    /// TLS from here on. What the server sent ahead of the handshake is dropped: it may be an intruder's
    /// (RFC 2595 §2.4 and CVE-2011-0411's kind).
    pub(crate) async fn start_tls(&mut self, trust: &Trust) -> MuaResult<()> {
        self.buffer.clear();
        self.taken = 0;
        let Transport::Plain(tcp) = std::mem::replace(&mut self.transport, Transport::Closed) else {
            return Err(MuaError::new("TLS is on already"));
        };
        let handshake = timeout(limits::TLS_HANDSHAKE_TIMEOUT, trust.handshake(&self.server.host, tcp));
        let stream = handshake.await.map_err(|_| self.lost("the TLS handshake does not end"))??;
        // RFC 9266 §2: this label, an empty context, 32 octets; of TLS 1.3, whose key schedule makes it unique (§4.2).
        let session = stream.get_ref().1;
        if session.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3) {
            self.binding.tls_exporter =
                session.export_keying_material(vec![0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok();
        }
        self.transport = Transport::Tls(Box::new(stream));
        Ok(())
    }

    /// What TLS gives to bind a log-in to.
    pub(crate) const fn binding(&self) -> &ChannelBinding {
        &self.binding
    }

    /// Refuses to go on where a password would be seen on the way.
    pub(crate) fn require_private(&self) -> MuaResult<()> {
        if matches!(self.transport, Transport::Tls(_)) || self.loopback {
            return Ok(());
        }
        Err(MuaError::new(format!(
            "{} offers no TLS: the password is not sent in the clear. Use the scheme with s (imaps, pop3s, smtps)",
            self.server
        )))
    }

    /// Whether TLS is on.
    pub(crate) const fn is_tls(&self) -> bool {
        matches!(self.transport, Transport::Tls(_))
    }

    /// Whether the server is on this machine.
    pub(crate) const fn is_loopback(&self) -> bool {
        self.loopback
    }

    fn lost(&self, why: impl std::fmt::Display) -> MuaError {
        MuaError::new(format!("the connection to {} broke: {why}", self.server))
    }

    /// Sends.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> MuaResult<()> {
        let sending = async {
            match &mut self.transport {
                Transport::Plain(tcp) => tcp.write_all(bytes).await,
                Transport::Tls(tls) => {
                    tls.write_all(bytes).await?;
                    tls.flush().await
                }
                Transport::Closed => Err(std::io::ErrorKind::NotConnected.into()),
            }
        };
        match timeout(limits::WRITE_TIMEOUT, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.lost(error)),
            Err(_) => Err(self.lost("it takes nothing more")),
        }
    }

    /// Reads more into the buffer; waits for as long as it takes if `patience` is `None`.
    async fn fill(&mut self, patience: Option<Duration>) -> MuaResult<()> {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.reserve(limits::MUA_READ);
        let buffer = &mut self.buffer;
        let reading = async {
            match &mut self.transport {
                Transport::Plain(tcp) => tcp.read_buf(buffer).await,
                Transport::Tls(tls) => tls.read_buf(buffer).await,
                Transport::Closed => Err(std::io::ErrorKind::NotConnected.into()),
            }
        };
        let read = match patience {
            Some(patience) => timeout(patience, reading).await.map_err(|_| self.lost("it does not answer"))?,
            None => reading.await,
        };
        match read {
            Ok(0) => Err(self.lost("the server closed it")),
            Ok(_) => Ok(()),
            Err(error) => Err(self.lost(error)),
        }
    }

    /// What is there, at least one octet.
    pub(crate) async fn available(&mut self, patience: Option<Duration>) -> MuaResult<&[u8]> {
        if self.taken == self.buffer.len() {
            self.fill(patience).await?;
        }
        Ok(&self.buffer[self.taken..])
    }

    /// Takes octets that [`Self::available`] showed.
    pub(crate) fn take(&mut self, count: usize) {
        self.taken += count.min(self.buffer.len() - self.taken);
    }

    /// A line without its end, waiting `patience` (or for ever) for each piece of it.
    pub(crate) async fn line_within(&mut self, patience: Option<Duration>) -> MuaResult<Vec<u8>> {
        let mut lines = LineReader::new(limits::MUA_LINE_LEN);
        let mut read = 0;
        loop {
            let here = self.available(patience).await?;
            let (used, line) = lines.read(here);
            let line = match line {
                // Quirk: servers that end lines with LF alone are understood.
                Some(Line::Text(text) | Line::BareLf(text)) => Some(text.to_vec()),
                Some(Line::TooLong) | None => None,
            };
            self.take(used);
            read += used;
            match line {
                Some(line) => return Ok(line),
                // Before its end: it may never come.
                None if read > limits::MUA_LINE_LEN => return Err(self.lost("a line of its answer is far too long")),
                None => {}
            }
        }
    }

    /// A line without its end.
    pub(crate) async fn line(&mut self) -> MuaResult<Vec<u8>> {
        self.line_within(Some(PATIENCE)).await
    }

    /// Exactly `count` octets, handed on as they come.
    pub(crate) async fn octets(&mut self, mut count: u64, mut take: impl FnMut(&[u8])) -> MuaResult<()> {
        while count > 0 {
            let here = self.available(Some(PATIENCE)).await?;
            let now = here.len().min(usize::try_from(count).unwrap_or(usize::MAX));
            take(&here[..now]);
            self.take(now);
            count -= now as u64;
        }
        Ok(())
    }
}
