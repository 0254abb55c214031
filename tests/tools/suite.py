# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run make targets one after the other, all even if one fails, and end with what came out."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

REPORTS = Path(".venv/.cache/reports")


def main() -> None:
    for old in REPORTS.glob("*.xml"):
        old.unlink()
    lines, failed = [], []
    for target in sys.argv[1:]:
        print(f"\n==== make {target}", flush=True)
        started = time.monotonic()
        code = subprocess.run(["make", target], check=False).returncode
        lines.append(
            f"{target:<12} {'FAILED' if code else 'ok':<7} {time.monotonic() - started:5.0f} s"
        )
        if code:
            failed.append(target)
    print("\n==== totals", *lines, sep="\n")
    counts = count_tests()
    print("{passed} passed, {failed} failed, {skipped} skipped".format_map(counts))
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


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
