# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The numbers of a whole window."""

from __future__ import annotations

import typing as t

from .model import DONE, FAILED, LEFT, SKIPPED

if t.TYPE_CHECKING:
    from .model import Machine, Report

BYTES = ("size", "bytes_read", "bytes_new", "added")


def totals_of(report: Report) -> dict[str, int]:
    """Bytes and durations are of the machines that are done; a number that is not known counts
    nothing. `seconds` is the time from the opening to the last thing that happened."""
    done = report.of_state(DONE)
    return {
        "selected": len(report.machines),
        "planned": sum(each.planned is not None for each in report.machines),
        **{state: len(report.of_state(state)) for state in (DONE, FAILED, LEFT, SKIPPED)},
        "lost": sum(tried.lost for each in report.machines for tried in each.tries),
        "measured": sum(each.measured for each in report.machines),
        "within_rpo": sum(each.is_within_rpo(report.closed) for each in report.machines),
        **{name: sum(each.bytes(name) or 0 for each in done) for name in BYTES},
        "seconds": round(report.closed - report.opened),
        "work_seconds": round(_sum(done, "seconds")),
        "expected_seconds": round(_sum(done, "expected")),
    }


def _sum(machines: list[Machine], name: str) -> float:
    return sum(float(getattr(each, name) or 0.0) for each in machines)
