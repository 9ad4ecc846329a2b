"""Both inboxes: what is listed, scrolled, followed. How long tasks take while scrolling is printed, not asserted."""
import methods
from cases import Scene, case

# Long tasks, as the browser itself tells them (50 ms and more), and the longest stretch between two frames.
WATCH = ("window.slow = []; new PerformanceObserver((l) => window.slow.push(...l.getEntries().map((e) => Math.round(e.duration)))).observe({ entryTypes: ['longtask'] });"
         " window.gap = 0; { let last = performance.now(); const look = (now) => { window.gap = Math.max(window.gap, now - last); last = now; requestAnimationFrame(look); }; requestAnimationFrame(look); }")


def top(page):
    return page.run("Math.min(...[...document.querySelectorAll('.row:not([hidden])')].map((r) => r.index).filter((i) => document.getElementById(`row-${i}`).getBoundingClientRect().bottom"
                    " > document.getElementById('list').getBoundingClientRect().top + 1))")


def whole(page, what):
    page.until("[...document.querySelectorAll('.row:not([hidden])')].every((r) => !r.classList.contains('blank'))", what)


def scrolled(messages, total):
    with Scene(messages) as scene:
        page = scene.log_in()
        page.until(f"document.getElementById('list-count').textContent.startsWith('{total:,}')", f"{total} conversations")
        page.run(WATCH)
        elements = page.run("document.querySelectorAll('.row').length")
        # A wheel: rows move by exactly its way.
        for _ in range(30):
            page.wheel(400, 500, 400)
        page.until("document.getElementById('list').scrollTop > 8000")
        whole(page, "the rows after the wheel")
        # The thumb, to places all over the list.
        for part in (0.1, 0.5, 0.77, 0.999, 0.3):
            page.run(f"(() => {{ const l = document.getElementById('list'); l.scrollTop = (l.scrollHeight - l.clientHeight) * {part}; }})()")
            page.until(f"Math.abs(document.querySelector('.row:not([hidden])').index / {total} - {part}) < 0.02", f"the rows at {part}")
            whole(page, f"the rows at {part} are filled")
        # To the very end and back, by keys.
        page.run("document.getElementById('list').focus()")
        page.press("End")
        page.until(f"document.getElementById('row-{total - 1}')")
        whole(page, "the last rows")
        last = page.run(f"(() => {{ const r = document.getElementById('row-{total - 1}').getBoundingClientRect(), l = document.getElementById('list').getBoundingClientRect();"
                        " return r.bottom - l.bottom; })()")
        assert abs(last) < 3, last
        assert page.run(f"document.getElementById('row-{total - 1}').getAttribute('aria-setsize')") == str(total)
        # In the middle of what is scaled, each step of the wheel is still a step of the rows.
        page.run("(() => { const l = document.getElementById('list'); l.scrollTop = l.scrollHeight / 2; })()")
        page.until(f"Math.abs(document.querySelector('.row:not([hidden])').index / {total} - 0.5) < 0.02", "the middle")
        whole(page, "the middle is filled")
        before = top(page)
        page.wheel(400, 500, 760)
        page.until(f"Math.abs(Math.min(...[...document.querySelectorAll('.row:not([hidden])')].map((r) => r.index)) + 6 - {before} - 10) <= 2", "ten rows on")
        whole(page, "ten rows on are filled")
        page.press("Home")
        page.until("document.getElementById('row-0')")
        assert page.run("(() => { const a = document.getElementById('list').getAttribute('aria-activedescendant'); return !a || Boolean(document.getElementById(a)); })()")
        grown = page.run("document.querySelectorAll('.row').length")
        assert grown < elements + 40, f"{grown} rows are made"
        slow, gap = page.run("[window.slow, Math.round(window.gap)]")
        print(f"    {messages:,} messages: tasks over 50 ms: {slow or 'none'}; longest time between two frames {gap} ms; {grown} rows are made")


@case
def twenty_thousand_scroll():
    scrolled(20_000, 16_004)


@case
def a_million_scroll():
    scrolled(1_000_000, 1_000_004)


@case
def rows_are_there_however_early_their_count_comes():
    with Scene(50) as scene:
        page = scene.log_in()
        # Before the browser has told how high the box is.
        page.run("import('/src/list.js').then(({ List }) => { const box = document.createElement('div'); box.id = 'early'; box.style.height = '300px'; document.body.append(box);"
                 " new List(box, { rowHeight: 30, make: () => document.createElement('p'), draw: () => {}, seen: () => {} }).resize(1000); })")
        page.until("document.querySelectorAll('#early p').length >= 10", "the rows")


@case
def new_mail_comes_by_itself():
    with Scene(2_000) as scene:
        page = scene.log_in()
        page.until("document.getElementById('list-count').textContent.startsWith('1,604')")
        page.run("fetch('/test/arrive?subject=First')")
        page.until("document.querySelector('#row-0 .subject').textContent === 'First'", "the new one")
        page.until("document.getElementById('announce').textContent.includes('1')", "the word about it")
        unread = page.run("document.querySelector('.folder[aria-current] .count').textContent")
        assert unread.startswith("289") or unread.startswith("290"), unread
        # Further down, what is looked at stays where it is.
        page.run("document.getElementById('list').scrollTop = 5000")
        page.until("document.getElementById('row-70') && !document.getElementById('row-70').classList.contains('blank')", "rows further down")
        before = page.run("[document.getElementById('row-70').querySelector('.preview').textContent, document.getElementById('row-70').getBoundingClientRect().top]")
        page.run("fetch('/test/arrive?subject=Second')")
        page.until("document.getElementById('list-count').textContent.startsWith('1,606')", "the count")
        page.until("document.getElementById('row-71') && !document.getElementById('row-71').classList.contains('blank')")
        after = page.run("[document.getElementById('row-71').querySelector('.preview').textContent, document.getElementById('row-71').getBoundingClientRect().top]")
        assert before[0] == after[0] and abs(before[1] - after[1]) < 2, (before, after)
        assert "Email/queryChanges" in scene.world.calls


@case
def rows_stay_where_the_server_cannot_tell_changes():
    with Scene(2_000) as scene:
        page = scene.log_in()
        page.run("document.getElementById('list').scrollTop = 5000")
        page.until("document.getElementById('row-70') && !document.getElementById('row-70').classList.contains('blank')", "rows further down")
        whole(page, "all rows")
        page.run("window.blanks = 0; new MutationObserver(() => { window.blanks += document.querySelectorAll('.row.blank:not([hidden])').length; })"
                 ".observe(document.getElementById('list'), { subtree: true, attributes: true, attributeFilter: ['class'] })")
        with scene.world.lock:
            scene.account.snapshots.clear()
        scene.world.calls.clear()
        page.run("fetch('/test/arrive?subject=Unseen')")
        page.until("document.getElementById('list-count').textContent.startsWith('1,605')", "the count")
        whole(page, "the rows again")
        assert page.run("window.blanks") == 0, "rows went blank"
        page.press("Home")
        page.run("document.getElementById('list').scrollTop = 0")
        page.until("document.querySelector('#row-0 .subject')?.textContent === 'Unseen'")


@case
def what_the_server_refuses_is_taken_back():
    with Scene(200) as scene:
        page = scene.log_in()
        first = scene.subjects()[0]
        kept = methods.answer_update
        methods.answer_update = lambda account, key, patch, answer: answer["notUpdated"].update({key: {"type": "forbidden", "description": "Not today"}})
        try:
            page.run("document.getElementById('list').focus()")
            page.press("e")
            page.until("document.getElementById('notice').textContent.includes('Not today')", "the server's words")
            page.until(f"document.querySelector('#row-0 .subject')?.textContent === {first!r}", "it is back")
        finally:
            methods.answer_update = kept


@case
def a_session_that_ended_leads_to_the_log_in():
    with Scene(200) as scene:
        page = scene.log_in()
        scene.world.sessions.clear()
        page.click("[aria-label='Look for new mail']")
        page.until("document.getElementById('login') && !document.getElementById('login').hidden", "the log-in")


@case
def new_mail_is_told_of():
    with Scene(200) as scene:
        page = scene.log_in()
        page.run("window.Notification = class { static permission = 'granted'; constructor(title, more) { window.told = [title, more.body]; } };"
                 " Object.defineProperty(document, 'hidden', { get: () => true }); localStorage.setItem('postrider.notify', 'true')")
        page.run("fetch('/test/arrive?subject=Hello')")
        page.until("window.told?.join() === 'Nadia New,Hello'", "the notification")
        page.until("document.title.startsWith('(')", "the title counts")


@case
def archive_delete_junk_move_and_undo():
    with Scene(200) as scene:
        page = scene.log_in()
        first = scene.subjects()[:4]
        page.run("document.getElementById('list').focus()")
        page.press("e")
        page.until(f"document.querySelector('#row-0 .subject').textContent === {first[1]!r}", "the next one is first")
        scene.until(lambda: len(scene.account.members["b3"]) == 2, "both of the thread in the archive")
        page.press("z")
        scene.until(lambda: len(scene.account.members["b3"]) == 0, "back again")
        page.until(f"document.querySelector('#row-0 .subject').textContent === {first[0]!r}", "it is listed again")
        # The cursor has followed its message.
        page.press("Home")
        page.press("#")
        scene.until(lambda: len(scene.account.members["b5"]) == 2, "in the trash")
        page.press("!")
        scene.until(lambda: len(scene.account.members["b4"]) == 1 and scene.account.email(scene.account.members["b4"][0])["keywords"].get("$junk"), "junk")
        page.press("v")
        page.until("document.querySelector('[role=menu]')")
        page.run("[...document.querySelectorAll('[role=menuitem]')].find((m) => m.textContent.trim() === 'Norway').click()")
        scene.until(lambda: len(scene.account.members["b20"]) == 1, "moved by the menu")
        scene.folder("Junk")
        page.press("!")
        scene.until(lambda: len(scene.account.members["b4"]) == 0, "not junk")
        scene.folder("Trash")
        page.press("#")
        page.until("document.querySelector('dialog')", "a question")
        page.press("Tab", "Tab")
        page.run("document.querySelector('dialog .main').click()")
        scene.until(lambda: len(scene.account.members["b5"]) == 0, "gone for good")


@case
def many_are_selected_and_dragged():
    with Scene(200) as scene:
        page = scene.log_in()
        page.run("document.getElementById('list').focus()")
        page.press("Home", "x", "j", "x")
        page.press("Shift+ArrowDown", "Shift+ArrowDown")
        page.until("document.querySelector('.how-many')?.textContent.startsWith('4')", "four are selected")
        target = page.run("(() => { const r = [...document.querySelectorAll('.folder')].find((f) => f.textContent.startsWith('Norway')).getBoundingClientRect(); return [r.x + 40, r.y + 15]; })()")
        page.drag(page.where("#row-2"), target)
        scene.until(lambda: len(scene.account.members["b20"]) >= 4, "four conversations in Norway")
        page.until("document.getElementById('list-tools').hidden", "nothing is selected any more")


@case
def search_while_typing():
    with Scene(2_000) as scene:
        page = scene.log_in()
        page.press("/")
        page.type("from:ada ")
        page.until("document.getElementById('list-title').textContent === 'Search' && document.querySelector('#row-0 .who')?.textContent.includes('Ada')", "those from Ada")
        page.type("subject:bridge has:attachment")
        page.until("document.getElementById('list-count').textContent.startsWith('1 ')", "one is left")
        page.until("[...document.querySelectorAll('#row-0 mark')].some((m) => m.textContent === 'Bridge')", "the words are marked")
        assert "SearchSnippet/get" in scene.world.calls
        page.press("Enter")
        page.press("Enter")
        page.until("document.querySelector('.thread-subject')")
        page.press("Escape")
        page.until("!document.querySelector('.thread-subject')")
        page.press("/")
        page.press("Escape")
        page.until("document.getElementById('list-title').textContent === 'Inbox'")
