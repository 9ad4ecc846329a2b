"""IMAP beside Dovecot: the same mailbox, the same commands, answers that are compared before a figure counts.

A side is a server with the mailbox: ours, and Dovecot with maildir and with mdbox. A row is what a client asks.
"""

import contextlib, re, statistics, tempfile, urllib.request

import filling
from asking import Client, checked, parsed, responses
from peers import Peer, detached
from postrider import Serve, answers, run, until

SECRET = "a long enough secret"
#: Messages of the rows that work on a part.
PART, SINGLES = 10_000, 300
#: How often a warm command is asked; the middle counts.
TIMES = 5


class Ours:
    name, user, password = "Postrider", "u0@ours.example", SECRET

    def __init__(self, folder):
        self.server = Serve("ours.example", {self.user: SECRET}, folder=tempfile.mkdtemp(prefix="ours-", dir=folder))

    def start(self):
        self.server.start()
        self.process, self.port = self.server.server.process.pid, self.server.imap

    def end(self):
        if self.server.server.process and self.server.server.process.poll() is None:
            self.server.server.stop()

    def chill(self):
        """Forgets all that is only in memory."""
        self.end()
        self.start()

    def caught_up(self):
        """Waits until the index has everything."""
        metric = lambda: urllib.request.urlopen(f"http://127.0.0.1:{self.server.http}/metrics").read().decode()
        until("the index to catch up", lambda: "postrider_mailboxes_undigested 0\n" in metric(), 600, step=0.2)

    @contextlib.contextmanager
    def without_index(self):
        self.server.server.environment = {"POSTRIDER_TEST_SIZES": "digests=0"}
        self.chill()
        yield
        self.server.server.environment = {}

    def client(self):
        return Client(self.port, self.user, self.password)

    def remove(self):
        self.server.remove()


class Dovecot:
    user, password = "u0@peer.example", "u0"

    def __init__(self, folder, kind):
        self.name = f"Dovecot, {kind}"
        self.peer = Peer("peer.example", ["u0"], folder, kind=kind)
        self.port = self.peer.imap

    def start(self):
        self.peer.start_dovecot()

    def end(self):
        run("doveadm", "-c", self.peer.dovecot, "stop", check=False)
        until("Dovecot to end", lambda: not answers(self.port))

    def chill(self):
        """Forgets what was in memory, and what it found out of messages for those who asked before."""
        self.end()
        for cache in self.peer.mail.rglob("dovecot.index.cache"):
            cache.unlink()
        detached("dovecot", "-c", self.peer.dovecot)
        until("Dovecot", lambda: answers(self.port))

    client = Ours.client
    caught_up = lambda self: None
    without_index = contextlib.nullcontext

    def remove(self):
        self.peer.end()


# ---- What an answer says, as far as the standard fixes it.

def counts(said, word):
    """How many untagged responses there are of a kind."""
    return sum(1 for line in responses(said) if re.match(rb"\* \d+ " + word, line))


def uids(said):
    return re.search(rb"^\* (?:SEARCH|SORT)((?: \d+)*)", said, re.M)[1].split()


def fetched(said):
    return [line for line in responses(said) if b" FETCH " in line[:30]]


def flags(said):
    lines = fetched(said)
    found = {}
    for line in lines:
        known = sorted(set(re.search(rb"FLAGS \(([^)]*)\)", line)[1].split()) - {b"\\Recent"})
        found[int(re.search(rb"UID (\d+)", line)[1])] = known
    return len(lines), found


def described(said):
    """Of each fortieth message all that ENVELOPE and BODYSTRUCTURE say."""
    lines = fetched(said)
    return len(lines), [structure(parsed(line)) for line in lines[::40]]


def structure(response):
    """The items of a FETCH by name, without what servers may write otherwise: extension data of parts."""
    items = next(part for part in response if isinstance(part, list))
    named = dict(zip(items[::2], items[1::2]))
    return named[b"envelope"], plain_body(named[b"bodystructure"])


def plain_body(body):
    """Nested: type, subtype, parameters, id, encoding, octets, lines."""
    if isinstance(body[0], list):
        parts = [plain_body(part) for part in body if isinstance(part, list) and part and not is_parameters(part)]
        return parts + [next(part for part in body if not isinstance(part, list))]
    kept = body[:7]
    if body[0] == b"message":
        return kept + [body[7], plain_body(body[8]), body[9]]
    return kept + (body[7:8] if body[0] == b"text" else [])


def is_parameters(part):
    return len(part) > 1 and isinstance(part[0], bytes) and part[0] == b"boundary"


def literals(said):
    """By UID the octets of the one literal in each response."""
    found = {}
    for line in fetched(said):
        head, _, rest = line.partition(b"}\r\n")
        size = int(head.rpartition(b"{")[2])
        found[int(re.search(rb"UID (\d+)", line[:200] + line[-60:])[1])] = rest[:size]
    return found


def lengths(said):
    return {uid: (len(octets), hash(octets)) for uid, octets in literals(said).items()}


def forest(said):
    line = re.search(rb"^\* THREAD (.*)\r$", said, re.M)[1]
    # In the standard's order: threads by the date of their first.
    return line.replace(b") (", b")(")


def warm(client, command, times=TIMES):
    client.ask(command)
    answers = [client.ask(command) for _ in range(times)]
    return statistics.median(seconds for seconds, _ in answers), answers[-1][1]


def asked(command, what, times=TIMES):
    """A row that asks a command that it has asked before."""
    def row(client, _):
        seconds, said = warm(client, command, times)
        return seconds, what(said), len(said)
    return row


def once(command, what):
    """A row that asks it for the first time since the start."""
    def row(client, _):
        seconds, said = client.ask(command)
        return seconds, what(said), len(said)
    return row


def selected(said):
    return int(re.search(rb"\* (\d+) EXISTS", said)[1]), int(re.search(rb"UIDNEXT (\d+)", said)[1])


def singles(client, _):
    client.ask("CREATE Singles")
    tags = [client.tag() for _ in range(SINGLES)]
    small = [n for n in range(4 * SINGLES) if len(filling.message(n)[0]) < 8000][:SINGLES]
    seconds, said = client.send_each([filling.append(n, "Singles", tag) for n, tag in zip(small, tags)], tags)
    client.ask("DELETE Singles")
    return seconds, said.count(b" OK [APPENDUID "), len(said)


def stored(client, _):
    seconds, said = client.ask("STORE 1:* +FLAGS (\\Draft)")
    client.ask("STORE 1:* -FLAGS.SILENT (\\Draft)")
    return seconds, counts(said, rb"FETCH \(.*\\Draft"), len(said)


def copies(client, side, mailbox):
    client.ask(f"CREATE {mailbox}")
    return client.ask(f"COPY 1:{side.part} {mailbox}")


def copied(client, side):
    seconds, said = copies(client, side, "Copies")
    client.ask("DELETE Copies")
    code = re.search(rb"COPYUID \d+ (\S+) (\S+)\]", said)
    return seconds, (code[1], code[2]), len(said)


def expunged(client, side):
    copies(client, side, "Removed")
    client.ask("SELECT Removed")
    client.ask("STORE 1:* +FLAGS.SILENT (\\Deleted)")
    seconds, said = client.ask("EXPUNGE")
    client.ask("SELECT INBOX")
    client.ask("DELETE Removed")
    return seconds, counts(said, b"EXPUNGE"), len(said)


FIELDS = "FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (DATE FROM SUBJECT)])"
STRUCTURES = "FETCH 1:* (ENVELOPE BODYSTRUCTURE)"
SELECT_FIRST = "SELECT, first after a start"
UNINDEXED = (f"{STRUCTURES}, cold", "SEARCH FROM", "SEARCH TEXT, a word in 1 %", "SEARCH BODY, a word in 1 %")


def rows(part):
    """In the order in which a round asks them, name: (goal, times theirs, and how to ask)."""
    asks = {SELECT_FIRST: (None, once("SELECT INBOX", selected)),
            f"{STRUCTURES}, cold": (10, once(STRUCTURES, described)),
            f"{STRUCTURES}, warm": (3, asked(STRUCTURES, described)),
            "SELECT again": (2, asked("SELECT INBOX", selected, 21)),
            "FETCH 1:* (FLAGS UID)": (2, asked("FETCH 1:* (FLAGS UID)", flags))}
    for name, goal, command, what in (
            ("FETCH 1:* of three header fields", 2, FIELDS, literals),
            ("SEARCH FROM", 5, f'UID SEARCH FROM "{filling.SENDER}"', uids),
            ("SEARCH SUBJECT", 5, f'UID SEARCH SUBJECT "{filling.SUBJECT}"', uids),
            ("SEARCH SINCE UNSEEN", 5, f"UID SEARCH SINCE {filling.SINCE:%d-%b-%Y} UNSEEN", uids),
            ("SEARCH TEXT, a word in 1 %", 50, f'UID SEARCH TEXT "{filling.RARE}"', uids),
            ("SEARCH BODY, a word in 1 %", 50, f'UID SEARCH BODY "{filling.RARE}"', uids),
            ("SORT (REVERSE DATE)", 5, "UID SORT (REVERSE DATE) UTF-8 ALL", uids),
            ("THREAD REFERENCES", 20, "UID THREAD REFERENCES UTF-8 ALL", forest)):
        asks[name] = goal, once(command, what)
        asks[f"{name}, again"] = None, asked(command, what, 3)
    return asks | {
        f"{part:,} whole messages": (2, asked(f"UID FETCH 1:{part} (BODY.PEEK[])", lengths, 3)),
        "STORE 1:* +FLAGS": (3, stored),
        f"COPY {part:,}": (3, copied),
        f"EXPUNGE {part:,}": (3, expunged),
        f"{SINGLES} APPENDs, one after the other": (2, singles),
    }


def fill(side, count):
    """The mailbox, in one flight of APPENDs; then the first SELECT."""
    with side.client() as client:
        tags = [client.tag() for _ in range(count)]
        pieces = [filling.append(n, "INBOX", tag) for n, tag in enumerate(tags)]
        seconds, said = client.send_all(pieces, tags[-1])
        checked(said, "APPEND")
        done = said.count(b" OK [APPENDUID ")
        yield f"APPEND {count:,}, pipelined", 20, (seconds, done, len(said))
    with side.client() as client:
        yield "SELECT, first after they came", 10, once("SELECT INBOX", selected)(client, side)


def ask_all(side, part, wanted):
    """One round on one side: of each row that is wanted its name, its goal, and what came of it."""
    side.part = part
    side.caught_up()
    side.chill()
    with side.client() as client:
        for name, (goal, ask) in rows(part).items():
            if wanted(name):
                yield name, goal, ask(client, side)
            elif name == SELECT_FIRST:
                ask(client, side)
    without = {f"{name}, without our index": row for name, row in rows(part).items() if name in UNINDEXED}
    if any(map(wanted, without)):
        with side.without_index(), side.client() as client:
            client.ask("SELECT INBOX")
            for name, (_, ask) in without.items():
                if wanted(name):
                    yield name, None, ask(client, side)


@contextlib.contextmanager
def sides(folder, kinds=("maildir", "mdbox")):
    every = [Ours(folder)]
    try:
        every += [Dovecot(folder, kind) for kind in kinds]
        for side in every:
            side.start()
        yield every
    finally:
        for side in every:
            with contextlib.suppress(Exception):
                side.remove()
