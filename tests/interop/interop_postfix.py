"""Postfix as the other mail system: mail both ways over STARTTLS, byte for byte; Dovecot's LMTP stores its side."""

import contextlib

from letters import BODIES, arrives, found, imap, letter, submit
from peers import Peer
from postrider import Serve, until


class Both:
    def __init__(self, ours, peer):
        self.ours, self.peer = ours, peer


@contextlib.contextmanager
def scene():
    with Peer("peer.example") as peer:
        route = (f'[[route]]\ndomain = "peer.example"\nnext_hop = ["127.0.0.1:{peer.smtp}"]\n')
        with Serve("ours.example", {"alice@ours.example": "alice"}, extra=route) as ours:
            peer.route("ours.example", ours.smtp)
            yield Both(ours, peer)


def test_to_postfix(both):
    for name, body in BODIES.items():
        message_id, message = letter("alice@ours.example", "carol@peer.example", body)
        submit(both.ours, "alice@ours.example", "carol@peer.example", message)
        got = until(f"{name} in carol's maildir", lambda: both.peer.holding(message_id))
        # A maildir has lines as the system writes them.
        assert got.endswith(b"\n" + message.replace(b"\r\n", b"\n")), (name, got[:2000])


def test_from_postfix(both):
    with imap(both.ours, "alice@ours.example") as reader:
        for name, body in BODIES.items():
            message_id, message = letter("carol@peer.example", "alice@ours.example", body)
            both.peer.send("carol@peer.example", ["alice@ours.example"], message)
            got = arrives(reader, message_id)
            assert got.endswith(b"\r\n" + message), (name, got[:2000])
            assert b"ESMTPS" in got.split(b"\r\n\r\n")[0], "Postfix used no TLS"


def test_an_unknown_user_at_postfix_bounces(both):
    message_id, message = letter("alice@ours.example", "nobody@peer.example", b"who?\r\n")
    submit(both.ours, "alice@ours.example", "nobody@peer.example", message)
    with imap(both.ours, "alice@ours.example") as reader:
        dsn = found(reader, "TEXT", message_id)
        assert b"550" in dsn and b"multipart/report" in dsn, dsn


def test_many_recipients_and_a_large_message(both):
    body = b"".join(b"%07d " % n + b"z" * 68 + b"\r\n" for n in range(60_000))
    message_id, message = letter("carol@peer.example", "alice@ours.example", body)
    both.peer.send("carol@peer.example", ["alice@ours.example"], message)
    with imap(both.ours, "alice@ours.example") as reader:
        assert arrives(reader, message_id).endswith(b"\r\n" + message)
