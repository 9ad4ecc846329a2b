//! The subject that is a real connection. Bytes go out and come in over loopback, plain or TLS.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::transcript::{Enough, Received, Subject};

/// How long a socket may be silent before a test calls it quiet. Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one read waits before the end of patience is looked at.
const TICK: Duration = Duration::from_millis(200);

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Gone,
}

/// Whom a client trusts, and how it speaks TLS.
pub type Trusted = Arc<ClientConfig>;

/// A connection to a server.
pub struct Socket {
    stream: Stream,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// A TLS client's configuration that trusts the given PEM file alone.
///
/// # Panics
/// When the file is not readable or holds no certificate.
pub fn trusting(ca: &std::path::Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(ca).unwrap_or_else(|error| panic!("{}: {error}", ca.display()));
    for certificate in certificates {
        roots.add(certificate.expect("a PEM certificate")).expect("a root certificate");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Arc::new(builder.expect("TLS 1.2 and 1.3").with_root_certificates(roots).with_no_client_auth())
}

impl Socket {
    /// Connects without TLS; `tls` is what [`Subject::start_tls`] will use.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(address: SocketAddr, tls: Option<(Arc<ClientConfig>, &str)>) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        let tls = match tls {
            Some((config, name)) => {
                let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
                Some((config, name))
            }
            None => None,
        };
        Ok(Self { stream: Stream::Plain(stream), tls })
    }

    /// Connects with TLS from the first byte.
    ///
    /// # Errors
    /// When nobody listens, or the handshake fails.
    pub fn connect_tls(address: SocketAddr, tls: (Arc<ClientConfig>, &str)) -> io::Result<Self> {
        let mut socket = Self::connect(address, Some(tls))?;
        socket.start_tls()?;
        Ok(socket)
    }

    /// What binds a log-in to this connection (`tls-exporter`, RFC 9266 §2); none without TLS.
    pub fn exporter(&self) -> Option<Vec<u8>> {
        let Stream::Tls(stream) = &self.stream else { return None };
        stream.conn.export_keying_material(vec![0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok()
    }
}

impl Subject for Socket {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Stream::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn receive(&mut self, enough: &mut dyn FnMut(&[u8]) -> Enough) -> io::Result<Received> {
        let mut received = Received::default();
        let start = Instant::now();
        let mut buffer = [0; 16 * 1024];
        while start.elapsed() < PATIENCE {
            let heard = enough(&received.bytes);
            if heard == Enough::Yes {
                break;
            }
            let read = match &mut self.stream {
                Stream::Plain(stream) => stream.read(&mut buffer),
                Stream::Tls(stream) => stream.read(&mut buffer),
                Stream::Gone => Ok(0),
            };
            match read {
                Ok(0) => {
                    received.closed = true;
                    break;
                }
                Ok(n) => received.bytes.extend_from_slice(&buffer[..n]),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {
                        if heard == Enough::IfQuiet {
                            break;
                        }
                    }
                    // A reset, or the end of TLS without its alert: the connection is over either way.
                    _ => {
                        received.closed = true;
                        break;
                    }
                },
            }
        }
        Ok(received)
    }

    fn start_tls(&mut self) -> io::Result<()> {
        let (config, name) = self.tls.clone().ok_or(io::ErrorKind::Unsupported)?;
        let Stream::Plain(mut stream) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(io::Error::other("TLS runs already"));
        };
        let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        stream.set_read_timeout(Some(TICK))?;
        self.stream = Stream::Tls(Box::new(StreamOwned::new(connection, stream)));
        Ok(())
    }

    fn close(&mut self) {
        match &mut self.stream {
            Stream::Plain(stream) => drop(stream.shutdown(Shutdown::Write)),
            Stream::Tls(stream) => {
                stream.conn.send_close_notify();
                let _ = stream.flush();
                let _ = stream.sock.shutdown(Shutdown::Write);
            }
            Stream::Gone => {}
        }
    }
}
