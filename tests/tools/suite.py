# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run make targets, all even if one fails, and end with what came out.

Each argument is a lane: targets one after the other. Lanes run beside each other; what a target of
any but the first lane prints comes when both it and a target of the first lane have ended.
"""

from __future__ import annotations

import concurrent.futures
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

REPORTS = Path(".venv/.cache/reports")
SPACE = 6 << 30  # bytes of temporary files at a time, with a margin
SAID = 3000  # characters of a failed test's last words: whoever sees only the end must see why


def main() -> None:
    need_space()
    for old in REPORTS.glob("*.xml"):
        old.unlink()
    first, *others = (argument.split() for argument in sys.argv[1:])
    with concurrent.futures.ThreadPoolExecutor(len(others) or 1) as lanes:
        quiet: queue.SimpleQueue[Ended] = queue.SimpleQueue()
        running = [lanes.submit(run_quietly, lane, quiet) for lane in others]
        ended = run_aloud(first, quiet)
        concurrent.futures.wait(running)
        ended += show(quiet)
    print("\n==== totals", *(str(each) for each in ended), sep="\n")
    tests = read_reports()
    counts = Counter(test.verdict for test in tests)
    print(", ".join(f"{counts[verdict]} {verdict}" for verdict in ("passed", "failed", "skipped")))
    for test in tests:
        if test.verdict == "failed":
            print(f"\n{test.name}\n{test.said[-SAID:]}")
    failed = [each.target for each in ended if each.code]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def need_space() -> None:
    """A full disk fails hundreds of tests, none of which says why."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < SPACE:
        raise SystemExit(
            f"{folder} has {free / 2**30:.1f} GiB free, and the tests need {SPACE >> 30} GiB for "
            "disks: make room there, or set TMPDIR to another folder."
        )


class Ended(NamedTuple):
    target: str
    code: int
    seconds: float
    printed: bytes = b""

    def __str__(self) -> str:
        return f"{self.target:<12} {'FAILED' if self.code else 'ok':<7} {self.seconds:5.0f} s"


def run_aloud(lane: list[str], quiet: queue.SimpleQueue[Ended]) -> list[Ended]:
    ended = []
    for target in lane:
        print(f"\n==== make {target}", flush=True)
        started = time.monotonic()
        code = subprocess.run(["make", target], check=False).returncode
        ended += [Ended(target, code, time.monotonic() - started), *show(quiet)]
    return ended


def run_quietly(lane: list[str], ended: queue.SimpleQueue[Ended]) -> None:
    for target in lane:
        started = time.monotonic()
        done = subprocess.run(
            ["make", target], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        ended.put(Ended(target, done.returncode, time.monotonic() - started, done.stdout))


def show(quiet: queue.SimpleQueue[Ended]) -> list[Ended]:
    """What has ended meanwhile."""
    ended = []
    while not quiet.empty():
        ended.append(each := quiet.get())
        print(f"\n==== make {each.target}\n{each.printed.decode(errors='replace')}", flush=True)
    return ended


class Test(NamedTuple):
    name: str
    verdict: str
    said: str = ""


def read_reports() -> list[Test]:
    """From pytest's own reports."""
    cases = (
        case
        for report in sorted(REPORTS.glob("*.xml"))
        for case in ElementTree.parse(report).iter("testcase")
    )
    return [read_case(case) for case in cases]


def read_case(case: ElementTree.Element) -> Test:
    """An error in a fixture is a failure; there are no expected ones."""
    name = f"{case.get('classname')}::{case.get('name')}"
    for child in case:
        if child.tag in ("failure", "error"):
            return Test(name, "failed", child.text or child.get("message") or "")
    skipped = case.find("skipped") is not None
    return Test(name, "skipped" if skipped else "passed")


if __name__ == "__main__":
    main()
