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
    """Both systems, and a tab. `trusting`: they take their own authority's certificates for good in the outside world, too."""

    def __init__(self, letters=(), width=1440, height=900, trusting=False):
        self.folder = tempfile.mkdtemp(prefix="webmail-local-")
        self.base = free_base()
        self.log = open(pathlib.Path(self.folder) / "log", "w+b")
        self.process = subprocess.Popen([PROGRAM, "local", "--dir", f"{self.folder}/net", "--port-base", str(self.base)], stdout=self.log, stderr=self.log,
                                        env={**os.environ, **({"SSL_CERT_FILE": f"{self.folder}/net/ca.pem"} if trusting else {})})
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

    def log_in(self, who="alice@red.example", password="alice", url=None):
        page = self.page
        page.open(url or self.url)
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
        page.until("document.querySelector('.new-app-password').parentNode.textContent.includes('phone')", "it is listed")
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
def passkeys_log_in_without_a_password():
    with Local(LETTERS) as local:
        # Passkeys are for names: the address says so, and `localhost` has them.
        page = local.log_in()
        page.run("location.hash = '#/settings/password'")
        page.until("document.querySelector('.save-password')", "the settings")
        assert page.run("document.querySelector('dialog').textContent.includes('on this very machine as localhost') && !document.querySelector('.new-passkey')")
        page.call("WebAuthn.enable")
        options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True,
                   "automaticPresenceSimulation": True}
        device = page.call("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]
        page = local.log_in(url=f"http://localhost:{local.base + 80}/")
        page.run("location.hash = '#/settings/password'")
        page.until("document.querySelector('.new-passkey')", "the settings")
        last = "[...document.querySelectorAll('dialog')].at(-1)"
        fill = lambda *values: page.run(f"(() => {{ const f = {last}.querySelectorAll('input'); {list(values)!r}.forEach((v, i) => {{ f[i].value = v; }}); {last}.querySelector('.dialog-buttons .main').click(); }})()")
        press = lambda: page.run("document.querySelector('.new-passkey').click()")
        press()
        page.until(f"{last}.querySelectorAll('input').length === 2")
        fill("key ring", "wrong")
        page.until("document.getElementById('notice').textContent.includes('wrong')", "it says so")
        press()
        page.until(f"{last}.querySelectorAll('input').length === 2")
        fill("key ring", "alice")
        listed = "[...document.querySelectorAll('.tokens li')].find((li) => li.textContent.includes('key ring'))"
        page.until(f"{listed}?.textContent.includes('never used')", "it is listed")
        assert len(page.call("WebAuthn.getCredentials", {"authenticatorId": device})["credentials"]) == 1
        # The same device again is told by the browser itself.
        press()
        page.until(f"{last}.querySelectorAll('input').length === 2")
        fill("once more", "alice")
        page.until("document.getElementById('notice').textContent.includes('no passkey')", "it is there already")
        if os.environ.get("WEBMAIL_PICTURES"):
            page.run("document.querySelector('.new-passkey').scrollIntoView()")
            page.picture(os.environ["WEBMAIL_PICTURES"] + "/passkeys.png")
        out = "document.getElementById('login') && !document.getElementById('login').hidden"
        page.press("Escape")
        page.click("[aria-label='Log out']")
        page.until(out, "out")
        page.click("#login-passkey")
        page.until("document.querySelector('.folder')", "in, without a password", 30)
        page.run("location.hash = '#/settings/password'")
        page.until(f"{listed}?.textContent.includes('last used')", "its use is told")
        # Taken back here, it is no good, though the device still has it.
        page.run(f"{listed}.querySelector('button').click()")
        page.until(f"{last}.querySelector('.dialog-buttons')?.textContent.includes('Take back')", "it asks")
        page.run(f"[...{last}.querySelectorAll('.dialog-buttons button')].find((b) => b.textContent === 'Take back').click()")
        page.until(f"!{listed}", "it is gone")
        page.press("Escape")
        page.click("[aria-label='Log out']")
        page.until(out, "out")
        if os.environ.get("WEBMAIL_PICTURES"):
            page.picture(os.environ["WEBMAIL_PICTURES"] + "/login.png")
        page.click("#login-passkey")
        page.until("document.getElementById('login-problem').textContent.includes('no passkey')", "it is refused")
        page.errors.clear()


@real
def alice_and_bob_side_by_side():
    with Local(width=1600, height=900) as local:
        page = local.page
        page.open(local.url + "local/both")
        inbox = "location.pathname === '/' && document.getElementById('login-page')?.hidden && document.querySelector('.folder') !== null"
        alice, bob = (page.frame(url.rstrip("/"), inbox) for url in (local.url, local.blue))
        for one in (alice, bob):
            one.run("localStorage.setItem('postrider.undoSeconds', '1')")
        stops = "[...document.querySelectorAll('#journey .stop')].map((s) => [s.querySelector('strong').textContent, s.className])"
        left = "[...document.querySelectorAll('#journey .stop')].map((s) => s.getBoundingClientRect().left)"
        for writer, reader, names, subject in ((alice, bob, ["alice@red.example", "red.example", "mail.blue.example", "bob@blue.example"], "Hello Bob"),
                                               (bob, alice, ["bob@blue.example", "blue.example", "mail.red.example", "alice@red.example"], "Hello Alice")):
            writer.run("(window.focus(), document.getElementById('list').focus())")
            writer.press("c")
            writer.until(COMPOSED)
            writer.type(f"{names[-1]},")
            writer.run("document.getElementById('compose-subject').focus()")
            writer.type(subject)
            writer.press("Control+Enter")
            # It goes station by station, and is not at the end before it is there.
            page.until(f"{stops}[0]?.[0] === '{names[0]}' && {stops}[1][1] === 'stop good' && {stops}[3][1] === 'stop far'", "it is under way")
            page.until(f"JSON.stringify({stops}) === JSON.stringify({[[name, 'stop good'] for name in names]})", "it is through", 30)
            page.until(f"document.getElementById('told').textContent.includes('Put into Inbox.') && document.querySelector('.arrived h1').textContent.startsWith('{names[-1]}')", "the end")
            reader.until(f"document.querySelector('#row-0 .subject')?.textContent === '{subject}'", "it is in the other inbox", 30)
            words = page.run("document.getElementById('journey').innerText")
            for line in ("Taken from you", "Until then you can take it back.", f"Handed to {names[2]}, over an encrypted connection", f"Taken from mail.{names[1]}, over an encrypted connection", "Put into Inbox."):
                assert line in words, (line, words)
            # To the other side.
            places = page.run(left)
            assert places == sorted(places, reverse=writer is bob), places
            assert page.run("document.documentElement.scrollWidth <= innerWidth && document.querySelector('aside').scrollWidth <= document.querySelector('aside').clientWidth"), "nothing sticks out"
            if writer is alice and os.environ.get("WEBMAIL_PICTURES"):
                page.picture(os.environ["WEBMAIL_PICTURES"] + "/local.png")
        # Behind a line stands what was said.
        page.run("document.querySelector('#journey section:last-child summary').click()")
        assert "ESMTPS" in page.run("document.querySelector('#journey details[open]').innerText")
        # Who opens the page anew sees the last one as it is; dark, and on a phone.
        page.media(prefers_color_scheme="dark")
        page.size(390, 844)
        page.open(local.url + "local/both?")
        page.until(f"{stops}[0]?.[0] === 'bob@blue.example' && {stops}[3][1] === 'stop good'", "the last one", 30)
        assert page.run("document.documentElement.dataset.theme") == "dark"
        assert page.run("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
        if os.environ.get("WEBMAIL_PICTURES"):
            page.run("document.querySelector('aside').scrollIntoView()")
            page.picture(os.environ["WEBMAIL_PICTURES"] + "/local-phone.png")
        # A frame that is not looked at draws nothing.
        page.run("document.querySelector('body > section:last-of-type').scrollIntoView()")
        page.frame(local.blue.rstrip("/"), inbox)
        assert not page.run("[...document.querySelectorAll('iframe.half')].some((f) => f.getBoundingClientRect().width)"), "the halves have no face"
