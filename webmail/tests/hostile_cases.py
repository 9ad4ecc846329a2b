"""Hostile mail does nothing: no request, no dialog, no leaving the page. Once as it is shown, and once with the sanitiser
left out, so that sandbox and content security policy alone stand against it."""
import json

import corpus
from cases import Scene, case


def harmless(scene, page, what, before):
    # What the policy refuses shows up as a request too, with its reason; it never left the browser.
    asked = [url for url in page.requests[before:] if url not in page.blocked]
    asked = [url for url in asked if not url.startswith(("blob:", "data:", "about:"))]
    foreign = [url for url in asked if "/hit/" in url or not url.startswith(scene.url)]
    assert not foreign, f"{what} fetched {foreign}"
    hits = [hit for hit in scene.world.hits if "/hit/" in hit]
    assert not hits, f"{what} hit {hits}"
    assert not page.dialogs, f"{what} opened {page.dialogs}"
    assert page.run("location.href").startswith(scene.url), f"{what} left the page"
    assert page.run("document.querySelectorAll('#app main').length") == 1, f"{what} changed the page"


def numbers(scene):
    """Rows of the folder, by subject."""
    return {subject: index for index, subject in enumerate(scene.subjects())}


@case
def shown_by_the_page():
    with Scene(50) as scene:
        page = scene.log_in()
        scene.folder("Hostile")
        for name in corpus.HOSTILE:
            scene.page.run("document.getElementById('list').scrollTop = 0")
            before = len(page.requests)
            row = next(n for n, mail in ((i, scene.account.email(m)) for i, m in enumerate(scene.account.members["b6"])) if mail["subject"] == name)
            page.run(f"document.getElementById('list').scrollTop = {row} * 76 - 200")
            page.until(f"document.getElementById('row-{row}')?.querySelector('.subject').textContent === {json.dumps(name)}")
            page.run(f"document.getElementById('row-{row}').click()")
            page.until(f"document.querySelector('.thread-subject')?.textContent === {json.dumps(name)} && document.querySelector('iframe.mail-frame')?.contentDocument?.documentElement.classList.contains('reading')", name)
            # Everything that could be pressed is pressed; links are kept from opening windows of their own.
            page.run("(() => { const inside = document.querySelector('iframe.mail-frame').contentDocument;"
                     " for (const n of inside.querySelectorAll('*')) { if (n.matches('a[href]')) continue; for (const kind of ['mouseover', 'click', 'focus'])"
                     " n.dispatchEvent(new MouseEvent(kind, { bubbles: true })); } })()")
            scene.settle(0.15)
            harmless(scene, page, name, before)
            left = page.run("(() => { const inside = document.querySelector('iframe.mail-frame').contentDocument;"
                            " return [...inside.body.querySelectorAll('*')].filter((n) => /^(script|style|iframe|object|embed|form|input|meta|base|svg|math|link|video|audio)$/.test(n.localName)"
                            " || n.namespaceURI !== 'http://www.w3.org/1999/xhtml' || [...n.attributes].some((a) => /^on|^id$|^name$|^srcset$|^ping$|^background$/.test(a.name))"
                            " || (n.href && !/^(https?|mailto|tel):/.test(n.href))).map((n) => n.outerHTML.slice(0, 80)); })()")
            assert not left, f"{name} left {left}"
        assert page.run("document.cookie") == ""


def raw_frame(page, html):
    """The HTML as it came, in the very frame that the page uses: parsed by the browser inside it."""
    page.run("import('/src/frame.js').then(async ({ Frame }) => { document.getElementById('raw')?.remove(); const frame = new Frame('raw');"
             " frame.element.id = 'raw'; document.body.append(frame.element); await frame.ready; })")
    tree = page.call("Page.getFrameTree")["frameTree"]
    frame = tree["childFrames"][-1]["frame"]["id"]
    page.call("Page.setDocumentContent", {"frameId": frame, "html": page.run("document.getElementById('raw').contentDocument.head.outerHTML") + html})


@case
def without_the_sanitiser():
    with Scene(50) as scene:
        page = scene.log_in()
        page.run("document.getElementById('reader').replaceChildren()")
        for name, html in corpus.HOSTILE.items():
            if name == "deep":
                continue  # the browser's own parser flattens it; nothing in it is new
            before = len(page.requests)
            raw_frame(page, html)
            # And once more as a tree that is put in, as the page does, but with all that is in it.
            page.run("(() => { const inside = document.getElementById('raw').contentDocument; const from = document.implementation.createHTMLDocument();"
                     " const copy = inside.importNode(inside.body, true); inside.body.append(...copy.childNodes); })()")
            page.run("(() => { const inside = document.getElementById('raw').contentDocument; for (const n of [...inside.querySelectorAll('*')].slice(0, 500))"
                     " { if (n.href && /^https?:/.test(n.href)) continue; for (const kind of ['mouseover', 'click', 'focus'])"
                     " n.dispatchEvent(new MouseEvent(kind, { bubbles: true, cancelable: true })); } })()")
            scene.settle(0.25)
            harmless(scene, page, f"{name}, raw,", before)
            # A link that was pressed may leave an empty page in its own frame, where the policy refused what it leads to.
            where = page.run("(() => { try { return document.getElementById('raw').contentWindow.location.href; } catch { return 'refused'; } })()")
            # Its address is the page's, which wrote it.
            assert where == page.run("location.href") or (where == "refused" and name == "links"), f"{name} took its frame to {where}"
        page.errors.clear()  # the browser's words about what it refused
        assert page.violations, "nothing was refused: this test tests nothing"


@case
def pictures_from_elsewhere_wait_until_asked():
    with Scene(50) as scene:
        page = scene.log_in()
        scene.open_row(3)
        page.until("document.querySelector('.banner .icon-image')", "the word about pictures")
        assert not scene.world.hits
        page.run("document.querySelector('.banner:has(.icon-image) button').click()")
        scene.until(lambda: any("proxy" in hit for hit in scene.world.hits), "the picture, through the proxy")
        assert scene.world.hits == ["proxy http://127.0.0.1:1/hit/rose.jpg"], scene.world.hits
        assert not [url for url in page.requests if url.startswith("http://127.0.0.1:1/")]


@case
def pictures_of_the_message_are_shown():
    with Scene(50) as scene:
        page = scene.log_in()
        scene.folder("Hostile")
        page.run("[...document.querySelectorAll('.row')].find((r) => r.querySelector('.subject').textContent === 'data').click()")
        page.until("(() => { const all = [...document.querySelector('iframe.mail-frame').contentDocument.images].filter((i) => i.complete && i.naturalWidth); return all.length === 2; })()",
                   "the picture by Content-ID and the one by data:")


@case
def links_that_lie_are_asked_about():
    with Scene(50) as scene:
        page = scene.log_in()
        scene.folder("Hostile")
        page.run("[...document.querySelectorAll('.row')].find((r) => r.querySelector('.subject').textContent === 'homograph').click()")
        page.until("document.querySelector('iframe.mail-frame')?.contentDocument?.querySelectorAll('a').length === 3", "the links")
        for link, address in ((0, "xn--pple-43d.com"), (1, "evil.example")):
            page.run(f"document.querySelector('iframe.mail-frame').contentDocument.querySelectorAll('a')[{link}].click()")
            page.until(f"document.querySelector('dialog .address')?.textContent.includes('{address}')", f"the question about {address}")
            page.press("Escape")
            page.until("!document.querySelector('dialog')")
        rel = page.run("[...document.querySelector('iframe.mail-frame').contentDocument.querySelectorAll('a')].map((a) => a.rel + a.target)")
        assert rel == ["noopener noreferrer_blank"] * 3, rel


@case
def quoted_in_an_answer():
    with Scene(50) as scene:
        page = scene.log_in()
        scene.folder("Hostile")
        for name in ("handlers", "css-fetch", "svg", "forms", "frames", "links", "mutation", "clobber"):
            before = len(page.requests)
            row = next(i for i, m in enumerate(scene.account.members["b6"]) if scene.account.email(m)["subject"] == name)
            page.run(f"document.getElementById('list').scrollTop = {max(0, row * 76 - 200)}")
            page.until(f"document.getElementById('row-{row}')?.querySelector('.subject').textContent === {json.dumps(name)}")
            page.run(f"document.getElementById('row-{row}').click()")
            page.until(f"document.querySelector('.thread-subject')?.textContent === {json.dumps(name)} && document.querySelector('iframe.mail-frame')")
            page.press("r")
            page.until(f"document.querySelector('#compose-subject')?.value === 'Re: {name}' && document.querySelector('.composer iframe')?.contentDocument?.body?.isContentEditable", f"an answer to {name}")
            scene.settle(0.15)
            harmless(scene, page, f"{name}, quoted,", before)
            # What would be sent, by the kinds of things that act; words in it are only words.
            left = page.run("(() => { const inside = document.querySelector('.composer iframe').contentDocument; return [...inside.body.querySelectorAll('*')].filter((n) =>"
                            " /^(script|style|iframe|object|embed|form|input|button|meta|base|svg|math|link|video|audio)$/.test(n.localName)"
                            " || [...n.attributes].some((a) => /^on|^id$|^name$|^srcset$|^ping$|^background$/.test(a.name) || (a.name === 'style' && /url|position|image/.test(a.value)))"
                            " || (n.href && !/^(https?|mailto|tel):/.test(n.href))).map((n) => n.outerHTML.slice(0, 80)); })()")
            assert not left, f"{name} left {left}"
            page.press("Escape")
            page.until("!document.querySelector('.composer')")


@case
def links_in_plain_text_are_asked_about_too():
    with Scene(50) as scene:
        scene.account.add({"mailboxIds": {"b0": True}, "keywords": {}, "subject": "Plain", "to": [], "from": [{"name": "M", "email": "m@evil.example"}]},
                          text="See https://\u0430pple.com/login or write to bank@evil.example.\n")
        page = scene.log_in()
        scene.open_row(0)
        page.run("document.querySelector('.plain a').click()")
        page.until("document.querySelector('dialog .address')?.textContent.includes('xn--pple-43d.com')", "the question")
        page.press("Escape")
        page.until("!document.querySelector('dialog')")
        page.run("document.querySelectorAll('.plain a')[1].click()")
        page.until("document.querySelector('.composer .chip')?.title === 'bank@evil.example'", "a message to that address")
