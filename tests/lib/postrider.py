"""Starts the real program in a temporary folder on free loopback ports, and stops it.

Comes in: the environment's POSTRIDER (the program; default target/debug/postrider). Goes out: objects with
ports, accounts and folders. Every system that ends here is asked to check itself: `postrider check` must
exit 0, or the test fails. Nothing here sleeps to be safe: it waits for what it needs, up to a limit.
"""

import contextlib, os, pathlib, random, shutil, signal, socket, ssl, subprocess, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("POSTRIDER") or str(ROOT / "target/debug/postrider")

#: What each service's port is above the base (README, `postrider local`); blue's are 1000 more.
PORTS = dict(smtp=25, submission=587, submissions=465, pop3=110, pop3s=995, imap=143, imaps=993, http=80, https=443)
DNS = 53

#: For POSTRIDER_TEST_SIZES: what otherwise takes hours (a new segment, a checkpoint, space given back) comes in seconds.
SMALL = "segment=300000 wal=200000 care=200"


def free(port, kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_base():
    """A port base all of whose ports are free on loopback, below the range that outgoing connections use."""
    for _ in range(200):
        base = random.randrange(11000, 30000, 7)
        ports = [base + offset + system for offset in PORTS.values() for system in (0, 1000)] + [base + DNS]
        if all(free(p) for p in ports) and free(base + DNS, socket.SOCK_DGRAM):
            return base
    raise RuntimeError("no free port base")


given = set()


def free_port():
    for _ in range(1000):
        port = random.randrange(11000, 32000)
        if port not in given and free(port) and free(port, socket.SOCK_DGRAM):
            given.add(port)
            return port
    raise RuntimeError("no free port")


def until(what, condition, seconds=30, step=0.05):
    """Waits until condition() is true (or a value), which it returns; fails with `what`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(step)


def answers(port, host="127.0.0.1"):
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def run(*command, input=None, check=True, timeout=120, **more):
    """Runs a program to its end; its output (bytes). A failure says everything the program said."""
    done = subprocess.run([str(c) for c in command], input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} exited {done.returncode}\n"
                             f"{done.stdout.decode(errors='replace')}{done.stderr.decode(errors='replace')}")
    return done


class Process:
    """A running server: what all the systems below share."""

    def __init__(self, command, folder, name, environment=None, wait_for=()):
        self.command, self.folder, self.name = [str(c) for c in command], pathlib.Path(folder), name
        self.environment, self.wait_for = environment or {}, list(wait_for)
        self.log = self.folder / f"{name}.log"
        self.process = None

    def start(self, wait=True):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            cwd=self.folder, env={**os.environ, **self.environment})
        if wait:
            until(f"{self.name} to listen on {self.wait_for}\n{self.tail()}", self.listens, 60)
        return self

    def listens(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")
        return all(answers(port) for port in self.wait_for)

    def tail(self):
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends within 10 s of SIGTERM, or the test fails."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(12)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.name} did not end within 10 s of SIGTERM\n{self.tail()}")
        if self.process.returncode != 0:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}\n{self.tail()}")


def check_store(config):
    done = run(PROGRAM, "check", "--config", config, check=False)
    if done.returncode != 0:
        raise AssertionError(f"postrider check --config {config} exited {done.returncode}:\n"
                             f"{done.stdout.decode(errors='replace')}{done.stderr.decode(errors='replace')}")


class System:
    """Ports and secrets of one mail system (one domain)."""

    def __init__(self, domain, folder, ca, ports):
        self.domain, self.folder, self.ca = domain, pathlib.Path(folder), str(ca)
        self.config = self.folder / "postrider.toml"
        self.__dict__.update(ports)

    def tls(self):
        return ssl.create_default_context(cafile=self.ca)

    def command(self, *arguments, **more):
        """Runs an operator's command on this system."""
        return run(PROGRAM, *arguments, "--config", self.config, **more)


class Local:
    """`postrider local`: red.example and blue.example, their DNS and CA, in a temporary folder."""

    def __init__(self, *options, environment=None):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="postrider-test-", dir=os.environ.get("POSTRIDER_TEST_DIR")))
        self.folder = self.top / "net"
        self.base = free_base()
        ports = lambda start: {name: start + offset for name, offset in PORTS.items()}
        self.red = System("red.example", self.folder / "red.example", self.folder / "ca.pem", ports(self.base))
        self.blue = System("blue.example", self.folder / "blue.example", self.folder / "ca.pem", ports(self.base + 1000))
        self.dns = self.base + DNS
        mail = [port for system in (self.red, self.blue) for port in (system.smtp, system.submission, system.imap, system.pop3)]
        self.server = Process([PROGRAM, "local", "--dir", self.folder, "--port-base", self.base, *options], self.top,
                              "local", environment, mail)
        self.server.start()

    def trace(self, query, **more):
        return run(PROGRAM, "trace", query, "--dir", self.folder, **more).stdout.decode()

    def stop(self):
        try:
            self.server.stop()
            for system in (self.red, self.blue):
                check_store(system.config)
        finally:
            if self.server.process.poll() is None:
                self.server.kill()
            if not os.environ.get("POSTRIDER_KEEP"):
                shutil.rmtree(self.top, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.server.tail())
        self.stop()


def certificate(folder, *names, authority=None):
    """A certificate for these names, made by openssl: ca.pem, cert.pem, key.pem in the folder. The CA is that of
    the folder `authority`, else a new one."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ca, ca_key, key, request, cert = (folder / n for n in ("ca.pem", "ca.key", "key.pem", "cert.csr", "cert.pem"))
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    if authority:
        shutil.copy(authority / "ca.pem", ca), shutil.copy(authority / "ca.key", ca_key)
    else:
        run("openssl", "req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-days", "30", "-subj", "/CN=test CA")
    run("openssl", "req", *curve, "-keyout", key, "-out", request, "-subj", f"/CN={names[0]}")
    extension = folder / "extension"
    extension.write_text("subjectAltName=" + ",".join([f"DNS:{n}" for n in names] + ["IP:127.0.0.1"]) + "\n")
    run("openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", cert,
        "-days", "30", "-extfile", extension)
    return ca, cert, key


class Serve(System):
    """`postrider init` and `postrider serve`: one system with a configuration of the test's own.

    accounts: {address: password}; extra: text put at the end of postrider.toml, dns_more at the end of its [dns];
    relay_port and dns as there.
    """

    def __init__(self, domain, accounts=None, extra="", relay_port=25, dns=None, dns_more="", environment=None, folder=None,
                 services=("smtp", "submission", "submissions", "pop3", "pop3s", "imap", "imaps", "http")):
        self.top = pathlib.Path(folder or tempfile.mkdtemp(prefix="postrider-test-",
                                                           dir=os.environ.get("POSTRIDER_TEST_DIR")))
        self.top.mkdir(parents=True, exist_ok=True)
        ports = {service: free_port() for service in services}
        home, host = self.top / "home", f"mail.{domain}"
        ca, cert, key = certificate(self.top / "tls", host, "localhost")
        super().__init__(domain, home, ca, ports)
        run(PROGRAM, "init", home, "--hostname", host, "--domain", domain)
        listen = "".join(f'{name} = ["127.0.0.1:{port}"]\n' for name, port in ports.items())
        servers = f'"127.0.0.1:{dns}"' if dns else '"127.0.0.1:9"'
        self.config.write_text(f'hostname = "{host}"\ndata_dir = "data"\n\n[listen]\n{listen}\n'
                               f'[tls]\ncertificate = "{cert}"\nkey = "{key}"\n\n[dns]\nservers = [{servers}]\n{dns_more}\n'
                               f'[relay]\nport = {relay_port}\n\n{extra}')
        for address, password in (accounts or {}).items():
            self.command("account", "add", address, "--password-stdin", input=password.encode() + b"\n")
        waits = [port for name, port in ports.items() if name != "http"]
        self.server = Process([PROGRAM, "serve", "--config", self.config], self.top, domain, environment, waits)

    def start(self, **more):
        self.server.start(**more)
        return self

    def stop(self):
        self.server.stop()
        check_store(self.config)

    def remove(self):
        if self.server.process and self.server.process.poll() is None:
            self.server.kill()
        if not os.environ.get("POSTRIDER_KEEP"):
            shutil.rmtree(self.top, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if kind:
            print(self.server.tail())
        try:
            self.stop()
        finally:
            self.remove()
