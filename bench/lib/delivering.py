"""Mail that is delivered into mailboxes: ours beside Postfix with Dovecot's LMTP, and smtp-sink, which throws it away."""

import os, subprocess, tempfile, time

from letters import imap
from loads import MAILBOXES, cpu, source
from peers import Peer
from postrider import Serve, answers, free_port, until


def postfix(folder, octets, sessions, keep, count):
    with Peer("peer.example", [f"u{n}" for n in range(MAILBOXES)], folder) as peer:
        source(peer.smtp, "peer.example", 1024, 10, True, 100)
        until("the warm-up", lambda: len(peer.files()) == 100, 120)
        start = time.monotonic()
        accepted, sent = source(peer.smtp, "peer.example", octets, sessions, keep, count)
        until("all to be stored", lambda: len(peer.files()) == sent + 100, 600, step=0.1)
        return {"stored": sent / (time.monotonic() - start), "accepted": sent / accepted}


def sink(_, octets, sessions, keep, count):
    port = free_port()
    server = subprocess.Popen(["smtp-sink", *(["-u", "nobody"] if os.getuid() == 0 else []), f"inet:127.0.0.1:{port}", "256"],
                              stdout=subprocess.DEVNULL)
    try:
        until("smtp-sink", lambda: answers(port))
        seconds, sent = source(port, "sink.example", octets, sessions, keep, count)
        return {"stored": sent / seconds, "accepted": sent / seconds}
    finally:
        server.kill()
        server.wait()


def system(folder):
    accounts = {f"u{n}@ours.example": f"a long enough secret {n}" for n in range(MAILBOXES)}
    return Serve("ours.example", accounts, folder=tempfile.mkdtemp(prefix="ours-", dir=folder)), accounts


def ours(folder, octets, sessions, keep, count):
    server, accounts = system(folder)
    try:
        server.start()
        source(server.smtp, "ours.example", 1024, 10, True, 100)
        before = cpu(server.server.process.pid)
        start = time.monotonic()
        accepted, sent = source(server.smtp, "ours.example", octets, sessions, keep, count)
        # 250 means stored: this only proves it. The count is not timed, since nothing is left to do.
        seconds = time.monotonic() - start
        used = cpu(server.server.process.pid) - before
        assert stored(server, accounts) == sent + 100, f"{stored(server, accounts)} of {sent} are stored"
        server.stop()
        return {"stored": sent / seconds, "accepted": sent / accepted, "cpu": used / seconds}
    finally:
        server.remove()


def stored(server, accounts):
    total = 0
    for account, password in accounts.items():
        with imap(server, account, password) as connection:
            total += int(connection.select("INBOX", readonly=True)[1][0])
    return total


def profiled(folder, watch, count):
    """The load of the first case within `watch(process)`; how many messages."""
    server, _ = system(folder)
    with server:
        source(server.smtp, "ours.example", 1024, 10, True, 100)
        with watch(server.server.process.pid):
            _, sent = source(server.smtp, "ours.example", 4096, 50, True, count)
        return sent
