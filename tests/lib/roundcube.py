"""Roundcube (Debian's) on PHP's own web server, with SQLite, in a temporary folder; driven by the requests that its
pages send. Comes in: a mail system and an account. Goes out: what a person sees and does: lists, messages, searches, sending."""

import html, http.cookiejar, json, os, pathlib, re, shutil, sqlite3, tempfile, urllib.parse, urllib.request, uuid

from postrider import Process, free_port

PAGES = pathlib.Path("/var/lib/roundcube/public_html")
SCHEMA = pathlib.Path("/usr/share/roundcube/SQL/sqlite.initial.sql")


class Roundcube:
    def __init__(self, system, user, password):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="postrider-roundcube-", dir=os.environ.get("POSTRIDER_TEST_DIR")))
        self.port, self.system, self.user, self.password, self.token = free_port(), system, user, password, None
        for folder in ("config", "temp", "logs"):
            (self.top / folder).mkdir()
        for file in ("defaults.inc.php", "mimetypes.php"):
            (self.top / "config" / file).symlink_to(pathlib.Path("/etc/roundcube") / file)
        database = sqlite3.connect(self.top / "roundcube.db")
        database.executescript(SCHEMA.read_text())
        database.close()
        tls = f"['ssl' => ['cafile' => '{system.ca}', 'verify_peer' => true, 'peer_name' => 'localhost']]"
        (self.top / "config/config.inc.php").write_text(f"""<?php
$config = [];
$config['db_dsnw'] = 'sqlite:///{self.top}/roundcube.db?mode=0600';
$config['imap_host'] = 'ssl://localhost:{system.imaps}';
$config['smtp_host'] = 'tls://localhost:{system.submission}';
$config['imap_conn_options'] = {tls};
$config['smtp_conn_options'] = {tls};
$config['smtp_user'] = '%u';
$config['smtp_pass'] = '%p';
$config['log_dir'] = '{self.top}/logs/';
$config['temp_dir'] = '{self.top}/temp/';
$config['des_key'] = 'abcdefghijklmnopqrstuvwx';
$config['plugins'] = [];
$config['imap_debug'] = true;
$config['language'] = 'en_US';
$config['archive_mbox'] = 'Archive';
""")
        self.server = Process(["php", "-S", f"127.0.0.1:{self.port}", "-t", PAGES], self.top, "php",
                              {"ROUNDCUBE_CONFIG_DIR": str(self.top / "config")}, [self.port])
        self.browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def __enter__(self):
        try:
            self.server.start()
            self.log_in()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.said())
        self.end()

    def said(self):
        """What Roundcube has logged of errors and of its IMAP conversation."""
        logs = [file.read_text(errors="replace")[-3000:] for file in (self.top / "logs").iterdir()]
        return "\n".join([self.server.tail(), *logs])

    def end(self):
        if self.server.process and self.server.process.poll() is None:
            self.server.kill()
        if not os.environ.get("POSTRIDER_KEEP"):
            shutil.rmtree(self.top, ignore_errors=True)

    # ---- requests

    def request(self, post=None, files=None, **query):
        """The answer's body. post: fields of a form; files: {name: (file name, bytes)}."""
        query = {"_" + name: value for name, value in query.items()}
        url = f"http://127.0.0.1:{self.port}/?{urllib.parse.urlencode(query)}"
        headers, body = {"X-Roundcube-Request": self.token or ""}, None
        if files:
            boundary = uuid.uuid4().hex
            headers["Content-Type"] = f"multipart/form-data; boundary={boundary}"
            parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n'
                     "Content-Type: application/octet-stream\r\n\r\n".encode() + content + b"\r\n"
                     for name, (file, content) in files.items()]
            body = b"".join(parts) + f"--{boundary}--\r\n".encode()
        elif post is not None:
            body = urllib.parse.urlencode({"_" + name: value for name, value in post.items()}).encode()
        with self.browser.open(urllib.request.Request(url, body, headers), timeout=60) as answer:
            self.url = answer.url
            return answer.read()

    def remote(self, post=None, **query):
        """A request as Roundcube's scripts send it: JSON comes back. Its messages of the kind `error` fail."""
        if post is not None:
            post["remote"] = "1"
        else:
            query["remote"] = "1"
        said = json.loads(self.request(post, **query))
        assert "display_message" not in said.get("exec", "") or '"error"' not in said["exec"], said["exec"]
        return said

    def page(self, **query):
        text = self.request(**query).decode()
        found = re.search(r'"request_token":"(\w+)"', text)
        self.token = found[1] if found else self.token
        return text

    def log_in(self):
        self.page(task="login")
        text = self.request({"task": "login", "action": "login", "token": self.token, "user": self.user,
                             "pass": self.password, "timezone": "UTC", "url": ""}, task="login").decode()
        assert '"task":"mail"' in text, text[-2000:]
        self.token = re.search(r'"request_token":"(\w+)"', text)[1]

    # ---- what a person does

    def rows(self, said):
        """{uid: subject} of a list that came back."""
        found = re.findall(r'add_message_row\(("?\w+"?|\d+),(\{.*?\}),(\{.*?\}),', said["exec"])
        return {int(uid.strip('"')): json.loads(columns)["subject"] for uid, columns, _ in found}

    def list(self, mailbox="INBOX"):
        return self.rows(self.remote(task="mail", action="list", mbox=mailbox, refresh="1"))

    def search(self, text, mailbox="INBOX", headers="subject"):
        return self.rows(self.remote(task="mail", action="search", q=text, headers=headers, mbox=mailbox, scope="base"))

    def source(self, uid, mailbox="INBOX"):
        """All bytes of a message, as the menu entry Download gives them."""
        return self.request(task="mail", action="viewsource", uid=uid, mbox=mailbox, save="1")

    def show(self, uid, mailbox="INBOX"):
        """The page of a message."""
        return self.page(task="mail", action="show", uid=uid, mbox=mailbox)

    def part(self, uid, number, mailbox="INBOX"):
        return self.request(task="mail", action="get", uid=uid, mbox=mailbox, part=number, download="1")

    def mark(self, uid, flag, mailbox="INBOX"):
        self.remote({"uid": uid, "mbox": mailbox, "flag": flag}, task="mail", action="mark")

    def move(self, uid, target, mailbox="INBOX"):
        self.remote({"uid": uid, "mbox": mailbox, "target_mbox": target}, task="mail", action="move")

    def send(self, to, subject, text, name, content):
        """Composes a message with one attachment, sends it, and keeps a copy in Sent."""
        page = self.page(task="mail", action="compose", to="")
        number = urllib.parse.parse_qs(urllib.parse.urlparse(self.url).query)["_id"][0]
        identity = re.search(r'<select name="_from".*?<option value="(\d+)"', page, re.S)[1]
        said = self.request(files={"_attachments[]": (name, content)}, task="mail", action="upload", id=number,
                            uploadid="1", remote="1").decode()
        assert "add2attachment_list" in said, said
        said = self.request({"token": self.token, "task": "mail", "action": "send", "id": number, "attachments": "",
                             "from": identity, "to": to, "subject": subject, "message": text, "store_target": "Sent",
                             "is_html": "0", "draft": "", "framed": "1"}, task="mail", action="send").decode()
        assert "sent_successfully" in said, html.unescape(said)[-1500:]
