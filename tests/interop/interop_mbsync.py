"""mbsync (isync): a maildir and an account kept alike, both ways, with flags and deletions."""

import pathlib, re, tempfile

from letters import BODIES, arrives, find, imap, letter, submit
from postrider import Local as scene, run

ALICE, BOB = "alice@red.example", "bob@blue.example"


class Sync:
    def __init__(self, net, folder):
        self.folder = pathlib.Path(folder)
        self.mail = self.folder / "mail"
        self.mail.mkdir()
        self.config = self.folder / "mbsyncrc"
        self.config.write_text(f"""IMAPAccount bob
Host localhost
Port {net.blue.imaps}
User {BOB}
Pass bob
SSLType IMAPS
CertificateFile {net.blue.ca}

IMAPStore far
Account bob

MaildirStore near
Path {self.mail}/
Inbox {self.mail}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
Sync All
CopyArrivalDate yes
""")

    def run(self):
        run("mbsync", "-c", self.config, "-a")

    def files(self, box="INBOX"):
        return [f for part in ("cur", "new") for f in (self.mail / box / part).iterdir()]

    def holding(self, text, box="INBOX"):
        (found,) = [f for f in self.files(box) if text in f.read_bytes()]
        return found


def unmarked(message, end):
    """Without the header by which mbsync finds again what it has copied."""
    return re.sub(rb"^X-TUID: [^\r\n]*" + end, b"", message, count=1, flags=re.M)


def unix(message):
    return message.replace(b"\r\n", b"\n")


def test_both_ways_with_flags_and_deletions(net):
    letters = [letter(ALICE, BOB, body) for name, body in BODIES.items()]
    for _, message in letters:
        submit(net.red, ALICE, BOB, message)
    with imap(net.blue, BOB) as mail, tempfile.TemporaryDirectory() as folder:
        for message_id, _ in letters:
            arrives(mail, message_id)
        sync = Sync(net, folder)
        sync.run()
        assert len(sync.files()) >= len(letters)
        for message_id, message in letters:
            got = unmarked(sync.holding(message_id.encode()).read_bytes(), b"\n")
            assert got.endswith(b"\n" + unix(message)), f"{unix(message)[:900]}\nbecame\n{got[:1500]}"
        for box in ("Sent", "Drafts", "Junk", "Trash", "Archive"):
            assert (sync.mail / box / "cur").is_dir(), f"{box} was not synchronised"

        # Far to near: a flag, a deletion.
        flagged, gone, read, dropped = (message_id for message_id, _ in letters[:4])
        mail.uid("STORE", find(mail, flagged), "+FLAGS", r"(\Flagged)")
        mail.uid("STORE", find(mail, gone), "+FLAGS", r"(\Deleted)")
        mail.expunge()
        # Near to far: a flag, a deletion, a new message, a new folder.
        file = sync.holding(read.encode())
        file.rename(file.parent.parent / "cur" / (file.name.split(":")[0] + ":2,S"))
        sync.holding(dropped.encode()).unlink()
        new_id, new = letter(BOB, BOB, BODIES["utf8"])
        (sync.mail / "Sent" / "new" / "1.1.host").write_bytes(unix(new))
        for part in ("cur", "new", "tmp"):
            (sync.mail / "Projects" / part).mkdir(parents=True)
        sync.run()

        assert "F" in sync.holding(flagged.encode()).name.split(":2,")[-1]
        assert not any(gone.encode() in f.read_bytes() for f in sync.files())
        uid = find(mail, read)
        assert rb"\Seen" in mail.uid("FETCH", uid, "(FLAGS)")[1][0]
        assert find(mail, dropped) is None
        assert unmarked(arrives(mail, new_id, "Sent"), b"\r\n") == new
        assert mail.select("Projects")[0] == "OK"

        # A third run finds nothing to do: no message moved or doubled.
        before = sorted(f.name for f in sync.files())
        sync.run()
        assert sorted(f.name for f in sync.files()) == before
