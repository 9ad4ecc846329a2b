//! Sockets to filters of others (milters). Does: open them, on the network and on this machine. Does not: know what is said,
//! or how long to wait: `mta::milter` does.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use mta::milter::{Dial, Milters, Place};
use mta::world::{Clock, Stream};
use tokio::net::{TcpStream, UnixStream};

use crate::settings::Settings;

/// The filters of these settings; none: there are none.
pub(crate) fn of(settings: &Settings, clock: &Arc<dyn Clock>) -> Option<Arc<Milters>> {
    let all = &settings.milters;
    (!all.is_empty()).then(|| Milters::new(all, settings.junk_header.clone(), Arc::new(Sockets), clock.clone()))
}

/// The real ones.
#[derive(Clone, Copy, Debug)]
struct Sockets;

#[async_trait]
impl Dial for Sockets {
    async fn dial(&self, place: &Place) -> io::Result<Box<dyn Stream>> {
        Ok(match place {
            Place::Inet(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                // Whole flights are written at once: waiting for more only costs time.
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    }
}
