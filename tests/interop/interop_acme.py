"""Pebble, the ACME server that Let's Encrypt tests clients with: certificates by each way of proof, renewed by
themselves and taken without a restart; and what happens where there is no authority, or it refuses."""

import contextlib, imaplib, json, pathlib, shutil, socket, ssl, tempfile

from postrider import PROGRAM, Process, Serve, certificate, free_port, run, until

HOST = "mail.red.example"


class Authority:
    """Pebble and the DNS that it asks: every name is 127.0.0.1."""

    def __init__(self, http, tls, validity=86400):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="postrider-acme-"))
        self.ca, cert, key = certificate(self.top / "tls", "localhost")
        self.port, management, self.dns_port, self.dns_management = (free_port() for _ in range(4))
        self.directory = f"https://localhost:{self.port}/dir"
        config = self.top / "pebble.json"
        config.write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": str(cert), "privateKey": str(key), "httpPort": http, "tlsPort": tls,
            "certificateValidityPeriod": validity, "ocspResponderURL": "", "externalAccountBindingRequired": False}}))
        self.dns = Process(["pebble-challtestsrv", "-dns01", f"127.0.0.1:{self.dns_port}", "-management",
                            f"127.0.0.1:{self.dns_management}", "-http01", "", "-https01", "", "-tlsalpn01", "",
                            "-defaultIPv6", ""], self.top, "challtestsrv", wait_for=[self.dns_management])
        # Some nonces are refused, which a client has to bear (RFC 8555 §6.5).
        self.pebble = Process(["pebble", "-config", str(config), "-dnsserver", f"127.0.0.1:{self.dns_port}"], self.top, "pebble",
                              {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "5"}, [self.port])

    def __enter__(self):
        self.dns.start()
        self.pebble.start()
        return self

    def __exit__(self, kind, *_):
        for process in (self.pebble, self.dns):
            if process.process and process.process.poll() is None:
                process.kill()
        if kind:
            print(self.pebble.tail())
        shutil.rmtree(self.top, ignore_errors=True)


@contextlib.contextmanager
def system(challenge, extra="", names=(HOST,), **more):
    """A system that wants certificates, and its authority; the system is not started. No names: what its DNS has."""
    server = Serve("red.example", {"alice@red.example": "alice"},
                   services=("smtp", "submission", "imap", "imaps", "http", "https"))
    try:
        with Authority(server.http, server.https, **more) as authority:
            server.config.write_text(server.config.read_text().replace("127.0.0.1:9\"", f"127.0.0.1:{authority.dns_port}\""))
            if names:
                extra += f"names = {json.dumps(names)}\n"
            with open(server.config, "a") as config:
                config.write(f'[acme]\nagree_to_terms = true\ndirectory = "{authority.directory}"\n'
                             f'ca_file = "{authority.ca}"\nchallenge = "{challenge}"\n'
                             f'contact = ["alice@red.example"]\n{extra}')
            yield server, authority
            server.stop()
    finally:
        if server.server.process and server.server.process.poll() is None:
            print(server.server.tail())
        server.remove()


def shown(port, name=HOST):
    """The certificate that a client gets which asks for `name`: issuer, serial, names, public key."""
    return run("openssl", "x509", "-noout", "-issuer", "-serial", "-ext", "subjectAltName", "-pubkey",
               input=peer(port, name).encode()).stdout.decode()


def peer(port, name):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname=name) as tls:
            return ssl.DER_cert_to_PEM_cert(tls.getpeercert(True))


def is_pebbles(server, name=HOST):
    return "Pebble Intermediate" in (said := shown(server.imaps, name)) and f"DNS:{name}" in said


def public_key(said):
    return said[said.index("-----BEGIN PUBLIC KEY"):said.index("-----END PUBLIC KEY")]


def obtains(challenge, extra=""):
    with system(challenge, extra) as (server, _):
        server.start()
        until("a certificate", lambda: is_pebbles(server))
        listed = json.loads(server.command("certificate", "list", "--json").stdout)
        assert listed["failed"] == [], listed
        assert listed["certificates"][0]["names"] == [HOST], listed
        file = pathlib.Path(listed["certificates"][0]["file"])
        assert file.stat().st_mode & 0o777 == 0o600
        # What a browser or a server gets that asks for nothing in particular.
        assert "Pebble" in shown(server.https)


def test_proves_a_name_in_a_handshake():
    obtains("tls-alpn-01")


def test_proves_a_name_over_http():
    obtains("http-01")


def test_proves_a_name_in_dns_by_a_hook():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="postrider-hook-"))
    try:
        hook, said = folder / "hook", folder / "said"
        # Told which DNS by a file, since the authority's is known only later.
        hook.write_text(f'#!/bin/sh\nset -e\necho "$1 $2" >>{said}\n'
                        f'[ "$1" = add ] && what=set-txt || what=clear-txt\n'
                        f'curl -sSf -d "{{\\"host\\": \\"$2.\\", \\"value\\": \\"$3\\"}}" "$(cat {folder}/dns)/$what"\n')
        hook.chmod(0o700)
        with system("dns-01", f'hook = "{hook}"\n') as (server, authority):
            (folder / "dns").write_text(f"http://127.0.0.1:{authority.dns_management}")
            server.start()
            until("a certificate", lambda: is_pebbles(server))
            assert said.read_text().split("\n")[:2] == [f"add _acme-challenge.{HOST}", f"remove _acme-challenge.{HOST}"]
            # A hook that fails is told in its own words, and the certificate stays.
            (folder / "dns").unlink()
            before = shown(server.imaps)
            # Pebble believes for a while what was proved, but not of another name.
            failed = server.command("certificate", "renew", "mta-sts.red.example", check=False)
            assert failed.returncode == 1 and b"hook" in failed.stderr and b"add failed" in failed.stderr, failed.stderr
            assert shown(server.imaps) == before
    finally:
        shutil.rmtree(folder)


def test_renews_by_itself_and_cuts_nobody_off():
    with system("tls-alpn-01", validity=15) as (server, _):
        server.start()
        until("a certificate", lambda: is_pebbles(server))
        first = shown(server.imaps)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = imaplib.IMAP4_SSL("127.0.0.1", server.imaps, ssl_context=context)
        client.login("alice@red.example", "alice")
        # At two thirds of its life, again and again.
        second = until("the second", lambda: (said := shown(server.imaps)) != first and said)
        until("the third", lambda: shown(server.imaps) not in (first, second))
        assert client.noop()[0] == "OK"
        client.logout()
        # A TLSA record of the key stays true.
        assert public_key(first) == public_key(second)
        metrics = run("curl", "-sS", f"http://127.0.0.1:{server.http}/metrics").stdout.decode()
        assert 'postrider_certificate_orders_total{outcome="ok"}' in metrics, metrics
        assert "postrider_certificate_expires 0" not in metrics


def test_names_that_dns_has_and_a_new_certificate_when_asked():
    with system("http-01", names=()) as (server, _):
        server.start()
        for name in (HOST, "mta-sts.red.example", "autoconfig.red.example"):
            until(f"a certificate for {name}", lambda: is_pebbles(server, name))
        before = shown(server.imaps)
        said = server.command("certificate", "renew", HOST).stdout.decode()
        assert said == f"new certificates: {HOST}\n", said
        until("the new one", lambda: shown(server.imaps) != before)


def test_an_authority_that_is_not_there_stops_no_mail():
    with system("tls-alpn-01") as (server, authority):
        authority.pebble.kill()
        server.start()
        until("what failed", lambda: json.loads(server.command("certificate", "list", "--json").stdout)["failed"])
        # Mail is served meanwhile, with the certificate of [tls].
        assert "Pebble" not in shown(server.imaps)
        said = server.command("check").stdout.decode()
        assert f"advice: {HOST} has no new certificate: localhost can't be asked: " in said, said
        failed = server.command("certificate", "renew", check=False)
        assert failed.returncode == 1 and b"can't be asked" in failed.stderr, failed.stderr
        authority.pebble.start()
        server.command("certificate", "renew")
        until("a certificate", lambda: is_pebbles(server))
        assert json.loads(server.command("certificate", "list", "--json").stdout)["failed"] == []


def test_what_the_authority_refuses_is_told_in_its_words():
    with system("http-01", names=(HOST, "elsewhere.red.example")) as (server, authority):
        body = json.dumps({"host": "elsewhere.red.example.", "addresses": ["127.0.0.9"]})
        run("curl", "-sSf", "-d", body, f"http://127.0.0.1:{authority.dns_management}/add-a")
        server.start()
        until("the good name", lambda: is_pebbles(server))
        failed = until("the refusal",
                       lambda: json.loads(server.command("certificate", "list", "--json").stdout)["failed"])
        assert failed[0]["name"] == "elsewhere.red.example" and failed[0]["failures"] == 1, failed
        assert "the authority looked and says: " in failed[0]["why"], failed


def test_without_a_certificate_of_ones_own():
    """TLS is there from the start, signed by nobody else; the key stays when the authority signs it."""
    with system("tls-alpn-01") as (server, authority):
        text = server.config.read_text()
        start, end = text.index("[tls]"), text.index("[dns]")
        server.config.write_text(text[:start] + text[end:])
        authority.pebble.kill()
        server.start()
        first = shown(server.imaps)
        assert f"DNS:{HOST}" in first and "Pebble" not in first
        authority.pebble.start()
        server.command("certificate", "renew")
        until("a certificate", lambda: is_pebbles(server))
        assert public_key(shown(server.imaps)) == public_key(first)
    done = run(PROGRAM, "certificate", "renew", "--config", "/nowhere/postrider.toml", check=False)
    assert done.returncode == 1
