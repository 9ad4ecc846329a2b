"""Roundcube: logs in, lists, reads, searches, flags, moves, and sends with an attachment; over TLS on IMAP, STARTTLS on
submission, a new connection for each request."""

import contextlib, email, email.policy

from letters import BODIES, arrives, find, found, imap, letter, submit
from postrider import Local
from roundcube import Roundcube

ALICE, BOB = "alice@red.example", "bob@blue.example"


@contextlib.contextmanager
def scene():
    with Local() as net, Roundcube(net.blue, BOB, "bob") as web:
        net.web = web
        yield net


def test_lists_and_reads_byte_for_byte(net):
    sent = {}
    with imap(net.blue, BOB) as reader:
        for name, body in BODIES.items():
            message_id, message = letter(ALICE, BOB, body, f"for Roundcube: {name}")
            submit(net.red, ALICE, BOB, message)
            sent[f"for Roundcube: {name}"] = arrives(reader, message_id)
    rows = {subject: uid for uid, subject in net.web.list().items()}
    assert set(sent) <= set(rows), rows
    for subject, message in sent.items():
        assert net.web.source(rows[subject]) == message, subject
    assert "Grüße aus Köln, 世界 🐦" in net.web.show(rows["for Roundcube: utf8"])
    hits = net.web.search("Roundcube: dots")
    assert list(hits.values()) == ["for Roundcube: dots"], hits
    hits = net.web.search("世界", headers="text")
    assert list(hits.values()) == ["for Roundcube: utf8"], hits


def test_shows_the_folders_and_files_mail(net):
    text = net.web.page(task="mail")
    for name in ("INBOX", "Sent", "Drafts", "Junk", "Trash", "Archive"):
        assert f'rel="{name}"' in text, name
    message_id, message = letter(ALICE, BOB, b"to the archive\r\n", "flag and move me")
    submit(net.red, ALICE, BOB, message)
    with imap(net.blue, BOB) as reader:
        whole = arrives(reader, message_id)
        (uid,) = [uid for uid, subject in net.web.list().items() if subject == "flag and move me"]
        net.web.mark(uid, "flagged")
        # The answer may begin with what this session has not yet heard of other messages.
        flags = [line for line in reader.uid("FETCH", str(uid), "(FLAGS)")[1] if b"UID %d " % uid in line]
        assert rb"\Flagged" in flags[-1], flags
        net.web.move(uid, "Archive")
        assert find(reader, message_id) is None and find(reader, message_id, "Archive")
        (uid,) = [uid for uid, subject in net.web.list("Archive").items() if subject == "flag and move me"]
        assert net.web.source(uid, "Archive") == whole


def test_sends_with_an_attachment_and_keeps_a_copy(net):
    content = bytes(range(256)) * 300
    net.web.send(ALICE, "by Roundcube äöü 世界", "Zeile eins\r\n.Punkt\r\nGrüße 世界", "Größe.bin", content)
    with imap(net.red, ALICE) as theirs:
        received = found(theirs, "SUBJECT", "by Roundcube äöü 世界")
    parsed = email.message_from_bytes(received, policy=email.policy.default)
    text, binary = parsed.iter_parts()
    assert text.get_content().replace("\r\n", "\n").strip() == "Zeile eins\n.Punkt\nGrüße 世界"
    assert binary.get_content() == content and binary.get_filename() == "Größe.bin"
    # The copy in Sent, read back by Roundcube: the same text and attachment, part by part.
    (uid,) = [uid for uid, subject in net.web.list("Sent").items() if subject == "by Roundcube äöü 世界"]
    kept = net.web.source(uid, "Sent")
    assert received.split(b"\r\n\r\n", 1)[1] == kept.split(b"\r\n\r\n", 1)[1]
    assert net.web.part(uid, "2", "Sent") == content
