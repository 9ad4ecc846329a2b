#!/usr/bin/env python3
"""A small JMAP server in memory, for driving the page before and without the real one.

    server.py [--messages 20000] [--port 0]

Comes in: HTTP on loopback. Goes out: the page of `webmail/`, the log-in, the JMAP session, api, upload, download and
events, each with the headers that the real server gives. Mail goes nowhere. `/test/…` is for the tests: the calls
so far, a message that arrives, hits on what a hostile message would fetch. Log in as alice@red.example, alice.
"""
import argparse
import hashlib
import http.server
import json
import pathlib
import queue
import re
import secrets
import sys
import threading
import urllib.parse

import corpus
import journeys
import mailbox
import methods

PAGE = pathlib.Path(__file__).resolve().parent.parent
CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; frame-src 'self' blob:; "
       "worker-src 'self'; manifest-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
       "require-trusted-types-for 'script'; trusted-types postrider")
KINDS = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
         ".webmanifest": "application/manifest+json"}
CAPABILITIES = {
    "urn:ietf:params:jmap:core": {"maxSizeUpload": 50_000_000, "maxConcurrentUpload": 4, "maxSizeRequest": 10_000_000, "maxConcurrentRequests": 4,
                                  "maxCallsInRequest": 16, "maxObjectsInGet": 500, "maxObjectsInSet": 500, "collationAlgorithms": ["i;unicode-casemap"]},
    "urn:ietf:params:jmap:mail": {"maxMailboxesPerEmail": None, "maxMailboxDepth": None, "maxSizeMailboxName": 255,
                                  "maxSizeAttachmentsPerEmail": 50_000_000, "emailQuerySortOptions": ["receivedAt"], "mayCreateTopLevelMailbox": True},
    "urn:ietf:params:jmap:submission": {"maxDelayedSend": 2_592_000, "submissionExtensions": {"FUTURERELEASE": ["2592000", "2027-01-01T00:00:00Z"]}},
    "urn:ietf:params:jmap:vacationresponse": {},
    "urn:ietf:params:jmap:webpush-vapid": {"applicationServerKey": "BKEY"},
    "urn:postrider:jmap:journey": {},
}


def worker():
    """The service worker with the mark and the names of all files, as the real server's build puts them in."""
    files = {str(file.relative_to(PAGE)): file.read_bytes() for folder in (PAGE, PAGE / "src") for file in sorted(folder.iterdir()) if file.suffix in KINDS}
    mark = hashlib.sha256(repr(files).encode()).hexdigest()
    names = ["./" if name == "index.html" else name for name in files if name != "sw.js"]
    return files["sw.js"].replace(b"'VERSION'", f"'{mark}'".encode()).replace(b"['FILES']", json.dumps(names).encode())


class World:
    """What the handlers share."""

    def __init__(self, messages):
        self.lock, self.sessions, self.listeners, self.calls, self.hits = threading.Lock(), set(), [], [], []
        self.events = "told"  # or "silent", "refused"
        self.capabilities = json.loads(json.dumps(CAPABILITIES))
        account = self.account = mailbox.Account(messages, threads=messages <= 100_000)
        account.submissions, account.pushes = {}, {}
        account.vacation = {"singleton": {"id": "singleton", "isEnabled": False, "fromDate": None, "toDate": None, "subject": None, "textBody": None,
                                          "htmlBody": None}}
        account.identities = {
            "i1": {"id": "i1", "name": "Alice Redwood", "email": "alice@red.example", "replyTo": None, "bcc": None,
                   "textSignature": "Alice Redwood\nRed Example Ltd.", "htmlSignature": "", "mayDelete": False},
            "i2": {"id": "i2", "name": "Alice (sales)", "email": "sales@red.example", "replyTo": None, "bcc": None, "textSignature": "", "htmlSignature": "",
                   "mayDelete": True}}
        corpus.fill(account)
        journeys.fill(account)
        account.log.clear()

    def tell(self):
        with self.lock:
            state = str(self.account.state)
        text = json.dumps({"@type": "StateChange", "changed": {"A": {kind: state for kind in
                           ("Email", "Mailbox", "Thread", "EmailSubmission", "Identity", "VacationResponse", "Journey")}}})
        for listener in list(self.listeners) if self.events == "told" else []:
            listener.put(text)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world = None

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", kind="application/json", **headers):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", headers.pop("cache", "no-store"))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def inside(self):
        found = re.search(r"session=([\w-]+)", self.headers.get("Cookie", ""))
        return bool(found and found[1] in self.world.sessions)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        path, query = url.path, dict(urllib.parse.parse_qsl(url.query))
        if path.startswith("/test/"):
            return self.for_tests(path[6:], query)
        if path in ("/auth/session", "/.well-known/jmap", "/jmap/session"):
            if not self.inside():
                return self.answer(401, {"type": "about:blank", "status": 401, "detail": "log in first"})
            if path == "/.well-known/jmap":
                return self.answer(307, Location="/jmap/session")
            if path == "/auth/session":
                return self.answer(200, {"address": "alice@red.example"})
            return self.answer(200, self.session())
        if path == "/proxy":
            self.world.hits.append("proxy " + query.get("url", ""))
            return self.answer(200, corpus.PIXEL, "image/png") if self.inside() else self.answer(401)
        if path.startswith("/jmap/"):
            if not self.inside():
                return self.answer(401)
            return self.events() if path.startswith("/jmap/eventsource") else self.download(path, query)
        return self.page(path)

    do_HEAD = do_GET

    def page(self, path):
        file = PAGE / ("index.html" if path == "/" else path.lstrip("/"))
        inside = PAGE in file.resolve().parents and file.suffix in KINDS and file.is_file()
        if not inside or (file.relative_to(PAGE).parts[0] == "tests" and file.suffix not in (".js", ".html")):
            self.world.hits.append(self.path)
            return self.answer(404, b"not here", "text/plain")
        content = worker() if path == "/sw.js" else file.read_bytes()
        return self.answer(200, content, KINDS[file.suffix], cache="no-cache", Content_Security_Policy=CSP)

    def session(self):
        account = {key: value for key, value in self.world.capabilities.items()}
        return {"capabilities": self.world.capabilities, "username": "alice@red.example",
                "accounts": {"A": {"name": "alice@red.example", "isPersonal": True, "isReadOnly": False, "accountCapabilities": account}},
                "primaryAccounts": {key: "A" for key in self.world.capabilities if not key.endswith("core")}, "state": "1",
                "apiUrl": "/jmap/api", "uploadUrl": "/jmap/upload/{accountId}/",
                "downloadUrl": "/jmap/download/{accountId}/{blobId}/{name}?type={type}",
                "eventSourceUrl": "/jmap/eventsource?types={types}&closeafter={closeafter}&ping={ping}"}

    def download(self, path, query):
        blob = urllib.parse.unquote(path.split("/")[4])
        account = self.world.account
        if blob.startswith("R"):
            email = account.email(int(blob[1:]))
            data, kind = corpus.raw(account, email) if email else None, "message/rfc822"
        else:
            kind, data = account.blobs.get(blob, (None, None))
        if data is None:
            return self.answer(404)
        return self.answer(200, data, query.get("type") or kind, cache="private, max-age=3600", Content_Disposition="attachment",
                           Content_Security_Policy="sandbox; default-src 'none'")

    def events(self):
        if self.world.events == "refused":
            self.world.hits.append("no events")
            return self.answer(404)
        # It hears before it says that it does.
        listener = queue.Queue()
        self.world.listeners.append(listener)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        try:
            self.end_headers()
            while True:
                try:
                    self.wfile.write(f"event: state\ndata: {listener.get(timeout=20)}\n\n".encode())
                except queue.Empty:
                    self.wfile.write(b"event: ping\ndata: {\"interval\":20}\n\n")
                self.wfile.flush()
        except OSError:
            pass
        finally:
            self.world.listeners.remove(listener)
            self.close_connection = True

    def do_POST(self):
        path, body = urllib.parse.urlsplit(self.path).path, self.body()
        if path.startswith("/auth/") or path.startswith("/jmap/") or path == "/proxy":
            if not self.headers.get("Postrider-Request"):
                return self.answer(403, {"status": 403, "detail": "the header Postrider-Request is missing"})
        if path == "/auth/login":
            return self.login(json.loads(body))
        if not self.inside():
            return self.answer(401, {"status": 401})
        if path == "/auth/logout":
            self.world.sessions.clear()
            return self.answer(204)
        if path == "/jmap/api":
            return self.api(json.loads(body))
        if path.startswith("/jmap/upload/"):
            with self.world.lock:
                kind = self.headers.get("Content-Type", "application/octet-stream")
                part = self.world.account.part("0", kind, body)
            return self.answer(201, {"accountId": "A", "blobId": part["blobId"], "type": kind, "size": len(body)})
        if path == "/proxy":
            self.world.hits.append("post " + dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query)).get("url", "") + " " + body.decode())
            return self.answer(200, {})
        return self.answer(404)

    def login(self, given):
        if (given.get("address"), given.get("password")) == ("totp@red.example", "alice") and given.get("totp") != "123456":
            return self.answer(401, {"status": 401, "detail": "a code is needed", "code": "totp"})
        if given.get("address") not in ("alice@red.example", "totp@red.example") or given.get("password") != "alice":
            return self.answer(401, {"status": 401, "detail": "address or password is wrong"})
        token = secrets.token_urlsafe()
        self.world.sessions.add(token)
        return self.answer(200, {"address": given["address"]}, Set_Cookie=f"session={token}; HttpOnly; SameSite=Strict; Path=/")

    def api(self, request):
        world = self.world
        if len(request["methodCalls"]) > 16:
            return self.answer(400, {"type": "urn:ietf:params:jmap:error:limit", "limit": "maxCallsInRequest", "status": 400})
        for capability in request["using"]:
            if capability not in world.capabilities:
                return self.answer(400, {"type": "urn:ietf:params:jmap:error:unknownCapability", "status": 400})
        with world.lock:
            before = world.account.state
            answers = methods.run(world.account, request["methodCalls"], world.calls)
            changed = world.account.state != before
        self.answer(200, {"methodResponses": answers, "sessionState": "1"})
        if changed:
            world.tell()

    def for_tests(self, what, query):
        world = self.world
        if what == "arrive":
            with world.lock:
                world.account.add({"mailboxIds": {"b0": True}, "keywords": {}, "from": [{"name": "Nadia New", "email": "nadia@blue.example"}],
                                   "to": [{"name": None, "email": "alice@red.example"}], "subject": query.get("subject", "Just arrived"), **({"receivedAt": query["at"]} if "at" in query else {})},
                                  text="This came while you were looking.\n")
                world.account.step()
            world.tell()
            return self.answer(200, {})
        if what == "look":
            with world.lock:
                account = world.account
                newest = [account.kept[n] for n in account.kept if account.kept[n]]
                return self.answer(200, {"calls": world.calls[-200:], "hits": world.hits, "kept": newest[-12:],
                                         "mailboxes": account.mailboxes, "submissions": list(account.submissions.values()),
                                         "vacation": account.vacation["singleton"], "identities": account.identities})
        if what == "forget":
            world.calls.clear()
            world.hits.clear()
            return self.answer(200, {})
        self.world.hits.append(self.path)
        return self.answer(404)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        """A browser that closes its tab breaks off what it was told; anything else is worth reading."""
        if not isinstance(sys.exc_info()[1], (BrokenPipeError, ConnectionResetError)):
            super().handle_error(request, client_address)


def serve(messages=20_000, port=0):
    """A server that runs in a thread of its own; its world is `server.world`."""
    world = World(messages)
    server = Server(("127.0.0.1", port), type("Bound", (Handler,), {"world": world}))
    server.world = world
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--messages", type=int, default=20_000)
    options.add_argument("--port", type=int, default=8765)
    chosen = options.parse_args()
    running = serve(chosen.messages, chosen.port)
    print(f"http://127.0.0.1:{running.server_address[1]}/  alice@red.example, alice", flush=True)
    threading.Event().wait()
