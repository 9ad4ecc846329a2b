"""What every test of the page begins with: a server, a browser, somebody logged in; and the list of tests."""
import functools
import time

import browser
import server

TESTS = []


def case(function):
    TESTS.append(function)
    return function


@functools.cache
def chromium():
    return browser.Browser()


class Scene:
    """A server of its own and a tab in a profile of its own. Errors and dialogs that nobody expected fail the test."""

    def __init__(self, messages=20_000, width=1440, height=900, phone=False):
        self.server = server.serve(messages, 0)
        self.world, self.account = self.server.world, self.server.world.account
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        self.page = chromium().page()
        self.page.size(width, height, phone)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                assert not self.page.errors, self.page.errors
                assert not self.page.dialogs, self.page.dialogs
        finally:
            self.page.close()
            self.server.shutdown()
            self.server.server_close()

    def log_in(self, path="", address="alice@red.example"):
        page = self.page
        page.open(self.url + path)
        page.until("document.getElementById('login') && !document.getElementById('login').hidden", "the log-in")
        page.click("#login-address")
        page.type(address)
        page.press("Tab")
        page.type("alice")
        page.press("Enter")
        page.until("document.querySelectorAll('.row:not(.blank):not([hidden])').length > 0", "the first rows")
        return page

    def folder(self, name):
        self.page.run(f"[...document.querySelectorAll('.folder')].find((b) => b.textContent.startsWith({name!r})).click()")
        self.page.until(f"document.getElementById('list-title').textContent === {name!r}")
        self.page.until("document.querySelector('.row:not(.blank):not([hidden])') || !document.getElementById('list-empty').hidden", f"{name} is there")

    def open_row(self, index):
        self.page.click(f"#row-{index}")
        self.page.until("document.querySelector('.message:not(.folded) .message-body')", "the message")

    def subjects(self):
        return self.page.run("[...document.querySelectorAll('.row:not([hidden])')].sort((a, b) => a.index - b.index).map((r) => r.querySelector('.subject').textContent)")

    def kept(self, subject):
        """The newest message in the server with that subject."""
        found = [email for email in self.account.kept.values() if email and email["subject"] == subject]
        return found[-1] if found else None

    def until(self, condition, what):
        return browser.until(condition, what)

    def settle(self, seconds):
        """Time in which nothing may happen: that something does not come, no event tells."""
        time.sleep(seconds)
