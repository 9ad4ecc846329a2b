"""The unit tests, which are JavaScript and run in the browser that the page is for."""
from cases import Scene, case


@case
def modules_alone():
    with Scene(100) as scene:
        page = scene.page
        page.open(scene.url + "tests/unit/page.html")
        page.until("document.title === 'Unit tests'")
        passed, failed = page.run("import('/tests/unit/all.js').then((all) => all.run())")
        print(f"    {passed} unit tests passed")
        assert not failed, "\n      ".join(["", *failed])
        assert passed > 30
        page.errors.clear()  # what the parser says about styles that it won't apply
