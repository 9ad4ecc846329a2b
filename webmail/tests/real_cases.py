"""The page against the real program, as `postrider local` runs it: what both understand of each other. POSTRIDER names the
program."""
import base64
import contextlib
import email
import email.message
import hmac
import imaplib
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import urllib.request

import browser
from cases import case, chromium
from mail_cases import COMPOSED

PROGRAM = os.environ.get("POSTRIDER", "")


def free_base():
    """Ports in a row that nobody has: red's are above it, blue's a thousand higher."""
    for base in range(21_000, 30_000, 97):
        with contextlib.ExitStack() as stack:
            try:
                for port in (25, 53, 80, 143, 443, 587, 1025, 1080, 1143, 1443):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", base + port))
                return base
            except OSError:
                continue
    raise AssertionError("no ports are free")


def letter(subject, text, html=None):
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = "Dora Blue <dora@blue.example>", "alice@red.example", subject
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message.as_bytes(policy=message.policy.clone(linesep="\r\n"))


class Local:
    """Both systems, and a tab."""

    def __init__(self, letters=(), width=1440, height=900):
        self.folder = tempfile.mkdtemp(prefix="webmail-local-")
        self.base = free_base()
        self.log = open(pathlib.Path(self.folder) / "log", "w+b")
        self.process = subprocess.Popen([PROGRAM, "local", "--dir", f"{self.folder}/net", "--port-base", str(self.base)], stdout=self.log, stderr=self.log)
        self.url, self.blue = f"http://127.0.0.1:{self.base + 80}/", f"http://127.0.0.1:{self.base + 1080}/"
        browser.until(lambda: self.answers(self.url) and self.answers(self.blue), "both are up", 60)
        for one in letters:
            self.append(one)
        self.page = chromium().page()
        self.page.size(width, height)

    def answers(self, url):
        if self.process.poll() is not None:
            raise AssertionError(pathlib.Path(self.log.name).read_text())
        try:
            return urllib.request.urlopen(url + "healthz", timeout=5).status == 200
        except OSError:
            return False

    def imap(self):
        client = imaplib.IMAP4("127.0.0.1", self.base + 143)
        client.login("alice@red.example", "alice")
        return client

    def append(self, octets):
        client = self.imap()
        assert client.append("INBOX", None, None, octets)[0] == "OK"
        client.logout()

    def place(self, subject, folders):
        """In which folder, by IMAP, a message is, and its flags."""
        client = self.imap()
        try:
            for name in folders:
                if client.select(name, readonly=True)[0] == "OK":
                    numbers = client.search(None, "SUBJECT", f'"{subject}"')[1][0].split()
                    if numbers:
                        return name, client.fetch(numbers[-1], "(FLAGS)")[1][0].decode()
            return None, ""
        finally:
            client.logout()

    def log_in(self, who="alice@red.example", password="alice"):
        page = self.page
        page.open(self.url)
        page.until("document.getElementById('login') && !document.getElementById('login').hidden", "the log-in")
        page.click("#login-address")
        page.type(who)
        page.press("Tab")
        page.type(password)
        page.press("Enter")
        page.until("document.querySelector('.folder')", "the folders", 30)
        return page

    def open_row(self, index):
        self.page.click(f"#row-{index}")
        self.page.until("document.querySelector('.message:not(.folded) .message-body')", "the message")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                assert not self.page.errors, self.page.errors
                assert not self.page.violations, self.page.violations
                assert not self.page.dialogs, self.page.dialogs
            elif os.environ.get("WEBMAIL_PICTURES"):
                self.page.picture(os.environ["WEBMAIL_PICTURES"] + "/failed.png")
                print(self.page.errors, self.page.violations)
        finally:
            self.page.close()
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
            self.log.close()
            shutil.rmtree(self.folder, ignore_errors=True)


def real(function):
    """A case where the program is there."""
    return case(function) if PROGRAM else function


LETTERS = [letter("The bridge", "The second span bears 58 t.\n"), letter("Newest", "Hello Alice.\n", "<p>Hello <b>Alice</b>.</p>"), letter("Third", "Three.\n")]
ROWS = "document.querySelectorAll('.row:not(.blank):not([hidden])').length"


@real
def read_flag_move_and_search():
    with Local(LETTERS) as local:
        page = local.log_in()
        page.until(f"{ROWS} === 3", "the rows")
        subject = page.run("document.querySelector('#row-0 .subject').textContent")
        local.open_row(0)
        browser.until(lambda: "\\Seen" in local.place(subject, ["INBOX"])[1], "it is read for IMAP, too")
        page.press("s")
        browser.until(lambda: "\\Flagged" in local.place(subject, ["INBOX"])[1], "it is flagged")
        page.press("e")
        browser.until(lambda: local.place(subject, ["INBOX", "Archive"])[0] == "Archive", "it is in the archive")
        page.until(f"{ROWS} === 2", "it has left the list")
        page.press("/")
        page.type("bears")
        page.until("document.querySelector('#row-0 .subject')?.textContent === 'The bridge' && document.querySelector('#list mark')", "found by its text, marked")
        page.press("Escape")
        page.until("document.getElementById('list-title').textContent === 'Inbox'")
        local.append(letter("Another way", "By IMAP.\n"))
        page.until("document.querySelector('#row-0 .subject').textContent === 'Another way'", "new mail comes by itself", 90)
        page.click("[aria-label='Log out']")
        page.until("document.getElementById('login') && !document.getElementById('login').hidden", "out")


@real
def drafts_are_kept_and_gone_on_with_here():
    with Local(LETTERS) as local:
        page = local.log_in()
        page.until(f"{ROWS} === 3", "the rows")
        page.press("c")
        page.until(COMPOSED)
        page.type("bob@blue.example,")
        page.click("#compose-subject")
        page.type("Gruesse")
        page.run("document.querySelector('.composer iframe').contentDocument.body.focus()")
        page.type("Begun and kept.")
        page.run("(() => { const data = new DataTransfer(); data.items.add(new File(['one,two\\n'], 'table.csv', { type: 'text/csv' }));"
                 " document.querySelector('.composer').dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })); })()")
        page.until("document.querySelector('.uploads li') && !document.querySelector('.uploads progress')", "it is uploaded")
        page.press("Escape")
        page.until("!document.querySelector('.composer')", "it is closed")
        browser.until(lambda: local.place("Gruesse", ["Drafts"])[0], "the draft")
        client = local.imap()
        client.select("Drafts", readonly=True)
        number = client.search(None, "ALL")[1][0].split()[-1]
        whole = email.message_from_bytes(client.fetch(number, "(RFC822)")[1][0][1])
        client.logout()
        assert {part.get_filename(): part.get_payload(decode=True) for part in whole.walk() if part.get_filename()} == {"table.csv": b"one,two\n"}
        page.run("[...document.querySelectorAll('.folder')].find((b) => b.textContent.startsWith('Drafts')).click()")
        page.until("document.querySelector('#row-0 .subject')?.textContent === 'Gruesse'", "in the list of drafts")
        page.click("#row-0")
        page.until(COMPOSED, "it is gone on with")
        page.until("document.querySelector('.composer iframe').contentDocument.body.innerText.includes('Begun and kept.')", "its text")
        page.press("Escape")
        page.until("!document.querySelector('.composer')")


@real
def read_without_a_connection():
    with Local(LETTERS) as local:
        page = local.log_in()
        page.until("document.querySelector('.row:not(.blank)')")
        local.open_row(0)
        page.until("navigator.serviceWorker.controller", "the service worker")
        time.sleep(2)  # what is seen is kept a little later
        page.offline(True)
        page.open(local.url + "?")
        page.until("document.querySelector('.row:not(.blank)') && !document.getElementById('offline').hidden", "the list, without a connection", 30)
        page.offline(False)
        page.run("window.dispatchEvent(new Event('online'))")
        page.until("document.getElementById('offline').hidden", "it is connected again", 30)
        page.errors.clear()


def code(key):
    """RFC 6238, of this moment."""
    octets = base64.b32decode(key + "=" * (-len(key) % 8))
    mac = hmac.new(octets, struct.pack(">Q", int(time.time()) // 30), "sha1").digest()
    at = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7fffffff) % 1_000_000:06}"


@real
def password_second_factor_and_app_passwords():
    with Local(LETTERS) as local:
        page = local.log_in()
        page.until("document.querySelector('.row:not(.blank)')")
        page.run("location.hash = '#/settings/password'")
        page.until("document.querySelector('.save-password')", "the settings")
        last = "[...document.querySelectorAll('dialog')].at(-1)"
        fill = lambda *values: page.run(f"(() => {{ const f = {last}.querySelectorAll('input'); {list(values)!r}.forEach((v, i) => {{ f[i].value = v; }}); {last}.querySelector('.dialog-buttons .main').click(); }})()")
        page.run("document.querySelector('.new-app-password').click()")
        page.until(f"{last}.querySelectorAll('input').length === 2")
        fill("phone", "wrong")
        page.until("document.getElementById('notice').textContent.includes('wrong')", "it says so")
        page.run("document.querySelector('.new-app-password').click()")
        page.until(f"{last}.querySelectorAll('input').length === 2")
        fill("phone", "alice")
        made = page.until(f"{last}.querySelector('code.secret')?.textContent", "the app password")
        client = imaplib.IMAP4("127.0.0.1", local.base + 143)
        client.login("alice@red.example", made)
        client.logout()
        page.run(f"{last}.querySelector('.dialog-buttons .main').click()")
        page.until("document.querySelector('.tokens').textContent.includes('phone')", "it is listed")
        # The first wrong password changes nothing; the right one, everything.
        change = lambda now, new: page.run(f"(() => {{ const b = document.querySelector('.save-password'); const f = b.parentNode.querySelectorAll('input'); ['{now}', '{new}', '{new}'].forEach((v, i) => {{ f[i].value = v; }}); b.click(); }})()")
        change("alice", "a much better one 7")
        page.until("document.getElementById('notice').textContent.includes('changed')", "it is changed")
        page.run("document.querySelector('.begin-totp').click()")
        page.until(f"{last}.querySelectorAll('input').length === 1")
        fill("a much better one 7")
        key = page.until(f"{last}.querySelector('svg path') && {last}.querySelector('code.secret')?.textContent", "the drawing and the key")
        if os.environ.get("WEBMAIL_PICTURES"):
            page.picture(os.environ["WEBMAIL_PICTURES"] + "/totp.png")
        fill(code(key.replace(" ", "")))
        page.until(f"{last}.querySelector('.recovery')?.textContent.length > 50", "the recovery codes")
        page.run(f"{last}.querySelector('.dialog-buttons .main').click()")
        page.until("document.querySelector('dialog').textContent.includes('It is on.')", "it is on")
        if os.environ.get("WEBMAIL_PICTURES"):
            page.run("document.querySelector('.tokens').scrollIntoView()")
            page.picture(os.environ["WEBMAIL_PICTURES"] + "/security.png")
        page.errors.clear()


@real
def alice_and_bob_side_by_side():
    with Local(LETTERS, 1600, 900) as local:
        page = local.page
        page.open(local.url + "local/both")
        inside = "[...document.querySelectorAll('iframe')].length"
        page.until(f"{inside} === 2")
        # Frames of another origin are pages of their own to the browser's tools; what they have loaded is seen by both servers' sessions.
        targets = lambda: [one for one in chromium().call("Target.getTargets")["targetInfos"] if one["url"].startswith((local.url, local.blue))]
        browser.until(lambda: any(one["url"].startswith(local.blue) for one in targets()) or page.run("document.querySelectorAll('iframe')[1].contentWindow !== null"), "both are there")
        browser.until(lambda: page.run("document.querySelectorAll('iframe')[0].contentDocument?.querySelector('.row .subject') !== null"), "alice's inbox")
        assert page.run("document.querySelectorAll('iframe')[0].contentDocument.querySelector('#login-page').hidden")
        time.sleep(2)
        if os.environ.get("WEBMAIL_PICTURES"):
            page.picture(os.environ["WEBMAIL_PICTURES"] + "/local.png")
