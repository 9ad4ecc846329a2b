"""*Where is my mail?* and *How did this reach me?*: the picture, its words, live, by keyboard, on paper and in a file."""
import html.parser
import json

import journeys
from cases import Scene, case
from look_cases import accessible, picture

PICTURE = "document.querySelector('.journey-dialog .journey')"


def show(scene, folder, subject, label="Where is my mail?"):
    page = scene.log_in()
    scene.folder(folder)
    index = scene.subjects().index(subject)
    scene.open_row(index)
    page.click(f"[aria-label={json.dumps(label)}]")
    page.until(f"{PICTURE}?.children.length", "the picture")
    return page


class Tags(html.parser.HTMLParser):
    """The elements of a file."""

    def __init__(self, text):
        super().__init__()
        self.tags = set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        assert not any(name.startswith("on") for name, _ in attributes), attributes
        self.tags.add(tag)


def words(page):
    return page.run(f"{PICTURE}.innerText")


@case
def where_is_my_mail():
    with Scene(200, height=1000) as scene:
        page = show(scene, "Sent", "Plans for the lake")
        text = words(page)
        for line in ("Taken from you, over an encrypted connection.", "Handed to mail.green.example, over an encrypted connection with a checked certificate.",
                     "mx.blue.example did not take it: “Greylisted, please come back”.", "blue.example asked us to come back later: “Greylisted, please come back”. Next try in 4 minutes.",
                     "kaze.example refused it: “<nobody@kaze.example> is unknown”. You were told by mail.", "Put into the mailbox of bob@red.example."):
            assert line in text, (line, text)
        states = page.run(f"[...{PICTURE}.querySelectorAll('.pill')].map((p) => p.textContent)")
        assert states == ["Handed over", "Next try in 4 minutes.", "Came back", "In the mailbox"], states
        assert "451" not in text and "192.0.2" not in text, "codes and addresses are behind a click"
        picture(scene, "journey")
        # By keyboard: each line opens, and shows what was said exactly.
        page.run(f"{PICTURE}.querySelectorAll('.way')[1].querySelector('.step:nth-child(3) summary').focus()")
        page.press("Enter")
        page.until(f"{PICTURE}.querySelector('details[open] dl')")
        assert "451 4.7.1 Greylisted, please come back" in words(page) and "192.0.2.26" in words(page)
        accessible(page, "journey")
        # It goes on while one looks; what was opened stays open, and the focus where it was.
        journeys.move(scene.account, "0sx4v2k9m0001", "chidi@blue.example", *journeys.relayed("chidi@blue.example", "mx.blue.example", 400)[1:])
        scene.world.tell()
        page.until(f"{PICTURE}.querySelectorAll('.pill')[1].textContent === 'Handed over'", "the next event")
        assert page.run(f"{PICTURE}.querySelectorAll('details[open]').length") == 1
        assert page.run("document.activeElement.closest('details')?.open")
        page.press("Escape")
        page.until("!document.querySelector('dialog')")


@case
def how_did_this_reach_me():
    with Scene(200, height=1000) as scene:
        page = show(scene, "Travel", "Harbour at seven", "How did this reach me?")
        text = words(page)
        for line in ("smtp.kaze.example took it from laptop.kaze.example, over an encrypted connection.", "mx-out.kaze.example took it from smtp.kaze.example, over a connection without encryption.",
                     "Taken from mx-out.kaze.example, over an encrypted connection.", "It was sent to sales@red.example, which leads to you.", "Put into Inbox.",
                     "Signature (DKIM) of kaze.example: right", "Sender’s address (DMARC) of kaze.example: nothing certain"):
            assert line in text, (line, text)
        assert page.run(f"{PICTURE}.querySelectorAll('.stop').length") == 5
        assert page.run(f"{PICTURE}.querySelectorAll('.seal.open').length") == 1
        picture(scene, "journey-received")


@case
def words_of_others_are_no_markup():
    with Scene(200) as scene:
        page = show(scene, "Sent", "Words")
        page.run(f"{PICTURE}.querySelectorAll('details').forEach((d) => {{ d.open = true; }})")
        assert journeys.EVIL in words(page)
        assert page.run(f"{PICTURE}.querySelectorAll('img, script').length") == 0
        # Nor in the file, which has no scripts and asks for nothing.
        page.run("void (window.saved = new Promise((done) => { const make = URL.createObjectURL; URL.createObjectURL = (b) => { done(b.text()); return make.call(URL, b); }; }))")
        page.run("[...document.querySelectorAll('.journey-dialog button')].find((b) => b.textContent === 'Save').click()")
        text = page.run("window.saved")
        tags = Tags(text).tags
        assert not tags & {"script", "img", "link", "iframe", "a"}, tags
        assert text.count("<details") == text.count(" open=") and "default-src 'none'" in text and "onerror=alert" in text
        assert text.startswith("<!doctype html>") and ".rail" in text
        scene.settle(0.3)
        assert not scene.world.hits, scene.world.hits


@case
def a_journey_on_a_phone_in_the_dark_from_right_to_left():
    with Scene(200, width=390, height=844, phone=True) as scene:
        scene.page.media(prefers_color_scheme="dark")
        page = show(scene, "Sent", "Second span")
        assert page.run("document.documentElement.scrollWidth") <= 390
        assert page.run(f"{PICTURE}.scrollWidth <= {PICTURE}.clientWidth"), "nothing sticks out"
        accessible(page, "journey in the dark")
        picture(scene, "journey-phone")
        page.run("document.querySelector('.journey-dialog').dir = 'rtl'")
        first, last = page.run(f"[...{PICTURE}.querySelectorAll('.stop')].map((s) => s.getBoundingClientRect().left).filter((_, i, all) => i === 0 || i === all.length - 1)")
        assert first > last, "the way leads to the left"
        picture(scene, "journey-rtl")


@case
def a_strip_between_two_systems():
    with Scene(50, width=900, height=300) as scene:
        page = scene.log_in()
        sent = {**scene.account.journeys["0sx4v2k9m0002"], "messageId": "<s@x>"}
        came = {**scene.account.journeys[next(k for k in scene.account.journeys if k.startswith("e"))], "messageId": "<s@x>",
                "events": [journeys.event("delivered", 5, "grace@navy.example", mailbox="INBOX")]}
        page.run(f"import('/src/way.js').then(({{ strip }}) => {{ const d = document.createElement('div'); d.id = 'strip'; document.getElementById('app').hidden = true; document.body.prepend(d); strip(d, {json.dumps(sent)}, {json.dumps(came)}); }})")
        stops = page.run("[...document.querySelectorAll('#strip .stop')].map((s) => [s.querySelector('strong').textContent, s.className])")
        assert [name for name, _ in stops] == ["alice@red.example", "red.example", "mx.navy.example", "grace@navy.example"], stops
        assert stops[-1][1] == "stop good" and "Put into Inbox." in page.run("document.getElementById('strip').textContent")
        page.run(f"import('/src/way.js').then(({{ strip }}) => strip(document.getElementById('strip'), {json.dumps(sent)}))")
        assert page.run("document.querySelector('#strip .stop:last-child').className") == "stop far"
        picture(scene, "journey-strip")
