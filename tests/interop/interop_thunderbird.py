"""Thunderbird (Debian's, without a screen): receives, reads, flags, moves, sends; with IDLE and its own TLS."""

import contextlib, email, re

from letters import BODIES, arrives, find, found, imap, letter, submit
from postrider import Local, until
from thunderbird import Thunderbird

ALICE, BOB = "alice@red.example", "bob@blue.example"


@contextlib.contextmanager
def scene():
    with Local() as net, Thunderbird(BOB, "bob", net.blue.imaps, net.blue.submission, net.blue.ca) as bird:
        net.bird = bird
        yield net


def test_lists_the_folders(net):
    names = net.bird.folders()
    for name in ("Inbox", "Sent", "Drafts", "Junk", "Trash", "Archive"):
        assert any(name.lower() in n.lower() for n in names), names


def test_receives_and_reads(net):
    for name, body in BODIES.items():
        subject = f"for Thunderbird: {name}"
        message_id, message = letter(ALICE, BOB, body, subject)
        submit(net.red, ALICE, BOB, message)
        until(subject, lambda: subject in net.bird.subjects())
        with imap(net.blue, BOB) as reader:
            kept = reader.uid("FETCH", find(reader, message_id), "(BODY.PEEK[])")[1][0][1]
        assert kept.endswith(message), (name, kept[:1500])
        got = net.bird.source(subject)
        assert got.endswith(kept), (name, len(got), len(kept), got[-200:], kept[-200:])
        # What Thunderbird keeps of its own stands on top.
        assert re.fullmatch(rb"(X-Mozilla-[\w-]+: \w*\r?\n)*", got.removesuffix(kept)), (name, got[:200])


def test_flags_and_moves(net):
    message_id, message = letter(ALICE, BOB, b"to the archive\r\n", "flag and move me")
    submit(net.red, ALICE, BOB, message)
    until("the message", lambda: "flag and move me" in net.bird.subjects())
    net.bird.mark("flag and move me")
    with imap(net.blue, BOB) as reader:
        def flags():
            uid = find(reader, message_id)
            return reader.uid("FETCH", uid, "(FLAGS)")[1][0]
        until("the flags", lambda: rb"\Flagged" in flags() and rb"\Seen" in flags())
        net.bird.move("flag and move me", "Archive")
        until("the move", lambda: find(reader, message_id, "Archive"))
        assert find(reader, message_id) is None
        assert rb"\Flagged" in reader.uid("FETCH", find(reader, message_id, "Archive"), "(FLAGS)")[1][0]


def test_sends_and_keeps_a_copy(net):
    subject = "Grüße von Thunderbird"
    net.bird.send(ALICE, subject, "Zeile eins\n.Punkt\nEnde 世界\n")
    with imap(net.red, ALICE) as reader:
        message = found(reader, "SUBJECT", subject)
    parsed = email.message_from_bytes(message)
    got = parsed.get_payload(decode=True)
    # Its editor ends a text with one more line.
    assert got == "Zeile eins\r\n.Punkt\r\nEnde 世界\r\n\r\n".encode(), got
    until("the copy in Sent", lambda: subject in net.bird.subjects("Sent"))
