"""The generated account of the test server: mailboxes, messages, threads, blobs and what changed in them.

It holds 20,000 or 1,000,000 messages: those that nobody has touched are a number from which `generated` makes
the message when it is asked for. Nothing is stored on disk, nothing is sent anywhere.
"""
import bisect
import datetime
import hashlib

EPOCH = datetime.datetime(2026, 6, 1, 12, 0, 0, tzinfo=datetime.timezone.utc)
NAMES = [("Ada Lovelace", "ada@blue.example"), ("Béla Bartók", "bela@musik.example"), ("Chidi Anagonye", "chidi@blue.example"),
         ("Dana Scully", "dana@files.example"), ("Erika Mustermann", "erika@muster.example"), ("Farid Haddad", "farid@blue.example"),
         ("Grace Hopper", "grace@navy.example"), ("Håkon Wium", "hakon@nord.example"), ("Ines Prado", "ines@sol.example"),
         ("Jun Watanabe", "jun@kaze.example")]
SUBJECTS = ["Minutes of Thursday's meeting", "Re: the bridge at Lauterbach", "Invoice 2026-{n}", "Lunch on Friday?", "Your order has been shipped",
            "Draft of chapter {n}", "Fotos vom Wochenende", "Question about the lease", "Build {n} is green again", "Tickets for the concert"]
PREVIEWS = ["Hello, here is what we agreed on, with the open points at the end.", "Thank you for the quick answer. I think that we should measure first.",
            "Please find the figures below; the total is due within 30 days.", "Are you free at half past twelve? The place at the corner is open again.",
            "It should be with you by Tuesday. You can follow the parcel here."]


def stamp(when):
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


class Account:
    """One account. `lock` is the caller's business."""

    def __init__(self, messages, threads):
        self.count, self.threaded = messages, threads
        self.state, self.log, self.blobs = 1, [], {}
        self.kept, self.mailboxes, self.members, self.thread_members = {}, {}, {}, {}
        self.next = messages
        self.snapshots = {}
        for index, (name, role) in enumerate([("Inbox", "inbox"), ("Drafts", "drafts"), ("Sent", "sent"), ("Archive", "archive"), ("Junk", "junk"),
                                              ("Trash", "trash"), ("Hostile", None), ("Travel", None)]):
            self.add_mailbox(f"b{index}", name, role, None, index)
        self.add_mailbox("b20", "Norway", None, "b7", 0)
        self.members["b0"] = list(range(messages))
        inbox = self.mailboxes["b0"]
        inbox["totalEmails"], inbox["unreadEmails"] = messages, (messages + 6) // 7
        inbox["totalThreads"], inbox["unreadThreads"] = messages, (messages + 6) // 7

    def add_mailbox(self, key, name, role, parent, order):
        self.mailboxes[key] = {
            "id": key, "name": name, "role": role, "parentId": parent, "sortOrder": order, "totalEmails": 0, "unreadEmails": 0,
            "totalThreads": 0, "unreadThreads": 0, "isSubscribed": True,
            "myRights": {right: True for right in ("mayReadItems", "mayAddItems", "mayRemoveItems", "maySetSeen", "maySetKeywords",
                                                   "mayCreateChild", "mayRename", "mayDelete", "maySubmit")}}
        self.members[key] = []

    # -- messages

    def moment(self, number):
        kept = self.kept.get(number)
        if kept:
            return datetime.datetime.fromisoformat(kept["receivedAt"].replace("Z", "+00:00"))
        return EPOCH - datetime.timedelta(minutes=7 * number)

    def thread_of(self, number):
        if number in self.kept:
            return self.kept[number]["threadId"]
        if self.threaded and number % 10 in (1, 2):
            number -= number % 10
        return f"t{number}"

    def thread(self, key):
        """Its messages, oldest first."""
        first = int(key[1:])
        numbers = set(self.thread_members.get(key, ()))
        if first < self.count:
            numbers.add(first)
            if self.threaded and first % 10 == 0:
                numbers.update(n for n in (first + 1, first + 2) if n < self.count)
        return sorted((n for n in numbers if self.exists(n)), key=self.moment)

    def exists(self, number):
        return self.kept.get(number, True) is not None if number in self.kept else number < self.count

    def email(self, number):
        if number in self.kept:
            return self.kept[number]
        return self.generated(number) if 0 <= number < self.count else None

    def generated(self, number):
        """Message `number` as it was before anybody touched it."""
        name, address = NAMES[number * 7 % len(NAMES)]
        base = number - number % 10 if self.threaded and number % 10 in (1, 2) else number
        subject = SUBJECTS[base * 3 % len(SUBJECTS)].format(n=base)
        if base != number or (self.threaded and number % 10 == 0):
            subject = subject if number % 10 == 2 else "Re: " + subject.removeprefix("Re: ")
        text = f"{PREVIEWS[number % len(PREVIEWS)]}\n\nThis is message number {number}.\n\n-- \n{name}\n"
        return self.shape(number, {
            "threadId": self.thread_of(number), "mailboxIds": {"b0": True},
            "keywords": {} if number % 7 == 0 else ({"$seen": True, "$flagged": True} if number % 23 == 0 else {"$seen": True}),
            "receivedAt": stamp(EPOCH - datetime.timedelta(minutes=7 * number)), "from": [{"name": name, "email": address}],
            "to": [{"name": "Alice Redwood", "email": "alice@red.example"}], "subject": subject,
        }, text=text, attachments=[("figures.csv", "text/csv", b"a,b\n1,2\n")] if number % 11 == 0 else [])

    def shape(self, number, email, text=None, html=None, attachments=(), headers=()):
        """Fills in what the page may ask of any message."""
        values, text_body, html_body, attached = {}, [], [], []
        if text is not None:
            values["1"] = text
            text_body = [self.part("1", "text/plain", text.encode())]
        if html is not None:
            values["2"] = html
            html_body = [self.part("2", "text/html", html.encode())]
        for index, entry in enumerate(attachments):
            name, kind, data, *rest = entry
            cid = rest[0] if rest else None
            attached.append(self.part(str(index + 3), kind, data, name, "inline" if cid else "attachment", cid))
        whole = {
            "id": f"e{number}", "blobId": f"R{number}", "size": 900 + number % 5000, "sentAt": email.get("receivedAt"), "cc": None, "bcc": None,
            "replyTo": None, "sender": None, "messageId": [f"{number}@red.example"], "inReplyTo": None, "references": None, "headers": list(headers),
            "hasAttachment": any(part["disposition"] == "attachment" for part in attached), "preview": (text or "An HTML message")[:200].replace("\n", " "),
            "textBody": text_body or html_body, "htmlBody": html_body or text_body, "attachments": attached,
            "bodyValues": {key: {"value": value, "isTruncated": False, "isEncodingProblem": False} for key, value in values.items()},
        }
        whole.update(email)
        whole["id"] = f"e{number}"
        return whole

    def part(self, key, kind, data, name=None, disposition=None, cid=None):
        blob = "P" + hashlib.sha1(data).hexdigest()
        self.blobs.setdefault(blob, (kind, data))
        return {"partId": key, "blobId": blob, "size": len(data), "type": kind, "name": name, "disposition": disposition, "cid": cid,
                "charset": "utf-8" if kind.startswith("text/") else None, "language": None, "location": None, "headers": []}

    # -- changes

    def note(self, kind, what, key):
        self.log.append((self.state, kind, what, key))

    def step(self):
        self.state += 1

    def count_in(self, email, sign):
        for key in email["mailboxIds"]:
            box = self.mailboxes[key]
            box["totalEmails"] += sign
            box["totalThreads"] += sign
            if "$seen" not in email["keywords"]:
                box["unreadEmails"] += sign
                box["unreadThreads"] += sign
            self.note("Mailbox", "updated", key)

    def enter(self, number, keys):
        for key in keys:
            members = self.members[key]
            at = bisect.bisect_left(members, -self.moment(number).timestamp(), key=lambda n: -self.moment(n).timestamp())
            members.insert(at, number)

    def leave(self, number, keys):
        for key in keys:
            self.members[key].remove(number)

    def add(self, email, **body):
        number, self.next = self.next, self.next + 1
        email.setdefault("threadId", f"t{number}")
        email.setdefault("receivedAt", stamp(EPOCH + datetime.timedelta(minutes=self.next - self.count)))
        whole = self.shape(number, email, **body)
        self.kept[number] = whole
        self.thread_members.setdefault(whole["threadId"], set()).add(number)
        self.count_in(whole, 1)
        self.enter(number, whole["mailboxIds"])
        self.note("Email", "created", f"e{number}")
        self.note("Thread", "updated" if len(self.thread(whole["threadId"])) > 1 else "created", whole["threadId"])
        return whole

    def change(self, number, mailboxes, keywords):
        email = dict(self.email(number))
        before = set(email["mailboxIds"])
        self.count_in(email, -1)
        email["mailboxIds"], email["keywords"] = mailboxes, keywords
        self.kept[number] = email
        self.leave(number, before - set(mailboxes))
        self.enter(number, set(mailboxes) - before)
        self.count_in(email, 1)
        self.note("Email", "updated", f"e{number}")

    def destroy(self, number):
        email = self.email(number)
        self.count_in(email, -1)
        self.leave(number, email["mailboxIds"])
        self.kept[number] = None
        self.note("Email", "destroyed", f"e{number}")
        self.note("Thread", "updated" if self.thread(email["threadId"]) else "destroyed", email["threadId"])

    def changes(self, kind, since):
        seen = {}
        for state, what_kind, what, key in self.log:
            if what_kind == kind and state >= since:
                first, last = seen.get(key, (what, what))
                seen[key] = (first, what)
        created, updated, destroyed = [], [], []
        for key, (first, last) in seen.items():
            if last == "destroyed":
                if first != "created":
                    destroyed.append(key)
            elif first == "created":
                created.append(key)
            else:
                updated.append(key)
        return created, updated, destroyed
