"""The programs that measure the store alone (bench/src/bin): built, run, and their rows as tables."""

import shutil, subprocess, tempfile

from setting import TARGET, TOP
from postrider import run

#: Part of the name of each case of store-bench.
CASES = ("mixed sizes, 64 writers", "4 KB, 64 writers", "4 KB, one writer")


def build():
    run("cargo", "build", "--release", "-q", "-p", "bench", cwd=TOP, timeout=3600)


def rows(folder, program, *arguments):
    """The cells of each row that the program prints, as they come; its files go when it ends, however it ends."""
    place = tempfile.mkdtemp(prefix="store-", dir=folder)
    try:
        with subprocess.Popen([TARGET / "release" / program, place, *map(str, arguments)], stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                print(line, end="", flush=True)
                yield [cell.strip() for cell in line.strip().strip("|").split("|")]
        assert process.returncode == 0, f"{program} failed"
    finally:
        shutil.rmtree(place)


#: The store's share of a bare append.
SHARES_COLUMNS = ("case", "bare append /s", "store /s", "ratio", "goal", "CPU µs per message (bare)", "written per byte (bare)")


def shares(folder, seconds, cases):
    for case in cases:
        yield from rows(folder, "store-bench", seconds, case)


HISTORY_COLUMNS = ("messages there", "delivered /s", "CPU µs per message", "while a session follows /s", "CPU µs per message",
                   "the store opens in", "the mailbox opens in", "its index in memory")


def history(folder, rounds):
    """Deliveries into mailboxes with more and more messages."""
    return rows(folder, "store-history", rounds)
