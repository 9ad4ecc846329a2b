"""offlineimap: a maildir and an account kept alike, both ways, with flags and deletions, each message once."""

import os, pathlib, tempfile

from letters import BODIES, arrives, find, imap, letter, submit
from postrider import Local as scene, run

ALICE, BOB = "alice@red.example", "bob@blue.example"


class Sync:
    def __init__(self, net, folder):
        self.folder, self.mail = pathlib.Path(folder), pathlib.Path(folder) / "mail"
        self.config = self.folder / "offlineimaprc"
        self.config.write_text(f"""[general]
accounts = bob
metadata = {self.folder}/state
[Account bob]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {self.mail}
[Repository far]
type = IMAP
remotehost = localhost
remoteport = {net.blue.imaps}
ssl = yes
sslcacertfile = {net.blue.ca}
remoteuser = {BOB}
remotepass = bob
""")

    def run(self):
        done = run("offlineimap", "-o", "-c", self.config, "-u", "basic", env={**os.environ, "HOME": str(self.folder)})
        said = (done.stdout + done.stderr).decode(errors="replace")
        assert "ERROR" not in said and "Traceback" not in said, said

    def files(self, box="INBOX"):
        return [file for part in ("cur", "new") for file in (self.mail / box / part).iterdir()]

    def holding(self, text, box="INBOX"):
        (found,) = [file for file in self.files(box) if text in file.read_bytes()]
        return found


def unix(message):
    return message.replace(b"\r\n", b"\n")


def test_both_ways_with_flags_and_deletions(net):
    letters = [letter(ALICE, BOB, BODIES[name]) for name in BODIES]
    for _, message in letters:
        submit(net.red, ALICE, BOB, message)
    with imap(net.blue, BOB) as mail, tempfile.TemporaryDirectory() as folder:
        for message_id, _ in letters:
            arrives(mail, message_id)
        sync = Sync(net, folder)
        sync.run()
        for message_id, message in letters:
            got = sync.holding(message_id.encode()).read_bytes()
            assert got.endswith(b"\n" + unix(message)), f"{unix(message)[:900]}\nbecame\n{got[:1500]}"
        for box in ("Sent", "Drafts", "Junk", "Trash", "Archive"):
            assert (sync.mail / box / "cur").is_dir(), f"{box} was not synchronised"

        # Far to near: a flag, a deletion.
        flagged, gone, read, dropped = (message_id for message_id, _ in letters[:4])
        mail.select("INBOX")
        mail.uid("STORE", find(mail, flagged), "+FLAGS", r"(\Flagged)")
        mail.uid("STORE", find(mail, gone), "+FLAGS", r"(\Deleted)")
        mail.expunge()
        # Near to far: a flag, a deletion, new messages.
        file = sync.holding(read.encode())
        file.rename(file.parent.parent / "cur" / (file.name.split(":")[0] + ":2,S"))
        sync.holding(dropped.encode()).unlink()
        new = [letter(BOB, BOB, BODIES[name]) for name in BODIES]
        for number, (_, message) in enumerate(new):
            (sync.mail / "Sent" / "new" / f"{number}.1.host").write_bytes(unix(message))
        sync.run()

        assert "F" in sync.holding(flagged.encode()).name.split(":2,")[-1]
        assert not any(gone.encode() in f.read_bytes() for f in sync.files())
        assert rb"\Seen" in mail.uid("FETCH", find(mail, read), "(FLAGS)")[1][0]
        assert find(mail, dropped) is None
        for message_id, message in new:
            got = arrives(mail, message_id, "Sent")
            assert got == message, f"{message[:900]}\nbecame\n{got[:1500]}"

        # A third run finds nothing to do: no message moved or doubled.
        before = sorted((box, file.name) for box in ("INBOX", "Sent") for file in sync.files(box))
        sync.run()
        assert sorted((box, file.name) for box in ("INBOX", "Sent") for file in sync.files(box)) == before
