# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of many jobs, as the lines of a table."""

from __future__ import annotations

import dataclasses
import typing as t

from .progress_board import Board
from .progress_line import clock
from .progress_text import fit

MIB = 1 << 20
LEAST_WIDTH, LEAST_LINES = 20, 4  # a terminal that is smaller shows no table
PROXY_FROM = 60  # the width from which the proxy has a column of its own
BOLD, RED, NORMAL = "\x1b[1m", "\x1b[31m", "\x1b[0m"


@dataclasses.dataclass(frozen=True)
class Look:
    """How large the table may be, and whether it has colours."""

    width: int
    lines: int
    colours: bool = False


def table(board: Board, look: Look) -> list[str]:
    """A line for all, and one for each job; at most half of the terminal."""
    if look.width < LEAST_WIDTH or look.lines < LEAST_LINES:
        return []
    rows, room = list(board.rows.values()), look.lines // 2 - 1
    shown = rows if len(rows) <= room else rows[: room - 1]
    lines = [_heading(board, look), *(_row(row, look.width) for row in shown)]
    if len(shown) < len(rows):
        lines.append(fit(f"and {len(rows) - len(shown)} more", look.width))
    return lines


def _heading(board: Board, look: Look) -> str:
    failed = list(board.turns.values()).count(False) if board.machines else board.failed
    sums = _sums(board, f", {failed} failed" if failed else "")
    text = fit(f"-- {sums} ".ljust(look.width, "-"), look.width)
    if not look.colours:
        return text
    return (RED if failed else BOLD) + text + NORMAL


def _sums(board: Board, failed: str) -> str:
    running = len(board.rows)
    if not board.machines:
        return f"{running} running, {board.done} done{failed}"
    done, left = sum(board.turns.values()), max(0, board.machines - len(board.turns) - running)
    return f"{done} of {board.machines} done{failed}, {running} running, {left} left"


class _Column(t.NamedTuple):
    least: int  # in a terminal that is less wide there is no room for it
    width: int
    text: str


def _row(row: dict[str, t.Any], width: int) -> str:
    columns = [column for column in _columns(row) if width >= column.least]
    room = width - sum(column.width + 1 for column in columns)
    name = str(row.get("label") or f"{row['host']}: {row['task']}")
    if width < PROXY_FROM:
        name = f"{row['proxy']} {name}"
    return " ".join([fit(name, room), *(fit(column.text, column.width) for column in columns)])


def _columns(row: dict[str, t.Any]) -> list[_Column]:
    proxy = _Column(PROXY_FROM, 12, row["proxy"])
    if not row.get("total"):  # it has not begun, or cannot tell how far it is
        return [proxy]
    done, total, seconds = row["done"], row["total"], row["seconds"]
    part, rate = min(1.0, done / total), done / seconds if seconds else 0.0
    eta = clock((total - done) / rate) if rate and done < total else ""
    return [
        proxy,
        _Column(80, 12, _bar(part)),
        _Column(0, 5, f"{part:.0%}".rjust(5)),
        _Column(50, 10, f"{rate / MIB:.0f} MiB/s".rjust(10)),
        _Column(32, 8, eta.rjust(8)),
    ]


def _bar(part: float) -> str:
    return f"[{'#' * int(part * 10):.<10}]"
