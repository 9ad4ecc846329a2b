"""Many sessions at once that remember what they were promised. Comes in: ports. Goes out: a Ledger of
acknowledged deliveries, and what IMAP clients were told; the server may die at any moment."""

import asyncio, collections, random, re

ACCOUNTS = [f"u{n}@ours.example" for n in range(6)]
ELSEWHERE = "sink.example"
#: UIDs in one command of a client.
AT_ONCE = 500


class Ledger:
    """What the server said it had done; and what it may or may not have done when it died."""

    def __init__(self):
        self.acknowledged = {}                            # message id -> recipients
        self.attempted = {}                               # the same, also without an answer
        self.appended = {}                                # (account, uidvalidity, uid) -> message id
        self.flagged, self.maybe_flagged = set(), set()   # (account, uid) with \Flagged
        self.expunged, self.maybe_expunged = set(), set() # (account, uid)
        self.seen = collections.defaultdict(dict)         # account -> uid -> message id
        self.present = collections.defaultdict(set)       # account -> uids seen that nobody tried to expunge
        self.uidl = collections.defaultdict(dict)         # account -> message id -> unique ids
        self.validity = {}                                # account -> UIDVALIDITY
        self.next_uid = collections.defaultdict(int)      # account -> the highest UIDNEXT that was told


    def forget_settled(self, taken):
        """Forgets what was compared and can't change any more (expunged everywhere, taken elsewhere): long runs stay
        as fast as short ones. That no UID comes back is still seen: `next_uid` only grows."""
        where = collections.defaultdict(dict)
        for account, seen in self.seen.items():
            for uid, name in seen.items():
                where[name][account] = uid
        for name, recipients in list(self.acknowledged.items()):
            places = where[name]
            if not all((name, r) in taken if r.endswith(ELSEWHERE) else (r, places.get(r)) in self.expunged
                       for r in recipients):
                continue
            del self.acknowledged[name]
            for account, uid in places.items():
                del self.seen[account][uid]
                self.uidl[account].pop(name, None)
                self.appended.pop((account, self.validity[account], uid), None)
                for marks in (self.expunged, self.maybe_expunged, self.flagged, self.maybe_flagged):
                    marks.discard((account, uid))


class Gone(Exception):
    """The server is no longer there: the end of a session, not an error."""


class Refused(Exception):
    """4xx or NO: for now, or for ever, but nothing was promised."""


class Lines:
    """A connection that speaks in lines."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port):
        try:
            return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))
        except OSError as error:
            raise Gone from error

    async def line(self):
        try:
            line = await self.reader.readline()
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Gone from error
        if not line.endswith(b"\n"):
            raise Gone
        return line.rstrip(b"\r\n")

    async def exactly(self, count):
        try:
            return await self.reader.readexactly(count)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Gone from error

    async def send(self, data):
        try:
            self.writer.write(data)
            await self.writer.drain()
        except OSError as error:
            raise Gone from error

    def close(self):
        self.writer.close()


class Smtp(Lines):
    async def reply(self):
        while True:
            line = await self.line()
            if line[3:4] != b"-":
                return int(line[:3]), line

    async def command(self, text, expected):
        await self.send(text + b"\r\n")
        code, line = await self.reply()
        if code == 421:
            raise Gone
        if code // 100 == 4:
            raise Refused(line.decode())
        assert code == expected, f"{text!r}: {line!r}"
        return line


class Imap(Lines):
    tag = 0

    async def login(self, user, password):
        await self.line()
        await self.command(f'LOGIN {user} {password}')

    async def command(self, text, literal=None):
        """The untagged lines (with literals joined in) and the tagged one; raises unless OK."""
        self.tag += 1
        tag = f"t{self.tag}".encode()
        await self.send(tag + b" " + text.encode() + b"\r\n")
        if literal is not None:
            while not (line := await self.line()).startswith(b"+"):
                if line.startswith(tag + b" NO"):
                    raise Refused(line.decode())
                assert not line.startswith(tag), line
            await self.send(literal + b"\r\n")
        lines = []
        while True:
            line = await self.line()
            while mark := re.search(rb"\{(\d+)\}$", line):
                line = line + b"\n" + await self.exactly(int(mark[1])) + await self.line()
            if line.startswith(b"* BYE"):
                raise Gone
            if line.startswith(tag + b" NO"):
                raise Refused(line.decode())
            if line.startswith(tag + b" "):
                assert line.split()[1] == b"OK", f"{text}: {line!r}"
                return lines, line
            lines.append(line)


def new_message(rng, name):
    filler = b"".join(b"%016x\r\n" % rng.getrandbits(64) for _ in range(rng.choice((20, 60, 200, 1000, 4000))))
    return (f"From: <x@client.example>\r\nMessage-ID: {name}\r\nSubject: load\r\n\r\n").encode() + filler


class Load:
    """The sessions. `stop()` lets them end after what they are doing. `clearing`: how often an owner's next
    step is to throw most of the mailbox away (segments of the log become sparse then); `keep`: messages in a
    mailbox above which it always is."""

    def __init__(self, ports, ledger, seed, senders=12, relay=True, clearing=0.01, keep=None):
        self.ports, self.ledger, self.senders, self.relay = ports, ledger, senders, relay
        self.rng, self.stopping, self.counter, self.errors = random.Random(seed), False, 0, []
        self.refused, self.last_no = collections.Counter(), None
        self.seed, self.clearing, self.keep = seed, clearing, keep

    def name(self):
        self.counter += 1
        return f"<{self.seed}.{self.counter}@client.example>"

    def stop(self):
        self.stopping = True

    async def run(self):
        actors = [self.sender() for _ in range(self.senders)] + [self.owner(account) for account in ACCOUNTS]
        await asyncio.gather(*(self.guarded(actor) for actor in actors))

    async def guarded(self, actor):
        try:
            await actor
        except (Gone, ConnectionError):
            pass
        except Refused as refused:
            # At a log-in or SELECT, while the program ends for a failure of its disk.
            if "store has stopped" not in str(refused) and not self.stopping:
                self.errors.append(refused)
        except Exception as error:
            if not self.stopping:
                self.errors.append(error)

    async def sender(self):
        """Sends message after message to one to three recipients, some of them elsewhere."""
        smtp = await Smtp.open(self.ports["smtp"])
        await smtp.reply()
        await smtp.command(b"EHLO client.example", 250)
        while not self.stopping:
            try:
                await self.send(smtp)
            except Refused as refused:
                self.refused[str(refused)[:3]] += 1
                await smtp.command(b"RSET", 250)
        await smtp.command(b"QUIT", 221)
        smtp.close()

    async def send(self, smtp):
        name = self.name()
        recipients = self.rng.sample(ACCOUNTS, self.rng.randint(1, 3))
        if self.relay and self.rng.random() < 0.4:
            recipients.append(f"r{self.counter}@{ELSEWHERE}")
        message = new_message(self.rng, name)
        await smtp.command(b"MAIL FROM:<x@client.example>", 250)
        for recipient in recipients:
            await smtp.command(f"RCPT TO:<{recipient}>".encode(), 250)
        await smtp.command(b"DATA", 354)
        self.ledger.attempted[name] = recipients
        await smtp.command(message + b".", 250)
        self.ledger.acknowledged[name] = recipients

    async def owner(self, account):
        """Reads, flags, appends and expunges in an INBOX, one thing after another."""
        imap = await Imap.open(self.ports["imap"])
        await imap.login(account, "secret")
        lines, _ = await imap.command("SELECT INBOX")
        validity = int(re.search(rb"UIDVALIDITY (\d+)", b" ".join(lines))[1])
        while not self.stopping:
            try:
                await self.use(imap, account, validity)
            except Refused as refused:
                self.refused["NO"] += 1
                self.last_no = str(refused)
        imap.close()

    async def use(self, imap, account, validity):
        ledger = self.ledger
        known = sorted(ledger.present[account])
        action = self.rng.choice(("append", "read", "read", "flag", "expunge", "expunge"))
        if self.rng.random() < self.clearing or (self.keep and len(known) > self.keep):
            action = "clear"
        if action == "append":
            name = self.name()
            message = new_message(self.rng, name)
            ledger.attempted[name] = [account]
            _, line = await imap.command("APPEND INBOX {%d}" % len(message), message)
            uid = re.search(rb"\[APPENDUID (\d+) (\d+)\]", line)
            ledger.acknowledged[name] = [account]
            # A store that fails right after it has the message can't say more than OK.
            if uid:
                assert int(uid[1]) == validity, line
                ledger.appended[account, validity, int(uid[2])] = name
        elif action == "read":
            await look(imap, ledger, account)
        elif action == "flag" and known:
            uid = self.rng.choice(known)
            ledger.maybe_flagged.add((account, uid))
            await imap.command(rf"UID STORE {uid} +FLAGS (\Flagged)")
            ledger.flagged.add((account, uid))
        elif action in ("expunge", "clear") and known:
            share = 1 if action == "expunge" else len(known) * 9 // 10
            some = self.rng.sample(known, max(1, min(share, AT_ONCE)))
            ledger.maybe_expunged.update((account, uid) for uid in some)
            ledger.present[account].difference_update(some)
            uids = ",".join(map(str, some))
            await imap.command(rf"UID STORE {uids} +FLAGS.SILENT (\Deleted)")
            await imap.command(f"UID EXPUNGE {uids}")
            ledger.expunged.update((account, uid) for uid in some)


async def look(imap, ledger, account, everything=False):
    """Reads UIDs with Message-IDs and flags; checks that a UID seen before is the same message."""
    first = 1 if everything else max(1, max(ledger.seen[account], default=0) - 20)
    lines, _ = await imap.command(f"UID FETCH {first}:* (FLAGS BODY.PEEK[HEADER.FIELDS (Message-ID)])")
    found = {}
    for line in lines:
        uid, name = re.search(rb"UID (\d+)", line), re.search(rb"<[\w.]+@client\.example>", line)
        if not (uid and name):
            continue
        uid, name = int(uid[1]), name[0].decode()
        before = ledger.seen[account].get(uid)
        assert before in (None, name), f"UID {uid} of {account} was {before} and is {name}"
        ledger.seen[account][uid] = name
        if (account, uid) not in ledger.maybe_expunged:
            ledger.present[account].add(uid)
        found[uid] = (name, rb"\Flagged" in line)
    return found


class Sink:
    """An SMTP server elsewhere: counts each message that it took, by its Message-ID and recipient."""

    def __init__(self):
        self.taken = collections.Counter()

    async def start(self, port):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", port, limit=1 << 20)

    async def serve(self, reader, writer):
        try:
            recipients = []
            writer.write(b"220 sink.example ESMTP\r\n")
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"EHLO":
                    writer.write(b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 0\r\n")
                elif verb == b"RCPT":
                    recipients.append(re.search(rb"<(.*?)>", line)[1].decode())
                    writer.write(b"250 ok\r\n")
                elif verb == b"DATA":
                    writer.write(b"354 go\r\n")
                    name = None
                    while (line := await reader.readline()) not in (b".\r\n", b""):
                        if name is None and line.lower().startswith(b"message-id:"):
                            name = line.split(b":", 1)[1].strip().decode()
                    if not line:
                        break
                    for recipient in recipients:
                        self.taken[name, recipient] += 1
                    recipients = []
                    writer.write(b"250 taken\r\n")
                elif verb == b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                else:
                    recipients = [] if verb in (b"RSET", b"MAIL") else recipients
                    writer.write(b"250 ok\r\n")
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
