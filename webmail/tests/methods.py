"""The JMAP methods that the page uses, exact in what the page relies on (RFC 8620, RFC 8621), on a generated account.

`run(account, calls)` answers the method calls of one request. It knows nothing of HTTP. What it leaves out: Foo/copy,
Email/import, Email/parse, blobs by range, quotas.
"""
import datetime
import json
import re

import journeys

MAX_GET, SCAN = 500, 60_000


class Refused(Exception):
    def __init__(self, kind, **more):
        super().__init__(kind)
        self.body = {"type": kind, **more}


def pointer(value, path):
    """RFC 8620 §3.7: a JSON pointer in which `*` maps over an array."""
    for at, token in enumerate(path.strip("/").split("/")):
        if token == "*":
            rest = "/".join(path.strip("/").split("/")[at + 1:])
            out = []
            for item in value:
                found = pointer(item, rest) if rest else item
                out.extend(found if isinstance(found, list) else [found])
            return out
        value = value[int(token)] if isinstance(value, list) else value[token]
    return value


def run(account, calls, log):
    answers, created = [], {}
    for name, args, key in calls:
        log.append(name)
        try:
            args = dict(args)
            for field in [field for field in args if field.startswith("#")]:
                ref = args.pop(field)
                source = next((a for a in answers if a[2] == ref["resultOf"] and a[0] == ref["name"]), None)
                if source is None:
                    raise Refused("invalidResultReference")
                args[field[1:]] = pointer(source[1], ref["path"])
            method = METHODS.get(name)
            if not method:
                raise Refused("unknownMethod")
            for answer_name, answer in method(account, args, created):
                answers.append([answer_name or name, answer, key])
        except Refused as refused:
            answers.append(["error", refused.body, key])
    return answers


def state(account):
    return str(account.state)


def get(kind, of):
    def method(account, args, _created):
        ids = args.get("ids")
        objects = of(account)
        ids = list(objects) if ids is None else list(dict.fromkeys(ids))
        if len(ids) > MAX_GET:
            raise Refused("requestTooLarge")
        wanted = args.get("properties")
        found = [objects[key] for key in ids if key in objects]
        found = [{k: v for k, v in item.items() if not wanted or k in wanted or k == "id"} for item in found]
        yield None, {"accountId": "A", "state": state(account), "list": found, "notFound": [key for key in ids if key not in objects]}
    return method


def changes(kind):
    def method(account, args, _created):
        created, updated, destroyed = account.changes(kind, int(args["sinceState"]))
        yield None, {"accountId": "A", "oldState": args["sinceState"], "newState": state(account), "hasMoreChanges": False,
                     "created": created, "updated": updated, "destroyed": destroyed}
    return method


def number(key):
    return int(key[1:]) if re.fullmatch(r"e\d+", key) else -1


def email_get(account, args, _created):
    if len(args["ids"]) > MAX_GET:
        raise Refused("requestTooLarge")
    found, missing = [], []
    wanted = args.get("properties")
    for key in dict.fromkeys(args["ids"]):
        email = account.email(number(key))
        if email is None:
            missing.append(key)
            continue
        email = {**email}
        if not (args.get("fetchAllBodyValues") or args.get("fetchHTMLBodyValues") or args.get("fetchTextBodyValues")):
            email["bodyValues"] = {}
        for name in wanted or ():
            if name.startswith("header:"):
                field, *forms = name.split(":")[1:]
                values = [h["value"] for h in email["headers"] if h["name"].lower() == field.lower()]
                if "asURLs" in forms:
                    values = [re.findall(r"<([^>]*)>", value) for value in values]
                elif "asAddresses" in forms:
                    values = [[{"name": None, "email": part.strip(" <>")} for part in value.split(",")] for value in values]
                email[name] = values if "all" in forms else (values[-1] if values else None)
        found.append({k: v for k, v in email.items() if not wanted or k in wanted or k == "id"})
    yield None, {"accountId": "A", "state": state(account), "list": found, "notFound": missing}


def thread_get(account, args, _created):
    found = [{"id": key, "emailIds": [f"e{n}" for n in account.thread(key)]} for key in dict.fromkeys(args["ids"])]
    yield None, {"accountId": "A", "state": state(account), "list": [t for t in found if t["emailIds"]],
                 "notFound": [t["id"] for t in found if not t["emailIds"]]}


def matches(account, email, condition):
    if condition is None:
        return True
    if "operator" in condition:
        found = [matches(account, email, part) for part in condition["conditions"]]
        return {"AND": all(found), "OR": any(found), "NOT": not any(found)}[condition["operator"]]

    def people(field):
        return " ".join(f"{a['name'] or ''} {a['email']}" for a in email[field] or ()).lower()

    def body():
        return " ".join(value["value"] for value in email["bodyValues"].values()).lower()
    for name, value in condition.items():
        low = value.lower() if isinstance(value, str) else value
        if name == "inMailbox":
            ok = value in email["mailboxIds"]
        elif name == "inMailboxOtherThan":
            ok = any(key not in value for key in email["mailboxIds"])
        elif name in ("from", "to", "cc", "bcc"):
            ok = low in people(name)
        elif name == "subject":
            ok = low in email["subject"].lower()
        elif name == "body":
            ok = low in body()
        elif name == "text":
            ok = low in email["subject"].lower() or low in people("from") or low in people("to") or low in body()
        elif name == "hasKeyword":
            ok = value in email["keywords"]
        elif name == "notKeyword":
            ok = value not in email["keywords"]
        elif name == "hasAttachment":
            ok = email["hasAttachment"] == value
        elif name == "before":
            ok = email["receivedAt"] < value
        elif name == "after":
            ok = email["receivedAt"] >= value
        elif name == "minSize":
            ok = email["size"] >= value
        elif name == "maxSize":
            ok = email["size"] < value
        else:
            raise Refused("unsupportedFilter")
        if not ok:
            return False
    return True


def result_of(account, args):
    """The whole result, kept by state so that queryChanges can compare."""
    key = json.dumps([args.get("filter"), args.get("sort"), args.get("collapseThreads")], sort_keys=True)
    snapshot = account.snapshots.get((key, account.state))
    if snapshot is not None:
        return key, snapshot
    condition = args.get("filter") or {}
    if set(condition) == {"inMailbox"}:
        found = list(account.members.get(condition["inMailbox"], ()))
    else:
        pool = {n for members in account.members.values() for n in members[:SCAN]}
        found = sorted((n for n in pool if account.email(n) and matches(account, account.email(n), condition)), key=account.moment, reverse=True)
    if args.get("collapseThreads") and (account.threaded or account.thread_members):
        seen, once = set(), []
        for n in found:
            thread = account.thread_of(n)
            if thread not in seen:
                seen.add(thread)
                once.append(n)
        found = once
    account.snapshots[(key, account.state)] = found
    while len(account.snapshots) > 24:
        account.snapshots.pop(next(iter(account.snapshots)))
    return key, found


def email_query(account, args, _created):
    _, found = result_of(account, args)
    position = args.get("position", 0)
    if args.get("anchor"):
        if number(args["anchor"]) not in found:
            raise Refused("anchorNotFound")
        position = max(0, found.index(number(args["anchor"])) + args.get("anchorOffset", 0))
    elif position < 0:
        position = max(0, len(found) + position)
    limit = min(args.get("limit", 256), 256)
    answer = {"accountId": "A", "queryState": state(account), "canCalculateChanges": True, "position": position,
              "ids": [f"e{n}" for n in found[position:position + limit]]}
    if args.get("calculateTotal"):
        answer["total"] = len(found)
    yield None, answer


def email_query_changes(account, args, _created):
    key, now = result_of(account, args)
    before = account.snapshots.get((key, int(args["sinceQueryState"])))
    if before is None:
        raise Refused("cannotCalculateChanges")
    old, new = set(before), set(now)
    gone, come = old - new, new - old
    # RFC 8620 §5.6: what may have moved is in both lists; here nothing moves, since only receivedAt sorts.
    added = sorted(({"id": f"e{n}", "index": now.index(n)} for n in come), key=lambda item: item["index"])
    answer = {"accountId": "A", "oldQueryState": args["sinceQueryState"], "newQueryState": state(account),
              "removed": [f"e{n}" for n in gone], "added": added}
    if args.get("calculateTotal"):
        answer["total"] = len(now)
    yield None, answer


def patched(value, patch):
    """RFC 8620 §5.3: paths of a patch on keywords and mailboxIds."""
    value = {**value}
    for path, new in patch.items():
        top, _, leaf = path.partition("/")
        if leaf:
            inner = {**value[top]}
            leaf = leaf.replace("~1", "/").replace("~0", "~")
            if new is None:
                inner.pop(leaf, None)
            else:
                inner[leaf] = new
            value[top] = inner
        else:
            value[top] = new
    return value


def headers_of(item):
    return [{"name": key.split(":")[1], "value": str(value)} for key, value in item.items() if key.startswith("header:")]


def email_set(account, args, created):
    old = state(account)
    answer = {"accountId": "A", "oldState": old, "created": {}, "updated": {}, "destroyed": [], "notCreated": {}, "notUpdated": {}, "notDestroyed": {}}
    if args.get("ifInState", old) != old:
        raise Refused("stateMismatch")
    for key, item in (args.get("create") or {}).items():
        if not item.get("mailboxIds") or any(box not in account.mailboxes for box in item["mailboxIds"]):
            answer["notCreated"][key] = {"type": "invalidProperties", "properties": ["mailboxIds"]}
            continue
        people = [person for field in ("from", "to", "cc", "bcc", "replyTo") for person in item.get(field) or ()]
        if any(set(person) - {"name", "email"} for person in people):
            answer["notCreated"][key] = {"type": "invalidProperties", "description": "an address has a name and an email"}
            continue
        values = {part: value["value"] for part, value in (item.get("bodyValues") or {}).items()}
        text = next((values[part["partId"]] for part in item.get("textBody") or ()), None)
        html = next((values[part["partId"]] for part in item.get("htmlBody") or ()), None)
        attached, lost = [], []
        for part in item.get("attachments") or ():
            blob = account.blobs.get(part["blobId"])
            if blob is None:
                lost.append(part["blobId"])
            else:
                attached.append((part.get("name"), part.get("type") or blob[0], blob[1], part.get("cid")))
        if lost:
            answer["notCreated"][key] = {"type": "blobNotFound", "notFound": lost}
            continue
        thread = next((account.thread_of(n) for n in list(account.kept) if account.kept[n]
                       and set(account.kept[n]["messageId"] or ()) & set(item.get("inReplyTo") or ())), None)
        if thread is None:
            for reference in item.get("inReplyTo") or ():
                found = re.fullmatch(r"(\d+)@red\.example", reference)
                thread = account.thread_of(int(found[1])) if found and account.email(int(found[1])) else thread
        email = {name: item[name] for name in ("from", "to", "cc", "bcc", "replyTo", "subject", "inReplyTo", "references", "mailboxIds") if name in item}
        email.update(keywords=item.get("keywords") or {}, headers=headers_of(item))
        email.setdefault("subject", "")
        email.setdefault("to", [])
        if thread:
            email["threadId"] = thread
        whole = account.add(email, text=text, html=html, attachments=attached)
        created[key] = whole["id"]
        answer["created"][key] = {name: whole[name] for name in ("id", "blobId", "threadId", "size")}
    for key, patch in (args.get("update") or {}).items():
        answer_update(account, key, patch, answer)
    for key in args.get("destroy") or ():
        if account.email(number(key)):
            account.destroy(number(key))
            answer["destroyed"].append(key)
        else:
            answer["notDestroyed"][key] = {"type": "notFound"}
    account.step()
    yield None, {**answer, "newState": state(account)}


def answer_update(account, key, patch, answer):
    email = account.email(number(key))
    if not email:
        answer["notUpdated"][key] = {"type": "notFound"}
        return
    new = patched({"keywords": email["keywords"], "mailboxIds": email["mailboxIds"]}, patch)
    if not new["mailboxIds"] or any(box not in account.mailboxes for box in new["mailboxIds"]):
        answer["notUpdated"][key] = {"type": "invalidProperties", "properties": ["mailboxIds"]}
        return
    account.change(number(key), new["mailboxIds"], new["keywords"])
    answer["updated"][key] = None


def snippets(account, args, _created):
    words = []

    def collect(condition):
        for name, value in (condition or {}).items():
            if name == "conditions":
                for part in value:
                    collect(part)
            elif name in ("text", "subject", "body", "from", "to") and isinstance(value, str):
                words.append(value)
    collect(args.get("filter"))
    mark = re.compile("|".join(map(re.escape, words)) or r"(?!)", re.I)

    def marked(text):
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return mark.sub(lambda m: f"<mark>{m[0]}</mark>", escaped) if mark.search(text) else None
    found = [{"emailId": key, "subject": marked(account.email(number(key))["subject"]), "preview": marked(account.email(number(key))["preview"])}
             for key in args["emailIds"] if account.email(number(key))]
    yield None, {"accountId": "A", "list": found, "notFound": None}


def simple_set(kind, objects, prefix):
    """Foo/set for small objects that nothing hangs on: identities, mailboxes, the vacation response."""
    def method(account, args, created):
        things = objects(account)
        answer = {"accountId": "A", "oldState": state(account), "created": {}, "updated": {}, "destroyed": [], "notCreated": {}, "notUpdated": {},
                  "notDestroyed": {}}
        for key, item in (args.get("create") or {}).items():
            name = f"{prefix}{len(things) + 100}"
            if kind == "Mailbox":
                account.add_mailbox(name, item["name"], None, item.get("parentId"), 50)
            else:
                things[name] = {"id": name, **item}
            account.note(kind, "created", name)
            answer["created"][key], created[key] = {"id": name}, name
        for key, patch in (args.get("update") or {}).items():
            things[key] = patched(things[key], patch)
            account.note(kind, "updated", key)
            answer["updated"][key] = None
        for key in args.get("destroy") or ():
            if kind == "Mailbox" and account.members[key]:
                answer["notDestroyed"][key] = {"type": "mailboxHasEmail"}
                continue
            things.pop(key)
            account.note(kind, "destroyed", key)
            answer["destroyed"].append(key)
        account.step()
        yield None, {**answer, "newState": state(account)}
    return method


def submission_set(account, args, created):
    answer = {"accountId": "A", "oldState": state(account), "created": {}, "updated": {}, "destroyed": [], "notCreated": {}, "notUpdated": {}}
    follow = {}
    for key, item in (args.get("create") or {}).items():
        email_id = item["emailId"]
        email_id = created.get(email_id[1:], email_id) if email_id.startswith("#") else email_id
        email = account.email(number(email_id))
        people = [a["email"] for field in ("to", "cc", "bcc") for a in (email or {}).get(field) or ()]
        if not email or not people:
            answer["notCreated"][key] = {"type": "noRecipients" if email else "invalidProperties"}
            continue
        parameters = ((item.get("envelope") or {}).get("mailFrom") or {}).get("parameters") or {}
        hold = int(parameters.get("HOLDFOR", 0))
        if parameters.get("HOLDUNTIL"):
            hold = 1
        name = f"s{len(account.submissions)}"
        account.submissions[name] = {
            "id": name, "emailId": email_id, "threadId": email["threadId"], "identityId": item["identityId"], "envelope": item.get("envelope"),
            "sendAt": parameters.get("HOLDUNTIL") or (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=hold))
            .strftime("%Y-%m-%dT%H:%M:%SZ"), "undoStatus": "pending" if hold else "final", "deliveryStatus": None, "dsnBlobIds": [], "mdnBlobIds": []}
        account.note("EmailSubmission", "created", name)
        answer["created"][key] = {"id": name, "sendAt": account.submissions[name]["sendAt"], "undoStatus": account.submissions[name]["undoStatus"]}
        created[key] = name
        follow["#" + key] = email_id
    for key, patch in (args.get("update") or {}).items():
        one = account.submissions[key]
        if one["undoStatus"] != "pending":
            answer["notUpdated"][key] = {"type": "cannotUnsend"}
            continue
        one.update(patch)
        account.note("EmailSubmission", "updated", key)
        answer["updated"][key] = None
    account.step()
    yield None, {**answer, "newState": state(account)}
    update = {follow[key]: patch for key, patch in (args.get("onSuccessUpdateEmail") or {}).items() if key in follow}
    if update:
        for _, implicit in email_set(account, {"update": update}, created):
            yield "Email/set", implicit


def submission_query(account, args, _created):
    condition = args.get("filter") or {}
    found = [s["id"] for s in account.submissions.values()
             if s["undoStatus"] == condition.get("undoStatus", s["undoStatus"]) and s["emailId"] in condition.get("emailIds", [s["emailId"]])]
    yield None, {"accountId": "A", "queryState": state(account), "canCalculateChanges": False, "position": 0, "ids": found}


METHODS = {
    "Core/echo": lambda account, args, created: [(None, args)],
    "Mailbox/get": get("Mailbox", lambda account: account.mailboxes), "Mailbox/changes": changes("Mailbox"),
    "Mailbox/set": simple_set("Mailbox", lambda account: account.mailboxes, "b"),
    "Email/get": email_get, "Email/changes": changes("Email"), "Email/query": email_query, "Email/queryChanges": email_query_changes, "Email/set": email_set,
    "Thread/get": thread_get, "Thread/changes": changes("Thread"), "SearchSnippet/get": snippets,
    "Identity/get": get("Identity", lambda account: account.identities), "Identity/set": simple_set("Identity", lambda account: account.identities, "i"),
    "VacationResponse/get": get("VacationResponse", lambda account: account.vacation),
    "VacationResponse/set": simple_set("VacationResponse", lambda account: account.vacation, "v"),
    "PushSubscription/get": get("PushSubscription", lambda account: account.pushes),
    "PushSubscription/set": simple_set("PushSubscription", lambda account: account.pushes, "p"),
    "Journey/get": get("Journey", lambda account: account.journeys), "Journey/changes": changes("Journey"), "Journey/query": journeys.query,
    "EmailSubmission/set": submission_set, "EmailSubmission/query": submission_query,
    "EmailSubmission/get": get("EmailSubmission", lambda account: account.submissions),
}
