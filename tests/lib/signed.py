"""Signed zones and a server for them: BIND as an authority for a root of the test's own, on a loopback port.

Comes in: zones as text, and how each is to be broken. Goes out: a port to ask, and the file with the root's key. Debian's
`bind9` and `bind9-utils`; nothing of the system's own configuration is read.
"""

import os, pathlib, re, shutil, tempfile

from postrider import Process, free_port, run

HEAD = "$TTL 60\n@ SOA ns.test. hostmaster.test. 1 3600 600 86400 60\n@ NS ns.test.\n"


class Signed:
    """zones: {apex: (records, how)}; how: "nsec", "nsec3", "unsigned", "bogus" (a record is changed after it was signed),
    "expired", "no-ds" (signed, but its parent does not say so), "no-keys" (not signed, but its parent says so)."""

    def __init__(self, zones):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="postrider-dns-", dir=os.environ.get("POSTRIDER_TEST_DIR")))
        self.port, self.zones = free_port(), {}
        root = HEAD + "ns.test. A 127.0.0.1\n"
        for apex, (records, how) in zones.items():
            root += f"{apex}. NS ns.test.\n" + self.make(apex, HEAD + records, how)
        self.make(".", root, "nsec")
        self.anchor = self.top / "anchor"
        lines = [line for key in self.top.glob("K.+*.key") for line in key.read_text().splitlines() if " 257 " in line]
        self.anchor.write_text("\n".join(lines) + "\n")
        config = self.top / "named.conf"
        config.write_text(f"""options {{ directory "{self.top}"; listen-on port {self.port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }}; recursion no; pid-file none; session-keyfile none; notify no; dnssec-validation no; }};
controls {{ }};
""" + "".join(f'zone "{apex}" {{ type primary; file "{file}"; }};\n' for apex, file in self.zones.items()))
        self.server = Process([shutil.which("named") or "/usr/sbin/named", "-g", "-c", config], self.top, "named",
                              wait_for=[self.port])

    def make(self, apex, text, how):
        """Writes a zone; its DS records, for the parent."""
        file = self.top / f"{apex.strip('.') or 'root'}.zone"
        self.zones[apex] = file
        file.write_text(text)
        if how == "unsigned":
            return ""
        for flag in (["-f", "KSK"], []):
            run("dnssec-keygen", "-q", "-K", self.top, "-a", "ECDSAP256SHA256", *flag, apex)
        times = ["-s", "20200101000000", "-e", "20200201000000"] if how == "expired" else []
        more = ["-3", "-", "-H", "0"] if how == "nsec3" else []
        signed = pathlib.Path(f"{file}.signed")
        run("dnssec-signzone", "-q", "-S", "-K", self.top, "-d", self.top, "-P", "-o", apex, *times, *more, "-f", signed, file)
        ds = (self.top / f"dsset-{apex.rstrip('.')}.").read_text() if apex != "." else ""
        if how == "bogus":
            # Every address is another one now; the signatures are of the old ones.
            signed.write_text(re.sub(r"(\sA\s+127\.0\.0\.)\d+", r"\g<1>1", signed.read_text()))
        self.zones[apex] = file if how == "no-keys" else signed
        return "" if how == "no-ds" else ds

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.server.kill()
        if not os.environ.get("POSTRIDER_KEEP"):
            shutil.rmtree(self.top, ignore_errors=True)
