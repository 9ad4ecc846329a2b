"""LMTP both ways: a domain of ours is delivered to Dovecot, by TCP; and who stands in front of us (here Python's smtplib)
delivers on a Unix socket, with a reply for each recipient."""

import contextlib, smtplib, stat

from letters import BODIES, arrives, imap, letter, submit
from peers import Peer
from postrider import Serve, until


class Both:
    def __init__(self, ours, peer):
        self.ours, self.peer = ours, peer
        self.socket = ours.config.parent / "data" / "lmtp.sock"


@contextlib.contextmanager
def scene():
    with Peer("peer.example") as peer:
        route = f'[[route]]\ndomain = "peer.example"\nnext_hop = ["lmtp:127.0.0.1:{peer.lmtp}"]\n'
        ours = Serve("ours.example", {"alice@ours.example": "alice", "bob@ours.example": "bob"}, extra=route)
        text = ours.config.read_text().replace("[listen]\n", '[listen]\nlmtp = ["unix:lmtp.sock"]\n')
        ours.config.write_text(text)
        with ours:
            yield Both(ours, peer)


def test_to_dovecot(both):
    for name, body in BODIES.items():
        message_id, message = letter("alice@ours.example", "carol@peer.example", body)
        submit(both.ours, "alice@ours.example", ["carol@peer.example", "dave@peer.example"], message)
        got = until(f"{name} in carol's maildir", lambda: both.peer.holding(message_id))
        assert got.endswith(b"\n" + message.replace(b"\r\n", b"\n")), (name, got[:2000])


def test_who_is_unknown_at_dovecot(both):
    # Dovecot is asked at RCPT, so that nobody has to be told later.
    with smtplib.SMTP("127.0.0.1", both.ours.smtp, timeout=60) as smtp:
        smtp.ehlo("client.example")
        smtp.mail("x@elsewhere.example")
        assert smtp.rcpt("carol@peer.example")[0] == 250
        code, words = smtp.rcpt("nobody@peer.example")
        assert code == 550, (code, words)


def test_from_a_server_in_front(both):
    mode = stat.S_IMODE(both.socket.stat().st_mode)
    assert mode == 0o660, oct(mode)
    to = ["alice@ours.example", "nobody@ours.example", "bob@ours.example"]
    with smtplib.LMTP(str(both.socket)) as lmtp:
        for name, body in BODIES.items():
            message_id, message = letter("carol@elsewhere.example", to[0], body)
            lmtp.ehlo("front.example")
            lmtp.mail("carol@elsewhere.example")
            codes = [lmtp.rcpt(one)[0] for one in to]
            assert codes == [250, 550, 250], codes
            assert lmtp.data(message)[0] == 250
            code, words = lmtp.getreply()
            assert (code, words[:5]) == (250, b"2.0.0"), (code, words)
            for who in (to[0], to[2]):
                with imap(both.ours, who) as reader:
                    got = arrives(reader, message_id)
                    assert got.endswith(b"\r\n" + message), (name, got[:2000])
                    assert b" with LMTP id " in got.split(b"\r\n\r\n")[0], got[:2000]
        lmtp.mail("carol@elsewhere.example")
        assert lmtp.rcpt("carol@elsewhere.example")[0] == 550
