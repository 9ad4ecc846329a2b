"""The mailbox that both IMAP servers hold: messages as people have them, the same in each run.

Of a hundred messages some 55 are plain, 30 are multipart/alternative and 15 have an attachment of 50 to 100 KB (one in ten of
them a forwarded message beside it). Three of five answer an earlier one. `RARE` is a word in the text of each hundredth.
"""

import base64, datetime, functools, random

MESSAGES = 20_000
RARE = "quagmire"
#: Half of the messages that are not seen are later than this.
SINCE = datetime.datetime(2024, 7, 1, tzinfo=datetime.timezone.utc)
#: Who `SEARCH FROM` looks for, and what `SEARCH SUBJECT` does.
SENDER, SUBJECT = "person7@", "budget"

START = datetime.datetime(2023, 1, 1, 8, tzinfo=datetime.timezone.utc)
STEP = datetime.timedelta(minutes=79)


@functools.cache
def words():
    chance = random.Random(1)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "in", "or", "um")]
    return ["".join(chance.choices(syllables, k=chance.choice((1, 2, 2, 3, 3, 4)))) for _ in range(5000)]


@functools.cache
def noise():
    """A megabyte of base64 lines, as attachments have them."""
    return base64.encodebytes(random.Random(2).randbytes(1 << 20)).replace(b"\n", b"\r\n")


def prose(chance, octets, rare):
    """Lines of words, as long as people's are; sometimes with a letter that is not ASCII."""
    lines, length = [], 0
    while length < octets:
        line = " ".join(chance.choices(words(), k=11)) + chance.choice((".", ",", "", " ü"))
        lines.append(line)
        length += len(line) + 2
    if rare:
        lines[len(lines) // 2] += f" {RARE} and more"
    return "\r\n".join(lines) + "\r\n"


def part(kind, encoding, body, more=""):
    return f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n{more}\r\n".encode() + body


def quoted(text):
    return text.replace("=", "=3D").replace("ü", "=C3=BC").encode()


def attached(chance, n):
    size = chance.randrange(50_000, 100_000)
    at = chance.randrange(len(noise()) // 78 - size // 78 - 1) * 78
    kind, name = chance.choice((("application/pdf", "report.pdf"), ("image/jpeg", "photo.jpg"), ("application/zip", "all.zip")))
    return part(f'{kind}; name="{name}"', "base64", noise()[at:at + size // 78 * 78],
                f'Content-Disposition: attachment; filename="{n}-{name}"\r\n')


def identifier(n):
    return f"<{n}.{n * 7919 % 100003}@mail{n % 50}.example>"


def threads(chance, n):
    """What message `n` answers, oldest first. The answer is among the last fifty, as answers are."""
    chain, at = [], n
    while at > 0 and chance.random() < 0.6 and len(chain) < 12:
        at = max(0, at - chance.randrange(1, 50))
        chain.append(at)
    return chain[::-1]


def message(n):
    """Message `n`: its bytes, flags and date."""
    chance = random.Random(n * 1_000_003 + 17)
    rare = n % 100 == 37
    date = START + STEP * n + datetime.timedelta(seconds=chance.randrange(-7200, 7200))
    chain = threads(chance, n)
    subject = " ".join(random.Random(chain[0] if chain else n).choices(words(), k=4))
    if (chain[0] if chain else n) % 23 == 5:
        subject += f" {SUBJECT}"
    who = chance.randrange(200)
    head = [f"Return-Path: <person{who}@mail{who % 50}.example>",
            f"Received: from mail{who % 50}.example (mail{who % 50}.example [192.0.2.{who}])",
            f"\tby mx.here.example (Postfix) with ESMTPS id {n:012X}", f"\tfor <u0@here.example>; {rfc5322(date)}",
            f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=mail{who % 50}.example; s=one;",
            "\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;", f"\tb={base64.b64encode(random.Random(n).randbytes(96)).decode()}",
            f"Message-ID: {identifier(n)}", f"Date: {rfc5322(date)}", "MIME-Version: 1.0", "User-Agent: Someone's Mail 1.0",
            f"Subject: {'Re: ' if chain else ''}{subject}",
            f'From: "{words()[who].title()} {words()[who + 300].title()}" <person{who}@mail{who % 50}.example>',
            f"To: u0@here.example, Some One <person{chance.randrange(200)}@mail1.example>"]
    if chance.random() < 0.3:
        head.append(f"Cc: person{chance.randrange(200)}@mail2.example, person{chance.randrange(200)}@mail3.example")
    if chain:
        head += [f"In-Reply-To: {identifier(chain[-1])}", "References: " + "\r\n ".join(map(identifier, chain))]
    kind, edge = chance.random(), f"edge-{n}-{chance.randrange(1 << 40):x}"
    text = prose(chance, chance.randrange(600, 6000), rare)
    plain = lambda: part("text/plain; charset=utf-8", "8bit", text.encode())
    if kind < 0.5:
        body = plain()
    elif kind < 0.55:
        body = part("text/plain; charset=utf-8", "base64", base64.encodebytes(text.encode()).replace(b"\n", b"\r\n"))
    elif kind < 0.85:
        html = "<html><body><p>" + text.replace("\r\n", "<br>\r\n") + "</p></body></html>\r\n"
        body = multipart("alternative", edge, [part("text/plain; charset=utf-8", "quoted-printable", quoted(text)),
                                               part("text/html; charset=utf-8", "quoted-printable", quoted(html))])
    else:
        parts = [plain(), attached(chance, n)]
        if kind > 0.985:
            inner = f"From: person1@mail1.example\r\nSubject: forwarded {n}\r\nDate: {rfc5322(date)}\r\n\r\n".encode()
            parts.append(b"Content-Type: message/rfc822\r\n\r\n" + inner + prose(chance, 500, False).encode())
        body = multipart("mixed", edge, parts)
    flags = [flag for flag, share in (("\\Seen", 0.7), ("\\Answered", 0.2), ("\\Flagged", 0.03)) if chance.random() < share]
    return "\r\n".join(head).encode() + b"\r\n" + body, flags, date


def multipart(kind, edge, parts):
    between = b"--" + edge.encode() + b"\r\n"
    return (f'Content-Type: multipart/{kind}; boundary="{edge}"\r\n\r\n'.encode()
            + b"".join(between + one + b"\r\n" for one in parts) + b"--" + edge.encode() + b"--\r\n")


def rfc5322(date):
    return date.strftime("%a, %d %b %Y %H:%M:%S +0000")


def append(n, mailbox, tag):
    """The APPEND of message `n`, its literal not waited for (RFC 7888)."""
    content, flags, date = message(n)
    return b'%s APPEND %s (%s) "%s" {%d+}\r\n%s\r\n' % (
        tag, mailbox.encode(), " ".join(flags).encode(), date.strftime("%d-%b-%Y %H:%M:%S +0000").encode(), len(content), content)
