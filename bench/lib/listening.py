"""Event sources (RFC 8620 §7.3) at rest: what each takes of the memory, and how soon all of many have heard of a new mail."""

import json, selectors, smtplib, socket, time

from resting import SECRET, settled

#: Accounts, and listeners of each: as many as one account may have.
ACCOUNTS, EACH = 10, 100
MAILS = 20


def address(n):
    return f"u{n}@ours.example"


def request(server, method, path, body="", cookie=""):
    """A connection on which a request was sent."""
    connection = socket.create_connection(("127.0.0.1", server.http), timeout=60)
    more = f"Cookie: {cookie}\r\n" if cookie else ""
    connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nPostrider-Request: 1\r\nContent-Type: application/json\r\n"
                       f"Content-Length: {len(body)}\r\n{more}\r\n{body}".encode())
    return connection


def cookie(server, n):
    with request(server, "POST", "/auth/login", json.dumps({"address": address(n), "password": SECRET})) as connection:
        head = connection.recv(65536).decode()
    assert head.startswith("HTTP/1.1 200"), head
    return next(line for line in head.split("\r\n") if line.lower().startswith("set-cookie:")).split(" ")[1].rstrip(";")


def listener(server, session):
    connection = request(server, "GET", "/jmap/events?types=*&closeafter=no&ping=0", cookie=session)
    head = connection.recv(65536)
    assert head.startswith(b"HTTP/1.1 200"), head
    return connection


def until_all_know(server, listeners):
    """Seconds from the end of the message to each account until the last listener was told."""
    chosen = selectors.DefaultSelector()
    for connection in listeners:
        chosen.register(connection, selectors.EVENT_READ)
    with smtplib.SMTP("127.0.0.1", server.smtp) as client:
        client.ehlo("bench.example")
        client.mail("somebody@elsewhere.example")
        for n in range(ACCOUNTS):
            assert client.rcpt(address(n))[0] == 250
        start = time.perf_counter()
        client.data("Subject: news\r\n\r\nwords\r\n")
        waiting, said = set(listeners), dict.fromkeys(listeners, b"")
        while waiting:
            for key, _ in chosen.select(60):
                said[key.fileobj] += key.fileobj.recv(65536)
                if b"EmailDelivery" in said[key.fileobj]:
                    waiting.discard(key.fileobj)
        took = time.perf_counter() - start
    # What is told apart comes after it; nothing of it may be left for the next mail.
    quiet = time.monotonic() + 0.3
    while time.monotonic() < quiet:
        for key, _ in chosen.select(0.1):
            key.fileobj.recv(65536)
    return took


def rest(server):
    """The rows of a table."""
    sessions = [cookie(server, n) for n in range(ACCOUNTS)]
    process = server.server.process.pid
    listeners = [listener(server, session) for session in sessions for _ in range(EACH // 10)]
    until_all_know(server, listeners)
    before = settled(process)
    more = [listener(server, session) for session in sessions for _ in range(EACH - EACH // 10)]
    cost = (settled(process) - before) / len(more)
    listeners += more
    took = sorted(until_all_know(server, listeners) for _ in range(MAILS))
    yield f"a new mail to {ACCOUNTS} accounts has reached {len(listeners):,} event sources: the middle of {MAILS}", f"{took[MAILS // 2] * 1000:.1f} ms", "100 ms"
    yield f"a new mail to {ACCOUNTS} accounts has reached {len(listeners):,} event sources: the longest of {MAILS}", f"{took[-1] * 1000:.1f} ms", "100 ms"
    yield f"an event source ({len(listeners):,} of them)", f"{cost:.1f} KiB", "40 KiB"
    for connection in listeners:
        connection.close()
