"""Postfix and Dovecot as peers: their own configuration, queue and mail folders in a temporary folder, ports
above 1024 on loopback. Nothing of the machine's own Postfix or Dovecot is touched.

Comes in: a domain and the letters of the tests. Goes out: what Dovecot's LMTP stored in maildirs.
"""

import os, pathlib, pwd, shutil, smtplib, ssl, subprocess, tempfile

from postrider import ROOT, answers, certificate, free_port, run, until

#: Where ./test puts programs and libraries that are not installed, only unpacked.
CLIENTS = pathlib.Path(os.environ.get("POSTRIDER_CLIENTS") or ROOT / "target/clients")
SENDMAIL_DIRS = "/usr/lib/postfix/sbin"


def detached(*command):
    """Runs a command that leaves daemons behind: they inherit no pipe of ours."""
    with tempfile.TemporaryFile() as said:
        done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=60)
        said.seek(0)
        assert done.returncode == 0, f"{command} exited {done.returncode}: {said.read().decode(errors='replace')}"


class Peer:
    """One Postfix with Dovecot's LMTP and IMAP behind it, for one domain.

    users: local parts with a maildir, each with itself as password. Everything is stored under `folder` (same
    file system as the caller's). whole: with TLS, POP3, submission and special-use folders as well. kind: how Dovecot
    keeps mail; `files` and `holding` are for maildir.
    """

    def __init__(self, domain, users=("carol", "dave"), folder=None, settings=(), whole=False, authority=None, kind="maildir"):
        base = folder or os.environ.get("POSTRIDER_TEST_DIR")
        # Postfix's daemons run as the user postfix: every folder above must be passable.
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="postrider-peer-", dir=base))
        self.top.chmod(0o755)
        self.domain, self.users, self.settings = domain, list(users), dict(settings)
        self.smtp, self.imap, self.lmtp = free_port(), free_port(), free_port()
        self.whole, self.kind = whole, kind
        if whole:
            self.imaps, self.pop3, self.pop3s, self.sasl = free_port(), free_port(), free_port(), free_port()
            self.submission, self.submissions = free_port(), free_port()
        self.ca, self.cert, self.key = certificate(self.top / "tls", f"mail.{domain}", "localhost", authority=authority)
        self.key.chmod(0o644)
        self.mail = self.top / "mail"
        self.mail.mkdir()
        nobody = pwd.getpwnam("nobody")
        os.chown(self.mail, nobody.pw_uid, nobody.pw_gid)
        self.uid, self.gid = nobody.pw_uid, nobody.pw_gid
        self.dovecot = None

    # ---- Dovecot

    def start_dovecot(self):
        home = self.top / "dovecot"
        home.mkdir()
        (home / "users").write_text("".join(f"{u}@{self.domain}:{{plain}}{u}::::::\n" for u in self.users))
        config = home / "dovecot.conf"
        config.write_text(f"""base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
protocols = imap lmtp{' pop3' if self.whole else ''}
listen = 127.0.0.1
ssl = {'yes' if self.whole else 'no'}
ssl_cert = <{self.cert}
ssl_key = <{self.key}
disable_plaintext_auth = no
default_internal_user = dovecot
default_login_user = dovenull
first_valid_uid = 1
mail_uid = {self.uid}
mail_gid = {self.gid}
mail_location = {self.kind}:{self.mail}/%n
mail_home = {self.mail}/%n-home
default_process_limit = 200
default_client_limit = 2000
passdb {{
  driver = passwd-file
  args = {home}/users
}}
userdb {{
  driver = passwd-file
  args = {home}/users
  default_fields = uid={self.uid} gid={self.gid} home={self.mail}/%n-home
}}
service imap-login {{
  inet_listener imap {{
    port = {self.imap}
  }}
  inet_listener imaps {{
    port = {self.imaps if self.whole else 0}
  }}
}}
service lmtp {{
  process_min_avail = 4
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {self.lmtp}
  }}
}}
service anvil {{
  client_limit = 2000
}}
""")
        if self.whole:
            self.whole_dovecot(config)
        self.dovecot = config
        detached("dovecot", "-c", config)
        until(f"Dovecot\n{self.dovecot_log()}", lambda: answers(self.lmtp) and answers(self.imap))

    def whole_dovecot(self, config):
        special = "".join(f"  mailbox {name} {{\n    auto = subscribe\n    special_use = \\{name}\n  }}\n"
                          for name in ("Sent", "Drafts", "Junk", "Trash", "Archive"))
        with open(config, "a") as file:
            file.write(f"""auth_mechanisms = plain login
namespace inbox {{
  inbox = yes
  separator = /
{special}}}
service pop3-login {{
  inet_listener pop3 {{
    port = {self.pop3}
  }}
  inet_listener pop3s {{
    port = {self.pop3s}
  }}
}}
service auth {{
  inet_listener {{
    address = 127.0.0.1
    port = {self.sasl}
  }}
}}
pop3_lock_session = yes
""")

    def dovecot_log(self):
        log = self.top / "dovecot" / "log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else ""

    # ---- Postfix

    def start_postfix(self):
        self.etc, self.queue, data = self.top / "etc", self.top / "queue", self.top / "data"
        for folder in (self.etc, self.queue, data):
            folder.mkdir()
        postfix = pwd.getpwnam("postfix")
        os.chown(data, postfix.pw_uid, postfix.pw_gid)
        (self.etc / "transport").write_text("")
        (self.etc / "recipients").write_text("".join(f"{u}@{self.domain} ok\n" for u in self.users))
        settings = {
            "compatibility_level": "3.6", "queue_directory": self.queue, "data_directory": data,
            "command_directory": "/usr/sbin", "daemon_directory": SENDMAIL_DIRS,
            "myhostname": f"mail.{self.domain}", "mydestination": "", "mynetworks": "127.0.0.0/8",
            "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4", "maillog_file": self.top / "postfix.log",
            "maillog_file_prefixes": f"{self.top}, /var, /dev/stdout",
            "virtual_mailbox_domains": self.domain, "virtual_mailbox_maps": f"texthash:{self.etc}/recipients",
            "virtual_transport": f"lmtp:inet:127.0.0.1:{self.lmtp}", "virtual_mailbox_limit": "0",
            "transport_maps": f"texthash:{self.etc}/transport", "disable_dns_lookups": "yes",
            "smtp_tls_security_level": "may", "smtpd_tls_security_level": "may",
            "smtpd_tls_cert_file": self.cert, "smtpd_tls_key_file": self.key, "smtpd_peername_lookup": "no",
            "smtp_tls_loglevel": "1", "message_size_limit": "102400000", "alias_maps": "", "alias_database": "",
            "local_recipient_maps": "", "notify_classes": "", "biff": "no", "smtp_line_length_limit": "0",
            **self.settings,
        }
        (self.etc / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
        original = pathlib.Path("/usr/share/postfix/master.cf.dist")
        if not original.exists():
            original = pathlib.Path("/etc/postfix/master.cf")
        lines = []
        for line in original.read_text().splitlines():
            words = line.split()
            # The first service is the listener on port 25; ours is elsewhere. No chroot anywhere.
            if len(words) >= 8 and not line.startswith((" ", "#", "\t")):
                words[4] = "n"
                if words[0] == "smtp" and words[1] == "inet":
                    words[0] = f"127.0.0.1:{self.smtp}"
                line = " ".join(words)
            lines.append(line)
        if self.whole:
            options = (f"-o smtpd_sasl_auth_enable=yes -o smtpd_sasl_type=dovecot -o smtpd_tls_auth_only=yes "
                       f"-o smtpd_sasl_path=inet:127.0.0.1:{self.sasl} -o smtpd_sender_login_maps=texthash:{self.etc}/owners "
                       "-o smtpd_relay_restrictions=permit_sasl_authenticated,reject "
                       "-o smtpd_sender_restrictions=reject_sender_login_mismatch ")
            for port, more in ((self.submission, ""), (self.submissions, "-o smtpd_tls_wrappermode=yes")):
                lines.append(f"127.0.0.1:{port} inet n - n - - smtpd {options}{more}")
            (self.etc / "owners").write_text("".join(f"{u}@{self.domain} {u}@{self.domain}\n" for u in self.users))
        (self.etc / "master.cf").write_text("\n".join(lines) + "\n")
        self.postfix_command("start")
        until(f"Postfix\n{self.postfix_log()}", lambda: answers(self.smtp))

    def postfix_command(self, *arguments):
        # Postfix 3.7 refuses an unknown configuration directory unless it is root's or listed; -c is for root.
        detached("postfix", "-c", self.etc, *arguments)

    def postfix_log(self):
        log = self.top / "postfix.log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else ""

    def tls(self):
        return ssl.create_default_context(cafile=str(self.ca))

    def route(self, domain, port):
        """Sends mail for a domain to a port on loopback."""
        with open(self.etc / "transport", "a") as file:
            file.write(f"{domain} smtp:[127.0.0.1]:{port}\n")
        self.postfix_command("reload")

    def send(self, sender, recipients, message):
        with smtplib.SMTP("127.0.0.1", self.smtp, timeout=60) as smtp:
            smtp.sendmail(sender, recipients, message, mail_options=["BODY=8BITMIME"])

    # ---- what is stored

    def files(self):
        """All stored messages."""
        return [file for user in self.users for part in ("new", "cur")
                if (folder := self.mail / user / part).is_dir() for file in folder.iterdir()]

    def holding(self, text):
        """The bytes of the stored message that has this text in it; None while there is none."""
        for file in self.files():
            content = file.read_bytes()
            if text.encode() in content:
                return content
        return None

    def __enter__(self):
        try:
            self.start_dovecot()
            self.start_postfix()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.postfix_log(), self.dovecot_log())
        self.end()

    def end(self):
        if (self.top / "etc" / "master.cf").exists():
            subprocess.run(["postfix", "-c", self.etc, "stop"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        if self.dovecot:
            run("doveadm", "-c", self.dovecot, "stop", check=False)
        if not os.environ.get("POSTRIDER_KEEP"):
            shutil.rmtree(self.top, ignore_errors=True)


class Reference:
    """Two Postfix + Dovecot systems in the place of `postrider local`: the same tests must pass here, as far as
    they are about the standards. So we know that the tests are right."""

    def __init__(self, *_):
        open_door = {"mynetworks": "127.0.0.99/32", "smtpd_relay_restrictions": "reject_unauth_destination"}
        self.red = Peer("red.example", ("alice", "bob"), settings=open_door, whole=True)
        self.blue = Peer("blue.example", ("alice", "bob"), settings=open_door, whole=True, authority=self.red.top / "tls")

    def __enter__(self):
        self.red.__enter__()
        self.blue.__enter__()
        self.red.route("blue.example", self.blue.smtp)
        self.blue.route("red.example", self.red.smtp)
        return self

    def __exit__(self, kind, *rest):
        self.red.__exit__(kind, *rest)
        self.blue.__exit__(kind, *rest)
