"""Python's smtplib, imaplib and poplib: every kind of body from alice@red to bob@blue, byte for byte."""

import imaplib, poplib, re, smtplib

from letters import BODIES, arrives, find, found, imap, letter, pop, submit
from postrider import Local as scene, until

ALICE, BOB = "alice@red.example", "bob@blue.example"


def test_every_body_arrives_byte_for_byte_over_imap_and_pop3(net):
    sent = {}
    for name, body in BODIES.items():
        message_id, message = letter(ALICE, BOB, body, f"body {name}")
        submit(net.red, ALICE, BOB, message)
        sent[message_id] = message
    with imap(net.blue, BOB) as reader:
        got = {message_id: arrives(reader, message_id) for message_id in sent}
    for message_id, message in sent.items():
        assert got[message_id].endswith(b"\r\n" + message), f"{message[:300]}\nbecame\n{got[message_id][:900]}"
    reader = pop(net.blue, BOB)
    count, octets = reader.stat()
    whole = {}
    for n in range(1, count + 1):
        _, lines, _ = reader.retr(n)
        message = b"\r\n".join(lines) + b"\r\n"
        listed = int(reader.list(n).split()[2])
        assert listed == len(message), f"LIST says {listed}, RETR gives {len(message)} octets"
        for message_id in sent:
            if message_id.encode() in message:
                whole[message_id] = message
    reader.quit()
    # Invariant 4: POP3 and IMAP serve the same bytes.
    for message_id in sent:
        assert whole[message_id] == got[message_id], f"POP3 and IMAP differ on {message_id}"


def test_trace_headers_and_journey(net):
    message_id, message = letter(ALICE, BOB, b"where is it?\r\n")
    submit(net.red, ALICE, BOB, message)
    with imap(net.blue, BOB) as reader:
        got = arrives(reader, message_id)
    head = got.split(b"\r\n\r\n")[0]
    assert re.match(rb"Return-Path: <alice@red.example>\r\n", got), head
    assert len(re.findall(rb"^Received: ", head, re.M)) == 2, head
    assert b"127.0.0.1" not in re.split(rb"^Received: ", head, flags=re.M)[-1], "submission shows the client's address"
    drawn = net.trace(message_id)
    assert "red.example" in drawn and "blue.example" in drawn and "250" in drawn and "TLS" in drawn, drawn


def test_pop3_deletes_only_after_quit_and_uidl_stays(net):
    who = "alice@blue.example"
    for n in range(3):
        submit(net.red, ALICE, who, letter(ALICE, who, b"number %d\r\n" % n)[1])
    reader = until("3 messages", lambda: enough(net, who, 3))
    before = [line.split()[1] for line in reader.uidl()[1]]
    reader.dele(2)
    reader.close()  # dropped: nothing is deleted (RFC 1939 §6)
    reader = until("the maildrop's lock", lambda: again(net, who))
    assert [line.split()[1] for line in reader.uidl()[1]] == before
    reader.dele(2)
    reader.quit()
    reader = until("the maildrop's lock", lambda: again(net, who))
    assert [line.split()[1] for line in reader.uidl()[1]] == [before[0], before[2]]
    reader.quit()


def again(net, who):
    try:
        return pop(net.blue, who)
    except poplib.error_proto as error:
        assert b"IN-USE" in error.args[0], error
        return None


def enough(net, who, count):
    reader = again(net, who)
    if reader and reader.stat()[0] >= count:
        return reader
    if reader:
        reader.quit()
    return None


def test_append_flags_copy_and_expunge(net):
    message = letter(ALICE, ALICE, BODIES["utf8"])[1]
    with imap(net.red, ALICE) as mail:
        assert mail.create("Work/2026")[0] == "OK"
        status, answer = mail.append("Work/2026", r"(\Seen \Flagged)", '"01-Jul-2026 10:11:12 +0200"', message)
        assert status == "OK" and b"APPENDUID" in answer[0], answer
        mail.select("Work/2026")
        _, parts = mail.uid("FETCH", "1", "(FLAGS INTERNALDATE BODY[])")
        assert parts[0][1] == message
        meta = parts[0][0] + parts[1]
        assert rb"\Flagged" in meta and rb"\Seen" in meta and re.search(rb"[ 0]1-Jul-2026 ", meta), meta
        assert mail.uid("COPY", "1", "INBOX")[0] == "OK"
        assert mail.uid("STORE", "1", "+FLAGS", r"(\Deleted)")[0] == "OK"
        assert mail.expunge() == ("OK", [b"1"])
        mail.select("INBOX")
        assert mail.uid("SEARCH", "FLAGGED")[1][0], "the copy keeps its flags"


def test_idle_tells_of_new_mail(net):
    import socket
    with imap(net.blue, BOB, tls=False) as reader:
        reader.select("INBOX")
        tag = reader._new_tag()
        reader.send(tag + b" IDLE\r\n")
        assert reader.readline().startswith(b"+")
        submit(net.red, ALICE, BOB, letter(ALICE, BOB, b"wake up\r\n")[1])
        reader.sock.settimeout(30)
        lines = []
        while not any(b"EXISTS" in line for line in lines):
            lines.append(reader.readline())
            assert lines[-1], lines
        reader.send(b"DONE\r\n")
        while not reader.readline().startswith(tag):
            pass


def test_wrong_passwords_are_refused(net):
    for attempt in (lambda: imap(net.red, ALICE, "wrong"), lambda: pop(net.red, ALICE, "wrong"),
                    lambda: submit(net.red, ALICE, BOB, b"a: b\r\n\r\n", "wrong")):
        try:
            attempt()
        except (imaplib.IMAP4.error, poplib.error_proto, smtplib.SMTPAuthenticationError):
            continue
        raise AssertionError("a wrong password was taken")


def test_never_an_open_relay(net):
    with smtplib.SMTP("127.0.0.1", net.red.smtp) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("auth"), "AUTH is not for port 25"
        assert smtp.mail("x@elsewhere.example")[0] == 250
        assert smtp.rcpt(BOB)[0] // 100 == 5, "red relays for strangers"
        assert smtp.rcpt("nobody@red.example")[0] == 550
        assert smtp.rcpt(ALICE)[0] == 250
    with smtplib.SMTP("127.0.0.1", net.red.submission) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("auth"), "AUTH before STARTTLS"
        assert 5 in (smtp.mail(ALICE)[0] // 100, smtp.rcpt(BOB)[0] // 100), "submission without AUTH"


def test_one_cannot_send_as_another(net):
    with smtplib.SMTP_SSL("localhost", net.red.submissions, context=net.red.tls()) as smtp:
        smtp.login(ALICE, "alice")
        code, words = smtp.mail("bob@red.example")
        if code == 250:
            code, words = smtp.rcpt(BOB)
        assert code // 100 == 5, (code, words)


def test_misbehaving_recipients(net):
    message_id, message = letter(ALICE, "later@blue.example", b"at the second try\r\n")
    submit(net.red, ALICE, "later@blue.example", message)
    bounced_id, bounced = letter(ALICE, "refused@blue.example", b"comes back\r\n")
    submit(net.red, ALICE, "refused@blue.example", bounced)
    with imap(net.red, ALICE) as reader:
        dsn = found(reader, "TEXT", bounced_id)
    assert b"multipart/report" in dsn and b"Return-Path: <>" in dsn and b"550" in dsn, dsn
    assert re.search(rb"^Action: failed", dsn, re.M), dsn
    until("the second try", lambda: "250" in net.trace(message_id) and "451" in net.trace(message_id))
