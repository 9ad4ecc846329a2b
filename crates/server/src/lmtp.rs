//! Unix sockets where a mail server in front of us (Postfix, Exim) delivers by LMTP. Does: bind them, for their owner and
//! group, and give each connection to the pump of SMTP as one from this machine. Does not: listen on the network.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail::limits;
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::conn::Connection;
use crate::listen::Service;
use crate::shared::Shared;
use crate::smtp::Reception;

/// A bound socket; its file goes when it is dropped.
pub struct LmtpSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl LmtpSocket {
    /// Binds there. A file that nobody answers at is of a server that is gone.
    pub fn bind(path: &Path) -> io::Result<Self> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let is_socket = |meta: std::fs::Metadata| std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type());
        if std::fs::symlink_metadata(path).is_ok_and(is_socket) {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
        Ok(Self { listener, path: path.to_owned() })
    }
}

impl Drop for LmtpSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Accepts until the sign to stop; then waits for open sessions, at most `limits::STOP_TIMEOUT`.
pub async fn serve(socket: LmtpSocket, reception: Arc<Reception>, shared: Arc<Shared>) {
    info!(service = Service::Lmtp.name(), path = %socket.path.display(), "listening");
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            () = shared.shutdown.wait() => break,
            Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
            accepted = socket.listener.accept(), if sessions.len() < shared.settings().limits.connections => match accepted {
                Ok((stream, _)) => {
                    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                    let connection = Connection::over(Box::new(stream), here, here, None);
                    sessions.spawn(reception.clone().serve(connection, Service::Lmtp, shared.clone()));
                }
                Err(error) => {
                    warn!(%error, "can't accept on an LMTP socket for a moment");
                    shared.clock.sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
    }
    let ended = async { while sessions.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(limits::STOP_TIMEOUT, ended).await;
}
