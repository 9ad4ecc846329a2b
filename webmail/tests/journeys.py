"""Journeys of some messages of the account (docs/jmap.md), as the real server tells them: handed on, delayed and tried again,
bounced, several recipients, received with a chain of hops; and hostile words."""
import datetime

from corpus import ALICE, people
from mailbox import EPOCH, stamp

TLS = {"version": "TLSv1.3", "cipher": "TLS13_AES_256_GCM_SHA384"}
EVIL = "<img src=/hit/words onerror=alert(1)><script>alert(2)</script>"


def at(seconds):
    return stamp(EPOCH - datetime.timedelta(days=1) + datetime.timedelta(seconds=seconds))


def event(name, seconds, recipient=None, took=None, **more):
    return {"event": name, "at": at(seconds), "took": took, "recipient": recipient, **more}


def received(**more):
    return event("received", 0, took=14, **{"protocol": "ESMTPSA", "from": None, "helo": None, "tls": TLS, "size": 2048, "sender": "alice@red.example",
                                           "authenticated": True, **more})


def relayed(to, host, seconds, verified=True):
    return [event("queued", 0, to, destination=to.split("@")[1]),
            event("routed", seconds - 1, to, took=8, rule="mx", hosts=[f"{host} [192.0.2.25]"]),
            event("relayed", seconds, to, took=212, host=host, ip="192.0.2.25", reply="250 2.0.0 Ok: queued as 4F7c2b1", tls={**TLS, "verified": verified})]


def delayed(to, host, words, upto=3):
    events = [event("queued", 0, to, destination=to.split("@")[1])]
    for turn in range(upto):
        seconds = 2 + 300 * turn
        events += [event("routed", seconds, to, rule="mx", hosts=[f"{host} [192.0.2.26]"]),
                   event("failed", seconds + 1, to, took=90, host=host, ip="192.0.2.26", stage="rcpt", words=words, tls={**TLS, "verified": None}),
                   event("deferred", seconds + 1, to, words=words, next=at(seconds + 300))]
    return events


def soon(minutes):
    return stamp(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes, seconds=20))


def add(account, journey, mail, **body):
    mail = account.add({"keywords": {"$seen": True}, "receivedAt": at(0), **mail}, **body)
    whole = {"queueId": None, "messageId": f"<{mail['messageId'][0]}>", "emailId": None, "acceptedAt": at(0), "sender": "alice@red.example", "isUnderWay": False,
             "recipients": [], "events": [], "hops": [], "authentication": [], **journey}
    whole["id"] = mail["id"] if whole["kind"] == "received" else whole["queueId"]
    account.journeys[whole["id"]] = whole
    account.journey_of[mail["id"]] = [whole["id"]]
    return whole


def recipient(address, state, next_try=None):
    return {"address": address, "state": state, "nextTry": next_try}


def fill(account):
    account.journeys, account.journey_of = {}, {}
    sent = {"mailboxIds": {"b2": True}, "from": ALICE}
    next_try = soon(4)
    greylisted = delayed("chidi@blue.example", "mx.blue.example", "451 4.7.1 Greylisted, please come back", 1)
    greylisted[-1]["next"] = next_try
    add(account, {"kind": "sent", "queueId": "0sx4v2k9m0001", "isUnderWay": True,
                  "recipients": [recipient("ada@green.example", "relayed"), recipient("chidi@blue.example", "waiting", next_try),
                                 recipient("nobody@kaze.example", "bounced"), recipient("bob@red.example", "delivered")],
                  "events": [received(), *relayed("ada@green.example", "mail.green.example", 3), *greylisted,
                             event("queued", 0, "nobody@kaze.example", destination="kaze.example"),
                             event("bounced", 4, "nobody@kaze.example", words="550 5.1.1 <nobody@kaze.example> is unknown", report="0sx4v2k9m0009"),
                             event("delivered", 0, "bob@red.example", mailbox=None)]},
        {**sent, "subject": "Plans for the lake", "to": people(("Ada", "ada@green.example"), ("Chidi Anagonye", "chidi@blue.example"),
                                                               (None, "nobody@kaze.example"), ("Bob", "bob@red.example"))},
        text="We meet at the boat house at two.\n")
    add(account, {"kind": "sent", "queueId": "0sx4v2k9m0002", "recipients": [recipient("grace@navy.example", "relayed")],
                  "events": [received(), *delayed("grace@navy.example", "mx.navy.example", "450 4.2.0 Busy, later please", 2),
                             *relayed("grace@navy.example", "mx.navy.example", 640)[1:]]},
        {**sent, "subject": "Second span", "to": people(("Grace Hopper", "grace@navy.example"))}, text="58 t it is.\n")
    add(account, {"kind": "sent", "queueId": "0sx4v2k9m0003", "recipients": [recipient("x@evil.example", "bounced")],
                  "events": [received(), event("queued", 0, "x@evil.example", destination=EVIL),
                             event("failed", 1, "x@evil.example", host=EVIL, ip=EVIL, stage="rcpt", words="550 " + EVIL, tls={"version": EVIL, "cipher": EVIL}),
                             event("bounced", 2, "x@evil.example", words="550 " + EVIL, report=None)]},
        {**sent, "subject": "Words", "to": people((None, "x@evil.example"))}, text="x\n")
    add(account, {"kind": "received", "queueId": "0sx4v2k9m0004", "sender": "jun@kaze.example",
                  "events": [event("received", 62, took=31, protocol="ESMTPS", **{"from": "198.51.100.4"}, helo="mx-out.kaze.example", tls=TLS, size=4211,
                                   sender="jun@kaze.example", authenticated=False),
                             event("expanded", 62, "sales@red.example", rule="alias"), event("delivered", 62, "sales@red.example", mailbox="INBOX")],
                  "hops": [{"from": "laptop.kaze.example", "address": "10.1.2.3", "by": "smtp.kaze.example", "with": "ESMTPSA", "id": "7c1", "tls": "TLSv1.3", "at": at(55)},
                           {"from": "smtp.kaze.example", "address": "10.0.0.9", "by": "mx-out.kaze.example", "with": "ESMTP", "id": "9ab", "tls": None, "at": at(58)},
                           {"from": "mx-out.kaze.example", "address": "198.51.100.4", "by": "mail.red.example", "with": "ESMTPS", "id": "0sx4v2k9m0004",
                            "tls": "TLSv1.3", "at": at(62)}],
                  "authentication": [{"method": "spf", "result": "pass", "properties": {"smtp.mailfrom": "jun@kaze.example"}},
                                     {"method": "dkim", "result": "pass", "properties": {"header.d": "kaze.example"}},
                                     {"method": "dmarc", "result": "none", "properties": {"header.from": "kaze.example"}}]},
        {"mailboxIds": {"b7": True}, "subject": "Harbour at seven", "from": people(("Jun Watanabe", "jun@kaze.example")), "to": people(("Sales", "sales@red.example"))},
        text="The boat leaves at seven.\n")


def move(account, key, to, *events, state="relayed"):
    """Something more happens to one recipient."""
    journey = account.journeys[key]
    account.step()
    journey["events"] = journey["events"] + list(events)
    journey["recipients"] = [recipient(to, state) if one["address"] == to else one for one in journey["recipients"]]
    journey["isUnderWay"] = any(one["state"] == "waiting" for one in journey["recipients"])
    account.note("Journey", "updated", key)


def query(account, args, _created):
    condition = args.get("filter") or {}
    ids = account.journey_of.get(condition.get("emailId"), []) if "emailId" in condition else list(account.journeys)
    yield None, {"accountId": "A", "queryState": str(account.state), "canCalculateChanges": False, "position": 0, "ids": ids}
