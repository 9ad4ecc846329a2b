"""alpine, played in a terminal: reads, saves everything into a folder that keeps bytes (mbx), deletes, and sends with
an attachment over STARTTLS, with its copy in Sent."""

import contextlib, email, email.policy, pathlib, tempfile, time

from letters import BODIES, arrives, found, imap, letter, submit
from postrider import Local as scene, run
from terminal import Terminal

ALICE, BOB = "alice@red.example", "bob@blue.example"


@contextlib.contextmanager
def alpine(net, folder, *options):
    # c-client looks authorities up by the hash of their names.
    certificates = folder / "certificates"
    certificates.mkdir()
    name = run("openssl", "x509", "-hash", "-noout", "-in", net.blue.ca).stdout.decode().strip()
    (certificates / f"{name}.0").write_bytes(pathlib.Path(net.blue.ca).read_bytes())
    server = f"{{localhost:{net.blue.imaps}/ssl/user={BOB}}}"
    settings = folder / "pinerc"
    settings.write_text(f"""personal-name=Bob
user-domain=blue.example
customized-hdrs=From: Bob <{BOB}>
inbox-path={server}INBOX
smtp-server=localhost:{net.blue.submission}/tls/user={BOB}
default-fcc={server}Sent
user-certs-path={certificates}
last-version-used=7.00
feature-list=expunge-without-confirm,quit-without-confirm,disable-password-file-saving
character-set=UTF-8
""")
    with Terminal("alpine", "-p", settings, "-nowrite_password_cache", *options,
                  environment={"HOME": str(folder), "LC_ALL": "C.UTF-8"}) as terminal:
        yield terminal


def mbx(file):
    """The messages of a folder in c-client's mbx format: after 2,048 octets, each a line `date,size;flags` and its
    octets as they came."""
    rest, messages = file.read_bytes()[2048:], []
    while rest:
        line, rest = rest.split(b"\r\n", 1)
        size = int(line.split(b",")[1].split(b";")[0])
        messages.append(rest[:size])
        rest = rest[size:]
    return messages


def test_reads_saves_and_deletes(net):
    letters = [letter(ALICE, BOB, body, f"body {name}") for name, body in BODIES.items()]
    with imap(net.blue, BOB) as reader, tempfile.TemporaryDirectory() as folder:
        whole = []
        for message_id, message in letters:
            submit(net.red, ALICE, BOB, message)
            whole.append(arrives(reader, message_id))
        folder = pathlib.Path(folder)
        with alpine(net, folder, "-i") as terminal:
            terminal.expect("PASSWORD")
            terminal.step("bob\r", "body plain", "body many")
            terminal.step(";", "SELECT criteria")
            terminal.step("a", "selected")
            terminal.step("a", "APPLY command")
            terminal.step("s", "SAVE")
            # What is typed between the question, "Create?", and the answers below it is thrown away.
            terminal.step(f"\x15#driver.mbx/{folder}/saved\r", "N No")
            terminal.step("y", "DONE", "messages saved and deleted")
            terminal.step("x", "xpunge")
            terminal.keys("q")
            terminal.ends()
        assert mbx(folder / "saved") == whole
        reader.select("INBOX")
        assert reader.uid("SEARCH", "ALL")[1] == [b""], "what was saved is still there"


def test_sends_with_an_attachment_and_keeps_a_copy(net):
    with tempfile.TemporaryDirectory() as folder:
        folder, subject = pathlib.Path(folder), f"by alpine {time.time_ns()}"
        attachment = folder / "all.bin"
        attachment.write_bytes(bytes(range(256)) * 50)
        with alpine(net, folder, "-attach", attachment, ALICE) as terminal:
            terminal.expect("Subject :")
            terminal.step("\t\t\t" + subject, subject[-6:])
            terminal.step("\rGrüße aus Köln\r.Punkt\rEnde\r", "Ende")
            terminal.step("\x18", "Send message?")
            # Once for the folder Sent, and once for sending.
            terminal.step("y", "PASSWORD")
            terminal.step("bob\r", "PASSWORD")
            terminal.keys("bob\r")
            terminal.ends()
        with imap(net.red, ALICE) as theirs, imap(net.blue, BOB) as ours:
            received = found(theirs, "SUBJECT", subject)
            kept = found(ours, "SUBJECT", subject, "Sent")
    assert received.endswith(kept.split(b"\r\n\r\n", 1)[1]), "the copy in Sent is another message"
    text, binary = email.message_from_bytes(received, policy=email.policy.default).iter_parts()
    assert text.get_content().replace("\r\n", "\n").rstrip("\n") == "Grüße aus Köln\n.Punkt\nEnde"
    assert binary.get_content() == bytes(range(256)) * 50
    assert binary.get_filename() == "all.bin"
