"""What a mail client's page asks for, over JMAP of ours and over IMAP of Dovecot: a list of fifty, of all or of what is found.

A row is a name, a goal in milliseconds, and what is said: the Message-IDs of the list, in order, so that they are compared.
"""

import http.client, json, re, statistics, time

import asking, comparing, filling

PAGE, TIMES = 50, 5
#: What a list shows.
PROPERTIES = ["id", "threadId", "messageId", "from", "subject", "receivedAt", "keywords", "size", "hasAttachment"]
ENVELOPES = "UID FETCH {} (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)"


class Jmap:
    """A session as a browser has one: logged in, one connection."""

    def __init__(self, side):
        self.connection = http.client.HTTPConnection("127.0.0.1", side.server.http, timeout=300)
        self.head = {"Content-Type": "application/json", "Postrider-Request": "1"}
        answer = self.send("POST", "/auth/login", json.dumps({"address": side.user, "password": side.password}))
        self.head["Cookie"] = answer.getheader("Set-Cookie").partition(";")[0]
        answer.read()
        session = json.loads(self.send("GET", "/jmap/session").read())
        self.account = session["primaryAccounts"]["urn:ietf:params:jmap:mail"]
        (self.inbox,) = self.ask(["Mailbox/query", {"filter": {"role": "inbox"}}])[1][0][1]["ids"]

    def send(self, method, path, body=None):
        self.connection.request(method, path, body, self.head)
        answer = self.connection.getresponse()
        assert answer.status == 200, (path, answer.status, answer.read()[:500])
        return answer

    def ask(self, *calls):
        """(seconds, responses, octets) of one request."""
        calls = [[name, {"accountId": self.account} | arguments, str(n)] for n, (name, arguments) in enumerate(calls)]
        body = json.dumps({"using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"], "methodCalls": calls})
        start = time.perf_counter()
        said = self.send("POST", "/jmap/api", body).read()
        seconds = time.perf_counter() - start
        responses = json.loads(said)["methodResponses"]
        assert all(name != "error" for name, *_ in responses), responses
        return seconds, responses, len(said)

    def again(self):
        """A new connection: the other sides take longer than the server waits for the next request."""
        self.connection.close()
        self.connection.connect()

    def page(self, filter, **more):
        """Fifty of what matches, the newest first, as a list shows them."""
        query = {"filter": filter, "sort": [{"property": "receivedAt", "isAscending": False}], "limit": PAGE} | more
        ids = {"resultOf": "0", "name": "Email/query", "path": "/ids"}
        seconds, responses, octets = self.ask(["Email/query", query], ["Email/get", {"#ids": ids, "properties": PROPERTIES}])
        return seconds, [f"<{email['messageId'][0]}>" for email in responses[1][1]["list"]], octets

    def close(self):
        self.connection.close()


class Imap:
    """The same over IMAP: the order of all that matches, then what a list shows of fifty."""

    def __init__(self, side):
        self.client = side.client()
        self.client.ask("SELECT INBOX")

    def page(self, criteria):
        seconds, said = self.client.ask(f"UID SORT (REVERSE ARRIVAL) UTF-8 {criteria}")
        found = [uid.decode() for uid in comparing.uids(said)[:PAGE]]
        if not found:
            return seconds, [], len(said)
        more, fetched = self.client.ask(ENVELOPES.format(",".join(found)))
        by_uid = {re.search(rb"UID (\d+)", line)[1].decode(): line for line in comparing.fetched(fetched)}
        ids = [re.findall(rb"<[^<>]+>", by_uid[uid].partition(b"ENVELOPE")[2])[-1].decode() for uid in found]
        return seconds + more, ids, len(said) + len(fetched)

    def close(self):
        self.client.close()


def rows():
    """Name: the goal in milliseconds, what ours is asked, and what Dovecot is (None: it has nothing of the kind)."""
    return {
        "the newest 50 of the mailbox": (10, {}, "ALL"),
        "the newest 50 conversations of the mailbox": (10, {"collapse": True}, None),
        "50 unread": (10, {"notKeyword": "$seen"}, "UNSEEN"),
        "50 from a sender": (50, {"from": filling.SENDER}, f'FROM "{filling.SENDER}"'),
        "50 with a word in the subject": (50, {"subject": filling.SUBJECT}, f'SUBJECT "{filling.SUBJECT}"'),
        "50 with a word in the text": (50, {"text": filling.RARE}, f'TEXT "{filling.RARE}"'),
        "50 unread with a word in the text": (50, {"text": filling.RARE, "notKeyword": "$seen"}, f'TEXT "{filling.RARE}" UNSEEN'),
        "50 since a day": (10, {"after": f"{filling.SINCE:%Y-%m-%dT%H:%M:%SZ}"}, f"SINCE {filling.SINCE:%d-%b-%Y}"),
    }


def ask_all(side, wanted):
    """One round on one side; after a start, when what is made beside is made."""
    side.caught_up()
    side.chill()
    is_ours = isinstance(side, comparing.Ours)
    client = (Jmap if is_ours else Imap)(side)
    for name, (goal, filter, criteria) in rows().items():
        if not wanted(name):
            continue
        if is_ours:
            more = {"collapseThreads": True} if "collapse" in filter else {}
            filter = {key: value for key, value in filter.items() if key != "collapse"} | {"inMailbox": client.inbox}
            page = lambda: client.page(filter, **more)
            client.again()
        elif criteria:
            page = lambda: client.page(criteria)
        else:
            yield f"{name}, first", goal, None
            yield f"{name}, again", goal, None
            continue
        first = page()
        yield f"{name}, first", goal, first
        pages = [page() for _ in range(TIMES)]
        assert all(said == first[1] for _, said, _ in pages)
        yield f"{name}, again", goal, (statistics.median(seconds for seconds, *_ in pages), first[1], first[2])
    client.close()
