"""mpop over POP3 with TLS and STLS: all mail is fetched, whole, once (it goes by UIDL)."""

import mailbox, pathlib, tempfile

from letters import BODIES, arrives, body_of, imap, letter, submit
from postrider import Local as scene, run

ALICE = "alice@red.example"


def fetch(net, folder, user, port, starttls):
    config = folder / "mpoprc"
    config.write_text(f"account a\nhost localhost\nport {port}\ntls on\ntls_starttls {starttls}\n"
                      f"tls_trust_file {net.blue.ca}\nuser {user}\npassword {user.split('@')[0]}\n"
                      f"uidls_file {folder}/uidls\ndelivery maildir {folder}/got\nkeep on\n")
    config.chmod(0o600)
    run("mpop", "-C", config, "-q", "a")
    return [message.as_bytes() for message in mailbox.Maildir(folder / "got", create=True)]


def round(net, user, port, starttls):
    with tempfile.TemporaryDirectory() as top, imap(net.blue, user) as reader:
        folder = pathlib.Path(top)
        mailbox.Maildir(folder / "got", create=True)
        letters = [letter(ALICE, user, BODIES[name]) for name in ("plain", "dots", "utf8", "blank", "many")]
        for message_id, message in letters:
            submit(net.red, ALICE, user, message)
            arrives(reader, message_id)
        got = fetch(net, folder, user, port, starttls)
        for message_id, message in letters:
            (found,) = [m for m in got if message_id.encode() in m]
            body = found.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1]
            assert body == body_of(message).replace(b"\r\n", b"\n"), (message_id, body[:200])
        assert len(fetch(net, folder, user, port, starttls)) == len(got), "something was fetched twice"


def test_tls(net):
    round(net, "bob@blue.example", net.blue.pop3s, "off")


def test_stls(net):
    round(net, "alice@blue.example", net.blue.pop3, "on")
