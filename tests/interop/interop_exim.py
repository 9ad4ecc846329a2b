"""Exim as the other mail system: mail both ways over STARTTLS, byte for byte; its own BDAT and DSN."""

import contextlib, email, email.policy, smtplib

from exim import Exim
from letters import BODIES, arrives, found, imap, letter, submit
from postrider import Serve, until

ALICE, CAROL = "alice@ours.example", "carol@exim.example"


class Both:
    def __init__(self, ours, peer):
        self.ours, self.peer = ours, peer


@contextlib.contextmanager
def scene():
    peer = Exim("exim.example", ("carol", "dave"))
    route = f'[[route]]\ndomain = "exim.example"\nnext_hop = ["127.0.0.1:{peer.smtp}"]\n'
    with Serve("ours.example", {ALICE: "alice"}, extra=route) as ours:
        peer.routes["ours.example"], peer.authority = ours.smtp, ours.ca
        with peer:
            yield Both(ours, peer)


def stored(both, message_id, name=""):
    return until(f"{message_id} {name} in a maildir of Exim's", lambda: both.peer.holding(message_id))


def test_to_exim(both):
    for name, body in BODIES.items():
        message_id, message = letter(ALICE, CAROL, body)
        submit(both.ours, ALICE, CAROL, message)
        got = stored(both, message_id, name)
        # A maildir has lines as the system writes them.
        assert got.endswith(b"\n" + message.replace(b"\r\n", b"\n")), (name, got[:2000])
        assert b"with esmtps" in got.split(b"\n\n")[0], "we used no TLS"


def test_from_exim(both):
    with imap(both.ours, ALICE) as reader:
        for name, body in BODIES.items():
            message_id, message = letter(CAROL, ALICE, body)
            both.peer.send(CAROL, [ALICE], message)
            got = arrives(reader, message_id)
            assert got.endswith(b"\r\n" + message), (name, got[:2000])
            assert b"ESMTPS" in got.split(b"\r\n\r\n")[0], "Exim used no TLS"
    # CV: it has verified our certificate; K: it sent by BDAT.
    lines = [line for line in both.peer.said().splitlines() if f"=> {ALICE}" in line]
    assert lines and all("CV=yes" in line and " K " in line for line in lines), lines


def test_a_large_message_both_ways(both):
    body = b"".join(b"%07d " % n + b"z" * 68 + b"\r\n" for n in range(60_000))
    message_id, message = letter(CAROL, ALICE, body)
    both.peer.send(CAROL, [ALICE], message)
    with imap(both.ours, ALICE) as reader:
        assert arrives(reader, message_id).endswith(b"\r\n" + message)
    message_id, message = letter(ALICE, CAROL, body)
    submit(both.ours, ALICE, [CAROL, "dave@exim.example"], message)
    for user in ("carol", "dave"):
        got = until(user, lambda: next((f.read_bytes() for f in (both.peer.mail / user / "new").glob("*")
                                        if message_id.encode() in f.read_bytes()), None))
        assert got.endswith(b"\n" + message.replace(b"\r\n", b"\n"))


def test_an_unknown_user_at_either_side_bounces(both):
    message_id, message = letter(ALICE, "nobody@exim.example", b"who?\r\n")
    submit(both.ours, ALICE, "nobody@exim.example", message)
    with imap(both.ours, ALICE) as reader:
        dsn = found(reader, "TEXT", message_id)
    assert b"nobody of that name lives here" in dsn and b"multipart/report" in dsn, dsn
    message_id, message = letter(CAROL, "nobody@ours.example", b"who?\r\n")
    both.peer.send(CAROL, ["nobody@ours.example"], message)
    dsn = until("Exim's report", lambda: both.peer.holding(message_id))
    assert b"550" in dsn and b"5.1.1" in dsn, dsn


def test_a_report_of_success_that_was_asked_for_both_ways(both):
    # We deliver, and tell carol; Exim delivers, and tells alice.
    message_id, message = letter(CAROL, ALICE, b"did it come?\r\n", "asking ours")
    both.peer.send(CAROL, [ALICE], message, ["BODY=8BITMIME", "RET=HDRS", "ENVID=we-1"], ["NOTIFY=SUCCESS"])
    dsn = email.message_from_bytes(until("our report", lambda: both.peer.holding("we-1")), policy=email.policy.default)
    assert dsn.get_content_type() == "multipart/report", dsn
    (status,) = [part for part in dsn.walk() if part.get_content_type() == "message/delivery-status"]
    fields = status.get_payload()[1]
    assert fields["Action"] == "delivered" and fields["Status"].startswith("2."), fields
    message_id, message = letter(ALICE, CAROL, b"did it come?\r\n", "asking Exim")
    import smtplib
    with smtplib.SMTP("localhost", both.ours.submission, timeout=60) as smtp:
        smtp.starttls(context=both.ours.tls())
        smtp.login(ALICE, "alice")
        smtp.sendmail(ALICE, [CAROL], message, mail_options=["ENVID=we-2"], rcpt_options=["NOTIFY=SUCCESS"])
    with imap(both.ours, ALICE) as reader:
        dsn = found(reader, "TEXT", "we-2")
    assert b"Action: delivered" in dsn, dsn
