"""New mail told of while the page is closed. The browser's push service is made up: there is none without the internet. Its messages come by
DevTools, to the worker as it is."""
import json
import time
import urllib.request

from cases import Scene, case

FAKE = ("PushManager.prototype.subscribe = async ({ applicationServerKey }) => { window.signed = applicationServerKey;"
        " return { toJSON: () => ({ endpoint: 'https://push.example/1', keys: { p256dh: 'KEY' + (localStorage.getItem('other') ?? ''), auth: 'AUTH' } }) }; };")
SWITCH = "[...document.querySelectorAll('dialog label')].find((l) => l.textContent === 'Also while this page is closed').control"
SHOWN = "navigator.serviceWorker.ready.then((r) => r.getNotifications()).then((all) => all.map((n) => `${n.title}: ${n.body}, ${new URL(n.data, location).hash}`).join())"
def begin(scene):
    page = scene.page
    page.call("Page.addScriptToEvaluateOnNewDocument", {"source": FAKE})
    page.call("ServiceWorker.enable")
    page.browser.call("Browser.grantPermissions", {"permissions": ["notifications"], "origin": scene.url, "browserContextId": page.context})
    scene.log_in()
    page.run("navigator.serviceWorker.ready.then(() => true)")


def push(scene, said):
    worker = scene.until(lambda: scene.page.workers.get(scene.url), "the worker")
    scene.page.call("ServiceWorker.deliverPushMessage", {"origin": scene.url, "registrationId": worker, "data": json.dumps(said)})


def arrive(scene, subject):
    urllib.request.urlopen(f"{scene.url}test/arrive?subject={subject}&at={time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}").read()


def change(scene):
    """Something came; the worker asks what, and tells it or does not."""
    scene.world.calls.clear()
    push(scene, {"@type": "StateChange", "changed": {"A": {"EmailDelivery": str(scene.account.state)}}})
    # The page asks in other ways.
    scene.until(lambda: "Email/query Email/get" in " ".join(scene.world.calls), "it was heard")
    scene.settle(0.3)


def switch(scene):
    scene.page.press("g", "s")
    scene.page.until(SWITCH, "the settings")
    scene.page.run(f"{SWITCH}.click()")


@case
def mail_is_told_of_while_the_page_is_closed():
    with Scene(200) as scene:
        page, pushes = scene.page, scene.account.pushes
        begin(scene)
        assert not pushes, "nobody asked for it"
        switch(scene)
        key, one = scene.until(lambda: next(iter(pushes.items()), None), "the subscription")
        wanted = {"url": "https://push.example/1", "keys": {"p256dh": "KEY", "auth": "AUTH"}, "types": ["EmailDelivery"]}
        assert {name: one[name] for name in wanted} == wanted and page.run("window.signed") == "BKEY", one
        push(scene, {"@type": "PushVerification", "pushSubscriptionId": key, "verificationCode": "said"})
        scene.until(lambda: pushes[key].get("verificationCode") == "said", "the code")
        # The page tells by itself while it is there.
        arrive(scene, "Seen")
        change(scene)
        assert page.run(SHOWN) == ""
        page.open("about:blank")
        page.until("location.href === 'about:blank'")
        arrive(scene, "Hello")
        change(scene)
        page.open(scene.url)
        page.until(f"{SHOWN}.then((shown) => shown.includes('Nadia New: Hello, #/folder/b0/'))", "the notification")


@case
def what_is_pushed_is_kept_up_and_ends():
    with Scene(50) as scene:
        page, pushes = scene.page, scene.account.pushes
        begin(scene)
        switch(scene)
        key = scene.until(lambda: next(iter(pushes), None), "the subscription")
        page.open(scene.url)
        scene.until(lambda: "expires" in pushes[key], "it is put off")
        # The browser has another address.
        page.run("localStorage.setItem('other', '2')")
        page.open(scene.url + "#/")
        page.run("location.reload()")
        scene.until(lambda: [one["deviceClientId"] for one in pushes.values()] == ["KEY2"], "a new one takes its place")
        page.until("document.querySelector('.row:not(.blank)')")
        switch(scene)
        scene.until(lambda: not pushes, "it is gone")
        page.run("location.reload()")
        page.until("document.querySelector('.row:not(.blank)')")
        scene.settle(0.5)
        assert not pushes
