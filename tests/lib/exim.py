"""Exim as a peer: its own configuration, queue and maildirs in a temporary folder, a port above 1024 on loopback.

Debian's exim4 and postfix can't be installed together, so ./test unpacks exim4 beside (POSTRIDER_CLIENTS). It runs as
nobody and never as root; the user Debian-exim, by whose name the program is built, is made up by nss_wrapper.

Comes in: a domain and the letters of the tests. Goes out: what stands in its maildirs and in its log.
"""

import os, pathlib, pwd, shutil, smtplib, tempfile

from peers import CLIENTS
from postrider import Process, certificate, free_port, run

PROGRAM = CLIENTS / "exim/usr/sbin/exim4"


class Exim:
    """One Exim for one domain. users: local parts with a maildir. authority: the CA (a file) that it must see at the
    other side when it delivers."""

    def __init__(self, domain, users=("carol",)):
        # It runs as nobody: every folder above must be passable.
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="postrider-exim-", dir=os.environ.get("POSTRIDER_TEST_DIR")))
        self.top.chmod(0o755)
        self.domain, self.users, self.smtp, self.routes, self.authority = domain, list(users), free_port(), {}, None
        self.ca, self.cert, self.key = certificate(self.top / "tls", f"mail.{domain}", "localhost")
        self.mail, self.log, self.config = self.top / "mail", self.top / "mainlog", self.top / "exim.conf"
        self.program, self.server = self.top / "exim4", None

    def settings(self):
        routes = "".join(f"  route_list = {domain} localhost::{port} byname\n" for domain, port in self.routes.items())
        verify = f"  tls_verify_hosts = *\n  tls_verify_certificates = {self.top}/authority.pem\n" if self.authority else ""
        return f"""primary_hostname = mail.{self.domain}
exim_path = {self.program}
keep_environment = LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
spool_directory = {self.top}/spool
log_file_path = {self.top}/%slog
log_selector = +tls_peerdn +tls_certificate_verified +8bitmime
pid_file_path = {self.top}/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.smtp}
tls_advertise_hosts = *
tls_certificate = {self.cert}
tls_privatekey = {self.key}
chunking_advertise_hosts = *
dsn_advertise_hosts = *
prdr_enable = true
smtputf8_advertise_hosts = *
smtp_accept_max = 200
smtp_accept_queue_per_connection = 0
deliver_drop_privilege = true
message_size_limit = 100M
acl_smtp_rcpt = recipients
begin acl
recipients:
  accept domains = {self.domain}
         verify = recipient
  deny   domains = {self.domain}
         message = nobody of that name lives here
  accept hosts = 127.0.0.1
begin routers
ours:
  driver = accept
  domains = {self.domain}
  local_parts = {" : ".join(self.users)}
  transport = maildir
elsewhere:
  driver = manualroute
  domains = ! {self.domain}
{routes}  self = send
  transport = smtp
begin transports
maildir:
  driver = appendfile
  directory = {self.mail}/$local_part_data
  maildir_format
  create_directory
  # The message as it came, under a Return-Path.
  return_path_add
smtp:
  driver = smtp
{verify}begin retry
* * F,1h,2s
"""

    def __enter__(self):
        owner = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        (self.top / "spool").mkdir()
        self.mail.mkdir()
        if self.authority:
            shutil.copy(self.authority, self.top / "authority.pem")
        self.config.write_text(self.settings())
        # Copied, because nobody must reach it, too.
        shutil.copy(PROGRAM, self.program)
        people = f"root:x:0:0:root:/:/bin/false\nDebian-exim:x:{owner.pw_uid}:{owner.pw_gid}::/:/bin/false\n"
        (self.top / "passwd").write_text(people)
        (self.top / "group").write_text(f"root:x:0:\nDebian-exim:x:{owner.pw_gid}:\n")
        environment = {"LD_PRELOAD": "libnss_wrapper.so", "NSS_WRAPPER_PASSWD": str(self.top / "passwd"),
                       "NSS_WRAPPER_GROUP": str(self.top / "group")}
        command = [self.program, "-C", self.config, "-bdf", "-q2s"]
        if os.getuid() == 0:
            run("chown", "-R", f"{owner.pw_uid}:{owner.pw_gid}", self.top)
            command = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups", *command]
        self.server = Process(command, self.top, "exim", environment, [self.smtp])
        try:
            self.server.start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.server.tail(), self.said()[-3000:])
        self.end()

    def end(self):
        if self.server.process and self.server.process.poll() is None:
            self.server.kill()
        if not os.environ.get("POSTRIDER_KEEP"):
            shutil.rmtree(self.top, ignore_errors=True)

    def said(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def send(self, sender, recipients, message, options=("BODY=8BITMIME",), rcpt_options=()):
        with smtplib.SMTP("127.0.0.1", self.smtp, timeout=60) as smtp:
            smtp.sendmail(sender, recipients, message, mail_options=list(options), rcpt_options=list(rcpt_options))

    def holding(self, text):
        """The bytes of the stored message that has this text in it; None while there is none."""
        for file in self.mail.glob("*/new/*"):
            content = file.read_bytes()
            if text.encode() in content:
                return content
        return None
