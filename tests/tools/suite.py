# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run make targets one after the other, all even if one fails, and end with what came out.

`unit+molecule` runs two at once: what the second prints comes when both have ended.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

REPORTS = Path(".venv/.cache/reports")
SPACE = 6 << 30  # bytes of temporary files at a time, with a margin


def main() -> None:
    need_space()
    for old in REPORTS.glob("*.xml"):
        old.unlink()
    lines, failed = [], []
    for group in sys.argv[1:]:
        for target, code, seconds in run(group.split("+")):
            lines.append(f"{target:<12} {'FAILED' if code else 'ok':<7} {seconds:5.0f} s")
            if code:
                failed.append(target)
    print("\n==== totals", *lines, sep="\n")
    counts = count_tests()
    print("{passed} passed, {failed} failed, {skipped} skipped".format_map(counts))
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


def run(targets: list[str]) -> list[tuple[str, int, float]]:
    """(target, exit code, seconds) of each; the first one prints at once."""
    first, *others = targets
    started = time.monotonic()
    with contextlib.ExitStack() as logs:
        beside = []
        for name in others:
            log = logs.enter_context(tempfile.TemporaryFile())
            process = subprocess.Popen(["make", name], stdout=log, stderr=subprocess.STDOUT)
            beside.append((name, log, process))
        print(f"\n==== make {first}", flush=True)
        code = subprocess.run(["make", first], check=False).returncode
        done = [(first, code, time.monotonic() - started)]
        for name, log, process in beside:
            done.append((name, process.wait(), time.monotonic() - started))
            log.seek(0)
            print(f"\n==== make {name}\n{log.read().decode(errors='replace')}", flush=True)
    return done


def count_tests() -> Counter[str]:
    """From pytest's own reports. An error in a fixture is a failure; there are no expected ones."""
    counts = Counter(passed=0, failed=0, skipped=0)
    for report in REPORTS.glob("*.xml"):
        for case in ElementTree.parse(report).iter("testcase"):
            kinds = {child.tag for child in case}
            verdict = (
                "failed"
                if kinds & {"failure", "error"}
                else "skipped"
                if "skipped" in kinds
                else "passed"
            )
            counts[verdict] += 1
    return counts


if __name__ == "__main__":
    main()
