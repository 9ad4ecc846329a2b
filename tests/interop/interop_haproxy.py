"""HAProxy in front: both versions of the PROXY protocol, on ports with and without TLS from the start; the address of the
client that HAProxy names is the one that the journey and the refusals tell."""

import contextlib, pathlib, shutil, smtplib, socket, tempfile

from letters import arrives, imap, letter
from postrider import Process, Serve, free_port

CONFIG = """
global
    maxconn 100
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
"""

LISTEN = """
listen {name}
    bind 127.0.0.1:{port}
    server ours 127.0.0.1:{target} {version} source 127.0.0.9
"""


class Proxied:
    def __init__(self, ours, ports):
        self.ours, self.ports = ours, ports


@contextlib.contextmanager
def scene():
    top = pathlib.Path(tempfile.mkdtemp(prefix="postrider-haproxy-"))
    ports = {name: free_port() for name in ("smtp", "smtp2", "imaps")}
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, top, ignore_errors=True)
        ours = Serve("ours.example", {"alice@ours.example": "alice"})
        text = ours.config.read_text().replace("[listen]\n", '[listen]\nproxy_from = ["127.0.0.9"]\n')
        ours.config.write_text(text)
        stack.enter_context(ours)
        listen = "".join(LISTEN.format(name=name, port=ports[name], target=target, version=version)
                         for name, target, version in (("smtp", ours.smtp, "send-proxy"),
                                                       ("smtp2", ours.smtp, "send-proxy-v2"),
                                                       ("imaps", ours.imaps, "send-proxy-v2")))
        (top / "haproxy.cfg").write_text(CONFIG + listen)
        command = ["haproxy", "-db", "-f", top / "haproxy.cfg"]
        stack.callback(Process(command, top, "haproxy", wait_for=list(ports.values())).start().kill)
        yield Proxied(ours, ports)


def test_the_client_that_it_names_counts(system):
    for name, ip in (("smtp", "127.0.0.3"), ("smtp2", "127.0.0.4")):
        message_id, message = letter("carol@elsewhere.example", "alice@ours.example", b"by a proxy\r\n")
        with smtplib.SMTP("127.0.0.1", system.ports[name], timeout=30, source_address=(ip, 0)) as smtp:
            smtp.sendmail("carol@elsewhere.example", ["alice@ours.example"], message)
        with imap(system.ours, "alice@ours.example") as reader:
            assert f"[{ip}]".encode() in arrives(reader, message_id).split(b"\r\n\r\n")[0]
        assert ip in system.ours.command("trace", message_id).stdout.decode()


def test_tls_behind_it(system):
    context = system.ours.tls()
    with socket.create_connection(("127.0.0.1", system.ports["imaps"]), 30) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as tls:
            assert tls.recv(1000).startswith(b"* OK")


def test_from_who_is_not_named_it_is_no_header(system):
    with socket.create_connection(("127.0.0.1", system.ours.smtp), 30) as client:
        client.sendall(b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 25\r\n")
        with client.makefile("rb") as lines:
            assert lines.readline().startswith(b"220 ")
            assert lines.readline().startswith(b"500 ")
