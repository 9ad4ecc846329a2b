"""Test letters, and how to look at what became of them. Bytes in, bytes out."""

import imaplib, poplib, smtplib, uuid, email.utils

from postrider import until

#: Bodies that have broken mail software before: each line ends in CRLF; there is no bare CR or LF.
BODIES = {
    "plain": b"Hello Bob,\r\n\r\nthis is it.\r\n",
    "dots": b".\r\n..\r\n.a dot first\r\nand last\r\n.\r\n",
    "utf8": "Grüße aus Köln, 世界 🐦\r\n".encode(),
    "from": b"From here on\r\n>From there\r\nFrom  \r\n",
    "blank": b"\r\n\r\n  trailing blanks  \t \r\n\r\n",
    "long": b"x" * 990 + b"\r\n" + b"y" * 998 + b"\r\n",
    "many": b"".join(b"line %d of very many\r\n" % n for n in range(20000)),
}


def letter(sender, to, body, subject="a test", extra=b""):
    """A letter with a fresh Message-ID; returns (message id, bytes)."""
    message_id = f"<{uuid.uuid4()}@{sender.split('@')[1]}>"
    head = (f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nMessage-ID: {message_id}\r\n"
            f"Date: {email.utils.formatdate()}\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n").encode()
    return message_id, head + extra + b"\r\n" + body


def body_of(message):
    return message.split(b"\r\n\r\n", 1)[1]


def imap(system, user, password=None, tls=True):
    """A logged-in imaplib connection."""
    if tls:
        connection = imaplib.IMAP4_SSL("localhost", system.imaps, ssl_context=system.tls(), timeout=30)
    else:
        connection = imaplib.IMAP4("127.0.0.1", system.imap, timeout=30)
    connection.login(user, password or user.split("@")[0])
    return connection


def pop(system, user, password=None):
    """A logged-in poplib connection over TLS."""
    connection = poplib.POP3_SSL("localhost", system.pop3s, context=system.tls(), timeout=30)
    connection.user(user)
    connection.pass_(password or user.split("@")[0])
    return connection


def submit(system, sender, to, message, password=None, options=()):
    """Sends by smtplib over STARTTLS with AUTH."""
    with smtplib.SMTP("localhost", system.submission, timeout=60) as smtp:
        smtp.starttls(context=system.tls())
        smtp.login(sender, password or sender.split("@")[0])
        smtp.sendmail(sender, [to] if isinstance(to, str) else to, message, mail_options=list(options))


def find(connection, message_id, mailbox="INBOX"):
    """The UID of a message by its Message-ID, as bytes; None while it is not there."""
    connection.select(mailbox)
    status, (found,) = connection.uid("SEARCH", "HEADER", "Message-ID", f'"{message_id}"')
    assert status == "OK", (status, found)
    return found.split()[-1] if found else None


def arrives(connection, message_id, mailbox="INBOX", seconds=30):
    """Waits for a message and returns all its bytes."""
    uid = until(f"{message_id} in {mailbox}", lambda: find(connection, message_id, mailbox), seconds)
    status, parts = connection.uid("FETCH", uid, "(BODY.PEEK[] RFC822.SIZE)")
    assert status == "OK", status
    head, message = parts[0]
    size = int(b" ".join(p if isinstance(p, bytes) else b" ".join(p) for p in parts[:1] + parts[1:])
               .split(b"RFC822.SIZE ")[1].split()[0].rstrip(b")"))
    assert size == len(message), f"RFC822.SIZE says {size}, the message has {len(message)} octets"
    return message


def found(connection, key, text, mailbox="INBOX", seconds=30):
    """Waits for the message that a search with this key (SUBJECT, TEXT) finds, and returns all its bytes."""
    def look():
        connection.select(mailbox)
        connection.literal = text.encode()
        uids = connection.uid("SEARCH", "CHARSET", "UTF-8", key)[1][0]
        return uids and uids.split()[-1]
    uid = until(f"{key} {text} in {mailbox}", look, seconds)
    return connection.uid("FETCH", uid, "(BODY.PEEK[])")[1][0][1]
