//! The listeners of a running mail system, and how others take their place.
//!
//! Does: accept on each, keep count of the sessions, open and close listeners when the configuration changes, and end all
//! of it in order. Sessions of a listener that is closed go on. Does not: bind one half of a new configuration: all of it
//! listens, or the old one does.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mail::limits;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, error, info, warn};

use super::{Admissions, Handler, Listener, Service, proxied};
use crate::acme::TLS_ALPN;
use crate::conn::Connection;
use crate::descriptors::{self, Spare};
use crate::shared::Shared;

/// A service can't listen at an address.
#[derive(Debug)]
pub struct BindError {
    /// What was to speak there.
    pub service: Service,
    /// Where.
    pub address: SocketAddr,
    /// Why not.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, address, error } = self;
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "; another program listens there: stop it (\"ss -ltnp\" names it), or choose another port"
            }
            io::ErrorKind::PermissionDenied => "; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE",
            io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
            _ => "",
        };
        write!(f, "[listen] {} = \"{address}\": {error}{remedy}", service.name())
    }
}

impl std::error::Error for BindError {}

/// Every listener of one mail system, accepting.
pub struct Doors {
    shared: Arc<Shared>,
    handler: Handler,
    admissions: Admissions,
    open: Vec<Door>,
    /// Sessions of doors that are closed, a task for each door.
    leaving: JoinSet<()>,
}

/// One of them.
struct Door {
    service: Service,
    /// As it was asked for: with port 0, the socket has another.
    address: SocketAddr,
    /// Dropped to close.
    close: oneshot::Sender<()>,
    /// Ends with the sessions that are open then.
    accepting: JoinHandle<JoinSet<()>>,
}

impl Doors {
    /// Binds all, or none.
    pub fn bind(wanted: &[(Service, SocketAddr)]) -> Result<Vec<Listener>, BindError> {
        let bind = |&(service, address)| {
            Listener::bind(service, address).map_err(|error| BindError { service, address, error })
        };
        wanted.iter().map(bind).collect()
    }

    /// Accepts on these from now on.
    pub fn open(listeners: Vec<Listener>, shared: Arc<Shared>, handler: Handler) -> Self {
        let admissions = Admissions::new(descriptors::for_connections());
        let mut doors = Self { shared, handler, admissions, open: Vec::new(), leaving: JoinSet::new() };
        doors.accept_on(listeners);
        doors
    }

    fn accept_on(&mut self, listeners: Vec<Listener>) {
        for listener in listeners {
            let (service, address) = (listener.service, listener.asked);
            if let Ok(address) = listener.address() {
                info!(service = service.name(), %address, "listening");
            }
            let (close, closed) = oneshot::channel();
            let accepting =
                accept(listener, closed, self.shared.clone(), self.handler.clone(), self.admissions.clone());
            self.open.push(Door { service, address, close, accepting: tokio::spawn(accepting) });
        }
    }

    /// Listens exactly there from now on: what listens there already stays, what no longer should is closed. `ready` is
    /// called when all is bound, before anything new is accepted. On an error all is as it was.
    pub async fn change(
        &mut self,
        wanted: &[(Service, SocketAddr)],
        ready: impl FnOnce() + Send,
    ) -> Result<(), BindError> {
        let is_open = |(service, address): &(Service, SocketAddr)| {
            self.open.iter().any(|door| (door.service, door.address) == (*service, *address))
        };
        let new: Vec<_> = wanted.iter().copied().filter(|one| !is_open(one)).collect();
        // Another service at the same address, or `[::]` in the place of one address: the old one must go first.
        let in_the_way = |address: SocketAddr| new.iter().any(|(_, other)| other.port() == address.port());
        let before = self.close(|door| in_the_way(door.address) && !wanted.contains(&door.key())).await;
        let listeners = match Self::bind(&new) {
            Ok(listeners) => listeners,
            Err(error) => {
                match Self::bind(&before) {
                    Ok(listeners) => self.accept_on(listeners),
                    Err(error) => error!("it can't listen again: {error}"),
                }
                return Err(error);
            }
        };
        ready();
        self.accept_on(listeners);
        self.close(|door| !wanted.contains(&door.key())).await;
        Ok(())
    }

    /// Closes some; returns which. Their ports are free then.
    async fn close(&mut self, which: impl Fn(&Door) -> bool + Send) -> Vec<(Service, SocketAddr)> {
        while self.leaving.try_join_next().is_some() {}
        let mut closed = Vec::new();
        let closing: Vec<Door> = self.open.extract_if(.., |door| which(door)).collect();
        for door in closing {
            info!(service = door.service.name(), address = %door.address, "no longer listening");
            closed.push(door.key());
            drop(door.close);
            if let Ok(mut sessions) = door.accepting.await {
                self.leaving.spawn(async move { while sessions.join_next().await.is_some() {} });
            }
        }
        closed
    }

    /// Until the sign to stop; then waits for open sessions, at most `limits::STOP_TIMEOUT`; those that are open still are
    /// cut. The store is the caller's to close afterwards.
    pub async fn stop(mut self) {
        self.shared.shutdown.wait().await;
        self.close(|_| true).await;
        let ended = async { while self.leaving.join_next().await.is_some() {} };
        if tokio::time::timeout(limits::STOP_TIMEOUT, ended).await.is_err() {
            let open = self.admissions.count();
            warn!(open, "sessions did not end in time and were cut");
        }
    }
}

impl Door {
    const fn key(&self) -> (Service, SocketAddr) {
        (self.service, self.address)
    }
}

async fn accept(
    listener: Listener,
    mut closed: oneshot::Receiver<()>,
    shared: Arc<Shared>,
    handler: Handler,
    admissions: Admissions,
) -> JoinSet<()> {
    let (mut sessions, mut spare) = (JoinSet::new(), Spare::new());
    loop {
        tokio::select! {
            _ = &mut closed => return sessions,
            () = shared.shutdown.wait() => return sessions,
            Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
            accepted = listener.socket.accept() => match accepted {
                Ok((socket, peer)) => {
                    spare.keep();
                    begin(listener.service, socket, peer, &shared, &handler, &admissions, &mut sessions);
                }
                // Of one connection that ended before it was accepted, the next may be well.
                Err(error) if per_connection(&error) => debug!(%error, "a connection ended before it began"),
                Err(error) => {
                    let name = listener.service.name();
                    let told = spare.turn_away(&listener.socket, listener.service.too_many());
                    (0..told).for_each(|_| shared.metrics.turned_away(name, "descriptors"));
                    if told > 0 {
                        debug!(%error, service = name, told, "turned away");
                        continue;
                    }
                    // Out of file descriptors or memory: the connection stays in the backlog, and would be
                    // reported again at once, for ever.
                    warn!(%error, service = name, "can't accept connections for a moment");
                    shared.clock.sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn per_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn begin(
    service: Service,
    socket: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    handler: &Handler,
    admissions: &Admissions,
    sessions: &mut JoinSet<()>,
) {
    let settings = shared.settings();
    let is_proxy = settings.proxy_from.iter().any(|network| network.contains(peer.ip()));
    // Of a proxy's clients none is known yet; the proxy itself has as many connections as it likes.
    let per_address = if is_proxy { usize::MAX } else { settings.limits.connections_per_address };
    let admission = match admissions.admit(peer.ip(), settings.limits.connections, per_address) {
        Ok(admission) => admission,
        Err(limit) => return turn_away(service, peer, limit, &socket, shared),
    };
    let (shared, handler, admissions) = (shared.clone(), handler.clone(), admissions.clone());
    sessions.spawn(async move {
        let (mut socket, mut peer, mut admission) = (socket, peer, admission);
        if is_proxy {
            let client = tokio::select! {
                client = proxied::client(&mut socket, peer) => client,
                () = shared.shutdown.wait() => return,
            };
            peer = match client {
                Ok(client) => client,
                Err(error) => return debug!(%peer, service = service.name(), %error, "a proxy does not say whose connection it is"),
            };
            drop(admission);
            let limits = &settings.limits;
            admission = match admissions.admit(peer.ip(), limits.connections, limits.connections_per_address) {
                Ok(admission) => admission,
                Err(limit) => return turn_away(service, peer, limit, &socket, &shared),
            };
        }
        let Ok(mut connection) = Connection::new(socket, peer, Some(admission)) else { return };
        let name = service.name();
        shared.metrics.connection_opened(name);
        // Counted down also when the session is cut.
        let _open = Open { shared: shared.clone(), name };
        if service.implicit_tls() {
            let Some(acceptor) = shared.acceptor() else { return };
            let web = service == Service::Https;
            let acceptor = if web { acceptor.for_web(&shared.acme.answers) } else { (*acceptor).clone() };
            let handshake = tokio::select! {
                handshake = connection.start_tls(&acceptor) => handshake,
                () = shared.shutdown.wait() => return,
            };
            if let Err(error) = handshake {
                debug!(peer = %connection.peer(), service = name, %error, "no TLS");
                return;
            }
            // RFC 8737 §4: who came to see the proof has seen it; nothing else goes over such a connection.
            if connection.tls().is_some_and(|tls| tls.alpn.as_deref() == Some(TLS_ALPN)) {
                return;
            }
        }
        handler(connection, service, shared.clone()).await;
    });
}

/// Says so, best effort and without waiting: the socket's empty buffer takes a line.
fn turn_away(service: Service, peer: SocketAddr, limit: &'static str, socket: &TcpStream, shared: &Shared) {
    shared.metrics.turned_away(service.name(), limit);
    debug!(%peer, service = service.name(), limit, "turned away");
    let _ = socket.try_write(service.too_many());
}

struct Open {
    shared: Arc<Shared>,
    name: &'static str,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.metrics.connection_closed(self.name);
    }
}
