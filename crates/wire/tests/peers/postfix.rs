//! Postfix in the scene of tests/transcripts/smtp/README.md; what it takes it throws away.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use testkit::authority::certify;
use testkit::socket::Trusted;

use super::{detached, free_port, is_there, listens};

pub struct Postfix {
    top: tempfile::TempDir,
    pub smtp: SocketAddr,
    /// Takes two recipients and 200 octets at most.
    pub strict: SocketAddr,
    pub trusted: Trusted,
}

impl Postfix {
    /// None: it can't be had here.
    pub fn start() -> Option<Self> {
        if !is_there("/usr/sbin/postfix") {
            println!("not compared: postfix is not installed, or this is not root");
            return None;
        }
        let top = tempfile::tempdir().unwrap();
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let trusted = certify(top.path(), "mail.red.example");
        let postfix = Self { smtp: free_port(), strict: free_port(), trusted, top };
        let (etc, data) = (postfix.path("etc"), postfix.path("data"));
        for folder in [&etc, &postfix.path("queue"), &data] {
            fs::create_dir(folder).unwrap();
        }
        // Its daemons run as the user postfix, which owns the queue that Debian made.
        let owner = fs::metadata("/var/lib/postfix").unwrap();
        chown(&data, Some(owner.uid()), Some(owner.gid())).unwrap();
        fs::write(etc.join("main.cf"), postfix.main()).unwrap();
        fs::write(etc.join("master.cf"), postfix.master()).unwrap();
        fs::write(etc.join("mailboxes"), "alice@red.example ok\nbob@red.example ok\n@catch.example ok\n").unwrap();
        fs::write(
            etc.join("aliases"),
            "postmaster@red.example alice@red.example\nabuse@red.example alice@red.example\n\
             postmaster@mail.red.example alice@red.example\nteam@red.example alice@red.example, bob@red.example\n",
        )
        .unwrap();
        assert!(
            postfix.command("start") && listens(postfix.smtp) && listens(postfix.strict),
            "{:?}",
            fs::read_to_string(postfix.log())
        );
        Some(postfix)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    pub fn log(&self) -> PathBuf {
        self.path("log")
    }

    fn main(&self) -> String {
        let top = self.top.path().display();
        let mut main = String::new();
        for (key, value) in [
            ("compatibility_level", "3.6"),
            ("queue_directory", &format!("{top}/queue")),
            ("data_directory", &format!("{top}/data")),
            ("command_directory", "/usr/sbin"),
            ("daemon_directory", "/usr/lib/postfix/sbin"),
            ("maillog_file", &format!("{top}/log")),
            ("maillog_file_prefixes", &top.to_string()),
            ("myhostname", "mail.red.example"),
            ("mydestination", ""),
            // Who comes over loopback may not relay.
            ("mynetworks", "127.0.0.99/32"),
            ("inet_interfaces", "127.0.0.1"),
            ("inet_protocols", "ipv4"),
            ("virtual_mailbox_domains", "red.example, mail.red.example, catch.example"),
            ("virtual_mailbox_maps", &format!("texthash:{top}/etc/mailboxes")),
            ("virtual_alias_maps", &format!("texthash:{top}/etc/aliases")),
            ("virtual_transport", "discard"),
            ("smtpd_relay_restrictions", "reject_unauth_destination"),
            // As the RFC says, where Postfix asks less by default.
            ("smtpd_helo_required", "yes"),
            ("strict_rfc821_envelopes", "yes"),
            ("smtputf8_enable", "yes"),
            ("smtpd_tls_security_level", "may"),
            ("smtpd_tls_cert_file", &format!("{top}/cert.pem")),
            ("smtpd_tls_key_file", &format!("{top}/key.pem")),
            ("smtpd_peername_lookup", "no"),
            ("smtpd_error_sleep_time", "0"),
            ("smtpd_hard_error_limit", "100"),
            ("smtpd_soft_error_limit", "100"),
            ("alias_maps", ""),
            ("alias_database", ""),
            ("local_recipient_maps", ""),
            ("notify_classes", ""),
            ("disable_dns_lookups", "yes"),
        ] {
            let _ = writeln!(main, "{key} = {value}");
        }
        main
    }

    /// Debian's services, none of them in a chroot; the listeners are ours.
    fn master(&self) -> String {
        let dist = Path::new("/usr/share/postfix/master.cf.dist");
        let original = if dist.exists() { dist } else { Path::new("/etc/postfix/master.cf") };
        let mut master = String::new();
        for line in fs::read_to_string(original).unwrap().lines() {
            let mut words: Vec<&str> = line.split_whitespace().collect();
            let is_service = words.len() >= 8 && !line.starts_with([' ', '#', '\t']);
            if is_service && words[..2] != ["smtp", "inet"] {
                words[4] = "n";
                let _ = writeln!(master, "{}", words.join(" "));
            } else if !is_service && line.starts_with([' ', '\t']) && !line.trim_start().starts_with('#') {
                let _ = writeln!(master, "{line}");
            }
        }
        let strict = "-o smtpd_recipient_limit=2 -o message_size_limit=200";
        for (listener, options) in [(self.smtp, ""), (self.strict, strict)] {
            let _ = writeln!(master, "{listener} inet n - n - - smtpd {options}");
        }
        master
    }

    fn command(&self, command: &str) -> bool {
        detached("/usr/sbin/postfix", &["-c", self.path("etc").to_str().unwrap(), command])
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.command("stop");
    }
}
