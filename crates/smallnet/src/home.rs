//! The directory that `local` lives in: one lock, the CA, and each system's configuration and certificate.
//!
//! Does: takes the lock, makes what is missing, forgets the mail where that is asked for, and says which ports
//! are taken. Does not: touch a directory that is not its own, or the stores. Everything goes in
//! and out as files; what fails is told in one sentence with a remedy.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use crate::ca::Authority;
use crate::plan::Plan;

/// The file whose lock says that a small internet runs here.
const LOCK: &str = "local.lock";
/// Port bases that are proposed where ports are taken.
const OTHER_BASES: [u16; 4] = [52_000, 22_000, 12_000, 32_000];

/// Why the small internet can't start.
#[derive(Debug)]
pub enum HomeError {
    /// Another one runs in the same directory.
    Runs(PathBuf),
    /// The directory holds other things.
    NotOurs(PathBuf),
    /// Ports that other programs listen on: what for, and which; and a port base that is free, if one was found.
    Taken(Vec<(String, SocketAddr)>, Option<u16>),
    /// Anything of the file system.
    Io(PathBuf, io::Error),
}

impl fmt::Display for HomeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs(dir) => write!(
                f,
                "another `postrider local` runs in {}: use that one, stop it, or start this one with --dir OTHER and \
                 another --port-base",
                dir.display()
            ),
            Self::NotOurs(dir) => {
                write!(f, "{} holds other things: give an empty or a new directory with --dir", dir.display())
            }
            Self::Taken(ports, free) => {
                let (many, verb) = if ports.len() == 1 { ("port", "is") } else { ("ports", "are") };
                write!(f, "{many} ")?;
                for (place, (what, address)) in ports.iter().take(3).enumerate() {
                    let comma = if place == 0 { "" } else { ", " };
                    write!(f, "{comma}{} ({what})", address.port())?;
                }
                if ports.len() > 3 {
                    write!(f, " and {} more", ports.len() - 3)?;
                }
                write!(
                    f,
                    " {verb} taken by another program: stop it (perhaps another `postrider local`), or use other ports"
                )?;
                match free {
                    Some(free) => write!(f, " with --port-base {free}"),
                    None => f.write_str(" with --port-base"),
                }
            }
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for HomeError {}

/// The directory, locked while this lives.
#[derive(Debug)]
pub struct Home {
    _lock: File,
    /// SHA-256 of each system's public key, for TLSA.
    pub fingerprints: [Vec<u8>; 2],
}

impl Home {
    /// Takes the directory of the plan and makes what is missing in it. `start_over` forgets both systems with
    /// their mail, and keeps the CA, which people may have told their mail clients to trust.
    pub fn open(plan: &Plan, start_over: bool, catch_all: bool) -> Result<Self, HomeError> {
        let dir = &plan.dir;
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error| HomeError::Io(path, error)
        };
        if !is_ours(dir).map_err(io(dir))? {
            return Err(HomeError::NotOurs(dir.clone()));
        }
        fs::create_dir_all(dir).map_err(io(dir))?;
        let lock_file = dir.join(LOCK);
        let lock = File::options().write(true).create(true).truncate(false).open(&lock_file).map_err(io(&lock_file))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(HomeError::Runs(dir.clone())),
            Err(TryLockError::Error(error)) => return Err(HomeError::Io(lock_file, error)),
        }
        let taken = taken(plan);
        if !taken.is_empty() {
            return Err(HomeError::Taken(taken, free_base(dir)));
        }
        let authority = Authority::open(dir).map_err(io(dir))?;
        let mut fingerprints = [Vec::new(), Vec::new()];
        for (system, fingerprint) in plan.systems.into_iter().zip(&mut fingerprints) {
            let folder = plan.folder(system);
            if start_over && folder.exists() {
                fs::remove_dir_all(&folder).map_err(io(&folder))?;
            }
            let (chain, key) = (folder.join("tls/fullchain.pem"), folder.join("tls/key.pem"));
            let issued = authority.ensure(&system.names(), &chain, &key).map_err(io(&chain))?;
            *fingerprint = issued.public_key_sha256;
            let config = plan.config_file(system);
            fs::write(&config, plan.configuration(system, catch_all)).map_err(io(&config))?;
        }
        Ok(Self { _lock: lock, fingerprints })
    }
}

/// Whether a directory may be used: it is not there, empty, or was used before.
fn is_ours(dir: &Path) -> io::Result<bool> {
    if !dir.exists() || dir.join(LOCK).exists() {
        return Ok(true);
    }
    Ok(fs::read_dir(dir)?.next().is_none())
}

/// Ports of the plan that other programs listen on. Another may take one between this look and our own bind;
/// then that fails, with a less friendly sentence.
fn taken(plan: &Plan) -> Vec<(String, SocketAddr)> {
    let mut taken = Vec::new();
    if TcpListener::bind(plan.dns()).is_err() || UdpSocket::bind(plan.dns()).is_err() {
        taken.push(("DNS".to_owned(), plan.dns()));
    }
    for system in plan.systems {
        for (what, address) in system.listeners() {
            if TcpListener::bind(address).is_err() {
                taken.push((format!("{what} of {}", system.domain), address));
            }
        }
    }
    taken
}

/// A port base that is free just now, for the remedy.
fn free_base(dir: &Path) -> Option<u16> {
    OTHER_BASES.into_iter().find(|base| Plan::new(dir, *base).is_ok_and(|plan| taken(&plan).is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A port base whose ports are free; the tests here run beside each other, so each has a range of its own,
    /// below those that the system gives to clients.
    fn base_of(dir: &Path, range: u16) -> Plan {
        let base = 20_000 + range * 3_000;
        (base..base + 900).map(|base| Plan::new(dir, base).unwrap()).find(|plan| taken(plan).is_empty()).unwrap()
    }

    #[test]
    fn makes_what_is_missing_keeps_the_rest_and_forgets_when_told() {
        let dir = tempfile::tempdir().unwrap();
        let plan = base_of(&dir.path().join("new"), 0);
        let first = Home::open(&plan, false, false).unwrap();
        assert!(matches!(Home::open(&plan, false, false), Err(HomeError::Runs(_))));
        let mail = plan.folder(plan.systems[0]).join("data");
        fs::create_dir(&mail).unwrap();
        let fingerprints = first.fingerprints.clone();
        let ca = fs::read(plan.dir.join("ca.pem")).unwrap();
        drop(first);
        let second = Home::open(&plan, false, false).unwrap();
        assert!(mail.exists() && second.fingerprints == fingerprints);
        drop(second);
        let third = Home::open(&plan, true, false).unwrap();
        assert!(!mail.exists() && third.fingerprints != fingerprints);
        assert_eq!(fs::read(plan.dir.join("ca.pem")).unwrap(), ca);
    }

    #[test]
    fn other_peoples_directories_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
        fs::create_dir(dir.path().join("red.example")).unwrap();
        let plan = base_of(dir.path(), 1);
        assert!(matches!(Home::open(&plan, true, false), Err(HomeError::NotOurs(_))));
        assert!(dir.path().join("red.example").exists());
    }

    #[test]
    fn taken_ports_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let plan = base_of(dir.path(), 2);
        let _imap = TcpListener::bind(plan.systems[1].imap()).unwrap();
        let words = Home::open(&plan, false, false).unwrap_err().to_string();
        let port = plan.systems[1].imap().port();
        assert!(words.contains(&format!("port {port} (imap of blue.example) is taken")), "{words}");
        assert!(words.contains("with --port-base"), "{words}");
    }
}
