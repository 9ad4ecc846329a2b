"""Finds and runs tests: functions named test_*, each with a line of its own, and one count at the end.

Comes in: modules. Goes out: `ok name (s)` or `FAIL name` with the reason, then `N passed, N failed`, and the
exit code. A module may define `scene()`, a context manager whose value is passed to every test of it.
"""

import contextlib, sys, time, traceback


@contextlib.contextmanager
def nothing():
    yield None


def run(modules, only=()):
    passed = failed = 0
    for module in modules:
        tests = [(name, f) for name, f in vars(module).items() if name.startswith("test_") and callable(f)]
        if only:
            tests = [(name, f) for name, f in tests if any(o in f"{module.__name__}.{name}" for o in only)]
        if not tests:
            continue
        begun = False
        try:
            with getattr(module, "scene", nothing)() as scene:
                begun = True
                for name, test in tests:
                    start = time.monotonic()
                    try:
                        test(scene) if scene is not None else test()
                        passed += 1
                        print(f"ok   {module.__name__}.{name} ({time.monotonic() - start:.1f} s)", flush=True)
                    except Exception as error:
                        failed += 1
                        trace = traceback.format_exc(limit=-3)
                        print(f"FAIL {module.__name__}.{name}\n{trace}", flush=True)
        except Exception:
            failed += 1 if begun else len(tests)
            print(f"FAIL {module.__name__} ({'its end' if begun else 'its start'})\n{traceback.format_exc(limit=-3)}",
                  flush=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0
