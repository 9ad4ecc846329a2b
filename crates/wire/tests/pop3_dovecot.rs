//! The POP3 dialogues marked `standard`, against Dovecot: if it disagrees, the dialogue is wrong.
//!
//! Needs Debian's dovecot-pop3d and root; where they are absent, says so and shows nothing. `./test` installs it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::socket::Socket;
use testkit::transcript::{Subject, Transcript, run};

const NOBODY: u32 = 65_534;

struct Dovecot {
    top: tempfile::TempDir,
    pop3: SocketAddr,
    runs: Cell<usize>,
}

impl Dovecot {
    fn start() -> Option<Self> {
        let is_root = fs::metadata("/proc/self").ok()?.uid() == 0;
        if !is_root || !Path::new("/usr/lib/dovecot/pop3").exists() {
            return None;
        }
        let top = tempfile::tempdir().ok()?;
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o755)).ok()?;
        // The port is free again once it is told to Dovecot, which binds it at once.
        let pop3 = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?;
        let home = top.path().display();
        let config = format!(
            "base_dir = {home}/run\nstate_dir = {home}/state\nlog_path = {home}/log\nprotocols = pop3\nssl = no\n\
             listen = 127.0.0.1\ndisable_plaintext_auth = no\nauth_mechanisms = plain login\nfirst_valid_uid = 1\n\
             default_internal_user = dovecot\ndefault_login_user = dovenull\n\
             mail_location = maildir:{home}/current:INDEX=MEMORY\n\
             passdb {{\n driver = static\n args = password=secret\n}}\n\
             userdb {{\n driver = static\n args = uid={NOBODY} gid={NOBODY} home={home}\n}}\n\
             service pop3-login {{\n inet_listener pop3 {{\n  port = {}\n }}\n inet_listener pop3s {{\n  port = 0\n }}\n}}\n",
            pop3.port()
        );
        fs::write(top.path().join("dovecot.conf"), config).ok()?;
        let dovecot = Self { top, pop3, runs: Cell::new(0) };
        dovecot.command(&[]).then_some(dovecot)
    }

    fn command(&self, arguments: &[&str]) -> bool {
        let config = self.top.path().join("dovecot.conf");
        // It stays behind as a daemon: it must not hold our pipes.
        let null = std::process::Stdio::null;
        let mut command = Command::new("/usr/sbin/dovecot");
        command.arg("-c").arg(config).args(arguments).stdin(null()).stdout(null()).stderr(null());
        command.status().is_ok_and(|status| status.success())
    }

    /// A fresh maildrop with the messages of the dialogues.
    fn fresh(&self) -> io::Result<()> {
        self.runs.set(self.runs.get() + 1);
        let maildir = self.top.path().join(format!("run-{}", self.runs.get()));
        for part in ["", "cur", "new", "tmp"] {
            fs::create_dir_all(maildir.join(part))?;
            chown(maildir.join(part), Some(NOBODY), Some(NOBODY))?;
        }
        for number in 1..=3 {
            let to = maildir.join(format!("cur/{number}.test.host:2,"));
            fs::copy(folder().join(format!("messages/{number}.eml")), &to)?;
            chown(&to, Some(NOBODY), Some(NOBODY))?;
        }
        let current = self.top.path().join("current");
        let _ = fs::remove_file(&current);
        symlink(maildir, current)
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.command(&["stop"]);
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/transcripts/pop3")
}

#[test]
fn dovecot_agrees() {
    let Some(dovecot) = Dovecot::start() else {
        println!("not compared: dovecot-pop3d is not installed, or this is not root");
        return;
    };
    let address = dovecot.pop3;
    let mut compared = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let transcript = Transcript::read(&path).unwrap();
        if transcript.directive("standard").is_none() {
            continue;
        }
        let result = run(&transcript, &mut |_| {
            dovecot.fresh().unwrap();
            Box::new(move |_| -> io::Result<Box<dyn Subject>> { Ok(Box::new(Socket::connect(address, None)?)) })
        });
        if let Err(difference) = result {
            let log = fs::read_to_string(dovecot.top.path().join("log")).unwrap_or_default();
            panic!("Dovecot: {difference}\n{log}");
        }
        compared += 1;
    }
    assert!(compared >= 5, "{compared}");
}
