//! `[dns]`: who answers questions about names.

use std::net::SocketAddr;

use super::read::section;

section! {
    /// DNS servers.
    Dns {
        /// Servers to ask; none: the system's (`/etc/resolv.conf`).
        servers: Vec<SocketAddr> = Vec::new();
    }
}
