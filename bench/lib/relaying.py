"""Mail that only passes through: accepted, queued, delivered by SMTP to a sink, removed, beside Postfix.

All of it goes to one next hop, ours by `[[route]]`, Postfix by its transport table. The clock stops when the sink
has everything and the queue is empty.
"""

import contextlib, json, tempfile, time

from loads import Sink, cpu, source
from peers import Peer
from postrider import Serve, until

DOMAIN = "sink.example"


def next_hop(port):
    return f'[[route]]\ndomain = "{DOMAIN}"\nnext_hop = ["127.0.0.1:{port}"]\n'


def through(sink, port, empty, octets, sessions, keep, count):
    """Sends it all and waits for its end; rates, and the seconds until it was accepted and until all was gone."""
    start, before = time.monotonic(), sink.taken()
    accepted, sent = source(port, DOMAIN, octets, sessions, keep, count)
    until(f"all of {sent} to reach the sink", lambda: sink.taken() - before >= sent, 900, step=0.02)
    until("an empty queue", empty, 60, step=0.05)
    seconds = time.monotonic() - start
    return {"stored": sent / seconds, "accepted": sent / accepted, "seconds": seconds, "twice": sink.taken() - before - sent}


@contextlib.contextmanager
def system(folder):
    """Ours, warm, and how to send through it."""
    with Sink(folder) as sink:
        server = Serve("ours.example", extra=next_hop(sink.port), folder=tempfile.mkdtemp(prefix="ours-", dir=folder),
                       services=("smtp",))
        with server:
            empty = lambda: json.loads(server.command("queue", "list", "--json").stdout) in ([], {"queue": []})
            send = lambda *load: through(sink, server.smtp, empty, *load)
            send(1024, 10, True, 100)
            yield server.server.process.pid, send


def ours(folder, octets, sessions, keep, count):
    with system(folder) as (process, send):
        before = cpu(process)
        result = send(octets, sessions, keep, count)
        result["cpu"] = (cpu(process) - before) / result["seconds"]
        assert result["twice"] == 0, f"{result['twice']} messages arrived twice"
        return result


def profiled(folder, watch, count):
    """The load of the first case within `watch(process)`; how many messages."""
    with system(folder) as (process, send):
        with watch(process):
            send(4096, 50, True, count)
        return count


def postfix(folder, octets, sessions, keep, count):
    peer = Peer("peer.example", [], folder, settings={"relay_domains": DOMAIN})
    try:
        with Sink(folder) as sink:
            peer.start_postfix()
            peer.route(DOMAIN, sink.port)
            queues = [peer.queue / name for name in ("maildrop", "incoming", "active", "deferred")]
            empty = lambda: not any(path.is_file() for queue in queues for path in queue.rglob("*"))
            through(sink, peer.smtp, empty, 1024, 10, True, 100)
            return through(sink, peer.smtp, empty, octets, sessions, keep, count)
    finally:
        peer.end()
