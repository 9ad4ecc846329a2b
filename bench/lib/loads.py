"""What the measurements share: the load, the sink, and what a process takes of the machine."""

import os, pathlib, re, subprocess, time

from postrider import answers, free_port, until

MAILBOXES = 10


def source(port, domain, octets, sessions, keep, count):
    """Runs smtp-source, one for each mailbox, at once; returns its seconds."""
    boxes = min(MAILBOXES, sessions)
    start = time.monotonic()
    loads = [subprocess.Popen(["smtp-source", *(["-d"] if keep else []), "-s", str(sessions // boxes), "-l", str(octets),
                               "-m", str(count // boxes), "-f", "x@client.example", "-t", f"u{n}@{domain}",
                               f"inet:127.0.0.1:{port}"], stdout=subprocess.DEVNULL) for n in range(boxes)]
    codes = [load.wait() for load in loads]
    assert not any(codes), f"smtp-source ended with {codes}"
    return time.monotonic() - start, count // boxes * boxes


def cpu(process):
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process):
    """A process's share of the machine's memory (PSS) in KiB: pages that others use too count by their part."""
    text = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.M)[1])


class Sink:
    """Postfix's smtp-sink, which takes everything, throws it away, and counts."""

    def __init__(self, folder, host="127.0.0.1", clients=256):
        self.port, self.host, self.clients = free_port(), host, clients
        self.counts = pathlib.Path(folder) / f"sink-{self.port}"

    def __enter__(self):
        with open(self.counts, "wb") as counts:
            self.server = subprocess.Popen(
                ["smtp-sink", "-c", "-m", str(self.clients), *(["-u", "nobody"] if os.getuid() == 0 else []),
                 f"inet:{self.host}:{self.port}", str(self.clients)],
                stdout=counts, stderr=subprocess.DEVNULL)
        until("smtp-sink", lambda: answers(self.port, self.host))
        return self

    def taken(self):
        """Messages so far. The counters are written over and over: the last are those of now."""
        with open(self.counts, "rb") as counts:
            counts.seek(max(0, os.path.getsize(self.counts) - 200))
            found = re.findall(rb"mesg=(\d+)", counts.read())
        return int(found[-1]) if found else 0

    def __exit__(self, *_):
        self.server.kill()
        self.server.wait()
        self.counts.unlink()
