"""Mail to servers whose domains say how it must come: DANE (RFC 7672) over zones that BIND signs, with every breakage.

Each case is a domain with one MX host, a server of the test's on a loopback address of its own. What became of a letter is
read from its journey.
"""

import base64, contextlib, hashlib, socket, ssl, threading

from letters import letter, submit
from postrider import Serve, certificate, free_port, run, until
from signed import Signed

ALICE = "alice@ours.example"
MATCHES = "DANE: the certificate matches TLSA "
NONE_MATCHES = "matches none of its domain's TLSA records"
NO_POLICY = "no policy: encrypted, certificate not checked"
FORGED = "signatures are wrong, missing or expired"


class Sink:
    """A server that takes every letter, with this certificate; none: it has no STARTTLS."""

    def __init__(self, address, port, chain=None, key=None):
        self.context = None
        if chain:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(chain, key)
        self.letters, self.sni = 0, []
        if self.context:
            self.context.sni_callback = lambda _, name, __: self.sni.append(name)
        self.listener = socket.create_server((address, port))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.talk, args=(self.listener.accept()[0],), daemon=True).start()

    def talk(self, connection):
        with contextlib.suppress(OSError, ssl.SSLError):
            file = connection.makefile("rwb")

            def say(*lines):
                file.write(b"".join(line.encode() + b"\r\n" for line in lines))
                file.flush()
            say("220 sink ESMTP")
            secured = False
            while line := file.readline():
                verb = line.split()[0].upper() if line.split() else b""
                if verb == b"EHLO":
                    say(*(["250-sink", "250 STARTTLS"] if self.context and not secured else ["250 sink"]))
                elif verb == b"STARTTLS":
                    say("220 go on")
                    connection = self.context.wrap_socket(connection, server_side=True)
                    file, secured = connection.makefile("rwb"), True
                elif verb == b"DATA":
                    say("354 go on")
                    while file.readline() not in (b".\r\n", b""):
                        pass
                    self.letters += 1
                    say("250 taken")
                elif verb == b"QUIT":
                    say("221 bye")
                    return
                else:
                    say("250 ok")


class Certificate:
    """One that an authority of its own vouches for, as TLSA records have it."""

    def __init__(self, folder, *names):
        self.ca, self.leaf, self.key = certificate(folder, *names)
        self.chain = folder / "chain.pem"
        self.chain.write_bytes(open(self.leaf, "rb").read() + open(self.ca, "rb").read())

    def tlsa(self, usage, selector, matching):
        file = self.leaf if usage in (1, 3) else self.ca
        whole = run("openssl", "x509", "-in", file, "-outform", "DER").stdout
        if selector:
            key = run("openssl", "x509", "-in", file, "-noout", "-pubkey").stdout
            whole = base64.b64decode(b"".join(key.splitlines()[1:-1]))
        data = {0: whole, 1: hashlib.sha256(whole).digest(), 2: hashlib.sha512(whole).digest()}[matching]
        return f"{usage} {selector} {matching} {data.hex()}"


#: name: (zone, TLSA "usage selector matching" of its own certificate, or "wrong:" of another's; the certificate's name;
#: what is expected: the words of the journey, and whether it arrives)
CASES = {
    "e311": ("dane.test", "3 1 1", "other.test", MATCHES + "3 1 1", True),
    "e301": ("dane.test", "3 0 1", "other.test", MATCHES + "3 0 1", True),
    "e312": ("dane.test", "3 1 2", "other.test", MATCHES + "3 1 2", True),
    "a211": ("dane.test", "2 1 1", "mx.a211.dane.test", MATCHES + "2 1 1", True),
    "a201": ("dane.test", "2 0 1", "mx.a201.dane.test", MATCHES + "2 0 1", True),
    "a200": ("dane.test", "2 0 0", "mx.a200.dane.test", MATCHES + "2 0 0", True),
    # RFC 7672 §3.2.2: the next-hop domain will do.
    "adomain": ("dane.test", "2 1 1", "adomain.dane.test", MATCHES + "2 1 1", True),
    "aname": ("dane.test", "2 0 1", "other.test", NONE_MATCHES, False),
    "wrong311": ("dane.test", "wrong:3 1 1", "mx.wrong311.dane.test", NONE_MATCHES, False),
    "wrong301": ("dane.test", "wrong:3 0 1", "mx.wrong301.dane.test", NONE_MATCHES, False),
    "wrong201": ("dane.test", "wrong:2 0 1", "mx.wrong201.dane.test", NONE_MATCHES, False),
    "unusable": ("dane.test", "1 0 1", "other.test", "DANE: encrypted, but its TLSA records can't be used", True),
    "notls": ("dane.test", "3 1 1", None, "does not offer STARTTLS", False),
    "none": ("dane.test", "", "other.test", NO_POLICY, True),
    "nsec3tlsa": ("nsec3.test", "3 1 1", "other.test", MATCHES + "3 1 1", True),
    "nsec3none": ("nsec3.test", "", "other.test", NO_POLICY, True),
    # RFC 7672 §2.2.2: the TLSA records of where the CNAME leads.
    "alias": ("dane.test", "3 1 1", "other.test", MATCHES + "3 1 1", True),
    "insecure": ("unsigned.test", "wrong:3 1 1", "other.test", NO_POLICY, True),
    "nods": ("nods.test", "wrong:3 1 1", "other.test", NO_POLICY, True),
    "bogus": ("bogus.test", "3 1 1", "other.test", FORGED, False),
    "expired": ("expired.test", "3 1 1", "other.test", FORGED, False),
    "nokeys": ("nokeys.test", "3 1 1", "other.test", FORGED, False),
}
HOW = {"dane.test": "nsec", "nsec3.test": "nsec3", "unsigned.test": "unsigned", "nods.test": "no-ds",
       "bogus.test": "bogus", "expired.test": "expired", "nokeys.test": "no-keys"}


class Scene:
    def __init__(self, ours, stripped, sinks):
        self.ours, self.stripped, self.sinks = ours, stripped, sinks


@contextlib.contextmanager
def scene():
    import os, pathlib, shutil, tempfile
    top = pathlib.Path(tempfile.mkdtemp(prefix="postrider-certs-", dir=os.environ.get("POSTRIDER_TEST_DIR")))
    port, zones, sinks = free_port(), {apex: "" for apex in HOW}, {}
    other = Certificate(top / "other", "other.test")
    for number, (name, (apex, tlsa, certified, _, _)) in enumerate(CASES.items(), 10):
        own = Certificate(top / name, certified or "other.test")
        domain, address = f"{name}.{apex}", f"127.0.0.{number}"
        host = f"real.{domain}" if name == "alias" else f"mx.{domain}"
        zones[apex] += f"{domain}. MX 10 mx.{domain}.\n{host}. A {address}\n"
        if name == "alias":
            zones[apex] += f"mx.{domain}. CNAME {host}.\n"
        if tlsa:
            whose, numbers = (other, tlsa[6:]) if tlsa.startswith("wrong:") else (own, tlsa)
            zones[apex] += f"_{port}._tcp.{host}. TLSA {whose.tlsa(*map(int, numbers.split()))}\n"
        sinks[name] = Sink(address, port, own.chain if certified else None, own.key)
    try:
        with Signed({apex: (records, HOW[apex]) for apex, records in zones.items()}) as dns:
            more = f'dnssec = "required"\ntrust_anchor = "{dns.anchor}"\n'
            with Serve("ours.example", {ALICE: "alice"}, relay_port=port, dns=dns.port, dns_more=more) as ours, \
                    Serve("ours.example", {ALICE: "alice"}, relay_port=port, dns=dns.port) as stripped:
                yield Scene(ours, stripped, sinks)
    finally:
        for sink in sinks.values():
            sink.listener.close()
        shutil.rmtree(top, ignore_errors=True)


def end_of(system, to):
    """Sends a letter; the events of its first try that tell what became of it."""
    message_id, message = letter(ALICE, to, b"is the way safe?\r\n")
    submit(system, ALICE, to, message)

    def told():
        done = system.command("trace", message_id, "--json", check=False)
        text = done.stdout.decode()
        return text if '"relayed"' in text or '"deferred"' in text else None
    return until(f"the end of a letter to {to}", told, 60)


def test_every_case(scene):
    wrong = []
    for name, (apex, _, _, words, arrives) in CASES.items():
        journey = end_of(scene.ours, f"bob@{name}.{apex}")
        if words not in journey or ('"relayed"' in journey) != arrives:
            wrong.append((name, words, journey))
        if scene.sinks[name].letters != int(arrives):
            wrong.append((name, "letters", scene.sinks[name].letters))
    assert not wrong, "\n".join(map(str, wrong))


def test_the_sni_is_the_name_of_the_records(scene):
    end_of(scene.ours, "bob@alias.dane.test")
    assert set(scene.sinks["alias"].sni) == {"real.alias.dane.test"}, scene.sinks["alias"].sni


def test_the_way_is_told_without_sending(scene):
    told = scene.ours.command("route", "bob@e311.dane.test").stdout.decode()
    assert "DANE: the certificate must match TLSA 3 1 1" in told, told
    told = scene.ours.command("route", "bob@bogus.bogus.test").stdout.decode()
    assert "it would wait" in told and FORGED in told, told


def test_where_no_signatures_come_through_mail_goes_as_without_them(scene):
    """The world's root has not signed these zones: as with a resolver that strips signatures."""
    for name in ("e311", "wrong311", "bogus", "expired"):
        apex = CASES[name][0]
        if name == "bogus":
            continue
        before = scene.sinks[name].letters
        journey = end_of(scene.stripped, f"bob@{name}.{apex}")
        assert NO_POLICY in journey, journey
        assert scene.sinks[name].letters == before + 1


def test_wildcards_and_aliases_that_lead_to_nothing(_):
    """Good answers of signed zones that are easily taken for forged."""
    records = "@ MX 10 mail\n* MX 10 mail\nmail A 127.0.0.1\nalias CNAME mail\n"
    ways = {"": "mx", "any.": "mx", "any.deeper.": "mx", "mail.": "implicit-mx", "alias.": "implicit-mx"}
    with Signed({apex: (records, apex[:-5]) for apex in ("nsec.test", "nsec3.test")}) as dns:
        ours = Serve("ours.example", dns=dns.port, dns_more=f'dnssec = "required"\ntrust_anchor = "{dns.anchor}"\n')
        try:
            for apex in ("nsec.test", "nsec3.test"):
                for name, rule in ways.items():
                    told = ours.command("route", f"bob@{name}{apex}").stdout.decode()
                    assert f"│ {rule} " in told and "127.0.0.1:25" in told, told
        finally:
            ours.remove()
