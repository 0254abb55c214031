# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last lines of a terminal, kept for ourselves while all else goes on above them."""

from __future__ import annotations

import os
import typing as t

SAVE, RESTORE = "\x1b7", "\x1b8"  # the cursor
WHOLE = "\x1b[r"  # all lines scroll again; moves the cursor
CLEAR_BELOW, CLEAR_LINE = "\x1b[J", "\x1b[2K"


class Screen:
    """Draws lines at the bottom of the terminal `descriptor`.

    Only the lines above them scroll: so whatever Ansible prints stays apart, and need not know.
    Each change is one write, which a terminal does not mix with another.
    """

    def __init__(self, descriptor: int, encoding: str) -> None:
        self._descriptor, self._encoding = descriptor, encoding
        self._size = os.terminal_size((0, 0))
        self._kept = 0

    @property
    def size(self) -> os.terminal_size:
        return os.get_terminal_size(self._descriptor)

    @property
    def is_drawn(self) -> bool:
        return self._kept > 0

    def draw(self, lines: t.Sequence[str], size: os.terminal_size) -> None:
        """Lines once kept stay so, though empty: nothing jumps when a job has ended."""
        before = ""
        if size != self._size:
            before, self._size = self._given_back(), size
        before += self._kept_more(len(lines) - self._kept)
        top = size.lines - self._kept + 1
        rows = [*lines, *[""] * (self._kept - len(lines))]
        drawn = [f"\x1b[{top + at};1H{CLEAR_LINE}{line}" for at, line in enumerate(rows)]
        self._write(before + SAVE + "".join(drawn) + RESTORE)

    def leave(self) -> None:
        """As it was before."""
        self._write(self._given_back())

    def _kept_more(self, count: int) -> str:
        """Move what is there up, if it is in the way; the cursor stays with it."""
        if count <= 0:
            return ""
        self._kept += count
        margins = f"\x1b[1;{self._size.lines - self._kept}r"
        return "\x1bD" * count + f"\x1b[{count}A" + SAVE + margins + RESTORE

    def _given_back(self) -> str:
        if not self._kept:
            return ""
        self._kept = 0
        return SAVE + WHOLE + RESTORE + CLEAR_BELOW

    def _write(self, text: str) -> None:
        left = text.encode(self._encoding, "replace")
        while left:
            left = left[os.write(self._descriptor, left) :]
