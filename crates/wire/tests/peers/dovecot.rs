//! Dovecot for POP3 and IMAP, with alice's messages in a maildir that each run has for itself.

use std::cell::Cell;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::PathBuf;

use super::{NOBODY, detached, free_port, is_there, listens};

pub struct Dovecot {
    top: tempfile::TempDir,
    pub pop3: SocketAddr,
    pub imap: SocketAddr,
    runs: Cell<usize>,
}

impl Dovecot {
    /// None: it can't be had here.
    pub fn start() -> Option<Self> {
        if !is_there("/usr/lib/dovecot/pop3") || !is_there("/usr/lib/dovecot/imap") {
            println!("not compared: dovecot-pop3d or dovecot-imapd is not installed, or this is not root");
            return None;
        }
        let top = tempfile::tempdir().unwrap();
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (pop3, imap) = (free_port(), free_port());
        let home = top.path().display();
        let special = ["Drafts", "Junk", "Trash", "Sent", "Archive"]
            .map(|name| format!(" mailbox {name} {{\n  auto = subscribe\n  special_use = \\{name}\n }}\n"));
        let config = format!(
            "base_dir = {home}/run\nstate_dir = {home}/state\nlog_path = {home}/log\nprotocols = pop3 imap\nssl = no\n\
             listen = 127.0.0.1\ndisable_plaintext_auth = no\nauth_mechanisms = plain login\nfirst_valid_uid = 1\n\
             default_internal_user = dovecot\ndefault_login_user = dovenull\n\
             mail_location = maildir:{home}/current\nauth_failure_delay = 0\n\
             passdb {{\n driver = passwd-file\n args = {home}/users\n}}\n\
             userdb {{\n driver = static\n args = uid={NOBODY} gid={NOBODY} home={home}\n}}\n\
             namespace inbox {{\n inbox = yes\n separator = /\n{}}}\n\
             service pop3-login {{\n inet_listener pop3 {{\n  port = {}\n }}\n inet_listener pop3s {{\n  port = 0\n }}\n}}\n\
             service imap-login {{\n inet_listener imap {{\n  port = {}\n }}\n inet_listener imaps {{\n  port = 0\n }}\n}}\n",
            special.concat(),
            pop3.port(),
            imap.port()
        );
        fs::write(top.path().join("users"), "alice@red.example:{plain}secret\n").unwrap();
        fs::write(top.path().join("dovecot.conf"), config).unwrap();
        let dovecot = Self { top, pop3, imap, runs: Cell::new(0) };
        assert!(dovecot.command(&[]) && listens(pop3) && listens(imap), "{:?}", fs::read_to_string(dovecot.log()));
        Some(dovecot)
    }

    fn command(&self, arguments: &[&str]) -> bool {
        let config = self.top.path().join("dovecot.conf");
        detached("/usr/sbin/dovecot", &[&["-c", config.to_str().unwrap()], arguments].concat())
    }

    pub fn log(&self) -> PathBuf {
        self.top.path().join("log")
    }

    /// A fresh maildir with these messages, received a day apart.
    pub fn fresh(&self, mut messages: Vec<PathBuf>) -> io::Result<()> {
        messages.sort();
        self.runs.set(self.runs.get() + 1);
        let maildir = self.top.path().join(format!("run-{}", self.runs.get()));
        for part in ["", "cur", "new", "tmp"] {
            fs::create_dir_all(maildir.join(part))?;
            chown(maildir.join(part), Some(NOBODY), Some(NOBODY))?;
        }
        for (number, from) in (1..).zip(messages) {
            // Seen by no session yet, so that they are recent; the name gives their order.
            let to = maildir.join(format!("new/{number:03}.test.host"));
            fs::copy(from, &to)?;
            chown(&to, Some(NOBODY), Some(NOBODY))?;
            let received =
                std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_793_534_400 + (number - 1) * 86_400);
            fs::File::options().write(true).open(&to)?.set_modified(received)?;
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
