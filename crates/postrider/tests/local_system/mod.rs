//! A running `postrider local` for tests: started on free ports, asked by commands, stopped by SIGTERM.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Anything takes less than this; only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_postrider");

/// A running small internet. Stops when dropped.
pub(crate) struct Local {
    child: Child,
    /// Its directory.
    pub(crate) dir: PathBuf,
    /// Its port base.
    pub(crate) base: u16,
    /// What it printed before it was up.
    pub(crate) banner: String,
    /// Directory to remove at the end, unless another test run uses it again.
    temporary: Option<tempfile::TempDir>,
}

/// Port bases below those that the system gives to clients, different ones for every process and every call.
fn next_base() -> u16 {
    static TURN: AtomicU16 = AtomicU16::new(0);
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    // Ports at 25 … 995 and 1025 … 1995 above: bases that differ by a multiple of 2,000 never meet, nor do those that
    // differ by less than 12.
    let process = std::process::id() % 11;
    2_000 * (1 + turn % 14) + u16::try_from(process).unwrap() + turn / 14 * 100
}

impl Local {
    /// Starts in a new directory.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut local = Self::start_in(&temporary.path().join("net"), arguments);
        local.temporary = Some(temporary);
        local
    }

    /// Starts in this directory.
    pub(crate) fn start_in(dir: &Path, arguments: &[&str]) -> Self {
        for _ in 0..20 {
            let base = next_base();
            match Self::try_start(dir, base, arguments) {
                Ok(local) => return local,
                Err(words) if words.contains("taken") => {}
                Err(words) => panic!("local did not start: {words}"),
            }
        }
        panic!("no free ports");
    }

    /// Starts at this port base; what it said, where it did not start.
    pub(crate) fn try_start(dir: &Path, base: u16, arguments: &[&str]) -> Result<Self, String> {
        let mut child = Command::new(PROGRAM)
            .args(["local", "--dir"])
            .arg(dir)
            .args(["--port-base", &base.to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, banner) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        let errors = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = BufReader::new(errors).read_to_string(&mut text);
            text
        });
        let mut text = String::new();
        loop {
            match banner.recv_timeout(PATIENCE) {
                Ok(line) => {
                    text += &line;
                    text.push('\n');
                    // The banner's last line.
                    if line.contains("A first retry comes after") {
                        break;
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let _ = child.wait();
                    return Err(errors.join().unwrap());
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let _ = child.kill();
                    return Err(format!("nothing for {PATIENCE:?}: {text}"));
                }
            }
        }
        Ok(Self { child, dir: dir.to_owned(), base, banner: text, temporary: None })
    }

    /// The same small internet as it is left by a stopped one, for tests that run its systems in another way:
    /// `child` is one of them.
    pub(crate) fn of(child: Child, dir: &Path, base: u16) -> Self {
        Self { child, dir: dir.to_owned(), base, banner: String::new(), temporary: None }
    }

    /// A port of red; add 1000 for blue's.
    pub(crate) fn port(&self, offset: u16) -> u16 {
        self.base + offset
    }

    /// Stops as Ctrl-C or a service manager does; returns whether it ended well, and how long that took.
    pub(crate) fn stop(&mut self) -> (bool, Duration) {
        let begin = Instant::now();
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        (status.success(), begin.elapsed())
    }

    /// Runs a command of the program in the directory's parent.
    pub(crate) fn run(&self, arguments: &[&str], password: &str, input: &str) -> Output {
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .env("POSTRIDER_PASSWORD", password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // One that needs no input may be gone before it is written.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Runs a command that must succeed; what it printed.
    pub(crate) fn must(&self, arguments: &[&str], password: &str, input: &str) -> String {
        let output = self.run(arguments, password, input);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Path of the CA, for `--ca`.
    pub(crate) fn ca(&self) -> String {
        self.dir.join("ca.pem").to_str().unwrap().to_owned()
    }

    /// alice at red sends to `to`; the Message-ID that it got.
    pub(crate) fn send(&self, to: &str, subject: &str) {
        let server = format!("smtp://127.0.0.1:{}", self.port(587));
        let ca = self.ca();
        let arguments = ["mail", "send", "--server", &server, "--ca", &ca, "--user", "alice@red.example"];
        let rest = ["--to", to, "--subject", subject];
        self.must(&[&arguments[..], &rest[..]].concat(), "alice", "Hello!\n");
    }

    /// Asks again and again until the answer has what is waited for: every question is a whole conversation of
    /// processes, so this needs no pause. Fails with the last answer.
    pub(crate) fn until(&self, what: &str, mut ask: impl FnMut() -> String) -> String {
        let begin = Instant::now();
        loop {
            let answer = ask();
            if answer.contains(what) {
                return answer;
            }
            assert!(begin.elapsed() < PATIENCE, "waited in vain for {what:?}; the last answer was:\n{answer}");
        }
    }

    /// A person's list of messages at one of the systems (`red` or `blue`), over IMAP with TLS.
    pub(crate) fn list(&self, person: &str, system: &str) -> String {
        let blue = if system == "blue" { 1000 } else { 0 };
        let server = format!("imaps://127.0.0.1:{}", self.port(993 + blue));
        let (user, ca) = (format!("{person}@{system}.example"), self.ca());
        self.must(&["mail", "list", "--server", &server, "--ca", &ca, "--user", &user], person, "")
    }

    /// The journeys of what a query finds, joined from both systems.
    pub(crate) fn trace(&self, query: &str) -> String {
        let dir = self.dir.to_str().unwrap();
        let output = self.run(&["trace", query, "--dir", dir], "", "");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
