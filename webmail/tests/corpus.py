"""Messages by hand in the generated account: what is nice to look at, and hostile HTML that must do nothing.

Every hostile message tries to fetch a path with its name below `/hit/`, to open a dialog, or to leave the page; the
server notes what is fetched, the tests count it.
"""
import base64
import email.message
import email.policy

PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
SQUARE = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAYAAAAf8/9hAAAAFklEQVR4nGNoYPj/nxLMMGrAqAHDxQAAmZX+EBRyJ0UAAAAASUVORK5CYII=")

HOSTILE = {
    "script": "<p>Hello</p><script>alert('script'); fetch('/hit/script')</script><script src='/hit/script-src'></script>",
    "handlers": "<img src=x onerror=\"alert(1);fetch('/hit/onerror')\"><body onload=alert(1)><svg onload=alert(1)></svg><details open ontoggle=alert(1)>x</details>"
                "<input autofocus onfocus=alert(1)><video onloadstart=alert(1) src='/hit/video'></video><p onmouseover=alert(1) onclick=alert(1)>touch me</p>",
    "css-fetch": "<style>@import '/hit/import'; body{background:url(/hit/body)} p{background-image:url('/hit/p')} @font-face{font-family:x;src:url(/hit/font)}"
                 " p{font-family:x; list-style:url(/hit/list); cursor:url(/hit/cursor),auto; border-image:url(/hit/border)}</style>"
                 "<p style=\"background:url('/hit/inline')\">styled</p><p style='background:u\\72l(/hit/escaped)'>escaped</p>"
                 "<p style='background-image:image-set(\"/hit/set\" 1x)'>set</p><link rel=stylesheet href=/hit/link><link rel=prefetch href=/hit/prefetch>"
                 "<link rel=dns-prefetch href=//prefetch.example><link rel=preload as=image href=/hit/preload>",
    "css-exfiltrate": "<style>input[value^=a]{background:url(/hit/a)} a[href^=h]{content:url(/hit/content)} :root{--x:url(/hit/var);background:var(--x)}"
                      " @media screen{*{background:url(/hit/media)!important}} @supports(display:grid){p{background:url(/hit/supports)}}</style>"
                      "<input value=abc><a href=http://x.example/>x</a><p>text</p>",
    "svg": "<svg><script>alert(1)</script><image href=/hit/svg-image xlink:href=/hit/svg-xlink /><use href='/hit/use#x'/><foreignObject><img src=/hit/foreign>"
           "</foreignObject><a xlink:href='javascript:alert(1)'><text y=20>x</text></a><animate onbegin=alert(1) attributeName=x dur=1s></svg>"
           "<math><mtext></mtext><maction actiontype=statusline xlink:href=javascript:alert(1)>x</maction></math>",
    "forms": "<form action=/hit/form method=post><input name=password type=password autofocus><button formaction=/hit/formaction>Log in again</button></form>"
             "<form id=f action=/hit/f></form><button form=f>go</button><isindex action=/hit/isindex>",
    "refresh": "<meta http-equiv=refresh content='0;url=/hit/refresh'><meta http-equiv=refresh content='0;url=javascript:alert(1)'><base href='http://base.example/'>"
               "<meta http-equiv=Set-Cookie content='session=1'><p>One moment …</p>",
    "pixel": "<p>Our news</p><img src='http://127.0.0.1:1/hit/pixel.gif?u=alice' width=1 height=1><img src='/hit/pixel-relative'><img srcset='/hit/srcset 1x'>"
             "<picture><source srcset=/hit/source><img src=/hit/picture></picture><table background=/hit/table><tr><td background=/hit/td>x</table>"
             "<audio src=/hit/audio autoplay></audio><video poster=/hit/poster></video><bgsound src=/hit/bgsound><input type=image src=/hit/input-image>",
    "frames": "<iframe src=/hit/iframe></iframe><iframe srcdoc='<script>alert(1)</script><img src=/hit/srcdoc>'></iframe><object data=/hit/object></object>"
              "<embed src=/hit/embed><frameset><frame src=/hit/frame></frameset><applet code=x archive=/hit/applet></applet><portal src=/hit/portal></portal>",
    "links": "<a href='javascript:alert(1)'>js</a> <a href='JaVa\tScript:alert(1)'>js</a> <a href=' &#1;javascript:alert(1)'>js</a> <a href='data:text/html,<script>alert(1)</script>'>data</a>"
             " <a href='vbscript:alert(1)'>vb</a> <a href='blob:http://x/1'>blob</a> <a href='file:///etc/passwd'>file</a> <a href='/hit/link' ping='/hit/ping' target=_top>top</a>"
             " <map name=m><area href='javascript:alert(1)' shape=default></map><img usemap=#m alt=map>",
    "homograph": "<p>Your bank asks you to log in: <a href='https://xn--pple-43d.com/login'>https://apple.com/login</a> and "
                 "<a href='https://evil.example/'>www.mybank.example</a> and <a href='https://www.good.example/'>www.good.example</a></p>",
    "data": "<img src='data:image/svg+xml,<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"><image href=\"/hit/in-data\"/></svg>'>"
            "<img src='data:text/html,<script>alert(1)</script>'><img src='cid:square@red.example' alt='square'><img src='cid:none@red.example'>"
            "<img src='data:image/png;base64," + base64.b64encode(SQUARE).decode() + "'>",
    "mutation": "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\"></table></mtext></math>"
                "<svg></p><style><a id=\"</style><img src=/hit/mxss1 onerror=alert(1)>\"></svg><noscript><p title=\"</noscript><img src=/hit/mxss2 onerror=alert(1)>\">"
                "<form><math><mtext></form><form><mglyph><style></math><img src=/hit/mxss3 onerror=alert(1)></style></mglyph></form>"
                "<title><img src=/hit/mxss4 onerror=alert(1)></title><textarea><img src=/hit/mxss5></textarea><xmp><img src=/hit/mxss6 onerror=alert(1)></xmp>"
                "<template><img src=/hit/mxss7 onerror=alert(1)></template><!--><img src=/hit/mxss8 onerror=alert(1)>--><![CDATA[<img src=/hit/mxss9>]]>",
    "clobber": "<img name=cookie><form id=forms name=body><input name=attributes><input name=parentNode><input name=children></form><a id=location href=x></a>"
               "<img id=getElementById><p style='position:fixed;top:0;left:0;width:100%;height:100%;z-index:9999;background:#fff'>Covered?</p>",
    "deep": "<div>" * 3000 + "deep" + "</div>" * 3000 + "<img src=/hit/deep onerror=alert(1)>",
    "wide": "<p>" + "<b onclick=alert(1)>x</b>" * 5000 + "</p>",
}

INVITATION = """BEGIN:VCALENDAR
VERSION:2.0
METHOD:REQUEST
BEGIN:VEVENT
UID:1@blue.example
SUMMARY:Walk around the lake\\, with coffee
DTSTART;TZID=Europe/Berlin:20260612T140000
DTEND;TZID=Europe/Berlin:20260612T160000
LOCATION:Boat house
ORGANIZER;CN=Chidi Anagonye:mailto:chidi@blue.example
ATTENDEE;CN=Alice Redwood;PARTSTAT=NEEDS-ACTION:mailto:alice@red.example
ATTENDEE;CN=Ada Lovelace;PARTSTAT=ACCEPTED:mailto:ada@blue.example
DESCRIPTION:We meet at the boat house.\\nBring a coat: the wind is cold on th
 e water.
END:VEVENT
END:VCALENDAR
""".replace("\n", "\r\n")

NEWSLETTER = """<!doctype html><html><head><style>.btn{background:#0b6;color:#fff;padding:10px 18px;border-radius:6px;text-decoration:none}
 @media (max-width:500px){.wide{width:100%!important}}</style></head><body style="margin:0;background:#f4f4f0">
<table width="100%" cellpadding="0" cellspacing="0" style="background:#f4f4f0"><tr><td align="center">
<table class="wide" width="520" cellpadding="24" style="background:#ffffff;border-radius:8px;margin:16px 0;font-family:Georgia,serif;color:#222">
<tr><td><h1 style="margin:0 0 8px;font-size:26px">The Gardener's Letter</h1><p style="color:#666;margin:0 0 16px">June: water early, sit down late</p>
<p>Dear reader,<br>the roses came early this year. Here is what to do with them, and why the snails are <em>not</em> to blame.</p>
<p><img src="http://127.0.0.1:1/hit/rose.jpg" width="460" height="120" alt="A rose"></p>
<p><a class="btn" href="https://garden.example/june">Read the letter</a></p></td></tr></table></td></tr></table></body></html>"""


def people(*pairs):
    return [{"name": name, "email": address} for name, address in pairs]


ALICE = people(("Alice Redwood", "alice@red.example"))


def fill(account):
    """Puts the messages by hand into the account."""
    for name, html in HOSTILE.items():
        account.add({"mailboxIds": {"b6": True}, "keywords": {"$seen": True}, "subject": name, "to": ALICE,
                     "from": people(("Mallory", "mallory@evil.example"))}, html=html,
                    attachments=[("square.png", "image/png", SQUARE, "square@red.example")] if name == "data" else [])
    travel = [
        ("Ines Prado", "ines@sol.example", "Ferry times", "The ferry goes at 9:40 and 14:10. We should take the first one.\n"),
        ("Håkon Wium", "hakon@nord.example", "Cabin for three nights", "It has a stove and no telephone. Shall I book it?\n"),
    ]
    for name, address, subject, text in travel:
        account.add({"mailboxIds": {"b7": True}, "keywords": {"$seen": True}, "subject": subject, "to": ALICE, "from": people((name, address))}, text=text)
    account.add({"mailboxIds": {"b2": True}, "keywords": {"$seen": True}, "subject": "The keys", "from": ALICE,
                 "to": people(("Dora Neighbour", "dora@next.example"))}, text="They are under the third pot.\n")
    account.add({"mailboxIds": {"b0": True}, "keywords": {}, "subject": "June: water early", "to": ALICE,
                 "from": people(("The Gardener's Letter", "letter@garden.example"))}, html=NEWSLETTER,
                headers=[{"name": "List-Unsubscribe", "value": "<https://garden.example/u/1>, <mailto:leave@garden.example?subject=leave>"},
                         {"name": "List-Unsubscribe-Post", "value": "List-Unsubscribe=One-Click"}])
    account.add({"mailboxIds": {"b0": True}, "keywords": {"$seen": True}, "subject": "مرحبا: صور من الرحلة", "to": ALICE,
                 "from": people(("فريد حداد", "farid@blue.example"))},
                text="مرحبا أليس،\n\nهذه هي الصور من الرحلة إلى البحيرة. أخبريني أيها تريدين.\n\nفريد\n")
    account.add({"mailboxIds": {"b0": True}, "keywords": {}, "subject": "Invitation: Walk around the lake", "to": ALICE,
                 "from": people(("Chidi Anagonye", "chidi@blue.example"))}, text="You are invited.\n",
                attachments=[("invite.ics", "text/calendar", INVITATION.encode())])
    first = account.add({"mailboxIds": {"b0": True}, "keywords": {"$seen": True, "$flagged": True}, "subject": "Bridge at Lauterbach: figures",
                         "to": people(("Alice Redwood", "alice@red.example"), ("Grace Hopper", "grace@navy.example")),
                         "cc": people(("Jun Watanabe", "jun@kaze.example")), "from": people(("Ada Lovelace", "ada@blue.example"))},
                        html="<p>Hello Alice,</p><p>here are the figures for the <b>bridge</b>. The second span is the one to look at:</p>"
                             "<table border=1 cellpadding=6 style='border-collapse:collapse'><tr><th>Span</th><th>Load</th></tr><tr><td>1</td><td>41 t</td></tr>"
                             "<tr><td>2</td><td style='color:#b00'>58 t</td></tr></table><p>What do you think?</p><p>Ada</p>",
                        text="Hello Alice,\n\nhere are the figures for the bridge.\n\nWhat do you think?\n\nAda\n",
                        attachments=[("bridge.csv", "text/csv", b"span,load\n1,41\n2,58\n"), ("plan.png", "image/png", SQUARE)])
    account.add({"mailboxIds": {"b0": True}, "keywords": {}, "subject": "Re: Bridge at Lauterbach: figures", "to": ALICE, "threadId": first["threadId"],
                 "inReplyTo": first["messageId"], "references": first["messageId"], "from": people(("Grace Hopper", "grace@navy.example"))},
                text="I measured it again on Tuesday, and 58 t is right.\n\n> The second span is the one to look at:\n> > as we said in May\n\n"
                     "The report is at https://navy.example/report?id=7 and I can come by on Friday.\n\n-- \nGrace\n")


def raw(account, mail):
    """Roughly the message's bytes: what a download shows."""
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    for field in ("from", "to", "cc"):
        if mail.get(field):
            message[field.capitalize()] = ", ".join(f"{a['name'] or ''} <{a['email']}>" for a in mail[field])
    message["Subject"] = mail["subject"]
    message["Message-ID"] = f"<{mail['messageId'][0]}>"
    for header in mail["headers"]:
        message[header["name"]] = header["value"]
    values = [value["value"] for value in mail["bodyValues"].values()]
    message.set_content(values[0] if values else "")
    return message.as_bytes()
