"""msmtp: a sendmail in the user's hands, over STARTTLS and implicit TLS, with certificate checks."""

import pathlib, tempfile

from letters import BODIES, arrives, imap, letter
from postrider import Local as scene, run

ALICE, BOB = "alice@red.example", "bob@blue.example"


def msmtp(net, message, *options, to=(BOB,), check=True, password="alice", auth="on", implicit=False):
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "msmtprc"
        config.write_text(f"""account red
host localhost
port {net.red.submissions if implicit else net.red.submission}
tls on
tls_starttls {'off' if implicit else 'on'}
tls_trust_file {net.red.ca}
auth {auth}
user {ALICE}
password {password}
from {ALICE}
account default : red
""")
        config.chmod(0o600)
        # msmtp reads lines as its system writes them.
        return run("msmtp", "-C", config, *options, "--", *to, input=message.replace(b"\r\n", b"\n"), check=check)


def test_bodies_over_both_kinds_of_tls(net):
    for name, implicit, auth in (("plain", False, "on"), ("dots", True, "plain"), ("utf8", False, "login"),
                                 ("many", True, "on"), ("from", False, "on"), ("blank", True, "on")):
        message_id, message = letter(ALICE, BOB, BODIES[name])
        msmtp(net, message, implicit=implicit, auth=auth)
        with imap(net.blue, BOB) as reader:
            got = arrives(reader, message_id)
        assert got.endswith(b"\r\n" + message), (name, got)


def test_bcc_is_removed_and_reached(net):
    message_id, message = letter(ALICE, BOB, b"hidden\r\n", extra=b"Bcc: <alice@blue.example>\r\n")
    msmtp(net, message, "--read-recipients", "--keepbcc=on", to=())
    for who in (BOB, "alice@blue.example"):
        with imap(net.blue, who) as reader:
            assert b"Bcc:" not in arrives(reader, message_id)


def test_scram(net):
    """Offered only to accounts that keep its keys: msmtp must fall back to another way by itself."""
    message_id, message = letter(ALICE, BOB, b"auth by itself\r\n")
    msmtp(net, message, auth="on")
    with imap(net.blue, BOB) as reader:
        arrives(reader, message_id)


def test_wrong_password(net):
    done = msmtp(net, letter(ALICE, BOB, b"no\r\n")[1], password="wrong", check=False)
    assert done.returncode != 0 and b"535" in done.stderr, done.stderr
