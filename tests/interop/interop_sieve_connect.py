"""sieve-connect, Debian's ManageSieve client, puts and chooses filters over STARTTLS; the next delivery runs them.

Comes in: `postrider serve` on loopback. Goes out: what the client printed, and where mail came to.
"""

import contextlib, os, smtplib, subprocess

import postrider

WHO = "ann@red.example"


@contextlib.contextmanager
def scene():
    services = ("smtp", "imap", "sieve", "http")
    with postrider.Serve("red.example", accounts={WHO: "a good password"}, services=services) as system:
        yield system


def connect(system, *arguments, good=True):
    """What the client prints."""
    environment = {**os.environ, "SSL_CERT_FILE": str(system.ca), "HOME": str(system.top)}
    command = ["sieve-connect", "--server", "localhost", "--port", str(system.sieve), "--user", WHO,
               "--tlscafile", str(system.ca), "--passwordfd", "0", *map(str, arguments)]
    ran = subprocess.run(command, input=b"a good password\n", capture_output=True, timeout=60, env=environment)
    text = (ran.stdout + ran.stderr).decode()
    assert (ran.returncode == 0) == good, f"{arguments}: {ran.returncode} {text}"
    return text


def send(system):
    with smtplib.SMTP("localhost", system.smtp, timeout=30) as client:
        client.sendmail("bob@far.example", [WHO], "From: bob@far.example\r\nSubject: acme\r\n\r\nHi\r\n")


def test_a_filter_is_put_and_run(system):
    script = system.top / "rules.sieve"
    script.write_text('require "fileinto";\nif header "Subject" "acme" { fileinto "Archive"; }\n')
    connect(system, "--localsieve", script, "--remotesieve", "rules", "--upload")
    connect(system, "--remotesieve", "rules", "--activate")
    assert "rules" in connect(system, "--list")
    send(system)
    told = system.command("trace", WHO).stdout.decode()
    assert "sieve “rules”, line 2, which puts it into Archive" in told, told
    copy = system.top / "copy.sieve"
    connect(system, "--localsieve", copy, "--remotesieve", "rules", "--download")
    assert copy.read_text() == script.read_text()


def test_what_is_wrong_is_refused(system):
    script = system.top / "wrong.sieve"
    script.write_text("keep;\nfileinto \"x\";\n")
    text = connect(system, "--localsieve", script, "--remotesieve", "wrong", "--upload", good=False)
    assert "line 2, column 1" in text, text
    assert "wrong" not in connect(system, "--list")


def test_the_active_one_stays(system):
    connect(system, "--remotesieve", "rules", "--delete", good=False)
    connect(system, "--deactivate")
    connect(system, "--remotesieve", "rules", "--delete")
