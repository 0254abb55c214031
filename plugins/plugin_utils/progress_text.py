# Copyright (c) 2026 the vdisk.lifecycle authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of others in cells of a terminal."""

from __future__ import annotations

import unicodedata

CUT = "…"


def plain(text: str) -> str:
    """Without anything that moves the cursor, changes colours, or turns the direction."""
    return "".join(
        each for each in text if unicodedata.category(each)[0] not in "CZ" or each == " "
    )


def cells(text: str) -> int:
    """How many columns a terminal needs for it."""
    return sum(map(_width, text))


def fit(text: str, width: int) -> str:
    """Just so wide: filled with spaces, or cut with a mark."""
    text = plain(text)
    if cells(text) > width:
        text = _cut(text, width - 1) + CUT if width else ""
    return text + " " * (width - cells(text))


def _cut(text: str, width: int) -> str:
    while cells(text) > width:
        text = text[:-1]
    return text


def _width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
