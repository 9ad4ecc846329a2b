"""Headless Chromium by its DevTools protocol, with the standard library alone.

`Browser()` starts one, `page()` opens a tab; a page runs JavaScript, presses keys, moves the mouse, takes pictures, and
keeps what happened in it: requests, dialogs, console messages, exceptions. Nothing here knows the page under test.
"""
import base64
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.request

KEYS = {"Enter": (13, "\r"), "Escape": (27, ""), "Tab": (9, ""), "Backspace": (8, ""), "ArrowDown": (40, ""), "ArrowUp": (38, ""), "PageDown": (34, ""),
        "PageUp": (33, ""), "Home": (36, ""), "End": (35, ""), " ": (32, " ")}


class Socket:
    """A WebSocket client (RFC 6455), as much as DevTools needs."""

    def __init__(self, url):
        host, path = url.removeprefix("ws://").split("/", 1)
        name, port = host.split(":")
        self.socket = socket.create_connection((name, int(port)))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        self.file = self.socket.makefile("rb")
        while self.file.readline().strip():
            pass
        self.lock = threading.Lock()

    def send(self, text):
        data, mask = text.encode(), os.urandom(4)
        size = len(data)
        head = bytes([0x81]) + (bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + struct.pack(">H", size) if size < 65536
                                else bytes([0xFF]) + struct.pack(">Q", size))
        pad = (mask * (size // 4 + 1))[:size]
        body = (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big") if size else b""
        with self.lock:
            self.socket.sendall(head + mask + body)

    def receive(self):
        whole = b""
        while True:
            first, second = self.file.read(2)
            size = second & 0x7F
            if size == 126:
                size = struct.unpack(">H", self.file.read(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", self.file.read(8))[0]
            whole += self.file.read(size)
            if first & 0x80:
                if first & 0x0F == 8:
                    raise ConnectionError("closed")
                return whole.decode()


class Browser:
    def __init__(self, *arguments):
        self.profile = tempfile.mkdtemp(prefix="webmail-chromium-")
        self.log = open(pathlib.Path(self.profile) / "log", "w+b")
        self.process = subprocess.Popen(
            [shutil.which("chromium") or "chromium", "--headless=new", "--no-sandbox", "--remote-debugging-port=0", f"--user-data-dir={self.profile}",
             "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
             "--disable-extensions", "--mute-audio", "--lang=en-US", "--hide-scrollbars=false", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
             *arguments, "about:blank"], stdout=self.log, stderr=self.log)
        port_file = pathlib.Path(self.profile) / "DevToolsActivePort"
        until(lambda: port_file.exists() and port_file.read_text().count("\n") >= 1, "Chromium starts", 60)
        port, path = port_file.read_text().split("\n")[:2]
        self.socket = Socket(f"ws://127.0.0.1:{port}{path}")
        self.answers, self.pages, self.next = {}, {}, 0
        self.arrived = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            while True:
                message = json.loads(self.socket.receive())
                with self.arrived:
                    if "id" in message:
                        self.answers[message["id"]] = message
                    elif message.get("sessionId") in self.pages:
                        self.pages[message["sessionId"]].happened(message["method"], message["params"])
                    self.arrived.notify_all()
        except (OSError, ConnectionError, ValueError, TypeError):
            pass

    def call(self, method, params=None, session=None, wait=True):
        with self.arrived:
            self.next += 1
            number = self.next
        message = {"id": number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        self.socket.send(json.dumps(message))
        if not wait:
            return None
        with self.arrived:
            if not self.arrived.wait_for(lambda: number in self.answers, 60):
                raise TimeoutError(method)
            answer = self.answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def page(self, width=1440, height=900):
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", {"url": "about:blank", "browserContextId": context})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session, context, target)
        self.pages[session] = page
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.size(width, height)
        return page

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()
        shutil.rmtree(self.profile, ignore_errors=True)


def until(condition, what, seconds=15):
    """Looks until it holds: what happens in another process tells nobody here."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"never came: {what}")
        time.sleep(0.03)


class Page:
    def __init__(self, browser, session, context, target):
        self.browser, self.session, self.context, self.target = browser, session, context, target
        self.blocked, self.requests, self.dialogs, self.errors, self.violations = {}, [], [], [], []
        self.urls, self.contexts, self.workers = {}, {}, {}

    def call(self, method, params=None, wait=True):
        return self.browser.call(method, params, self.session, wait)

    def happened(self, method, params):
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
            self.urls[params["requestId"]] = params["request"]["url"]
        elif method == "Runtime.executionContextCreated":
            self.contexts[params["context"]["id"]] = params["context"]["origin"]
        elif method == "Runtime.executionContextDestroyed":
            self.contexts.pop(params["executionContextId"], None)
        elif method == "Runtime.executionContextsCleared":
            self.contexts.clear()
        elif method == "ServiceWorker.workerRegistrationUpdated":
            self.workers.update({one["scopeURL"]: one["registrationId"] for one in params["registrations"]})
        elif method == "Input.dragIntercepted":
            self.dragged = params["data"]
        elif method == "Network.loadingFailed" and params.get("blockedReason"):
            self.blocked[self.urls.get(params["requestId"])] = params["blockedReason"]
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(params["message"])
            self.call("Page.handleJavaScriptDialog", {"accept": True}, wait=False)
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Log.entryAdded":
            entry = params["entry"]
            (self.violations if "Content Security Policy" in entry["text"] or "sandboxed" in entry["text"] else self.errors).append(entry["text"]) \
                if entry["level"] == "error" and entry["source"] != "network" else None

    def size(self, width, height, phone=False):
        self.call("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone})

    def media(self, **features):
        self.call("Emulation.setEmulatedMedia", {"features": [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]})

    def offline(self, on):
        self.call("Network.emulateNetworkConditions", {"offline": on, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1})

    def open(self, url):
        self.call("Page.navigate", {"url": url})

    def run(self, script):
        """The value of an expression; promises are waited for."""
        return self.evaluate(script)

    def evaluate(self, script, **where):
        answer = self.call("Runtime.evaluate", {"expression": script, "awaitPromise": True, "returnByValue": True, "userGesture": True, **where})
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise AssertionError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def frame(self, origin, holds):
        """The frame of an origin in which something holds: {run, until} as of a page."""
        def look():
            for context in [one for one, of in list(self.contexts.items()) if of == origin]:
                try:
                    if self.evaluate(holds, contextId=context):
                        return Frame(self, context)
                except (AssertionError, RuntimeError):
                    pass  # It went meanwhile.
            return None
        return until(look, f"a frame of {origin} where {holds}", 30)

    def until(self, script, what=None, seconds=15):
        def look():
            try:
                found = self.run(script)
                return True if found == {} else found  # an element
            except (AssertionError, RuntimeError):
                return None
        return until(look, what or script, seconds)

    def press(self, *keys):
        """Keys by name; `Shift+ArrowDown`, `Control+Enter` with what is held."""
        for key in keys:
            held = 0
            while "+" in key[1:]:
                name, key = key.split("+", 1)
                held |= {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}[name]
            code, text = KEYS.get(key, (ord(key[0].upper()) if len(key) == 1 else 0, key if len(key) == 1 else ""))
            if held & 6:
                text = ""
            shape = {"key": key, "code": f"Key{key.upper()}" if len(key) == 1 and key.isalpha() else key, "windowsVirtualKeyCode": code, "modifiers": held}
            self.call("Input.dispatchKeyEvent", {"type": "keyDown" if text else "rawKeyDown", **shape, **({"text": text} if text else {})})
            self.call("Input.dispatchKeyEvent", {"type": "keyUp", **shape})

    def type(self, text):
        self.call("Input.insertText", {"text": text})

    def where(self, selector):
        return self.until(f"(() => {{ const n = document.querySelector({json.dumps(selector)}); if (!n) return null; const r = n.getBoundingClientRect();"
                          f" return r.width ? [r.x + r.width / 2, r.y + r.height / 2] : null; }})()", f"{selector} is there")

    def click(self, selector, modifiers=0):
        x, y = self.where(selector)
        self.click_at(x, y, modifiers)

    def click_at(self, x, y, modifiers=0):
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "button": "left" if kind != "mouseMoved" else "none", "clickCount": 1, "modifiers": modifiers})

    def drag(self, start, end):
        """Drags what is at one place to another; the browser hands the drag over, and it is dropped by hand."""
        self.dragged = None
        self.call("Input.setInterceptDrags", {"enabled": True})
        self.call("Input.dispatchMouseEvent", {"type": "mousePressed", "x": start[0], "y": start[1], "button": "left", "clickCount": 1})
        for step in (4, 12, 30):
            self.call("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": start[0] + step, "y": start[1] + step, "button": "left", "buttons": 1}, wait=False)
        until(lambda: self.dragged, "the drag begins")
        self.drop(end, self.dragged)
        self.call("Input.dispatchMouseEvent", {"type": "mouseReleased", "x": end[0], "y": end[1], "button": "left", "clickCount": 1})
        self.call("Input.setInterceptDrags", {"enabled": False})

    def drop(self, end, data):
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", {"type": kind, "x": end[0], "y": end[1], "data": data})

    def wheel(self, x, y, by):
        self.call("Input.dispatchMouseEvent", {"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": by})

    def picture(self, path):
        pathlib.Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot", {"format": "png"})["data"]))

    def close(self):
        self.browser.call("Target.closeTarget", {"targetId": self.target})


class Frame:
    """A frame within a page, of whatever origin. Keys go to where the focus is: `run` puts it here."""

    def __init__(self, page, context):
        self.page, self.context = page, context

    def run(self, script):
        return self.page.evaluate(script, contextId=self.context)

    until, press, type = Page.until, Page.press, Page.type
    call = property(lambda self: self.page.call)
