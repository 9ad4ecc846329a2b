"""neomutt: sends with an attachment in batch mode; reads, flags and moves with keys pushed into a terminal."""

import email, os, pathlib, pty, select, subprocess, tempfile, time

from letters import BODIES, arrives, find, imap, letter, submit
from postrider import Local as scene, run, until

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


def in_a_terminal(command, seconds=60):
    """Runs a program that wants a terminal, and returns what it drew."""
    master, slave = pty.openpty()
    process = subprocess.Popen([str(c) for c in command], stdin=slave, stdout=slave, stderr=slave, close_fds=True,
                               env={**os.environ, "TERM": "xterm", "LINES": "40", "COLUMNS": "120"})
    os.close(slave)
    screen, end = b"", time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            ready, _, _ = select.select([master], [], [], 0.2)
            if ready:
                try:
                    screen += os.read(master, 65536)
                except OSError:
                    break
            elif process.poll() is not None:
                break
        else:
            raise AssertionError(f"{command[0]} did not end; it drew:\n{screen[-3000:].decode(errors='replace')}")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(master)
    return screen


def test_sends_with_an_attachment(net):
    with tempfile.TemporaryDirectory() as folder:
        config = settings(net, folder)
        attachment = pathlib.Path(folder) / "Größe.bin"
        attachment.write_bytes(bytes(range(256)) * 300)
        subject = f"by neomutt {time.time_ns()}"
        run("neomutt", "-n", "-F", config, "-s", subject, "-a", attachment, "--", BOB,
            input=BODIES["utf8"].replace(b"\r\n", b"\n"), env={**os.environ, "HOME": folder, "LC_ALL": "C.UTF-8"})
        with imap(net.blue, BOB) as reader:
            def found():
                reader.select("INBOX")
                uids = reader.uid("SEARCH", "SUBJECT", f'"{subject}"')[1][0]
                return uids and uids.split()[-1]
            uid = until(subject, found)
            message = email.message_from_bytes(reader.uid("FETCH", uid, "(BODY.PEEK[])")[1][0][1])
        text, binary = message.get_payload()
        assert text.get_payload(decode=True).replace(b"\r\n", b"\n") == BODIES["utf8"].replace(b"\r\n", b"\n")
        assert binary.get_payload(decode=True) == attachment.read_bytes()


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
        in_a_terminal(["neomutt", "-n", "-F", config, "-f", f"imaps://localhost:{net.blue.imaps}/INBOX", "-e",
                       f'push "{keys}"'])
        text = saved.read_bytes()
        assert keep_id.encode() in text and b"Hello Bob,\n\nthis is it.\n" in text, text
        assert find(reader, gone_id) is None, "the message is still there"
        assert find(reader, keep_id), "the wrong message is gone"
