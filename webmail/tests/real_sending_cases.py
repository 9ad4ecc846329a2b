"""Writing, sending and what comes of it, with the page against the real program: what arrives is looked at by IMAP at the other
system, `blue.example`."""
import email
import email.message
import email.policy
import http.server
import imaplib
import json
import signal
import smtplib
import ssl
import subprocess
import threading

import browser
import real_cases
from mail_cases import COMPOSED
from real_cases import Local, letter, real

ROWS = "[...document.querySelectorAll('.row:not(.blank):not([hidden])')]"
SUBJECTS = f"{ROWS}.sort((a, b) => a.index - b.index).map((r) => r.querySelector('.subject').textContent)"
LAST_DIALOG = "[...document.querySelectorAll('dialog')].at(-1)"


def undo_seconds(page, seconds):
    page.run(f"localStorage.setItem('postrider.undoSeconds', '{seconds}')")


def write(page, to, subject, text):
    page.press("c")
    page.until(COMPOSED)
    page.type(f"{to},")
    page.click("#compose-subject")
    page.type(subject)
    page.run("document.querySelector('.composer iframe').contentDocument.body.focus()")
    page.type(text)


def send(page):
    page.press("Control+Enter")
    page.until("!document.querySelector('.composer')", "it is sent")


def inbox(local, port=143, who="alice@red.example", password="alice"):
    """All messages of an inbox, by IMAP."""
    client = imaplib.IMAP4("127.0.0.1", local.base + port)
    client.login(who, password)
    try:
        client.select("INBOX", readonly=True)
        numbers = client.search(None, "ALL")[1][0].split()
        octets = [client.fetch(number, "(RFC822)")[1][0][1] for number in numbers]
        return [email.message_from_bytes(one, policy=email.policy.default) for one in octets]
    finally:
        client.logout()


def bobs(local):
    return inbox(local, 1143, "bob@blue.example", "bob")


def arrived(local, subject):
    return browser.until(lambda: [one for one in bobs(local) if one["Subject"] == subject], f"{subject} is at bob's", 30)


def program(local, *arguments):
    config = f"{local.folder}/net/red.example/postrider.toml"
    return subprocess.run([real_cases.PROGRAM, *arguments, "--config", config], capture_output=True, text=True, check=True).stdout


def folder(page, name):
    page.run(f"[...document.querySelectorAll('.folder')].find((b) => b.textContent.startsWith('{name}')).click()")
    page.until(f"document.getElementById('list-title').textContent === '{name}'")


def open_subject(page, subject):
    page.until(f"{ROWS}.some((r) => r.querySelector('.subject').textContent === '{subject}')", f"{subject} is in the list")
    page.run(f"{ROWS}.find((r) => r.querySelector('.subject').textContent === '{subject}').click()")
    page.until(f"document.querySelector('.thread-subject')?.textContent === '{subject}' && document.querySelector('.message:not(.folded) .message-body')", "the message")


@real
def what_is_attached_arrives_byte_for_byte():
    with Local() as local:
        page = local.log_in()
        undo_seconds(page, 0)
        write(page, "Bob <bob@blue.example>", "Grüße, with a file", "Here it is.")
        # Every octet, each line end, and a dot alone on a line.
        page.run("(() => { const octets = new Uint8Array(300000).map((_, i) => (i * 7 + (i >> 8)) & 255); octets.set([13, 10, 46, 13, 10, 10, 13, 0], 1000);"
                 " const data = new DataTransfer(); data.items.add(new File([octets], 'Übersicht 1.bin', { type: 'application/octet-stream' }));"
                 " data.items.add(new File(['.\\r\\none;two\\n'], 'table.csv', { type: 'text/csv' }));"
                 " document.querySelector('.composer').dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })); })()")
        page.until("document.querySelectorAll('.uploads li').length === 2 && !document.querySelector('.uploads progress')", "both are uploaded")
        send(page)
        octets = bytearray((i * 7 + (i >> 8)) & 255 for i in range(300_000))
        octets[1000:1008] = bytes([13, 10, 46, 13, 10, 10, 13, 0])
        mail, = arrived(local, "Grüße, with a file")
        found = {part.get_filename(): part.get_payload(decode=True) for part in mail.iter_attachments()}
        assert found == {"Übersicht 1.bin": bytes(octets), "table.csv": b".\r\none;two\n"}, {name: len(value) for name, value in found.items()}
        assert mail.get_body(("plain",)).get_content().startswith("Here it is.") and mail["To"].addresses[0].display_name == "Bob"
        # And in one's own folder, read, as no draft.
        place, flags = browser.until(lambda: local.place("with a file", ["Sent"])[0] and local.place("with a file", ["Sent"]), "it is among what was sent")
        assert place == "Sent" and "\\Seen" in flags and "\\Draft" not in flags, flags
        assert not local.place("with a file", ["Drafts"])[0]


@real
def what_was_sent_is_taken_back():
    with Local() as local:
        page = local.log_in()
        write(page, "bob@blue.example", "Too soon", "Not yet.")
        page.press("Control+Enter")
        page.until("document.querySelector('#notice button')")
        assert "bob@blue.example" in program(local, "queue", "list"), "it waits"
        page.run("document.querySelector('#notice button').click()")
        page.until("document.querySelector('#compose-subject')?.value === 'Too soon'", "it is open again")
        browser.until(lambda: "bob@blue.example" not in program(local, "queue", "list"), "nothing waits")
        assert "\\Draft" in local.place("Too soon", ["Drafts"])[1] and not local.place("Too soon", ["Sent"])[0]
        # Sent once more it comes once.
        undo_seconds(page, 0)
        page.until(COMPOSED)
        page.click("#compose-subject")
        page.type(" now")
        send(page)
        arrived(local, "Too soon now")
        assert [one["Subject"] for one in bobs(local)] == ["Too soon now"]


@real
def what_is_for_later_waits_and_can_be_kept():
    with Local() as local:
        page = local.log_in()
        for subject in ("For tomorrow", "For never"):
            write(page, "bob@blue.example", subject, "Good morning.")
            page.click("[aria-label='Send later']")
            page.until(f"{LAST_DIALOG}?.querySelector('input[type=datetime-local]')")
            page.run(f"{LAST_DIALOG}.querySelector('.main').click()")
            page.until("!document.querySelector('.composer')", "it is handed over")
        folder(page, "Sent")
        open_subject(page, "For never")
        stop = "[...document.querySelectorAll('.banner button')].find((b) => b.textContent.startsWith('Don'))"
        page.until(stop, "when it will leave")
        # The picture of its way says so, too.
        page.click("[aria-label='Where is my mail?']")
        page.until("document.querySelector('.journey-dialog .journey')?.textContent.includes('Until then you can take it back.')", "it is held")
        page.press("Escape")
        page.run(f"{stop}.click()")
        browser.until(lambda: local.place("For never", ["Drafts"])[0], "it is a draft again")
        browser.until(lambda: len(json.loads(program(local, "queue", "list", "--json"))) == 1, "the other one alone waits")
        waiting, = json.loads(program(local, "queue", "list", "--json"))
        assert not bobs(local)
        # An operator lets it go at once.
        program(local, "queue", "retry", waiting["id"])
        arrived(local, "For tomorrow")
        assert [one["Subject"] for one in bobs(local)] == ["For tomorrow"]


@real
def who_writes_is_told_that_one_is_away():
    with Local() as local:
        page = local.log_in()
        page.press("g", "s")
        page.until("document.querySelector('.save-vacation')")
        page.run("(() => { const g = document.querySelector('.save-vacation').closest('fieldset'); g.querySelector('input[type=checkbox]').click();"
                 " g.querySelector('input[type=text]').value = 'Away'; g.querySelector('textarea').value = 'Back on Monday – grüße'; g.querySelector('.save-vacation').click(); })()")
        page.until("document.getElementById('notice').textContent.includes('Saved')", "it is saved")
        for subject in ("Are you there?", "And now?"):
            with smtplib.SMTP("127.0.0.1", local.base + 1587) as client:
                trust = ssl.create_default_context(cafile=f"{local.folder}/net/ca.pem")
                client.starttls(context=trust)
                client.login("bob@blue.example", "bob")
                message = email.message.EmailMessage()
                message["From"], message["To"], message["Subject"] = "bob@blue.example", "alice@red.example", subject
                message.set_content("Hello\n")
                client.send_message(message)
        browser.until(lambda: local.place("And now?", ["INBOX"])[0], "both came")
        answer = browser.until(lambda: bobs(local), "the answer", 30)
        assert [one["Subject"] for one in answer] == ["Away"], "once"
        assert answer[0]["Auto-Submitted"].startswith("auto-replied") and "grüße" in answer[0].get_content()
        page.press("Escape")
        page.until("!document.querySelector('dialog')")
        # It is on when one comes back, and can be ended.
        page.press("g", "s")
        page.until("document.querySelector('.save-vacation')?.closest('fieldset').querySelector('input[type=checkbox]').checked", "it is still on")
        page.run("(() => { const g = document.querySelector('.save-vacation').closest('fieldset'); g.querySelector('input[type=checkbox]').click(); g.querySelector('.save-vacation').click(); })()")
        page.until("document.getElementById('notice').textContent.includes('Saved')")


@real
def what_a_search_finds():
    large = letter("Large plan", "x" * 60_000)
    attached = email.message.EmailMessage()
    attached["From"], attached["To"], attached["Cc"], attached["Subject"] = "Grace Hopper <grace@navy.example>", "alice@red.example", "carl@blue.example", "With a table"
    attached["Date"] = "Tue, 05 May 2020 10:00:00 +0000"
    attached.set_content("See the figures.\n")
    attached.add_attachment(b"1,2\n", maintype="text", subtype="csv", filename="table.csv")
    with Local([*real_cases.LETTERS, large, attached.as_bytes(policy=attached.policy.clone(linesep="\r\n"))]) as local:
        client = local.imap()
        client.select("INBOX")
        client.store(client.search(None, "SUBJECT", "bridge")[1][0], "+FLAGS", "(\\Flagged \\Seen)")
        client.logout()
        page = local.log_in()
        page.until(f"{ROWS}.length === 5", "the rows")
        everything = {"The bridge", "Newest", "Third", "Large plan", "With a table"}
        for words, found in (
                ("from:grace", {"With a table"}), ("to:alice subject:bridge", {"The bridge"}), ("cc:carl", {"With a table"}), ("body:figures", {"With a table"}),
                ("has:attachment", {"With a table"}), ("is:flagged", {"The bridge"}), ("is:unread larger:50K", {"Large plan"}), ("is:read", {"The bridge"}),
                ("smaller:50K -subject:table", {"The bridge", "Newest", "Third"}), ('"second span"', {"The bridge"}), ("subject:third OR subject:newest", {"Third", "Newest"}),
                ("in:inbox after:1d", everything), ("before:1d", set()), ("on:today from:dora", {"The bridge", "Newest", "Third", "Large plan"}), ("in:trash", set()),
                ("nowhere-to-be-found", set())):
            page.run("document.getElementById('search').value = ''")
            page.click("#search")
            page.type(words)
            page.press("Enter")
            wanted = json.dumps(sorted(found))
            page.until(f"location.hash === '#/search/' + encodeURIComponent({json.dumps(words)}) && JSON.stringify({SUBJECTS}.sort()) === JSON.stringify({wanted})"
                       f" && document.getElementById('list-empty').hidden === {'false' if not found else 'true'}", f"{words} finds {wanted}")


class List(http.server.BaseHTTPRequestHandler):
    """Who runs a mailing list, over HTTPS."""

    def do_POST(self):
        self.server.said.append((self.path, self.rfile.read(int(self.headers["Content-Length"])), dict(self.headers)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@real
def a_list_is_left_by_one_click():
    with Local(trusting=True) as local:
        # It has blue's name and certificate, and red is told that it may go there though it is on this machine.
        lists = http.server.HTTPServer(("127.0.0.1", 0), List)
        lists.said = []
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(f"{local.folder}/net/blue.example/tls/fullchain.pem", f"{local.folder}/net/blue.example/tls/key.pem")
        lists.socket = tls.wrap_socket(lists.socket, server_side=True)
        threading.Thread(target=lists.serve_forever, daemon=True).start()
        try:
            port = lists.server_address[1]
            place = f"https://mail.blue.example:{port}/leave?who=1"
            message = email.message_from_bytes(letter("Garden news", "Roses.\n"))
            message["List-Unsubscribe"], message["List-Unsubscribe-Post"] = f"<{place}>", "List-Unsubscribe=One-Click"
            local.append(message.as_bytes())
            page = local.log_in()
            open_subject(page, "Garden news")
            leave = "[...document.querySelectorAll('.banner button')].find((b) => b.textContent === 'Unsubscribe')"

            def click():
                page.run(f"{leave}.click()")
                page.until(f"{LAST_DIALOG}?.querySelector('.main')")
                assert place in page.run(f"{LAST_DIALOG}.textContent")
                page.run(f"{LAST_DIALOG}.querySelector('.main').click()")

            click()
            page.until("document.getElementById('notice').textContent.includes('didn')", "nobody is sent to this machine")
            assert not lists.said
            with open(f"{local.folder}/net/red.example/postrider.toml", "a", encoding="utf-8") as config:
                config.write(f'reach = ["127.0.0.1:{port}"]\n')
            local.process.send_signal(signal.SIGHUP)
            page.until("!document.querySelector('#notice.shown')", "the words are gone", 30)
            click()
            page.until("document.getElementById('notice').textContent.includes('was told')", "the list knows")
            (path, body, headers), = lists.said
            assert (path, body) == ("/leave?who=1", b"List-Unsubscribe=One-Click"), (path, body)
            assert not {name.lower() for name in headers} & {"cookie", "referer", "origin", "authorization"} and headers["user-agent"] == "Postrider", headers
        finally:
            lists.shutdown()
            lists.server_close()


@real
def where_is_my_mail():
    with Local() as local:
        page = local.log_in()
        undo_seconds(page, 0)
        write(page, "bob@blue.example, later@blue.example, refused@blue.example", "To three", "Hello")
        page.until("document.querySelectorAll('.chip').length === 3")
        send(page)
        browser.until(lambda: local.place("To three", ["Sent"])[0] and len(inbox(local)) == 1, "the report of the one that is refused", 30)
        folder(page, "Sent")
        open_subject(page, "To three")
        # The report is in the same conversation, and stands open; what was sent is above it.
        page.run("document.querySelector('.folded-head').click()")
        page.click("[aria-label='Where is my mail?']")
        # It goes on by itself: `later@` takes it at the second try.
        way = "document.querySelector('.journey-dialog .journey')"
        page.until(f"JSON.stringify([...{way}.querySelectorAll('.pill')].map((p) => p.textContent)) === JSON.stringify(['Handed over', 'Handed over', 'Came back'])", "all are through", 30)
        words = page.run(f"{way}.innerText")
        for line in ("Taken from you, over a connection without encryption.", "Handed to mail.blue.example, over an encrypted connection",
                     "blue.example asked us to come back later", "blue.example refused it"):
            assert line in words, (line, words)
        assert "451" not in words, "codes are behind a click"
        page.run(f"{way}.querySelectorAll('details').forEach((d) => {{ d.open = true; }})")
        assert "451" in page.run(f"{way}.innerText") and "TLSv1.3" in page.run(f"{way}.innerText")
        page.press("Escape")
        page.until("!document.querySelector('dialog')")
        # The report of what came back tells its own way.
        folder(page, "Inbox")
        page.until(f"{ROWS}.length === 1", "the report")
        local.open_row(0)
        page.click("[aria-label='How did this reach me?']")
        page.until(f"{way}?.textContent.includes('Written by this server.') && {way}.textContent.includes('Put into Inbox.')", "its way")
