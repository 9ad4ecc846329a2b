#!/usr/bin/env python3
"""Runs the tests of the page, one after another, in one Chromium; `run.py WORD…` runs those whose names have a word.

Goes out: a line for each, figures that were measured, and `N passed, N failed`.
"""
import os
import pathlib
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import cases  # noqa: E402
import unit_cases  # noqa: E402,F401
import hostile_cases  # noqa: E402,F401
import list_cases  # noqa: E402,F401
import mail_cases  # noqa: E402,F401
import look_cases  # noqa: E402,F401
import push_cases  # noqa: E402,F401
import journey_cases  # noqa: E402,F401
import real_cases  # noqa: E402,F401
import real_sending_cases  # noqa: E402,F401

wanted = sys.argv[1:]
passed = failed = 0
try:
    for test in cases.TESTS:
        name = f"{test.__module__.removesuffix('_cases')}: {test.__name__.replace('_', ' ')}"
        if wanted and not any(word in name for word in wanted):
            continue
        start = time.monotonic()
        try:
            test()
            passed += 1
            print(f"ok    {name} ({time.monotonic() - start:.1f} s)", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)
finally:
    cases.chromium().close()
size = sum(file.stat().st_size for file in pathlib.Path(__file__).parent.parent.rglob("*")
           if file.suffix in (".js", ".css", ".html", ".svg", ".webmanifest") and "tests" not in file.parts)
print(f"the page is {size / 1000:.0f} KB")
assert size < 300_000
print(f"{passed} passed, {failed} failed")
sys.stdout.flush()
os._exit(1 if failed else 0)
