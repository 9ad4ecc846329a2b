"""How the page looks and is reached: phone, tablet, dark, German, without a connection; axe-core on every view. Pictures
are left in the folder that WEBMAIL_PICTURES names."""
import json
import os
import pathlib

from cases import Scene, case
from mail_cases import COMPOSED

PICTURES = os.environ.get("WEBMAIL_PICTURES")
AXE = os.environ.get("WEBMAIL_AXE")


def picture(scene, name):
    if PICTURES:
        pathlib.Path(PICTURES).mkdir(parents=True, exist_ok=True)
        scene.settle(0.4)
        scene.page.picture(f"{PICTURES}/{name}.png")


def accessible(page, what):
    """No violation that axe-core knows, of WCAG 2.2 AA and of good practice."""
    if not AXE:
        print("    axe-core is not here: accessibility was not checked")
        return
    if not page.run("Boolean(window.axe)"):
        # As the browser's own tools do: not through the page, whose policy would refuse it.
        page.call("Runtime.evaluate", {"expression": pathlib.Path(AXE).read_text()})
    found = page.run("axe.run(document, { resultTypes: ['violations'], iframes: false }).then((r) => r.violations.map((v) => [v.id, v.help, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + ' ' + (n.any[0]?.message ?? '')).join(' | ')]))")
    assert not found, f"{what}:\n" + "\n".join(map(json.dumps, found))


@case
def no_violation_that_axe_knows():
    with Scene(500) as scene:
        page = scene.page
        page.open(scene.url)
        page.until("document.getElementById('login') && !document.getElementById('login').hidden")
        accessible(page, "log-in")
        page = scene.log_in()
        for theme in ("light", "dark"):
            page.run(f"import('/src/choices.js').then((c) => {{ c.choose('theme', '{theme}'); c.showColours(); }})")
            accessible(page, f"{theme} list")
            for row in (0, 1, 3):
                scene.open_row(row)
                accessible(page, f"{theme} message {row}")
            page.run("document.getElementById('list').focus()")
            page.press("x")
            page.until("document.querySelector('.how-many')")
            accessible(page, f"{theme} selection")
            page.press("* n".split()[0], "n")
            page.run("document.querySelector('.message [aria-haspopup]').click()")
            page.until("document.querySelector('[role=menu]')")
            accessible(page, f"{theme} menu")
            page.press("Escape")
            page.press("c")
            page.until(COMPOSED)
            page.type("do")
            page.until("document.querySelector('.suggestions li')")
            accessible(page, f"{theme} composer")
            page.press("Escape")
            page.press("Escape")
            page.until("!document.querySelector('.composer')")
            for keys in (("?",), ("g", "s")):
                page.press(*keys)
                page.until("document.querySelector('dialog')")
                accessible(page, f"{theme} {keys}")
                page.press("Escape")
                page.until("!document.querySelector('dialog')")
            page.press("/")
            page.type("bridge")
            page.until("document.querySelector('#list mark')")
            accessible(page, f"{theme} search")
            page.press("Escape")
            page.until("document.getElementById('list-title').textContent === 'Inbox'")
        page.size(390, 844, True)
        accessible(page, "phone")
        page.errors.clear()


@case
def on_a_wide_screen():
    with Scene(width=1280, height=780) as scene:
        page = scene.log_in()
        scene.open_row(0)
        panes = page.run("['folders', 'list', 'reader'].map((id) => document.getElementById(id).getBoundingClientRect()).every((r) => r.width > 150 && r.left >= 0)")
        assert panes, "three panes"
        page.run("document.querySelector('.folded-head').click()")
        picture(scene, "wide")
        page.press("a")
        page.until(COMPOSED)
        page.type("Thank you, both. I will look at the second span on Friday.")
        picture(scene, "writing")


@case
def on_a_phone():
    with Scene(width=390, height=844, phone=True) as scene:
        page = scene.log_in()
        assert page.run("document.documentElement.scrollWidth") <= 390
        assert page.run("getComputedStyle(document.getElementById('reader')).display") == "none"
        picture(scene, "phone-list")
        page.click("#show-folders")
        page.until("document.getElementById('folders').getBoundingClientRect().left >= 0 && document.activeElement.classList.contains('folder')")
        picture(scene, "phone-folders")
        page.press("Escape")
        page.until("document.getElementById('folders').getBoundingClientRect().right <= 0", "the folders are away")
        scene.open_row(3)
        page.until("getComputedStyle(document.querySelector('.list-pane')).display === 'none'", "only the message")
        assert page.run("document.documentElement.scrollWidth") <= 390
        picture(scene, "phone-message")
        page.run("history.back()")
        page.until("getComputedStyle(document.querySelector('.list-pane')).display !== 'none'", "the button for going back leads to the list")
        page.run("document.getElementById('show-folders').click()")
        page.until("document.getElementById('folders').getBoundingClientRect().left >= 0")
        page.click("#compose")
        page.until(COMPOSED)
        box = page.run("(() => { const r = document.querySelector('.composer').getBoundingClientRect(); return [r.left, r.top, r.width]; })()")
        assert box == [0, 0, 390], box
        picture(scene, "phone-writing")


@case
def on_a_tablet():
    with Scene(width=900, height=1100) as scene:
        page = scene.log_in()
        scene.open_row(1)
        boxes = page.run("['list', 'reader'].map((id) => document.getElementById(id).getBoundingClientRect().width)")
        assert all(width > 250 for width in boxes), boxes
        assert page.run("document.getElementById('folders').getBoundingClientRect().right") <= 0
        picture(scene, "tablet")


@case
def dark_by_the_system_and_by_the_switch():
    with Scene(width=1280, height=780) as scene:
        scene.page.media(prefers_color_scheme="dark")
        page = scene.log_in()
        dark = "getComputedStyle(document.querySelector('.list-pane')).backgroundColor"
        assert page.run(dark) == "rgb(26, 33, 30)"
        scene.open_row(3)
        picture(scene, "dark")
        page.click("[aria-label='Dark or light']")
        page.until(dark + " === 'rgb(255, 255, 255)'")
        page.media(prefers_color_scheme="light")
        page.click("[aria-label='Dark or light']")
        page.until(dark + " === 'rgb(26, 33, 30)'")
        # A message that sets colours keeps white paper; a plain one follows.
        page.until("getComputedStyle(document.querySelector('iframe.mail-frame').contentDocument.documentElement).backgroundColor === 'rgb(255, 255, 255)'")


@case
def in_german():
    with Scene(50) as scene:
        page = scene.page
        page.open(scene.url)
        page.until("document.getElementById('login')")
        page.run("localStorage.setItem('postrider.language', '\"de\"')")
        page = scene.log_in()
        assert page.run("document.documentElement.lang") == "de"
        assert page.run("document.getElementById('list-title').textContent") == "Posteingang"
        page.press("/")
        page.type("in:gesendet")
        page.until("document.querySelector('#row-0 .subject')?.textContent === 'The keys'", "folders are found by the names that are shown")


@case
def a_change_between_two_streams_is_found():
    with Scene(200) as scene:
        page = scene.log_in()
        scene.until(lambda: scene.world.listeners, "the page listens")
        scene.world.events = "silent"
        page.run("fetch('/test/arrive?subject=Unheard')")
        scene.until(lambda: scene.kept("Unheard"), "it is there")
        scene.world.events = "told"
        page.run("window.dispatchEvent(new Event('online'))")
        page.until("document.querySelector('#row-0 .subject').textContent === 'Unheard'", "what no stream told of")
        page.run("window.dispatchEvent(new Event('online')); window.dispatchEvent(new Event('online')); fetch('/test/arrive?subject=Twice')")
        page.until("document.querySelector('#row-0 .subject').textContent === 'Twice'", "a stream that was replaced at once")


@case
def a_server_without_events_is_asked_now_and_then():
    with Scene(200) as scene:
        scene.world.events = "refused"
        page = scene.log_in()
        scene.until(lambda: scene.world.hits.count("no events") >= 2, "it tries again")
        page.run("fetch('/test/arrive?subject=Asked')")
        page.until("document.querySelector('#row-0 .subject').textContent === 'Asked'", "new mail")
        assert page.run("document.getElementById('offline').hidden"), "it is not taken for being offline"


@case
def without_a_connection():
    with Scene(200) as scene:
        page = scene.log_in()
        scene.open_row(0)
        page.run("document.querySelector('.folded-head').click()")
        subject = page.run("document.querySelector('.thread-subject').textContent")
        page.until("navigator.serviceWorker.controller", "the service worker")
        scene.settle(2)
        page.offline(True)
        page.open(scene.url + "?")
        page.until("document.querySelector('.row:not(.blank)') && !document.getElementById('offline').hidden", "the list, without a connection", 30)
        scene.open_row(0)
        assert page.run("document.querySelector('.thread-subject').textContent") == subject
        page.until("document.querySelector('.message:not(.folded) .message-body')?.textContent.includes('58 t is right')", "what was read")
        picture(scene, "offline")
        page.offline(False)
        page.run("window.dispatchEvent(new Event('online'))")
        page.until("document.getElementById('offline').hidden", "it is connected again", 30)
        page.run("fetch('/test/arrive?subject=Back')")
        page.until("document.querySelector('#row-0 .subject').textContent === 'Back'", "and follows changes", 30)
        page.click("[aria-label='Log out']")
        page.until("document.getElementById('login') && !document.getElementById('login').hidden")
        kept = page.run("new Promise((done) => { const r = indexedDB.open('postrider'); r.onsuccess = () => { const t = r.result.transaction(['kept', 'threads']); let n = 0;"
                        " for (const s of ['kept', 'threads']) t.objectStore(s).count().onsuccess = (e) => { n += e.target.result; }; t.oncomplete = () => done(n); }; })")
        assert kept == 0, "nothing is left after the log-out"
        page.errors.clear()
