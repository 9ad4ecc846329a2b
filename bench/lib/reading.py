"""Mail that is read: POP3 after log-in (STAT, UIDL, pipelined RETR of all), and log-ins again and again, beside Dovecot.

Each session has a mailbox of its own (POP3 locks it) of 600 messages of 4 KB. The clients count the replies and their
octets and look at nothing else, so that they cost little. All was read once before the clock starts: both servers
have their indexes, and the machine the files in its cache. Dovecot compares passwords in clear here, which favours it.
"""

import contextlib, multiprocessing, socket, tempfile, time

from loads import MAILBOXES, cpu, source
from peers import Peer
from postrider import Serve, until

MESSAGES, OCTETS = 600, 4096
#: How often a session reads all of it, and how often a client logs in, while the clock runs.
PASSES, LOG_INS = 30, 100
END = b"\r\n.\r\n"
SECRET = "a long enough secret"


def say(connection, line):
    connection.sendall(line.encode() + b"\r\n")
    reply = connection.recv(4096)
    assert reply.startswith(b"+OK"), reply


def log_in(port, user, password):
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.recv(4096)
    say(connection, f"USER {user}")
    say(connection, f"PASS {password}")
    return connection


def read_all(connection):
    """STAT, UIDL and RETR of all in one flight; the octets that came."""
    asked = [b"STAT", b"UIDL", *(b"RETR %d" % number for number in range(1, MESSAGES + 1))]
    connection.sendall(b"\r\n".join(asked) + b"\r\n")
    # STAT's reply is a line; all others end with a dot of their own.
    ends, octets, tail = len(asked) - 1, 0, b""
    while ends:
        piece = connection.recv(1 << 18)
        assert piece, "the server closed"
        seen = tail + piece
        assert b"\n-ERR" not in seen, seen[seen.index(b"\n-ERR"):][:80]
        octets += len(piece)
        ends -= seen.count(END)
        tail = seen[1 - len(END):]
    assert octets > MESSAGES * OCTETS, octets
    return octets


def reader(port, user, password, ready, octets):
    with log_in(port, user, password) as connection:
        read_all(connection)
        ready.wait()
        octets.put(sum(read_all(connection) for _ in range(PASSES)))


def poller(port, user, password, ready, octets):
    def poll():
        with log_in(port, user, password) as connection:
            say(connection, "STAT")
            say(connection, "QUIT")

    poll()
    ready.wait()
    for _ in range(LOG_INS):
        poll()
    octets.put(0)


def timed(client, sessions, port, people, process=None, watch=contextlib.nullcontext):
    """Runs the clients, each a process; how much was done per second: messages or log-ins, octets, our CPU."""
    fork = multiprocessing.get_context("fork")
    ready, octets = fork.Barrier(sessions + 1), fork.Queue()
    clients = [fork.Process(target=client, args=(port, *person, ready, octets)) for person in people[:sessions]]
    for one in clients:
        one.start()
    ready.wait(120)
    start, before = time.monotonic(), cpu(process) if process else 0
    with watch(process):
        total = sum(octets.get(timeout=300) for _ in clients)
    seconds, used = time.monotonic() - start, cpu(process) - before if process else 0
    for one in clients:
        one.join()
        assert one.exitcode == 0, f"a client ended with {one.exitcode}"
    done = sessions * (LOG_INS if client is poller else PASSES * MESSAGES)
    return {"rate": done / seconds, "octets": total / seconds, "cpu": used / done}


#: name: (client, sessions)
CASES = {
    "POP3: 10 sessions, STAT, UIDL, RETR": (reader, 10),
    "POP3: one session, STAT, UIDL, RETR": (reader, 1),
    "POP3: 10 clients, log-in, STAT, QUIT": (poller, 10),
}


@contextlib.contextmanager
def dovecot(folder):
    """Dovecot with its mail; yields how to measure a case."""
    with Peer("peer.example", [f"u{n}" for n in range(MAILBOXES)], folder, whole=True) as peer:
        source(peer.smtp, "peer.example", OCTETS, 20, True, MESSAGES * MAILBOXES)
        until("all to be stored", lambda: len(peer.files()) == MESSAGES * MAILBOXES, 300, step=0.5)
        people = [(f"{user}@peer.example", user) for user in peer.users]
        yield lambda client, sessions: timed(client, sessions, peer.pop3, people)


@contextlib.contextmanager
def ours(folder):
    """The same of ours."""
    people = [(f"u{n}@ours.example", SECRET) for n in range(MAILBOXES)]
    with Serve("ours.example", dict(people), folder=tempfile.mkdtemp(prefix="ours-", dir=folder)) as server:
        source(server.smtp, "ours.example", OCTETS, 20, True, MESSAGES * MAILBOXES)
        yield lambda *case: timed(*case[:2], server.pop3, people, server.server.process.pid, *case[2:])


def profiled(folder, watch):
    """Ten sessions that read within `watch(process)`; how many messages."""
    with ours(folder) as run:
        run(reader, 10, watch)
    return 10 * PASSES * MESSAGES
