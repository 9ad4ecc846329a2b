"""Drives Thunderbird without a screen over Marionette (JSON over a socket): accounts by preferences, then
scripts in its own chrome context. Comes in: an account's servers. Goes out: what Thunderbird shows."""

import json, os, pathlib, shutil, signal, socket, subprocess, tempfile

from postrider import answers, free_port, until

PREFERENCES = """user_pref("app.update.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.reportingpolicy.firstRun", false);
user_pref("mail.provider.suppress_dialog_on_startup", true);
user_pref("mail.rights.version", 1);
user_pref("mail.shell.checkDefaultClient", false);
user_pref("mail.spotlight.firstRunDone", true);
user_pref("mail.winsearch.firstRunDone", true);
user_pref("mailnews.start_page.enabled", false);
user_pref("mailnews.start_page_override.mstone", "ignore");
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.proxy.type", 0);
user_pref("mail.biff.play_sound", false);
user_pref("mail.chat.enabled", false);
user_pref("calendar.timezone.useSystemTimezone", true);
user_pref("mail.compose.warn_public_recipients.aggressive", false);
user_pref("mailnews.sendInBackground", false);
user_pref("mail.tabs.drawInTitlebar", false);
user_pref("signon.rememberSignons", true);
user_pref("marionette.port", %(marionette)d);
user_pref("mail.accountmanager.accounts", "account1,account2");
user_pref("mail.accountmanager.defaultaccount", "account1");
user_pref("mail.accountmanager.localfoldersserver", "server2");
user_pref("mail.account.account1.identities", "id1");
user_pref("mail.account.account1.server", "server1");
user_pref("mail.account.account2.server", "server2");
user_pref("mail.identity.id1.fullName", "%(user)s");
user_pref("mail.identity.id1.useremail", "%(user)s");
user_pref("mail.identity.id1.smtpServer", "smtp1");
user_pref("mail.identity.id1.valid", true);
user_pref("mail.identity.id1.fcc", true);
user_pref("mail.identity.id1.fcc_folder", "imap://%(login)s@localhost/Sent");
user_pref("mail.identity.id1.fcc_folder_picker_mode", "1");
user_pref("mail.server.server1.type", "imap");
user_pref("mail.server.server1.hostname", "localhost");
user_pref("mail.server.server1.port", %(imap)d);
user_pref("mail.server.server1.socketType", %(imap_tls)d);
user_pref("mail.server.server1.userName", "%(user)s");
user_pref("mail.server.server1.name", "%(user)s");
user_pref("mail.server.server1.authMethod", 3);
user_pref("mail.server.server1.login_at_startup", false);
user_pref("mail.server.server1.check_new_mail", true);
user_pref("mail.server.server1.use_idle", true);
user_pref("mail.server.server1.delete_model", 1);
user_pref("mail.server.server2.type", "none");
user_pref("mail.server.server2.hostname", "Local Folders");
user_pref("mail.server.server2.userName", "nobody");
user_pref("mail.server.server2.name", "Local Folders");
user_pref("mail.smtpservers", "smtp1");
user_pref("mail.smtp.defaultserver", "smtp1");
user_pref("mail.smtpserver.smtp1.hostname", "localhost");
user_pref("mail.smtpserver.smtp1.port", %(smtp)d);
user_pref("mail.smtpserver.smtp1.try_ssl", %(smtp_tls)d);
user_pref("mail.smtpserver.smtp1.authMethod", %(smtp_auth)d);
user_pref("mail.smtpserver.smtp1.username", "%(user)s");
"""

PRELUDE = """
const done = arguments[arguments.length - 1];
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const { NetUtil } = ChromeUtils.importESModule("resource://gre/modules/NetUtil.sys.mjs");
const account = MailServices.accounts.accounts.find(a => a.incomingServer.type == "imap");
const server = account.incomingServer;
const wait = ms => new Promise(r => setTimeout(r, ms));
const folderOf = name => {
  const root = server.rootFolder;
  if (name == "INBOX") return root.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
  return root.descendants.find(f => f.name == name || f.URI.endsWith("/" + name));
};
// An update that meets another one under way may never tell that it has ended: callers look again anyway.
const update = folder => Promise.race([wait(3000), new Promise((resolve, reject) => {
  folder.QueryInterface(Ci.nsIMsgImapMailFolder).updateFolderWithListener(null, {
    OnStartRunningUrl() {},
    OnStopRunningUrl(url, status) { Components.isSuccessCode(status) ? resolve() : reject(new Error("update " + status.toString(16))); },
  });
})]);
(async () => { %s })().then(value => done({ value }), error => done({ error: String(error) + "\\n" + error.stack }));
"""


class Thunderbird:
    """One Thunderbird with one IMAP account. tls: 0 none, 2 STARTTLS, 3 from the first byte."""

    def __init__(self, user, password, imap, smtp, ca=None, imap_tls=3, smtp_tls=2, smtp_auth=3):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="postrider-thunderbird-"))
        self.port, self.user, self.password, self.ca, self.number = free_port(), user, password, ca, 0
        (self.top / "user.js").write_text(PREFERENCES % dict(
            marionette=self.port, user=user, login=user.replace("@", "%40"), imap=imap, smtp=smtp,
            imap_tls=imap_tls, smtp_tls=smtp_tls, smtp_auth=smtp_auth))
        self.log = open(self.top / "log", "wb")
        environment = {**os.environ, "HOME": str(self.top), "MOZ_HEADLESS": "1", "TZ": "UTC",
                       "MOZ_CRASHREPORTER_DISABLE": "1"}
        self.process = subprocess.Popen(["thunderbird", "--headless", "--no-remote", "--marionette",
                                         "--remote-allow-system-access", "--profile", str(self.top)],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=environment,
                                        start_new_session=True)

    def __enter__(self):
        try:
            until("Thunderbird's Marionette", lambda: answers(self.port), 90)
            self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=120)
            self.file = self.socket.makefile("rb")
            self.read()
            self.call("WebDriver:NewSession", {})
            self.call("Marionette:SetContext", {"value": "chrome"})
            self.call("WebDriver:SetTimeouts", {"script": 90000})
            if self.ca:
                pem = pathlib.Path(self.ca).read_text()
                self.script("""
                    const db = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
                    db.addCertFromBase64(arguments_[0], "C,,");
                """, "".join(line for line in pem.splitlines() if not line.startswith("-")))
            self.script("""
                for (const kind of ["imap", "smtp"]) {
                  const info = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
                  info.init(kind + "://localhost", null, kind + "://localhost", arguments_[0], arguments_[1], "", "");
                  await Services.logins.addLoginAsync(info);
                }
            """, self.user, self.password)
        except BaseException:
            print((self.top / "log").read_text(errors="replace")[-3000:])
            self.end()
            raise
        return self

    def __exit__(self, kind, *_):
        if kind:
            print((self.top / "log").read_text(errors="replace")[-3000:])
        self.end()

    def end(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.top, ignore_errors=True)

    # ---- Marionette: `length:json`, [0, id, command, parameters] and [1, id, error, value].

    def read(self):
        length = b""
        while not length.endswith(b":"):
            byte = self.file.read(1)
            assert byte, "Thunderbird has ended"
            length += byte
        return json.loads(self.file.read(int(length[:-1])))

    def call(self, command, parameters):
        self.number += 1
        text = json.dumps([0, self.number, command, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(text), text))
        _, number, error, value = self.read()
        assert number == self.number
        assert error is None, f"{command}: {error}"
        return value

    def script(self, body, *arguments):
        """Runs asynchronous JavaScript; `arguments_` are the arguments; returns its value."""
        code = "const arguments_ = Array.from(arguments).slice(0, -1);" + PRELUDE % body
        answer = self.call("WebDriver:ExecuteAsyncScript", {"script": code, "args": list(arguments)})["value"]
        assert "error" not in answer, answer["error"]
        return answer.get("value")

    # ---- what a person does

    def folders(self):
        return self.script("""
            await update(folderOf("INBOX"));
            server.performExpand(null);
            for (let n = 0; n < 100 && server.rootFolder.descendants.length < 6; n++) await wait(50);
            return server.rootFolder.descendants.map(f => f.name);
        """)

    def subjects(self, folder="INBOX"):
        return self.script("""
            const folder = folderOf(arguments_[0]);
            if (!folder) return [];
            await update(folder);
            return [...folder.messages].map(m => m.mime2DecodedSubject);
        """, folder)

    def source(self, subject, folder="INBOX"):
        """The message's bytes as Thunderbird reads them."""
        text = self.script("""
            const folder = folderOf(arguments_[0]);
            const header = [...folder.messages].find(m => m.mime2DecodedSubject == arguments_[1]);
            const uri = folder.getUriForMsg(header);
            return await new Promise((resolve, reject) => {
              const chunks = [];
              MailServices.messageServiceFromURI(uri).streamMessage(uri, {
                QueryInterface: ChromeUtils.generateQI(["nsIStreamListener", "nsIRequestObserver"]),
                onStartRequest() {},
                onDataAvailable(request, stream, offset, count) { chunks.push(NetUtil.readInputStreamToString(stream, count)); },
                onStopRequest(request, status) { Components.isSuccessCode(status) ? resolve(btoa(chunks.join(""))) : reject(new Error("stream " + status.toString(16))); },
              }, null, null, false, "", false);
            });
        """, folder, subject)
        import base64
        return base64.b64decode(text)

    def mark(self, subject, flagged=True, read=True, folder="INBOX"):
        self.script("""
            const folder = folderOf(arguments_[0]);
            const header = [...folder.messages].find(m => m.mime2DecodedSubject == arguments_[1]);
            folder.markMessagesFlagged([header], arguments_[2]);
            folder.markMessagesRead([header], arguments_[3]);
            await update(folder);
        """, folder, subject, flagged, read)

    def move(self, subject, target, folder="INBOX"):
        self.script("""
            const [source, target] = [folderOf(arguments_[0]), folderOf(arguments_[2])];
            const header = [...source.messages].find(m => m.mime2DecodedSubject == arguments_[1]);
            MailServices.copy.copyMessages(source, [header], target, true, null, null, false);
            const gone = () => ![...source.messages].some(m => m.mime2DecodedSubject == arguments_[1]);
            for (let n = 0; n < 200 && !gone(); n++) await wait(100);
            if (!gone()) throw new Error("the message is still in " + arguments_[0]);
            await update(target);
        """, folder, subject, target)

    def send(self, to, subject, text):
        """Composes and sends; a copy goes to Sent."""
        self.script("""
            const [to, subject, text] = arguments_;
            const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
            fields.to = to; fields.subject = subject; fields.body = text;
            const identity = MailServices.accounts.getIdentity("id1");
            fields.from = identity.email;
            const parameters = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
            parameters.composeFields = fields;
            parameters.identity = identity;
            parameters.type = Ci.nsIMsgCompType.New;
            parameters.format = Ci.nsIMsgCompFormat.PlainText;
            const compose = MailServices.compose.initCompose(parameters);
            await new Promise((resolve, reject) => {
              const progress = Cc["@mozilla.org/messenger/progress;1"].createInstance(Ci.nsIMsgProgress);
              compose.addMsgSendListener({
                QueryInterface: ChromeUtils.generateQI(["nsIMsgSendListener"]),
                onStartSending() {}, onSendProgress() {}, onStatus() {}, onGetDraftFolderURI() {},
                onStopSending(id, status, message) {
                  if (!Components.isSuccessCode(status)) reject(new Error("sending " + status.toString(16) + " " + message));
                },
                onSendNotPerformed() { reject(new Error("not sent")); },
                onTransportSecurityError(id, status) { reject(new Error("TLS " + status.toString(16))); },
              });
              compose.sendMsg(Ci.nsIMsgCompDeliverMode.Now, identity, account.key, null, progress).then(resolve, reject);
            });
        """, to, subject, text)
