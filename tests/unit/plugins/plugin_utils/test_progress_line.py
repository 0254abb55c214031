# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The progress line, and how often there is one."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.vdisk.lifecycle.plugins.plugin_utils.progress_line import (
    Throttle,
    progress_line,
)

MIB, GIB = 1 << 20, 1 << 30


def facts(done, total, seconds=10.0, label="web01 scsi0:0"):
    return {"pid": 1, "label": label, "done": done, "total": total, "seconds": seconds}


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            facts(4 * GIB, 11 * GIB, 10.0),
            "web01 scsi0:0   36 %  4.0/11.0 GiB  410 MiB/s  eta 0:18",
        ),
        (facts(0, 11 * GIB, 0.0), "web01 scsi0:0    0 %  0.0/11.0 GiB  0 MiB/s"),
        (
            facts(10 * MIB, 100 * MIB, 10.0),
            "web01 scsi0:0   10 %  10.0/100.0 MiB  1 MiB/s  eta 1:30",
        ),
        (
            facts(GIB, 8 << 40, 1.0),
            "web01 scsi0:0    0 %  0.0/8.0 TiB  1024 MiB/s  eta 2:16:31",
        ),
        (facts(GIB, GIB, 0.0, "a\x1b[2J\rb"), "a[2Jb  100 %  1.0/1.0 GiB  0 MiB/s"),
        (facts(0, 0, 0.0), "web01 scsi0:0  100 %  0.0/0.0 KiB  0 MiB/s"),
    ],
)
def test_line(given, line):
    assert progress_line(given) == line


def shown(steps):
    """Which of (time, facts) would be printed."""
    now = 0.0
    throttle = Throttle(lambda: now)
    lines = []
    for now, given in steps:
        if throttle.due(given):
            lines.append(now)
    return lines


def test_what_is_over_in_a_moment_is_not_shown():
    assert shown([(0.5, facts(50, 100)), (1.5, facts(100, 100))]) == []


def test_a_slow_job_has_a_line_every_five_seconds():
    steps = [(second / 2, facts(second, 100_000)) for second in range(1, 41)]
    assert shown(steps) == [2.0, 7.0, 12.0, 17.0]


def test_a_fast_job_has_a_line_every_five_percent_but_one_a_second_at_most():
    steps = [(second / 10, facts(second * 2, 1000)) for second in range(1, 100)]
    lines = shown(steps)
    assert lines[0] == 2.0
    assert all(later - earlier >= 1.0 for earlier, later in itertools.pairwise(lines))
    assert len(lines) >= 3


def test_a_job_that_stands_still_says_nothing_new():
    assert shown([(float(second), facts(50, 100)) for second in range(2, 60)]) == [2.0]
