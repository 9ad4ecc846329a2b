"""How IMAP's answers grow with what stands in the mailbox, and with mailboxes: our server alone, filled through its store
(bench/src/bin/fill-mailbox.rs), asked what bench/imap asks."""

import re, subprocess, time

import comparing, filling
from asking import make_room
from comparing import FIELDS, STRUCTURES, TIMES, counts, uids, warm
from resting import settled
from setting import TARGET

SIZES, QUICK = (2_000, 20_000, 200_000, 1_000_000), (2_000, 20_000)
#: Messages that count as new, and of what is copied and removed.
NEW, PART = 10, 1_000
#: Beyond so many messages what answers all of them is asked once.
OFTEN = 20_000
#: Of mailboxes: what an account has at the start, and many.
FEW_MAILBOXES, MAILBOXES = 6, 1_000
#: Octets of the longest answer: all envelopes and structures.
ROOM = 1 << 30


class Filled(comparing.Ours):
    def fill(self, messages, mailboxes=0):
        home = self.server.config.parent / "data"
        subprocess.run([TARGET / "release/fill-mailbox", home, self.user, str(messages), *([str(mailboxes)] if mailboxes else [])],
                       check=True, timeout=1200)


def find(what):
    """Of a SEARCH, SORT or THREAD: that it found something."""
    def row(said):
        found = what(said)
        assert found, said[:200]
        return len(found)
    return row


def several(command, check, often=TIMES):
    """A row that asks it some times, and takes the middle; at least once before, unless it is `once`."""
    def row(client, side):
        times = often if side.count <= OFTEN else 1
        seconds, said = warm(client, command, times)
        check(said)
        return seconds
    return row


def new_mail(command):
    """A row of what a client asks that was away while some messages came: `{uid}` the first of them, `{modseq}` the one
    that it knew last."""
    def row(client, side):
        took = []
        for _ in range(TIMES):
            status = client.ask("STATUS INBOX (UIDNEXT HIGHESTMODSEQ)")[1]
            uid, modseq = (int(re.search(word + rb" (\d+)", status)[1]) for word in (b"UIDNEXT", b"HIGHESTMODSEQ"))
            tags = [client.tag() for _ in range(NEW)]
            client.send_all([small(n, tag) for n, tag in enumerate(tags)], tags[-1])
            seconds, said = client.ask(command.format(uid=uid, modseq=modseq))
            assert counts(said, b"FETCH") == NEW, said[:300]
            took.append(seconds)
        return sorted(took)[TIMES // 2]
    return row


def small(n, tag):
    text = b"Subject: new %d\r\n\r\nwords\r\n" % n
    return b"%s APPEND INBOX {%d+}\r\n%s\r\n" % (tag, len(text), text)


def one_append(client, side):
    """The middle of some APPENDs that come one after the other, into the mailbox that is selected."""
    tags = [client.tag() for _ in range(51)]
    took = []
    for n, tag in enumerate(tags):
        took.append(client.send_each([small(n, tag)], [tag])[0])
    return sorted(took)[25]


def stored(client, side):
    seconds, said = client.ask("STORE 1:* +FLAGS (\\Draft)")
    client.ask("STORE 1:* -FLAGS.SILENT (\\Draft)")
    assert counts(said, b"FETCH") >= side.count
    return seconds


def one_stored(client, side):
    took = [client.ask(f"STORE {side.count // 2} {sign}FLAGS (\\Draft)")[0] for sign in "+-+-+-"]
    return sorted(took)[3]


def copied(client, side):
    client.ask("CREATE Copies")
    seconds = client.ask(f"COPY 1:{PART} Copies")[0]
    client.ask("DELETE Copies")
    return seconds


def expunged(client, side):
    """Of messages that came last; the mailbox has as many as before."""
    client.ask(f"COPY 1:{PART} INBOX")
    client.ask("NOOP")
    client.ask(f"STORE {side.count + 1}:* +FLAGS.SILENT (\\Deleted)")
    seconds, said = client.ask("EXPUNGE")
    assert counts(said, b"EXPUNGE") >= PART
    return seconds


def at_least(side_count, word):
    def check(said):
        assert counts(said, word) >= side_count, said[-200:]
    return check


def rows(count):
    every, any_ = at_least(count, b"FETCH"), lambda said: None
    return {
        "SELECT again": several("SELECT INBOX", any_, 21),
        "STATUS of all counts": several("STATUS INBOX (MESSAGES UNSEEN UIDNEXT UIDVALIDITY HIGHESTMODSEQ)", any_, 21),
        f"UID FETCH of {NEW} new (FLAGS)": new_mail("UID FETCH {uid}:* (FLAGS)"),
        f"FETCH 1:* (FLAGS) (CHANGEDSINCE), {NEW} new": new_mail("FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq})"),
        f"UID FETCH of {NEW} new (ENVELOPE BODYSTRUCTURE)": new_mail("UID FETCH {uid}:* (ENVELOPE BODYSTRUCTURE)"),
        "an APPEND": one_append,
        "STORE of one": one_stored,
        f"COPY {PART:,}": copied,
        f"EXPUNGE {PART:,}": expunged,
        "STORE 1:* +FLAGS": stored,
        "FETCH 1:* (FLAGS UID)": several("FETCH 1:* (FLAGS UID)", every),
        "FETCH 1:* of three header fields": several(FIELDS, every, 3),
        STRUCTURES: several(STRUCTURES, every, 3),
        "SEARCH FROM": several(f'UID SEARCH FROM "{filling.SENDER}"', find(uids), 3),
        "SEARCH SUBJECT": several(f'UID SEARCH SUBJECT "{filling.SUBJECT}"', find(uids), 3),
        "SEARCH SINCE UNSEEN": several("UID SEARCH SINCE 1-Mar-2023 UNSEEN", find(uids), 3),
        "SEARCH TEXT, a word in 1 %": several(f'UID SEARCH TEXT "{filling.RARE}"', find(uids), 3),
        "SEARCH BODY, a word in 1 %": several(f'UID SEARCH BODY "{filling.RARE}"', find(uids), 3),
        "SORT (REVERSE DATE)": several("UID SORT (REVERSE DATE) UTF-8 ALL", find(uids), 3),
        "THREAD REFERENCES": several("UID THREAD REFERENCES UTF-8 ALL", find(comparing.forest), 3),
    }


def measured(folder, count, wanted):
    """{row: cell} for a mailbox of so many."""
    side, cells = Filled(folder), {}
    try:
        start = time.monotonic()
        side.fill(count)
        side.start()
        began = time.monotonic()
        side.caught_up()
        print(f"{count:,}: filled in {began - start:.0f} s, digests made in {time.monotonic() - began:.0f} s", flush=True)
        side.count = count
        side.chill()
        with side.client() as client:
            before = settled(side.process)
            seconds, said = client.ask("SELECT INBOX")
            assert comparing.selected(said)[0] >= count
            cells["SELECT, first after a start"] = seconds
            cells["memory by the first SELECT, octets a message"] = (settled(side.process) - before) * 1024 / count
            for name, ask in rows(count).items():
                if wanted(name):
                    cells[name] = ask(client, side)
                    print(f"{count:,}: {name}: {cells[name] * 1000:.2f} ms", flush=True)
        side.server.stop()
    finally:
        side.remove()
    return cells


def growth(folder, sizes, wanted, shown):
    """The rows of a table with a column for each size; `shown` writes seconds."""
    if max(sizes) > 200_000:
        make_room(ROOM)
    columns = [measured(folder, count, wanted) for count in sizes]
    for name in columns[0]:
        octets = name.startswith("memory")
        yield name, *(f"{cells[name]:.0f}" if octets else shown([cells[name]]) for cells in columns)


LISTS = {
    "LIST": 'LIST "" "*"',
    "LIST with STATUS": 'LIST "" "*" RETURN (STATUS (MESSAGES UNSEEN UIDNEXT UIDVALIDITY))',
    "LSUB": 'LSUB "" "*"',
}


def mailboxes(folder, counts_, shown):
    """The same for accounts with few mailboxes and with many."""
    columns = []
    for count in counts_:
        side, cells = Filled(folder), {}
        try:
            side.fill(2_000, count)
            side.start()
            side.caught_up()
            side.chill()
            with side.client() as client:
                for name, command in LISTS.items():
                    cells[f"{name}, first after a start"], said = client.ask(command)
                    assert counts_of(said) >= count, said[:300]
                    cells[f"{name}, again"] = warm(client, command)[0]
                cells["SELECT, the first"] = client.ask("SELECT INBOX")[0]
                last = re.findall(rb'"(Box [^"]*)"', said)
                cells["SELECT of another"] = client.ask(f'SELECT "{last[-1].decode()}"' if last else "SELECT Sent")[0]
                cells["SELECT again"] = warm(client, "SELECT INBOX", 21)[0]
                cells["CREATE and DELETE"] = client.ask("CREATE New")[0] + client.ask("DELETE New")[0]
            side.server.stop()
        finally:
            side.remove()
        print(f"{count:,} mailboxes: {cells}", flush=True)
        columns.append(cells)
    for name in columns[0]:
        yield name, *(shown([cells[name]]) for cells in columns)


def counts_of(said):
    return len(re.findall(rb"^\* (?:LIST|LSUB) ", said, re.M))
