"""Reading, writing and sending, as a person does it: what the server gets is compared."""
import base64
import json

from cases import Scene, case

COMPOSED = "document.querySelector('.composer iframe')?.contentDocument?.body?.isContentEditable"


def inside(page):
    return page.run("document.querySelector('.composer iframe').contentDocument.body.innerText")


@case
def log_in_wrong_then_with_a_code():
    with Scene(50) as scene:
        page = scene.page
        page.open(scene.url)
        page.until("!document.getElementById('login').hidden")
        page.click("#login-address")
        page.type("totp@red.example")
        page.press("Tab")
        page.type("wrong")
        page.press("Enter")
        page.until("document.getElementById('login-problem').textContent.includes('wrong')", "it says so")
        page.run("document.querySelector('[name=password]').value = ''")
        page.type("alice")
        page.press("Enter")
        page.until("!document.getElementById('login-totp').hidden", "the code is asked for")
        page.type("123456")
        page.press("Enter")
        page.until("document.querySelector('.row')")
        page.click("[aria-label='Log out']")
        page.until("document.getElementById('login') && !document.getElementById('login').hidden", "out again")
        assert not scene.world.sessions


@case
def write_with_an_attachment_and_send():
    with Scene(50) as scene:
        page = scene.log_in()
        page.press("c")
        page.until(COMPOSED)
        page.type("dora")
        page.until("document.querySelector('.suggestions:not([hidden]) li')", "an address learnt from sent mail")
        page.press("Enter")
        page.type("Grace Hopper <grace@navy.example>,")
        page.until("document.querySelectorAll('.chip').length === 2")
        page.click("#compose-subject")
        page.type("Ünïcode & <b>")
        page.run("document.querySelector('.composer iframe').contentDocument.body.focus()")
        page.type("Here it is.")
        # Dropped onto the composer, with a real file's bytes.
        page.run("(() => { const data = new DataTransfer(); data.items.add(new File(['one,two\\n'], 'täble.csv', { type: 'text/csv' }));"
                 " document.querySelector('.composer').dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })); })()")
        page.until("document.querySelector('.uploads li') && !document.querySelector('.uploads progress')", "it is uploaded")
        page.press("Control+Enter")
        page.until("document.querySelector('#notice button')", "it can be taken back")
        mail = scene.until(lambda: scene.kept("Ünïcode & <b>"), "it is there")
        assert mail["mailboxIds"] == {"b2": True}, mail["mailboxIds"]
        assert "$draft" not in mail["keywords"] and mail["keywords"].get("$seen")
        assert [a["email"] for a in mail["to"]] == ["dora@next.example", "grace@navy.example"], mail["to"]
        assert [(a["name"], a["size"]) for a in mail["attachments"]] == [("täble.csv", 8)]
        assert mail["bodyValues"]["1"]["value"].startswith("Here it is.") and "-- \nAlice Redwood" in mail["bodyValues"]["1"]["value"]
        assert "Here it is." in mail["bodyValues"]["2"]["value"]
        sent = list(scene.account.submissions.values())
        assert [r["email"] for r in sent[0]["envelope"]["rcptTo"]] == ["dora@next.example", "grace@navy.example"]
        assert sent[0]["envelope"]["mailFrom"]["parameters"] == {"HOLDFOR": "10"}
        assert not [m for m in scene.account.members["b1"]], "no draft is left"


@case
def undo():
    with Scene(50) as scene:
        page = scene.log_in()
        page.press("c")
        page.until(COMPOSED)
        page.type("dora@next.example,")
        page.click("#compose-subject")
        page.type("Too soon")
        page.press("Control+Enter")
        page.until("document.querySelector('#notice button')")
        page.run("document.querySelector('#notice button').click()")
        page.until("document.querySelector('#compose-subject')?.value === 'Too soon'", "it is open again")
        states = [one["undoStatus"] for one in scene.account.submissions.values()]
        assert states == ["canceled"], states
        mail = scene.until(lambda: scene.kept("Too soon"), "the draft")
        scene.until(lambda: scene.kept("Too soon")["mailboxIds"] == {"b1": True}, "it is a draft again")
        assert mail["keywords"].get("$draft") or scene.kept("Too soon")["keywords"].get("$draft")
        page.press("Escape")
        page.until("!document.querySelector('.composer')")


@case
def drafts_are_kept_and_gone_on_with():
    with Scene(50) as scene:
        page = scene.log_in()
        page.press("c")
        page.until(COMPOSED)
        page.click("#compose-subject")
        page.type("Half a thought")
        page.until("document.querySelector('.draft-state').textContent === 'Draft saved'", "it saves by itself")
        first = scene.kept("Half a thought")
        page.type(" more")
        scene.until(lambda: scene.kept("Half a thought more"), "and again")
        scene.until(lambda: scene.account.email(int(first["id"][1:])) is None, "the version before is gone")
        page.press("Escape")
        page.until("!document.querySelector('.composer')")
        scene.folder("Drafts")
        page.click("#row-0")
        page.until("document.querySelector('#compose-subject')?.value === 'Half a thought more'")
        page.click("[aria-label='Discard']")
        page.until("document.querySelector('dialog')")
        page.run("document.querySelector('dialog .main').click()")
        scene.until(lambda: not scene.account.members["b1"], "discarded")


@case
def reply_to_all_forward_and_quote():
    with Scene(50) as scene:
        page = scene.log_in()
        scene.open_row(0)
        page.run("document.querySelector('.folded-head').click()")
        page.until("document.querySelectorAll('.message:not(.folded)').length === 2")
        page.press("a")
        page.until(COMPOSED)
        chips = page.run("[...document.querySelectorAll('.composer .field:not([hidden]) .chip')].map((c) => c.title)")
        assert chips == ["Ada Lovelace <ada@blue.example>", "Grace Hopper <grace@navy.example>", "Jun Watanabe <jun@kaze.example>"], chips
        page.type("Yes.")
        text = inside(page)
        assert text.startswith("Yes.") and "Ada Lovelace wrote:" in text and "second span" in text, text
        assert page.run("document.querySelector('.composer iframe').contentDocument.querySelectorAll('blockquote table td').length") == 4
        page.press("Control+Enter")
        mail = scene.until(lambda: next((m for m in scene.account.kept.values() if m and m["from"][0]["email"] == "alice@red.example" and m["inReplyTo"]), None), "sent")
        parent = scene.kept("Bridge at Lauterbach: figures")
        assert mail["inReplyTo"] == parent["messageId"] and mail["references"] == parent["messageId"]
        assert "> Hello Alice," in mail["bodyValues"]["1"]["value"] and "<b>bridge</b>" in mail["bodyValues"]["2"]["value"]
        scene.until(lambda: scene.kept("Bridge at Lauterbach: figures")["keywords"].get("$answered"), "the flag for answered")
        page.press("f")
        page.until(COMPOSED + " && document.getElementById('compose-subject').value.startsWith('Fwd:')")
        names = page.run("[...document.querySelectorAll('.uploads .name')].map((n) => n.textContent)")
        assert names in (["bridge.csv", "plan.png"], []), names
        page.press("Escape")
        page.until("!document.querySelector('.composer')")


@case
def plain_text_stays_plain():
    with Scene(50) as scene:
        page = scene.page
        page.open(scene.url)
        page.until("document.getElementById('login')")
        page.run("localStorage.setItem('postrider.plain', 'true')")
        page = scene.log_in()
        scene.open_row(0)
        page.press("r")
        page.until("document.querySelector('.composer textarea.plain-editor')")
        page.type("Good.\n")
        page.press("Control+Enter")
        mail = scene.until(lambda: next((m for m in scene.account.kept.values() if m and m["from"][0]["email"] == "alice@red.example" and m["inReplyTo"]), None), "sent")
        assert len(mail["htmlBody"]) == 1 and mail["htmlBody"][0]["type"] == "text/plain"
        lines = mail["bodyValues"]["1"]["value"].split("\n")
        assert lines[0] == "Good." and "> I measured it again on Tuesday, and 58 t is right." in lines and ">>> as we said in May" not in lines and ">> > as we said in May" in lines, lines
        assert lines[-3:] == ["-- ", "Alice Redwood", "Red Example Ltd."]


@case
def an_image_in_the_text():
    with Scene(50) as scene:
        page = scene.log_in()
        page.press("c")
        page.until(COMPOSED)
        page.type("dora@next.example,")
        page.click("#compose-subject")
        page.type("Picture")
        pixel = base64.b64encode(__import__("corpus").SQUARE).decode()
        page.run("(() => { const inside = document.querySelector('.composer iframe').contentDocument; inside.body.focus(); const data = new DataTransfer();"
                 f" data.items.add(new File([Uint8Array.from(atob('{pixel}'), (c) => c.charCodeAt(0))], 'square.png', {{ type: 'image/png' }}));"
                 " inside.body.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })); })()")
        page.until("document.querySelector('.composer iframe').contentDocument.querySelector('img[data-cid]')?.naturalWidth === 16", "it is shown")
        page.press("Control+Enter")
        scene.until(lambda: scene.account.submissions, "sent")
        mail = scene.kept("Picture")
        part = mail["attachments"][0]
        assert part["disposition"] == "inline" and part["cid"], part
        assert f"cid:{part['cid']}" in mail["bodyValues"]["2"]["value"] and "blob:" not in mail["bodyValues"]["2"]["value"]


@case
def what_is_pasted_is_sanitised():
    with Scene(50) as scene:
        page = scene.log_in()
        page.press("c")
        page.until(COMPOSED)
        page.run("(() => { const inside = document.querySelector('.composer iframe').contentDocument; inside.body.focus(); inside.getSelection().setPosition(inside.body, 0);"
                 " const data = new DataTransfer(); data.setData('text/html', '<b onclick=alert(1)>bold</b><img src=/hit/paste onerror=alert(1)><script>alert(1)</script>');"
                 " inside.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })); })()")
        page.until("document.querySelector('.composer iframe').contentDocument.querySelector('b')?.textContent === 'bold'")
        assert page.run("document.querySelector('.composer iframe').contentDocument.body.innerHTML").count("alert") == 0
        scene.settle(0.2)
        assert not scene.world.hits, scene.world.hits


@case
def send_later_and_think_again():
    with Scene(50) as scene:
        page = scene.log_in()
        page.press("c")
        page.until(COMPOSED)
        page.type("dora@next.example,")
        page.click("#compose-subject")
        page.type("Tomorrow")
        page.click("[aria-label='Send later']")
        page.until("document.querySelector('dialog input[type=datetime-local]')")
        page.run("document.querySelector('dialog .main').click()")
        one = scene.until(lambda: next(iter(scene.account.submissions.values()), None), "the submission")
        assert 3600 < int(one["envelope"]["mailFrom"]["parameters"]["HOLDFOR"]) < 3 * 86400
        scene.folder("Sent")
        page.run("[...document.querySelectorAll('.row')].find((r) => r.querySelector('.subject').textContent === 'Tomorrow').click()")
        page.until("[...document.querySelectorAll('.banner button')].some((b) => b.textContent.startsWith('Don'))", "when it will leave")
        page.run("[...document.querySelectorAll('.banner button')].find((b) => b.textContent.startsWith('Don')).click()")
        scene.until(lambda: one["undoStatus"] == "canceled", "cancelled")


@case
def a_list_is_left_by_one_click():
    with Scene(50) as scene:
        page = scene.log_in()
        scene.open_row(3)
        page.until("[...document.querySelectorAll('.banner button')].some((b) => b.textContent === 'Unsubscribe')")
        page.run("[...document.querySelectorAll('.banner button')].find((b) => b.textContent === 'Unsubscribe').click()")
        page.until("document.querySelector('dialog .main')")
        page.run("document.querySelector('dialog .main').click()")
        hit = scene.until(lambda: next((h for h in scene.world.hits if h.startswith("post")), None), "the server is asked")
        assert hit == "post https://garden.example/u/1 List-Unsubscribe=One-Click", hit


@case
def invitation_source_and_right_to_left():
    with Scene(50) as scene:
        page = scene.log_in()
        scene.open_row(1)
        page.until("document.querySelector('.invitation')?.textContent.includes('Walk around the lake, with coffee')")
        assert "Europe/Berlin" in page.run("document.querySelector('.invitation').textContent")
        page.run("document.querySelector('.message [aria-haspopup]').click()")
        page.until("document.querySelector('[role=menu]')")
        page.run("[...document.querySelectorAll('[role=menuitem]')].find((m) => m.textContent === 'Source').click()")
        page.until("document.querySelector('dialog pre')?.textContent.includes('Message-ID:')")
        page.press("Escape")
        page.until("!document.querySelector('dialog')")
        scene.open_row(2)
        page.until("getComputedStyle(document.querySelector('.message .plain .part')).direction === 'rtl'")
        assert page.run("getComputedStyle(document.querySelector('.thread-subject')).direction") == "rtl"


@case
def away_identities_and_folders():
    with Scene(50) as scene:
        page = scene.log_in()
        page.press("g", "s")
        page.until("document.querySelector('.save-vacation')")
        page.run("(() => { const g = document.querySelector('.save-vacation').closest('fieldset'); g.querySelector('input[type=checkbox]').click(); g.querySelector('textarea').value = 'Back on Monday'; g.querySelector('.save-vacation').click(); })()")
        scene.until(lambda: scene.account.vacation["singleton"]["isEnabled"] and scene.account.vacation["singleton"]["textBody"] == "Back on Monday", "it is saved")
        page.run("(() => { const d = document.querySelector('.identity'); d.open = true; d.querySelector('textarea').value = 'A.'; d.querySelector('button').click(); })()")
        scene.until(lambda: scene.account.identities["i1"]["textSignature"] == "A.", "the signature is saved")
        page.press("Escape")
        page.until("!document.querySelector('dialog')")
        page.click("#list-head-tools [aria-haspopup]")
        page.run("[...document.querySelectorAll('[role=menuitem]')].find((m) => m.textContent === 'New folder').click()")
        page.until("document.querySelector('dialog input')")
        page.type("Bridges")
        page.run("document.querySelector('dialog .main').click()")
        page.until("[...document.querySelectorAll('.folder')].some((f) => f.textContent === 'Bridges')")


@case
def a_saved_message_and_a_printed_one():
    with Scene(50) as scene:
        page = scene.log_in()
        scene.open_row(0)
        # What is saved is asked for as a download, by the blob of the message.
        page.run("HTMLAnchorElement.prototype.click = function () { window.saved = [this.getAttribute('href'), this.download]; }; document.querySelector('.message:not(.folded) [aria-haspopup]').click()")
        page.run("[...document.querySelectorAll('[role=menuitem]')].find((m) => m.textContent === 'Save as a file').click()")
        address, name = page.run("window.saved")
        assert address.startswith("/jmap/download/A/R") and name == "Re_ Bridge at Lauterbach_ figures.eml", (address, name)
        assert "Message-ID" in page.run(f"fetch({address!r}).then((a) => a.text())")
        # On paper there is the message, and nothing around it.
        page.call("Emulation.setEmulatedMedia", {"media": "print"})
        seen = page.run("['.top', '#folders', '.list-pane', '.reader-bar', '.message'].map((s) => getComputedStyle(document.querySelector(s)).display)")
        assert seen[:4] == ["none"] * 4 and seen[4] != "none", seen
        page.call("Emulation.setEmulatedMedia", {"media": ""})


@case
def the_trash_is_emptied():
    with Scene(50) as scene:
        page = scene.log_in()
        page.run("document.getElementById('list').focus()")
        page.press("#")
        scene.until(lambda: scene.account.members["b5"], "something in the trash")
        scene.folder("Trash")
        page.click("#list-head-tools [aria-haspopup]")
        page.run("[...document.querySelectorAll('[role=menuitem]')].find((m) => m.textContent === 'Empty this folder').click()")
        page.until("document.querySelector('dialog .main')")
        page.run("document.querySelector('dialog .main').click()")
        scene.until(lambda: not scene.account.members["b5"], "the trash is empty")
        page.until("!document.getElementById('list-empty').hidden", "the page says so")


@case
def by_keys_alone():
    with Scene(200) as scene:
        page = scene.page
        page.open(scene.url)
        page.until("document.activeElement?.id === 'login-address'", "the focus is where one types")
        page.type("alice@red.example")
        page.press("Tab")
        page.type("alice")
        page.press("Enter")
        page.until("document.querySelector('.row:not(.blank)')")
        page.press("g", "l")
        page.press("j", "j", "k", "Enter")
        page.until("document.querySelector('.thread-subject')?.textContent.startsWith('Invitation')", "the second is open")
        page.press("j")
        page.until("document.querySelector('.thread-subject')?.textContent.startsWith('مرحبا')", "the third")
        page.press("s")
        scene.until(lambda: scene.kept("مرحبا: صور من الرحلة")["keywords"].get("$flagged"), "flagged")
        page.press("r")
        page.until(COMPOSED)
        page.type("شكرا")
        page.press("Control+Enter")
        scene.until(lambda: scene.account.submissions, "answered")
        page.until("!document.querySelector('.composer')")
        page.press("u")
        page.until("!document.querySelector('.thread-subject')")
        page.press("g", "t")
        page.until("document.getElementById('list-title').textContent === 'Sent'")
        page.press("g", "i")
        page.until("document.getElementById('list-title').textContent === 'Inbox' && document.querySelector('.row:not(.blank):not([hidden])')")
        page.press("g", "f")
        page.until("document.activeElement?.classList.contains('folder')")
        page.press("Tab", "Enter")
        page.until("document.getElementById('list-title').textContent === 'Drafts'")
        page.press("?")
        page.until("document.querySelectorAll('dialog kbd').length > 30")
        shown = page.run("[...document.querySelectorAll('dialog dd')].map((d) => d.textContent)")
        assert len(shown) > 25 and all(shown), json.dumps(shown)
        page.press("Escape")
        page.until("!document.querySelector('dialog')")
