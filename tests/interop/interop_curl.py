"""curl: SMTP, IMAP and POP3 from the command line, a new connection for each command."""

import re, tempfile

from letters import arrives, imap, letter, BODIES
from postrider import Local as scene, run, until

ALICE, BOB, OTHER = "alice@red.example", "bob@blue.example", "bob@red.example"


def curl(net, url, *options, user=None, **more):
    user = user or OTHER
    return run("curl", "-sS", "--cacert", net.red.ca, "--user", f"{user}:{user.split('@')[0]}", url, *options, **more)


def test_sends_and_reads(net):
    message_id, message = letter(OTHER, BOB, BODIES["dots"])
    with tempfile.NamedTemporaryFile() as file:
        file.write(message)
        file.flush()
        for url in (f"smtps://localhost:{net.red.submissions}", f"smtp://localhost:{net.red.submission}"):
            curl(net, url, "--ssl-reqd", "--mail-from", OTHER, "--mail-rcpt", BOB, "--upload-file", file.name)
    with imap(net.blue, BOB) as reader:
        assert arrives(reader, message_id).endswith(b"\r\n" + message)
        uid = until("both", lambda: (found := reader.uid("SEARCH", "HEADER", "Message-ID", f'"{message_id}"')[1][0].split())
                    and len(found) == 2 and found[0]) if reader.select("INBOX") else None
    url = f"imaps://localhost:{net.blue.imaps}/INBOX;UID={uid.decode()}"
    assert curl(net, url, user=BOB).stdout.endswith(b"\r\n" + message)


def test_imap_commands(net):
    url = f"imaps://localhost:{net.red.imaps}/"
    message = letter(OTHER, OTHER, BODIES["utf8"])[1]
    with tempfile.NamedTemporaryFile() as file:
        file.write(message)
        file.flush()
        curl(net, url + "Drafts", "--upload-file", file.name)
    listing = curl(net, url).stdout
    for name in (b"INBOX", b"Sent", b"Drafts", b"Junk", b"Trash", b"Archive"):
        assert name in listing, listing
    assert curl(net, url + "Drafts;MAILINDEX=1").stdout == message
    assert rb"\Seen" in curl(net, url + "Drafts", "-X", "FETCH 1 FLAGS").stdout
    curl(net, url + "Drafts", "-X", r"STORE 1 +Flags \Deleted")
    assert b"1" in curl(net, url + "Drafts", "-X", "EXPUNGE").stdout
    assert b"* SEARCH" in curl(net, url + "Drafts?ALL").stdout


def test_pop3(net):
    submitted = letter(OTHER, OTHER, BODIES["from"])
    from letters import submit
    submit(net.red, OTHER, OTHER, submitted[1])
    with imap(net.red, OTHER) as reader:
        arrives(reader, submitted[0])
    for url in (f"pop3s://localhost:{net.red.pop3s}/", f"pop3://localhost:{net.red.pop3}/"):
        listing = curl(net, url, "--ssl-reqd").stdout.split()
        assert len(listing) >= 2, listing
        got = curl(net, url + listing[-2].decode(), "--ssl-reqd").stdout
        assert got.endswith(b"\r\n" + submitted[1]), got
        assert int(listing[-1]) == len(got)
        assert re.match(rb"\d+ \S+", curl(net, url, "--ssl-reqd", "-X", "UIDL").stdout)
