"""What every measurement needs: the release program, its peers, a disk, and the page that takes the tables.

Importing it makes the tests' modules (tests/lib) importable, with the release program as the one that they start.
"""

import datetime, os, pathlib, platform, subprocess, sys

TOP = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or TOP / "target")
sys.path.insert(0, str(TOP / "tests/lib"))
os.environ["POSTRIDER"] = str(TARGET / "release/postrider")

from postrider import run


def build():
    run("cargo", "build", "--release", "-q", "-p", "postrider", cwd=TOP, timeout=3600)


#: Of Debian. The services that they bring are told not to start.
PEERS = ("postfix", "dovecot-imapd", "dovecot-pop3d", "dovecot-lmtpd", "openssl")


def install(*more):
    run(TOP / "test", "--install", *PEERS, *more, timeout=900)


def disk():
    """Where the servers keep their data, and what file system that is."""
    folder = pathlib.Path(os.environ.get("POSTRIDER_TEST_DIR") or TARGET / "bench")
    folder.mkdir(parents=True, exist_ok=True)
    kind = run("stat", "-f", "-c", "%T", folder).stdout.decode().strip()
    assert kind != "tmpfs", f"{folder} is on tmpfs: set POSTRIDER_TEST_DIR to a folder on a disk"
    return folder, kind


def machine(kind):
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = int(open("/proc/meminfo").readline().split()[1]) // 1024 ** 2
    return (f"{datetime.date.today()}: {os.cpu_count()} cores ({model}), {memory} GiB, {kind}, Linux {platform.release()}, "
            f"Postfix {run('postconf', '-h', 'mail_version').stdout.decode().strip()}, "
            f"Dovecot {run('dovecot', '--version').stdout.decode().split()[0]}")


def show(name, columns, rows, kind, write, whole=False):
    """Prints a table, and puts it between its marks in docs/benchmarks.md. Rows that stand there already, of the same day
    and machine, stay unless they were measured anew: so a long table can be made case by case. A row's name is its
    first cell. whole: these are all rows."""
    here = machine(kind)
    page = TOP / "docs/benchmarks.md"
    head, mark, rest = page.read_text().partition(f"<!-- bench {name} -->\n")
    assert mark, f"docs/benchmarks.md has no place for {name}"
    old, end, rest = rest.partition("<!-- end -->\n")
    lines = {line.split("|")[1].strip(): line for line in old.splitlines()[4:] if line.startswith("|")}
    if old.partition("\n")[0] != here or not write or whole:
        lines = {}
    lines.update({row[0]: f"| {' | '.join(row)} |" for row in rows})
    text = "\n".join([here, "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *lines.values()]) + "\n"
    print(text)
    if write:
        page.write_text(head + mark + text + end + rest)
