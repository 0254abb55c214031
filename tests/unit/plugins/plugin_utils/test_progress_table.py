# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of the table, in terminals of all sizes and with names of all sorts."""

from __future__ import annotations

import unicodedata

import pytest

from ansible_collections.vdisk.lifecycle.plugins.plugin_utils.progress_board import Board
from ansible_collections.vdisk.lifecycle.plugins.plugin_utils.progress_table import Look, table
from ansible_collections.vdisk.lifecycle.plugins.plugin_utils.progress_text import cells, fit

GIB = 1 << 30
NAMES = [
    "web01 scsi0:0",
    "データベース一号機 scsi0:1",
    "שרת-הנהלת-חשבונות",
    "a\x1b[31m\nb\u202ec\t",
    "é" * 50,
]


def board(count, **facts):
    made = Board()
    for number in range(count):
        row = {"host": f"h{number}", "uuid": "u", "proxy": "proxy1", "task": "Back up"}
        label = NAMES[number % len(NAMES)]
        made.told({**row, "label": label, "done": GIB, "total": 4 * GIB, "seconds": 8.0, **facts})
    return made


def lines(made, width=80, height=24, **look):
    return table(made, Look(width, height, **look))


def test_a_row_says_all():
    heading, row = lines(board(1))
    assert heading == "-- 1 running, 0 done " + "-" * 59
    columns = ["web01", "scsi0:0", "proxy1", "[##........]", "25%", "128", "MiB/s", "0:24"]
    assert row.split() == columns


@pytest.mark.parametrize("width", [20, 31, 32, 49, 50, 60, 79, 80, 200])
def test_no_line_is_too_wide_and_none_moves_the_cursor(width):
    for line in lines(board(len(NAMES)), width):
        assert cells(line) == width
        assert not any(unicodedata.category(each).startswith("C") for each in line)


def test_at_most_half_of_the_terminal():
    shown = lines(board(30), 40, 10)
    assert len(shown) == 5
    assert shown[-1].rstrip() == "and 27 more"
    assert len(lines(board(4), 40, 10)) == 5
    assert lines(board(1), 80, 3) == lines(board(1), 19, 24) == []


def test_a_job_that_has_not_begun_is_named_by_host_and_task():
    assert lines(board(1, label="", done=0, total=0, seconds=0.0))[1].split() == [
        "h0:", "Back", "up", "proxy1"
    ]  # fmt: skip


def test_colours_are_only_where_they_are_wanted():
    made = board(1)
    assert "\x1b" not in "".join(lines(made))
    assert lines(made, colours=True)[0].startswith("\x1b[1m")
    made.ended("h0", "u", failed=True)
    assert lines(made, colours=True)[0].startswith("\x1b[31m-- 0 running, 0 done, 1 failed ")


def test_what_was_never_seen_is_not_counted():
    made = board(2)
    made.ended("h0", "another task", failed=False)
    made.ended("h0", "u", failed=False)
    made.ended("h0", "u", failed=False)
    assert lines(made)[0].startswith("-- 1 running, 1 done --")


def test_a_window_knows_how_many_are_left():
    made = board(2)
    made.told({"machines": 9})
    for moref, ok in (("vm-0", True), ("vm-1", False), ("vm-2", False), ("vm-1", True)):
        made.told({"vm": moref, "ok": ok})
    assert lines(made)[0].startswith("-- 2 of 9 done, 1 failed, 2 running, 4 left --")


@pytest.mark.parametrize(
    ("text", "width", "fitted"),
    [
        ("ab", 4, "ab  "),
        ("abcde", 4, "abc…"),
        ("データ", 4, "デ… "),
        ("a\u0301b", 2, "a\u0301b"),
        ("a", 0, ""),
    ],
)
def test_fit(text, width, fitted):
    assert fit(text, width) == fitted
