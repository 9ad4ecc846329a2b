"""Client libraries that others build on: IMAPClient, aioimaplib and jmapc (PyPI), nodemailer and ImapFlow (npm), async-imap
and jmap-client (crates.io), each version as ./test pins it. Comes in: POSTRIDER_CLIENTS, the folder into which ./test has put them."""

import asyncio, base64, datetime, email, email.policy, json, os, pathlib, sys, tempfile

from letters import BODIES, arrives, find, imap, letter, submit
from peers import CLIENTS
from postrider import Local as scene, ROOT, run

sys.path.append(str(CLIENTS / "python"))

ALICE, BOB, OTHER = "alice@red.example", "bob@blue.example", "alice@blue.example"


def delivered(net, reader, to):
    """Every kind of letter, as it stands in a mailbox: {message id: all bytes}."""
    whole = {}
    for name, body in BODIES.items():
        message_id, message = letter(ALICE, to, body, f"body {name}")
        submit(net.red, ALICE, to, message)
        whole[message_id] = arrives(reader, message_id)
        assert whole[message_id].endswith(b"\r\n" + message)
    return whole


# ---- IMAPClient


def test_imapclient_reads_moves_and_idles(net):
    from imapclient.imapclient import IMAPClient, SENT, TRASH
    with imap(net.blue, BOB) as reader:
        whole = delivered(net, reader, BOB)
    with IMAPClient("localhost", net.blue.imaps, ssl_context=net.blue.tls()) as mail:
        mail.login(BOB, "bob")
        assert mail.has_capability("UIDPLUS") and mail.has_capability("MOVE")
        assert mail.find_special_folder(SENT) == "Sent"
        mail.id_({"name": "IMAPClient"})
        assert mail.namespace().personal
        assert mail.select_folder("INBOX")[b"EXISTS"] >= len(whole)
        for message_id, message in whole.items():
            (uid,) = mail.search(["HEADER", "Message-ID", message_id])
            got = mail.fetch([uid], ["BODY.PEEK[]", "RFC822.SIZE", "FLAGS", "ENVELOPE", "BODYSTRUCTURE"])[uid]
            assert got[b"BODY[]"] == message and got[b"RFC822.SIZE"] == len(message)
            assert got[b"ENVELOPE"].message_id == message_id.encode() and b"\\Seen" not in got[b"FLAGS"]
            assert [word.lower() for word in got[b"BODYSTRUCTURE"][:2]] == [b"text", b"plain"]
        # Names in modified UTF-7, flags of one's own, a copy, a move, an expunge by UID.
        name = "Entwürfe/日本語 & mehr"
        mail.create_folder(name)
        assert name in [folder for _, _, folder in mail.list_folders()]
        message = letter(BOB, BOB, BODIES["utf8"])[1]
        when = datetime.datetime(2026, 7, 1, 10, 11, 12, tzinfo=datetime.timezone.utc)
        mail.append(name, message, ["\\Flagged", "$Label1"], when)
        mail.select_folder(name)
        (uid,) = mail.search("ALL")
        got = mail.fetch(uid, ["BODY[]", "FLAGS", "INTERNALDATE"])[uid]
        assert got[b"BODY[]"] == message and {b"\\Flagged", b"$Label1"} <= set(got[b"FLAGS"])
        assert got[b"INTERNALDATE"].astimezone(datetime.timezone.utc).replace(tzinfo=None) == when.replace(tzinfo=None)
        mail.copy(uid, "Archive")
        mail.move([uid], "Trash")
        assert mail.search("ALL") == [] and mail.folder_status(name, ["MESSAGES"])[b"MESSAGES"] == 0
        assert mail.find_special_folder(TRASH) == "Trash"
        mail.select_folder("Trash")
        (uid,) = mail.search(["KEYWORD", "$Label1"])
        mail.delete_messages([uid])
        mail.uid_expunge([uid])
        assert mail.search("ALL") == []
        mail.rename_folder(name, "Entwürfe/Ägypten")
        mail.delete_folder("Entwürfe/Ägypten")
        mail.select_folder("INBOX")
        mail.idle()
        submit(net.red, ALICE, BOB, letter(ALICE, BOB, b"wake up\r\n")[1])
        said = mail.idle_check(timeout=30)
        assert any(answer[1] == b"EXISTS" for answer in said), said
        mail.idle_done()
        mail.logout()


# ---- aioimaplib


def test_aioimaplib_reads_appends_and_idles(net):
    import aioimaplib
    with imap(net.blue, OTHER) as reader:
        whole = delivered(net, reader, OTHER)

    async def play():
        mail = aioimaplib.IMAP4_SSL("localhost", net.blue.imaps, ssl_context=net.blue.tls(), timeout=30)
        await mail.wait_hello_from_server()
        assert (await mail.login(OTHER, "alice")).result == "OK"
        assert (await mail.select("INBOX")).result == "OK"
        for message_id, message in whole.items():
            found = await mail.uid_search(f'HEADER Message-ID "{message_id}"')
            uid = found.lines[0].split()[-1].decode()
            answer = await mail.uid("fetch", uid, "(UID RFC822.SIZE BODY.PEEK[])")
            assert answer.result == "OK" and bytes(answer.lines[1]) == message, answer.lines
        message = letter(OTHER, OTHER, BODIES["dots"])[1]
        answer = await mail.append(message, mailbox="Drafts", flags=r"\Draft",
                                   date=datetime.datetime.now(datetime.timezone.utc))
        assert answer.result == "OK" and b"APPENDUID" in answer.lines[0], answer
        assert (await mail.select("Drafts")).result == "OK"
        answer = await mail.fetch("1", "(FLAGS BODY[])")
        assert bytes(answer.lines[1]) == message and rb"\Draft" in answer.lines[0], answer
        assert (await mail.uid("move", "1", "Trash")).result == "OK"
        assert (await mail.select("INBOX")).result == "OK"
        idle = await mail.idle_start(timeout=60)
        submit(net.red, ALICE, OTHER, letter(ALICE, OTHER, b"wake up\r\n")[1])
        said = []
        while not any(line.endswith(b"EXISTS") for line in said):
            said += await asyncio.wait_for(mail.wait_server_push(), 30)
        mail.idle_done()
        await asyncio.wait_for(idle, 30)
        await mail.logout()

    asyncio.run(play())


# ---- async-imap


def test_async_imap_reads_appends_moves_and_idles(net):
    me = "bob@red.example"
    with imap(net.red, me) as reader, tempfile.TemporaryDirectory() as folder:
        whole = {}
        for body in BODIES.values():
            message_id, message = letter(me, me, body)
            submit(net.red, me, me, message)
            whole[message_id] = arrives(reader, message_id)
        new_id, new = letter(me, me, BODIES["utf8"])
        folder = pathlib.Path(folder)
        (folder / "append").write_bytes(new)
        said = run(CLIENTS / "rust/debug/interop", net.red.imap, me, "bob", folder, *whole).stdout.decode()
        said = dict(line.split(" ", 1) for line in said.splitlines())
        for number, message in enumerate(whole.values()):
            assert (folder / str(number)).read_bytes() == message
        assert (folder / "appended").read_bytes() == new == arrives(reader, new_id)
        assert "Seen" in said["flags"] and "$Label1" in said["flags"], said
        assert said["able"] == said["modseq"] == said["heard"] == "true" and said["gone"] == "1", said
        assert {"INBOX", "Sent", "Archive", "Trash"} <= set(said["folders"].split()), said
        first, second = list(whole)[:2]
        moved = find(reader, first, "Archive")
        assert rb"\Flagged" in reader.uid("FETCH", moved, "(FLAGS)")[1][0]
        assert arrives(reader, second, "Trash") == whole[second]
        assert find(reader, first) is None and find(reader, second) is None


# ---- jmap-client


def test_jmap_client_imports_searches_moves_listens_and_sends_also_over_a_websocket(net):
    with imap(net.red, ALICE) as reader, tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        message_id, message = letter(BOB, ALICE, BODIES["utf8"])
        (folder / "append").write_bytes(message)
        said = run(CLIENTS / "rust/debug/jmap", f"http://127.0.0.1:{net.blue.http}", BOB, "bob", ALICE, folder).stdout.decode()
        said = dict(line.split(" ", 1) for line in said.splitlines())
        assert (folder / "imported").read_bytes() == message
        assert said == {"user": BOB, "told": "true", "found": "true", "answered": "true true", "news": "true", "moved": "true true", "sent": "true", "gone": "true"}, said
        assert arrives(reader, message_id).endswith(message[message.index(b"Subject"):])


# ---- nodemailer and ImapFlow


def node(net, script, **what):
    """Runs a script of tests/interop/node with its task as JSON, and returns what it says as JSON."""
    environment = {**os.environ, "NODE_PATH": str(CLIENTS / "node/node_modules"), "NODE_EXTRA_CA_CERTS": net.red.ca}
    said = run("node", ROOT / "tests/interop/node" / script, input=json.dumps(what).encode(), env=environment).stdout
    return json.loads(said)


def test_nodemailer_sends_as_it_is_and_composed(net):
    with imap(net.blue, BOB) as reader:
        letters = [letter(ALICE, BOB, body) for body in BODIES.values()]
        attachment = bytes(range(256)) * 300
        for secure, port in ((True, net.red.submissions), (False, net.red.submission)):
            said = node(net, "nodemailer.js", port=port, secure=secure, user=ALICE, password="alice", to=BOB,
                        raw=[base64.b64encode(message).decode() for _, message in letters],
                        text="Zeile eins\n.Punkt\nGrüße 世界\n", subject="Größe 世界",
                        attachment=base64.b64encode(attachment).decode(), name="Größe.bin")
            assert all(answer.startswith("250") for answer in said["answers"]), said
            for message_id, message in letters:
                assert arrives(reader, message_id).endswith(b"\r\n" + message)
            composed = email.message_from_bytes(arrives(reader, said["id"]), policy=email.policy.default)
            text, binary = composed.iter_parts()
            assert composed["Subject"] == "Größe 世界" and binary.get_filename() == "Größe.bin"
            assert text.get_content().replace("\r\n", "\n").rstrip("\n") == "Zeile eins\n.Punkt\nGrüße 世界"
            assert binary.get_content() == attachment


def test_nodemailer_says_why_it_could_not(net):
    said = node(net, "nodemailer.js", port=net.red.submissions, secure=True, user=ALICE, password="wrong", to=BOB,
                raw=[""])
    assert said["error"]["code"] == "EAUTH" and said["error"]["responseCode"] == 535, said


def test_imapflow_reads_flags_moves_and_hears(net):
    with imap(net.red, ALICE) as reader:
        whole = {}
        for body in BODIES.values():
            message_id, message = letter(ALICE, ALICE, body)
            submit(net.red, ALICE, ALICE, message)
            whole[message_id] = arrives(reader, message_id)
        message = letter(ALICE, ALICE, BODIES["utf8"])[1]
        with tempfile.TemporaryDirectory() as folder:
            said = node(net, "imapflow.js", port=net.red.imaps, user=ALICE, password="alice", folder=folder,
                        ids=list(whole), append=base64.b64encode(message).decode())
            for number, bytes_ in enumerate(whole.values()):
                assert (pathlib.Path(folder) / str(number)).read_bytes() == bytes_
        assert said["special"] == {"Sent": "\\Sent", "Drafts": "\\Drafts", "Junk": "\\Junk", "Trash": "\\Trash",
                                   "Archive": "\\Archive", "INBOX": "\\Inbox"}, said
        assert said["heard"] and base64.b64decode(said["appended"]) == message, said
        assert "QRESYNC" in said["enabled"], said
        assert said["changed"] and said["untouched"] and said["vanished"], said
        assert find(reader, list(whole)[2]) is None
        moved = find(reader, list(whole)[0], "Archive")
        assert rb"\Flagged" in reader.uid("FETCH", moved, "(FLAGS)")[1][0]
        assert find(reader, list(whole)[0]) is None


# ---- jmapc


def test_jmapc_lists_searches_reads_and_uploads(net):
    os.environ["REQUESTS_CA_BUNDLE"] = str(net.folder / "ca.pem")
    from jmapc import Client, Comparator, EmailQueryFilterCondition, Ref
    from jmapc.methods import CoreEcho, EmailGet, EmailQuery, MailboxGet, MailboxQuery, ThreadGet
    with imap(net.blue, BOB) as reader:
        whole = delivered(net, reader, BOB)
    mail = Client.create_with_password(f"localhost:{net.blue.https}", BOB, "bob")
    assert mail.request(CoreEcho(data={"hello": "there"})).data == {"hello": "there"}
    mailboxes = mail.request([MailboxQuery(), MailboxGet(ids=Ref("/ids"))])[1].response.data
    inbox = next(mailbox for mailbox in mailboxes if mailbox.role == "inbox")
    assert inbox.total_emails >= len(whole) and {"drafts", "sent", "trash"} <= {mailbox.role for mailbox in mailboxes}
    newest_first = [Comparator(property="receivedAt", is_ascending=False)]
    wanted = EmailQueryFilterCondition(in_mailbox=inbox.id, text="body")
    answers = mail.request([EmailQuery(filter=wanted, sort=newest_first), EmailGet(ids=Ref("/ids")),
                            ThreadGet(ids=Ref("/list/*/threadId"))], raise_errors=True)
    emails = answers[1].response.data
    assert {f"<{name}>" for one in emails for name in one.message_id} >= set(whole)
    assert {one.thread_id for one in emails} == {thread.id for thread in answers[2].response.data}
    for one in emails:
        message = whole.get(f"<{one.message_id[0]}>")
        assert message is None or one.size == len(message)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "note.txt")
        file.write_bytes(b"octets \0 \xff\r\n")
        blob = mail.upload_blob(file)
        assert blob.size == len(file.read_bytes()) and blob.type == "text/plain"
