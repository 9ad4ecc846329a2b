"""`postrider mail`, the client for the terminal: sending, listing, reading, saving and watching, over SMTP, IMAP and
POP3 with TLS and STARTTLS. With `--reference` against Postfix and Dovecot."""

import json, os, pathlib, random, subprocess, tempfile, uuid

from letters import arrives, imap, letter, submit
from postrider import Local as scene, PROGRAM, run, until

ALICE, BOB = "alice@red.example", "bob@blue.example"


def mail(system, verb, url, user, *arguments, password=None, check=True, **more):
    environment = {**os.environ, "POSTRIDER_PASSWORD": password or user.split("@")[0]}
    return run(PROGRAM, "mail", verb, "--server", url, "--user", user, "--ca", system.ca, *arguments,
               env=environment, check=check, **more)


def readers(system):
    """Every way to read."""
    return [f"imaps://localhost:{system.imaps}", f"imap://localhost:{system.imap}",
            f"pop3s://localhost:{system.pop3s}", f"pop3://localhost:{system.pop3}"]


def number(system, url, user, subject):
    listed = json.loads(mail(system, "list", url, user, "--json").stdout)
    (found,) = [m for m in listed if m["subject"] == subject]
    return str(found["number"])


def fresh(words):
    return f"{words} {uuid.uuid4().hex[:8]}"


def test_a_letter_with_a_file_comes_whole(net):
    subject = fresh("Grüße, 你好")
    content = random.randbytes(300_000)
    with tempfile.TemporaryDirectory() as top:
        file = pathlib.Path(top, "Müllers größte Hits.bin")
        file.write_bytes(content)
        text = pathlib.Path(top, "text")
        text.write_text("Hallo Bob,\n.ein Punkt\n.\nFrom hier\nund Schluß\n")
        said = mail(net.red, "send", f"smtps://localhost:{net.red.submissions}", ALICE, "--from", f"Älice <{ALICE}>",
                    "--to", BOB, "--bcc", "alice@blue.example", "--subject", subject, "--attach", file, text)
        message_id = [word for word in said.stdout.decode().split() if word.startswith("<")][0]
        with imap(net.blue, BOB) as reader:
            message = arrives(reader, message_id)
        assert b"alice@blue.example" not in message, "Bcc shows"
        with imap(net.blue, "alice@blue.example") as reader:
            arrives(reader, message_id)
        for url in readers(net.blue):
            n = number(net.blue, url, BOB, subject)
            shown = mail(net.blue, "read", url, BOB, n).stdout.decode()
            for words in ("Älice", subject, ".ein Punkt\n.\nFrom hier\nund Schluß", file.name, message_id):
                assert words in shown, (url, words, shown)
            saved = pathlib.Path(top, "saved")
            mail(net.blue, "save", url, BOB, n, "2", "--to", saved)
            assert saved.read_bytes() == content, url
            saved.unlink()


def test_starttls_and_standard_input(net):
    subject = fresh("plain")
    said = mail(net.red, "send", f"smtp://localhost:{net.red.submission}", ALICE, "--to", BOB, "--subject", subject,
                input=b"one line")
    message_id = [word for word in said.stdout.decode().split() if word.startswith("<")][0]
    with imap(net.blue, BOB) as reader:
        assert arrives(reader, message_id).endswith(b"\r\n\r\none line\r\n")


def test_a_terminal_is_safe_from_mail(net):
    subject = fresh("red")
    message_id, message = letter(ALICE, BOB, b"\x1b[2J\x1b]0;title\x07 text \xc2\x9b31m\r\n", f"\x1b[31m{subject}")
    submit(net.red, ALICE, BOB, message)
    with imap(net.blue, BOB) as reader:
        arrives(reader, message_id)
    for url in readers(net.blue):
        listed = mail(net.blue, "list", url, BOB).stdout
        assert subject.encode() in listed and b"\x1b" not in listed, listed
        everything = json.loads(mail(net.blue, "list", url, BOB, "--json").stdout)
        (n,) = [str(m["number"]) for m in everything if m["subject"] and subject in m["subject"]]
        shown = mail(net.blue, "read", url, BOB, n).stdout
        assert b"text" in shown and b"\x1b" not in shown and b"\x07" not in shown and b"\xc2\x9b" not in shown, shown


def test_watching_shows_new_mail(net):
    for url in (f"imaps://localhost:{net.blue.imaps}", f"pop3s://localhost:{net.blue.pop3s}"):
        environment = {**os.environ, "POSTRIDER_PASSWORD": "bob"}
        with tempfile.TemporaryDirectory() as top:
            said = pathlib.Path(top, "said")
            with open(said, "wb") as out:
                watcher = subprocess.Popen([PROGRAM, "mail", "watch", "--server", url, "--user", BOB,
                                            "--ca", net.blue.ca], stdout=out, stderr=out, env=environment)
            try:
                until("the watch to begin", lambda: b"atching" in said.read_bytes())
                subject = fresh("news")
                submit(net.red, ALICE, BOB, letter(ALICE, BOB, b"x\r\n", subject)[1])
                until(f"{subject} over {url}", lambda: subject.encode() in said.read_bytes(), 120)
            finally:
                watcher.terminate()
                watcher.wait()


def test_refusals_are_sentences(net):
    def fails(*arguments, **more):
        done = mail(*arguments, check=False, **more)
        said = done.stderr.decode()
        assert done.returncode == 1 and said.startswith("postrider: ") and len(said) < 500, (done.returncode, said)
        return said
    for url in readers(net.blue):
        fails(net.blue, "list", url, BOB, password="wrong")
        fails(net.blue, "read", url, BOB, "999999")
    fails(net.red, "send", f"smtps://localhost:{net.red.submissions}", ALICE, "--to", BOB, password="wrong", input=b"x")
    fails(net.red, "send", f"smtps://localhost:{net.red.submissions}", ALICE, "--to", BOB, "--from", BOB, input=b"x")
    fails(net.blue, "list", "imaps://localhost:1", BOB)
    assert mail(net.blue, "list", "http://localhost", BOB, check=False).returncode == 2
