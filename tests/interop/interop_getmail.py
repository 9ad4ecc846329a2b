"""getmail over POP3 and IMAP: all mail is fetched, whole, once (over POP3 it goes by UIDL, over IMAP by UID)."""

import os, pathlib, tempfile

from letters import BODIES, arrives, imap, letter, submit
from postrider import Local as scene, run

ALICE = "alice@red.example"


def fetch(net, folder, retriever, user, port, *options):
    """What an MDA has got from getmail so far. (Into a maildir it does not deliver as root.)"""
    (folder / "got").mkdir(exist_ok=True)
    deliver = folder / "deliver"
    deliver.write_text(f'#!/bin/sh\nexec cat > "$(mktemp {folder}/got/XXXXXXXX)"\n')
    deliver.chmod(0o755)
    config = folder / "getmailrc"
    lines = [f"[retriever]\ntype = {retriever}\nserver = localhost\nport = {port}\nusername = {user}",
             f"password = {user.split('@')[0]}\nca_certs = {net.blue.ca}", *options,
             f"[destination]\ntype = MDA_external\npath = {deliver}\nallow_root_commands = true",
             "[options]\nread_all = false\ndelivered_to = false\nreceived = false\nverbose = 0"]
    config.write_text("\n".join(lines) + "\n")
    config.chmod(0o600)
    run("getmail", f"--getmaildir={folder}", "--rcfile=getmailrc", env={**os.environ, "HOME": str(folder)})
    return [file.read_bytes() for file in (folder / "got").iterdir()]


def round(net, user, retriever, port, *options):
    with tempfile.TemporaryDirectory() as top, imap(net.blue, user) as reader:
        folder = pathlib.Path(top)
        letters = [letter(ALICE, user, BODIES[name]) for name in ("plain", "dots", "utf8", "from", "blank", "many")]
        for message_id, message in letters:
            submit(net.red, ALICE, user, message)
            arrives(reader, message_id)
        got = fetch(net, folder, retriever, user, port, *options)
        for message_id, message in letters:
            (found,) = [m for m in got if message_id.encode() in m]
            # getmail writes lines as the system does, and says from which mailbox it has a message of IMAP.
            found = found.replace(b"X-getmail-retrieved-from-mailbox: INBOX\n", b"", 1)
            assert found.endswith(b"\n" + message.replace(b"\r\n", b"\n")), (message[:900], found[:2000])
        assert len(fetch(net, folder, retriever, user, port, *options)) == len(got), "something was fetched twice"


def test_pop3_with_tls(net):
    round(net, "bob@blue.example", "SimplePOP3SSLRetriever", net.blue.pop3s)


def test_imap_with_tls(net):
    round(net, "alice@blue.example", "SimpleIMAPSSLRetriever", net.blue.imaps, 'mailboxes = ("INBOX",)')
