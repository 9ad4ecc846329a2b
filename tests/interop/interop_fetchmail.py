"""fetchmail over POP3 and IMAP: all mail is fetched, whole, and deleted on the server only then."""

import os, pathlib, tempfile

from letters import BODIES, arrives, imap, letter, submit
from postrider import Local as scene, run

ALICE = "alice@red.example"


def fetch(net, user, protocol, port, *options):
    """What an MDA gets from fetchmail: a list of messages."""
    with tempfile.TemporaryDirectory() as top:
        folder = pathlib.Path(top)
        (folder / "got").mkdir()
        deliver = folder / "deliver"
        deliver.write_text(f'#!/bin/sh\nexec cat > "$(mktemp {folder}/got/XXXXXXXX)"\n')
        deliver.chmod(0o755)
        config = folder / "fetchmailrc"
        config.write_text(f'set invisible\npoll localhost service {port} protocol {protocol}\n  user "{user}" '
                          f'password "{user.split("@")[0]}" mda "{deliver}" no rewrite {" ".join(options)}\n'
                          f'  sslcertck sslcertfile "{net.blue.ca}"\n')
        config.chmod(0o600)
        environment = {**os.environ, "FETCHMAILHOME": str(folder), "HOME": str(folder)}
        done = run("fetchmail", "-f", config, "--nosyslog", "--nodetach", "-v", check=False, env=environment)
        assert done.returncode in (0, 1), done.stdout.decode() + done.stderr.decode()
        return [file.read_bytes() for file in (folder / "got").iterdir()]


def round(net, user, protocol, port, *options):
    letters = [letter(ALICE, user, BODIES[name]) for name in ("plain", "dots", "utf8", "blank", "many")]
    for _, message in letters:
        submit(net.red, ALICE, user, message)
    with imap(net.blue, user) as reader:
        for message_id, _ in letters:
            arrives(reader, message_id)
    got = fetch(net, user, protocol, port, *options)
    for message_id, message in letters:
        (found,) = [m for m in got if message_id.encode() in m]
        # fetchmail hands lines to an MDA as the system writes them.
        body = message.split(b"\r\n\r\n", 1)[1].replace(b"\r\n", b"\n")
        assert found.split(b"\n\n", 1)[1] == body, (body[:200], found[:2000])
    assert fetch(net, user, protocol, port, *options) == [], "the mail is still on the server"


def test_pop3_with_tls(net):
    round(net, "bob@blue.example", "POP3", net.blue.pop3s, "ssl")


def test_pop3_with_stls(net):
    round(net, "bob@blue.example", "POP3", net.blue.pop3, 'sslproto "TLS1.2+"')


def test_imap_with_tls(net):
    round(net, "alice@blue.example", "IMAP", net.blue.imaps, "ssl")


def test_imap_with_starttls(net):
    round(net, "alice@blue.example", "IMAP", net.blue.imap, 'sslproto "TLS1.2+"')
