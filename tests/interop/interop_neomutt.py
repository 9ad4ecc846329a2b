"""neomutt: sends with an attachment in batch mode; reads, saves, flags and moves with keys pushed into a terminal."""

import email, os, pathlib, re, tempfile, time

from letters import BODIES, arrives, find, found, imap, letter, submit
from postrider import Local as scene, run
from terminal import Terminal

ALICE, BOB = "alice@red.example", "bob@blue.example"


def settings(net, folder):
    config = pathlib.Path(folder) / "neomuttrc"
    config.write_text(f"""set from = "{ALICE}"
set use_envelope_from
set smtp_url = "smtps://{ALICE.replace('@', '%40')}@localhost:{net.red.submissions}"
set smtp_pass = "alice"
set imap_user = "{BOB}"
set imap_pass = "bob"
set folder = "imaps://localhost:{net.blue.imaps}/"
set record = ""
set ssl_ca_certificates_file = "{net.blue.ca}"
set ssl_force_tls
set ssl_starttls
set certificate_file = "{folder}/certificates"
set header_cache = "{folder}/cache"
set imap_qresync = yes
set imap_condstore = yes
set quit = yes
set delete = yes
set confirmappend = no
set confirmcreate = no
set wait_key = no
set mbox_type = mbox
set send_charset = "utf-8"
""")
    return config


def test_sends_with_an_attachment(net):
    with tempfile.TemporaryDirectory() as folder:
        config = settings(net, folder)
        attachment = pathlib.Path(folder) / "Größe.bin"
        attachment.write_bytes(bytes(range(256)) * 300)
        subject = f"by neomutt {time.time_ns()}"
        run("neomutt", "-n", "-F", config, "-s", subject, "-a", attachment, "--", BOB,
            input=BODIES["utf8"].replace(b"\r\n", b"\n"), env={**os.environ, "HOME": folder, "LC_ALL": "C.UTF-8"})
        with imap(net.blue, BOB) as reader:
            message = email.message_from_bytes(found(reader, "SUBJECT", subject))
        text, binary = message.get_payload()
        assert text.get_payload(decode=True).replace(b"\r\n", b"\n") == BODIES["utf8"].replace(b"\r\n", b"\n")
        assert binary.get_payload(decode=True) == attachment.read_bytes()


def unmarked(message):
    """Without what neomutt notes in a message that it saves."""
    return re.sub(rb"^Content-Length: \d+\r?\nLines: \d+\r?\n", b"", message, count=1, flags=re.M)


def test_reads_every_byte_and_saves_it_back(net):
    """From the server into a maildir, and from there into another mailbox: whole letters, as they are."""
    sent = {name: letter(ALICE, BOB, body, f"neomutt {name}") for name, body in BODIES.items()}
    for _, message in sent.values():
        submit(net.red, ALICE, BOB, message)
    with imap(net.blue, BOB) as reader, tempfile.TemporaryDirectory() as folder:
        whole = {name: arrives(reader, message_id) for name, (message_id, _) in sent.items()}
        config, saved = settings(net, folder), pathlib.Path(folder) / "saved"
        for part in ("cur", "new", "tmp"):
            (saved / part).mkdir(parents=True)
        far = f"imaps://localhost:{net.blue.imaps}"
        for source, target in ((f"{far}/INBOX", saved), (saved, f"{far}/Archive")):
            keys = f"<tag-pattern>~s neomutt<enter><tag-prefix><copy-message><kill-line>{target}<enter><quit>"
            with Terminal("neomutt", "-n", "-F", config, "-e", "set mbox_type = maildir", "-f", source,
                          "-e", f'push "{keys}"') as terminal:
                terminal.ends()
        files = [unmarked(file.read_bytes()) for part in ("cur", "new") for file in (saved / part).iterdir()]
        for name, message in whole.items():
            assert message.replace(b"\r\n", b"\n") in files, f"{name} is not as it was in the maildir"
            got = unmarked(arrives(reader, sent[name][0], "Archive"))
            assert got == message, f"{name} came back otherwise: {got[:1500]}"


def test_reads_copies_and_deletes(net):
    keep_id, keep = letter(ALICE, BOB, BODIES["plain"], "keep this one")
    gone_id, gone = letter(ALICE, BOB, BODIES["dots"], "delete this one")
    for message in (keep, gone):
        submit(net.red, ALICE, BOB, message)
    with imap(net.blue, BOB) as reader, tempfile.TemporaryDirectory() as folder:
        arrives(reader, keep_id), arrives(reader, gone_id)
        config, saved = settings(net, folder), pathlib.Path(folder) / "saved"
        keys = (f"<search>~s 'keep this'<enter><copy-message><kill-line>{saved}<enter>"
                "<search>~s 'delete this'<enter><delete-message><sync-mailbox><quit>")
        with Terminal("neomutt", "-n", "-F", config, "-f", f"imaps://localhost:{net.blue.imaps}/INBOX",
                      "-e", f'push "{keys}"') as terminal:
            terminal.ends()
        text = saved.read_bytes()
        assert keep_id.encode() in text and b"Hello Bob,\n\nthis is it.\n" in text, text
        assert find(reader, gone_id) is None, "the message is still there"
        assert find(reader, keep_id), "the wrong message is gone"
