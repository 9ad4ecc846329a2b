"""swaks: STARTTLS, implicit TLS, AUTH variants, pipelining, refusals."""

import tempfile

from letters import arrives, imap, letter
from postrider import Local as scene, run

ALICE, BOB = "alice@red.example", "bob@blue.example"


def swaks(net, *options, body=b"by swaks\r\n", **more):
    message_id, message = letter(ALICE, BOB, body)
    with tempfile.NamedTemporaryFile(suffix=".eml") as file:
        file.write(message)
        file.flush()
        done = run("swaks", "--from", ALICE, "--to", BOB, "--data", "@" + file.name, "--ehlo", "client.example",
                   *options, **more)
    return message_id, message, done


def verified(net):
    return "--tls-verify", "--tls-ca-path", net.red.ca


def delivered(net, message_id, message):
    with imap(net.blue, BOB) as reader:
        got = arrives(reader, message_id)
    # swaks ends --data with a line end of its own.
    assert got.endswith(b"\r\n" + message + b"\r\n") or got.endswith(b"\r\n" + message), got


def test_starttls_with_auth_plain(net):
    message_id, message, done = swaks(net, "--server", f"localhost:{net.red.submission}", "--tls", *verified(net),
                                      "--auth", "PLAIN", "--auth-user", ALICE, "--auth-password", "alice")
    assert b" STARTTLS" in done.stdout and b" AUTH PLAIN" in done.stdout, done.stdout
    delivered(net, message_id, message)


def test_implicit_tls_with_auth_login(net):
    message_id, message, _ = swaks(net, "--server", f"localhost:{net.red.submissions}", "--tls-on-connect",
                                   *verified(net), "--auth", "LOGIN", "--auth-user", ALICE, "--auth-password", "alice")
    delivered(net, message_id, message)


def test_pipelining(net):
    message_id, message, done = swaks(net, "--server", f"localhost:{net.red.submissions}", "--tls-on-connect",
                                      "--pipeline", "--auth", "PLAIN", "--auth-user", ALICE,
                                      "--auth-password", "alice", body=b".dots\r\n..\r\n.\r\nend\r\n")
    delivered(net, message_id, message)


def test_from_outside_to_an_account(net):
    for tls in ((), ("--tls",)):
        message_id, message, _ = swaks(net, "--server", f"localhost:{net.blue.smtp}", *tls)
        delivered(net, message_id, message)


def test_wrong_password_is_refused(net):
    _, _, done = swaks(net, "--server", f"localhost:{net.red.submission}", "--tls", "--auth", "PLAIN",
                       "--auth-user", ALICE, "--auth-password", "wrong", check=False)
    assert done.returncode == 28 and b"535" in done.stdout, done.stdout


def test_strangers_are_not_relayed(net):
    done = run("swaks", "--server", f"localhost:{net.red.smtp}", "--from", "x@elsewhere.example", "--to",
               "y@elsewhere.example", check=False)
    assert done.returncode == 24 and (b" 550" in done.stdout or b" 554" in done.stdout), done.stdout
    done = run("swaks", "--server", f"localhost:{net.red.smtp}", "--from", "x@elsewhere.example", "--to",
               "nobody@red.example", check=False)
    assert done.returncode == 24 and b"550 5.1.1" in done.stdout, done.stdout
