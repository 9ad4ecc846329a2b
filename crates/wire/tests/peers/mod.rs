//! Servers that others wrote, from Debian: who stands in our place shows whether a dialogue is the RFC's or only ours.
//!
//! They need root. Where one is not installed the test says so and shows nothing, but under `./test`, which installs
//! them, it fails (`POSTRIDER_PEERS`).
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic, reason = "tests, each of which uses a part")]

pub mod dovecot;
pub mod postfix;

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testkit::transcript::{Scene, Step, Transcript, run};

/// Debian's user without rights.
const NOBODY: u32 = 65_534;

/// Whether a peer can run here: its program is there, and we are root.
fn is_there(program: &str) -> bool {
    let is_root = fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0);
    let is_installed = Path::new(program).exists();
    assert!(
        is_installed || !is_root || std::env::var_os("POSTRIDER_PEERS").is_none(),
        "{program} is not there, though ./test has installed it"
    );
    is_root && is_installed
}

/// Runs a command that leaves daemons behind, which must not hold our pipes. True: it succeeded.
fn detached(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Waits until somebody listens there.
fn listens(address: SocketAddr) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(30) {
        if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

/// A port that is free: the peer binds it at once.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The folder of a protocol's dialogues.
pub fn folder(protocol: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/transcripts").join(protocol)
}

/// What is in a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Runs a protocol's dialogues that are marked `standard`; `line` says what of each expected line must be the same.
/// `POSTRIDER_STANDARD=all` runs all dialogues, to find more that are.
pub fn agree(
    protocol: &str,
    least: usize,
    log: &Path,
    line: impl Fn(&str) -> String,
    mut scene: impl FnMut(&Transcript) -> Box<dyn Scene>,
) {
    let all = std::env::var_os("POSTRIDER_STANDARD").is_some();
    let mut files = files(&folder(protocol));
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let (mut compared, mut differences) = (0, Vec::new());
    for file in files {
        let mut transcript = Transcript::read(&file).unwrap();
        for (_, _, step) in &mut transcript.steps {
            if let Step::Line(text) = step {
                *text = line(text);
            }
        }
        if all || transcript.directive("standard").is_some() {
            compared += 1;
            differences.extend(run(&transcript, &mut scene).err());
        }
    }
    let log = fs::read_to_string(log).unwrap_or_default();
    let tail = &log[log.len().saturating_sub(2000)..];
    assert!(
        differences.is_empty(),
        "{} of {compared} differ:\n{}\n{tail}",
        differences.len(),
        differences.join("\n\n")
    );
    assert!(compared >= least, "{compared} dialogues are standard");
}
