"""Filters that others wrote (milters): rspamd marks and refuses, OpenDKIM signs what users send, and one on libmilter (by
pymilter) does everything that the protocol has; all three are asked by one server."""

import contextlib, pathlib, shutil, smtplib, tempfile

from letters import arrives, imap, letter, submit
from postrider import Process, Serve, free_port, run

here = pathlib.Path(__file__).resolve().parent
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"

RSPAMD = """
options {{
    pidfile = "{top}/rspamd.pid"; filters = ""; enable_test_patterns = true; gtube_patterns = "all"; tempdir = "{top}";
    dns {{ nameserver = ["127.0.0.1:9"]; timeout = 0.1s; retransmits = 1; }}
}}
logging {{ type = "console"; level = "notice"; }}
worker "rspamd_proxy" {{
    bind_socket = "127.0.0.1:{port}"; milter = yes; count = 1; timeout = 30s;
    upstream "local" {{ default = yes; self_scan = yes; }}
}}
actions {{ add_header = 6; reject = 15; }}
"""

OPENDKIM = """
Syslog no
UserID root
Socket inet:{port}@127.0.0.1
Domain ours.example
Selector s
KeyFile {top}/key.pem
RequireSafeKeys no
Mode s
"""


class Filtered:
    def __init__(self, ours):
        self.ours = ours

    def send(self, to, message, sender="carol@elsewhere.example"):
        """From another server; the reply as (code, words)."""
        with smtplib.SMTP("127.0.0.1", self.ours.smtp, timeout=60) as smtp:
            smtp.ehlo("client.example")
            try:
                smtp.sendmail(sender, [to], message)
                return 250, b""
            except smtplib.SMTPDataError as error:
                return error.smtp_code, error.smtp_error
            except smtplib.SMTPRecipientsRefused as error:
                return error.recipients[to]

    def trace(self, message_id):
        return self.ours.command("trace", message_id).stdout.decode()


@contextlib.contextmanager
def scene():
    top = pathlib.Path(tempfile.mkdtemp(prefix="postrider-milter-"))
    ports = {name: free_port() for name in ("rspamd", "opendkim", "filter")}
    (top / "rspamd.conf").write_text(RSPAMD.format(top=top, port=ports["rspamd"]))
    (top / "opendkim.conf").write_text(OPENDKIM.format(top=top, port=ports["opendkim"]))
    run("openssl", "genrsa", "-traditional", "-out", top / "key.pem", "2048")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, top, ignore_errors=True)
        # Debian's pymilter is for Debian's Python.
        for name, command in (
            ("rspamd", ["rspamd", "-f", "--insecure", "-u", "root", "-g", "root", "-c", top / "rspamd.conf"]),
            ("opendkim", ["opendkim", "-f", "-x", top / "opendkim.conf"]),
            ("filter", ["/usr/bin/python3", here / "milter_filter.py", ports["filter"]]),
        ):
            process = Process(command, top, name, wait_for=[ports[name]]).start()
            # Told, not killed: rspamd ends its workers itself.
            stack.callback(process.process.wait, 30)
            stack.callback(process.process.terminate)
        extra = f"""
[[milter]]
name = "filter"
address = "inet:127.0.0.1:{ports['filter']}"
on = ["smtp"]

[[milter]]
name = "opendkim"
address = "inet:127.0.0.1:{ports['opendkim']}"
on = ["submission"]

[[milter]]
name = "rspamd"
address = "inet:127.0.0.1:{ports['rspamd']}"
on = ["smtp"]
"""
        accounts = {"alice@ours.example": "alice", "bob@ours.example": "bob"}
        yield Filtered(stack.enter_context(Serve("ours.example", accounts, extra=extra)))


def test_rspamd_refuses_and_marks(system):
    to = "alice@ours.example"
    _, message = letter("carol@elsewhere.example", to, GTUBE)
    code, words = system.send(to, message)
    assert code == 554 and b"Gtube" in words, (code, words)
    message_id, message = letter("carol@elsewhere.example", to, GTUBE.replace(b"XJS", b"YJS"))
    assert system.send(to, message)[0] == 250
    with imap(system.ours, to) as reader:
        got = arrives(reader, message_id, "Junk")
        assert b"\r\nX-Spam: Yes\r\n" in got and got.endswith(b"\r\n\r\nYJS" + GTUBE[3:]), got
        message_id, message = letter("carol@elsewhere.example", to, b"Lunch?\r\n")
        assert system.send(to, message)[0] == 250
        arrives(reader, message_id)
    told = system.trace(message_id)
    assert "by rspamd, which" in told and "by filter, which lets it pass as it is" in told, told


def test_opendkim_signs_what_users_send(system):
    for _ in range(2):
        message_id, message = letter("alice@ours.example", "bob@ours.example", b"signed\r\n")
        submit(system.ours, "alice@ours.example", "bob@ours.example", message)
        with imap(system.ours, "bob@ours.example") as reader:
            got = arrives(reader, message_id)
        assert got.split(b"\r\nDKIM-Signature: ")[1].split(b"\r\nFrom: ")[0].count(b"d=ours.example") == 1, got
        assert "by opendkim, which adds DKIM-Signature" in system.trace(message_id)


def test_everything_that_libmilter_can_do(system):
    to = "alice@ours.example"
    for subject, code, words in (
        ("reject", 550, b"Refused by a filter"),
        ("tempfail", 451, b"4.7.1 A filter"),
        ("reply", 554, b"5.6.0 one\n5.6.0 two"),
    ):
        _, message = letter("carol@elsewhere.example", to, b"x\r\n", subject)
        said = system.send(to, message)
        assert said[0] == code and words in said[1], (subject, said)
    assert system.send("nobody-by-filter@ours.example", b"x: y\r\n\r\nz\r\n")[0] == 550

    message_id, message = letter("carol@elsewhere.example", to, b"x\r\n", "discard")
    assert system.send(to, message)[0] == 250
    assert "discarded" in system.trace(message_id)

    with imap(system.ours, to) as alice, imap(system.ours, "bob@ours.example") as bob:
        message_id, message = letter("carol@elsewhere.example", to, b"12\r\n", "headers", b"X-Gone: 1\r\nX-Gone: 2\r\n")
        assert system.send(to, message)[0] == 250
        got = arrives(alice, message_id)
        assert b"X-Top: queue " in got and b"\r\n\tfolded\r\nFrom: " in got, got
        assert b"\r\nSubject: changed\r\n" in got and b"X-Gone: 1" not in got and b"\r\nX-Gone: 2\r\n" in got, got
        assert b"\r\nX-Size: 4\r\n" in got and got.endswith(b"\r\n\r\n12\r\n"), got

        message_id, message = letter("carol@elsewhere.example", to, b"y" * 70 + b"\r\n", "body")
        assert system.send(to, message)[0] == 250
        assert arrives(alice, message_id).endswith(b"\r\n\r\n" + b"another body\r\n" * 20_000)

        message_id, message = letter("carol@elsewhere.example", to, b"x\r\n", "envelope")
        assert system.send(to, message)[0] == 250
        assert arrives(bob, message_id).startswith(b"Return-Path: <new@elsewhere.example>\r\n")

        message_id, message = letter("carol@elsewhere.example", to, b"x\r\n", "quarantine")
        assert system.send(to, message)[0] == 250
        told = system.trace(message_id)
        assert "wants it kept back: to be looked at" in told and "hold" in told, told
        queue_id = told.split("┌ ")[1].split()[1]
        system.ours.command("queue", "release", queue_id)
        arrives(alice, message_id)
