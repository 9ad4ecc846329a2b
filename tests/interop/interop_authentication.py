"""Who a message is from, beside others: dkimpy checks what our users send, and signs what we check; pyspf and we say the same of
the same senders."""

import base64, contextlib, json, re, smtplib

import dkim, nacl.signing, spf

from letters import BODIES, arrives, find, imap, letter, submit
from postrider import Serve, run, until
from signed import Signed

#: Domains with their SPF records; the client is 127.0.0.1.
SENDERS = {
    "pass.example": "v=spf1 ip4:127.0.0.0/8 -all",
    "mx.example": "v=spf1 mx -all",
    "fail.example": "v=spf1 -all",
    "soft.example": "v=spf1 ip4:192.0.2.0/24 ~all",
    "neutral.example": "v=spf1 ?all",
    "include.example": "v=spf1 include:pass.example -all",
    "redirect.example": "v=spf1 redirect=fail.example",
    "macro.example": "v=spf1 exists:%{ir}.%{v}.spf.macro.example -all",
    "loop.example": "v=spf1 include:loop.example -all",
    "none.example": "no policy here",
}


class Asked:
    def __init__(self, ours, keys, theirs, zones):
        self.ours, self.keys, self.theirs, self.zones = ours, keys, theirs, zones

    def record(self, name, timeout=None):
        """For dkimpy: the TXT record of a name."""
        return self.keys.get(name.decode().rstrip(".").lower(), "").encode() or None

    def results(self, sender, message, message_id):
        """What we find in a message from another server."""
        with smtplib.SMTP("127.0.0.1", self.ours.smtp, timeout=60, local_hostname="client.example") as smtp:
            smtp.sendmail(sender, ["bob@ours.example"], message)
        with imap(self.ours, "bob@ours.example") as reader:
            mailbox = until(f"{message_id}", lambda: next(filter(lambda box: find(reader, message_id, box),
                                                                 ("INBOX", "Junk")), None))
            got = arrives(reader, message_id, mailbox)
        found = re.search(rb"^Authentication-Results: (?:.*\r\n)(?:[ \t].*\r\n)*", got, re.M)
        return re.sub(r"\s+", " ", found[0].decode())


def txt(owner, text):
    return f"{owner}. TXT " + " ".join(f'"{text[at:at + 250]}"' for at in range(0, len(text), 250)) + "\n"


@contextlib.contextmanager
def scene():
    ours = Serve("ours.example", {"alice@ours.example": "alice", "bob@ours.example": "bob"},
                 extra="[local]\nauthenticate = true\n")
    keys = {key["name"]: key["record"] for key in json.loads(ours.command("dkim", "show", "ours.example", "--json").stdout)}
    # theirs.example has a key of each kind.
    rsa = run("openssl", "genrsa", "-traditional", "2048").stdout
    public = run("openssl", "rsa", "-pubout", "-outform", "DER", input=rsa).stdout
    seed = nacl.signing.SigningKey.generate()
    theirs = {"rsa": rsa, "ed25519": base64.b64encode(bytes(seed))}
    published = {"rsa": public, "ed25519": bytes(seed.verify_key)}
    zones = {"ours.example": "".join(txt(name, record) for name, record in keys.items())}
    zones["theirs.example"] = txt("_dmarc.theirs.example", "v=DMARC1; p=none") + "".join(
        txt(f"{kind}._domainkey.theirs.example", f"v=DKIM1; k={kind}; p={base64.b64encode(key).decode()}")
        for kind, key in published.items())
    for name, record in SENDERS.items():
        zones[name] = txt(name, record)
    zones["mx.example"] += "mx.example. MX 10 a.mx.example.\na.mx.example. A 127.0.0.1\n"
    zones["macro.example"] += "1.0.0.127.in-addr.spf.macro.example. A 127.0.0.2\n"
    dns = Signed({name: (text, "unsigned") for name, text in zones.items()})
    ours.config.write_text(ours.config.read_text().replace("127.0.0.1:9\"", f"127.0.0.1:{dns.port}\""))
    with dns, ours:
        yield Asked(ours, keys, theirs, zones)


def test_what_users_send_is_signed_twice(asked):
    for name, body in BODIES.items():
        message_id, message = letter("alice@ours.example", "bob@ours.example", body)
        submit(asked.ours, "alice@ours.example", "bob@ours.example", message)
        with imap(asked.ours, "bob@ours.example") as reader:
            got = arrives(reader, message_id)
        assert got.lower().count(b"dkim-signature:") == 2, (name, got[:2000])
        for index in range(2):
            assert dkim.DKIM(got).verify(idx=index, dnsfunc=asked.record), (name, index, got[:2000])
        changed = got.replace(b"Subject: ", b"Subject: [list] ", 1)
        assert not dkim.DKIM(changed).verify(idx=0, dnsfunc=asked.record), name
        trace = asked.ours.command("trace", message_id).stdout.decode()
        assert "signed" in trace and "for ours.example" in trace, trace


def test_what_dkimpy_signs(asked):
    for kind, key in asked.theirs.items():
        algorithm = {"rsa": b"rsa-sha256", "ed25519": b"ed25519-sha256"}[kind]
        for name, body in BODIES.items():
            for forms in ((b"relaxed", b"relaxed"), (b"simple", b"simple")):
                message_id, message = letter("carol@theirs.example", "bob@ours.example", body)
                field = dkim.sign(message, kind.encode(), b"theirs.example", key, canonicalize=forms,
                                  signature_algorithm=algorithm)
                said = asked.results("carol@theirs.example", field + message, message_id)
                assert f"dkim=pass header.d=theirs.example header.s={kind}" in said, (kind, name, forms, said)
                assert "dmarc=pass" in said, said
        message_id, message = letter("carol@theirs.example", "bob@ours.example", b"one\r\n")
        field = dkim.sign(message, kind.encode(), b"theirs.example", key, signature_algorithm=algorithm)
        said = asked.results("carol@theirs.example", field + message.replace(b"one\r\n", b"two\r\n"), message_id)
        assert "dkim=fail" in said and "dmarc=fail" in said, said


def test_spf_beside_pyspf(asked):
    def look_up(name, kind, strict=True, timeout=None, level=0):
        found = []
        for text in asked.zones.values():
            for line in text.splitlines():
                owner, of, value = line.split(" ", 2)
                if owner.rstrip(".").lower() == name.rstrip(".").lower() and of == kind:
                    if kind == "TXT":
                        value = tuple(piece.encode() for piece in re.findall('"([^"]*)"', value))
                    elif kind == "MX":
                        preference, host = value.split()
                        value = (int(preference), host.rstrip("."))
                    found.append(((name, kind), value))
        return found

    spf.DNSLookup = look_up
    for domain in SENDERS:
        wanted = spf.check2(i="127.0.0.1", s=f"carol@{domain}", h="client.example")[0]
        message_id, message = letter(f"carol@{domain}", "bob@ours.example", b"hello\r\n")
        said = asked.results(f"carol@{domain}", message, message_id)
        found = re.search(r"spf=(\w+) (?:\([^)]*\) )?smtp\.mailfrom", said)
        assert found, (domain, wanted, said)
        found = found[1]
        assert found == wanted, (domain, wanted, said)
