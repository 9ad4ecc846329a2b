"""Connections at rest: what they take of the memory, and what a session that waits for news costs others."""

import re, selectors, socket, time

from loads import cpu, memory
from postrider import until

SECRET = "a long enough secret"
#: Of an idle connection: what it says before it is idle, each line after the last one's answer; `{n}`: which account.
#: POP3 locks its maildrop, so each session there has an account of its own.
TALKS = {
    "smtp": ["EHLO idle.example"],
    "pop3": ["USER u{n}@ours.example", f"PASS {SECRET}", "STAT"],
    "imap": [f"a LOGIN u0@ours.example \"{SECRET}\"", "b SELECT INBOX", "c IDLE"],
}


def settled(process):
    """The memory once it no longer changes: threads that hashed or read end after ten idle seconds, and give theirs back."""
    last = [memory(process)]

    def still():
        last.append(memory(process))
        return len(last) > 24 and max(last[-24:]) - min(last[-24:]) < 64

    until("memory to settle", still, 120, step=0.5)
    return last[-1]


def answer(connection):
    """Reads until nothing more is to come: the servers answer each command with one flight."""
    said = connection.recv(65536)
    assert said, "the server closed"
    return said


def talk(server, service, tls, n):
    """An idle connection, the `n`th; `tls`: what to wrap it in, or None."""
    port = getattr(server, {"smtp": "submissions"}.get(service, service + "s") if tls else service)
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    if tls:
        connection = tls.wrap_socket(connection, server_hostname="localhost")
    answer(connection)
    for line in TALKS[service]:
        connection.sendall(line.format(n=n).encode() + b"\r\n")
        said = answer(connection)
        while line.startswith("b SELECT") and b"b OK" not in said:
            said += answer(connection)
    return connection


def idle(server, service, tls, count):
    """KiB for each of so many connections."""
    process, tls = server.server.process.pid, server.tls() if tls else None
    # Each account once before: hashing a password takes 19 MiB for a moment; then it is remembered.
    for n in range(count if service == "pop3" else count // 10):
        talk(server, service, tls, n).close()
    settled(process)
    # What the first ones take that the others share is no cost of a connection.
    connections = [talk(server, service, tls, n) for n in range(count // 10)]
    before = settled(process)
    connections += [talk(server, service, tls, n) for n in range(count // 10, count)]
    cost = (settled(process) - before) / (count - count // 10)
    for connection in connections:
        connection.close()
    return cost


#: Sessions that watch one mailbox, and how often a mail comes while they do.
WATCHERS, MAILS = 100, 20
#: Messages into another mailbox, for what they cost while many watch.
ELSEWHERE = 2_000


def watcher(server, mailbox="INBOX"):
    """A session that watches a mailbox, with all that it was told so far read."""
    connection = socket.create_connection(("127.0.0.1", server.imap), timeout=60)
    answer(connection)
    for tag, line in (("a", f'LOGIN u0@ours.example "{SECRET}"'), ("b", f"SELECT {mailbox}"), ("c", "IDLE")):
        connection.sendall(f"{tag} {line}\r\n".encode())
        end, said = (b"+ " if tag == "c" else f"{tag} OK".encode()), b""
        while not re.search(b"^" + re.escape(end) + b".*\n", said, re.M):
            said += answer(connection)
    return connection


def append(client, mailbox, count=1):
    """So many small messages in one flight; when the first octet went, and when the last was acknowledged."""
    tags = [client.tag() for _ in range(count)]
    text = b"Subject: news\r\n\r\nwords\r\n"
    pieces = [b"%s APPEND %s {%d+}\r\n%s\r\n" % (tag, mailbox.encode(), len(text), text) for tag in tags]
    start = time.perf_counter()
    client.send_all([b"".join(pieces)], tags[-1])
    return start, client.clock


def until_all_know(client, watchers):
    """Seconds from the command that puts a message there until the last of the watchers was told."""
    chosen = selectors.DefaultSelector()
    for connection in watchers:
        chosen.register(connection, selectors.EVENT_READ)
    start, _ = append(client, "INBOX")
    waiting = set(watchers)
    said = dict.fromkeys(watchers, b"")
    while waiting:
        for key, _ in chosen.select(60):
            said[key.fileobj] += answer(key.fileobj)
            if b" EXISTS\r\n" in said[key.fileobj]:
                waiting.discard(key.fileobj)
    return time.perf_counter() - start


def has_news(connection):
    connection.setblocking(False)
    try:
        return connection.recv(65536)
    except BlockingIOError:
        return b""
    finally:
        connection.settimeout(60)


def watch(server, client):
    """How long until all watchers know of a mail: the middle and the longest of some; those of another mailbox hear nothing."""
    client.ask("CREATE Elsewhere")
    others = [watcher(server, "Elsewhere") for _ in range(WATCHERS)]
    watchers = [watcher(server) for _ in range(WATCHERS)]
    took = sorted(until_all_know(client, watchers) for _ in range(MAILS))
    woken = [said for said in map(has_news, others) if said]
    assert not woken, f"who watches another mailbox was told {woken[0]}"
    for connection in watchers + others:
        connection.close()
    return took[MAILS // 2], took[-1]


def cost_elsewhere(server, client):
    """Processor time in seconds of a message into a mailbox that nobody watches."""
    process = server.server.process.pid
    append(client, "Elsewhere", 100)
    before = cpu(process)
    for _ in range(ELSEWHERE // 20):
        append(client, "Elsewhere", 20)
    return (cpu(process) - before) / ELSEWHERE


def rest(server, client, count):
    """The rows of a table: what idle connections take, and what those who watch cost others."""
    middle, longest = watch(server, client)
    yield f"a new mail has reached {WATCHERS} watchers: the middle of {MAILS}", f"{middle * 1000:.1f} ms", "100 ms"
    yield f"a new mail has reached {WATCHERS} watchers: the longest of {MAILS}", f"{longest * 1000:.1f} ms", "100 ms"
    yield "an APPEND, nobody watches", f"{cost_elsewhere(server, client) * 1e6:.0f} CPU µs", ""
    connections = [talk(server, "imap", None, 0) for _ in range(count)]
    yield f"an APPEND, {count:,} watch another mailbox", f"{cost_elsewhere(server, client) * 1e6:.0f} CPU µs", "the same"
    woken = [said for said in map(has_news, connections) if said]
    assert not woken, f"who watches another mailbox was told {woken[0]}"
    for connection in connections:
        connection.close()
