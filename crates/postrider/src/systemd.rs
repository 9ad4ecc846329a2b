//! What systemd is told (sd_notify(3)), where there is one. Does: send a state to the socket that NOTIFY_SOCKET names, a
//! path or an abstract name. Does not: anything else where it is not set, or fail where nobody listens.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::{ClockId, clock_gettime};
use tracing::warn;

/// What the program does now.
#[derive(Clone, Copy, Debug)]
pub(crate) enum State {
    /// It serves; also after a reload.
    Ready,
    /// It takes its configuration anew.
    Reloading,
    /// It ends.
    Stopping,
}

impl State {
    fn message(self) -> String {
        match self {
            Self::Ready => "READY=1\n".into(),
            Self::Reloading => {
                // sd_notify(3): without the moment in the same message, Type=notify-reload does not believe it.
                let now = clock_gettime(ClockId::Monotonic);
                format!("RELOADING=1\nMONOTONIC_USEC={}\n", now.tv_sec * 1_000_000 + now.tv_nsec / 1000)
            }
            Self::Stopping => "STOPPING=1\n".into(),
        }
    }
}

/// Tells it.
pub(crate) fn tell(state: State) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&name, &state.message()) {
        warn!(%error, "systemd can't be told");
    }
}

fn send(name: &OsStr, message: &str) -> io::Result<()> {
    let address = match name.as_bytes() {
        // unix(7): an abstract name, written with @ for its first octet, NUL.
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(socket: &UnixDatagram, name: &str) -> String {
        for state in [State::Ready, State::Reloading, State::Stopping] {
            send(OsStr::new(name), &state.message()).unwrap();
        }
        let mut said = Vec::new();
        for _ in 0..3 {
            let mut one = [0; 100];
            let length = socket.recv(&mut one).unwrap();
            said.extend_from_slice(&one[..length]);
        }
        String::from_utf8(said).unwrap()
    }

    #[test]
    fn a_path_and_an_abstract_name_both_hear() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("postrider-{}", std::process::id());
        let abstract_one = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (socket, name) in
            [(UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap()), (abstract_one, &format!("@{name}"))]
        {
            let said = said(&socket, name);
            let lines: Vec<&str> = said.lines().collect();
            let [ready, reloading, moment, stopping] = lines[..] else { panic!("{said}") };
            assert_eq!([ready, reloading, stopping], ["READY=1", "RELOADING=1", "STOPPING=1"]);
            let moment: u64 = moment.strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
            assert!(moment > 0);
        }
        assert!(send(OsStr::new("/nowhere/notify"), "READY=1\n").is_err());
    }
}
