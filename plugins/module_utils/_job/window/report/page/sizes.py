# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What was protected, read, new and stored, each as a part of the first."""

from __future__ import annotations

import typing as t

from .. import words
from ..totals import totals_of
from .markup import Markup, el
from .tables import table

if t.TYPE_CHECKING:
    from ..model import Report

_ROWS = (
    ("size", "Protected", "the size of the disks of all machines that are backed up"),
    ("bytes_read", "Read", "what changed, or is read for the first time"),
    ("bytes_new", "New", "what of that the repository did not hold yet"),
    ("added", "Stored", "what that takes, compressed"),
)
_WIDTH, _HEIGHT = 320, 12


def sizes(report: Report) -> Markup:
    totals = totals_of(report)
    whole = totals["size"]
    rows = [
        [
            el("th", name, el("small", told), scope="row"),
            el("td", words.size(totals[key]), class_="n strong"),
            el("td", words.share(totals[key], whole) if whole else "", class_="n"),
            el("td", _bar(totals[key], whole), class_="meter"),
        ]
        for key, name, told in _ROWS
    ]
    heads = ("What", "Bytes", "Of protected", "")
    return el("div", table("Sizes of this window", heads, rows, numbers=(1, 2)), class_="sizes")


def _bar(part: int, whole: int) -> Markup:
    """Never so short that it could not be seen."""
    length = max(2.0 if part else 0.0, _WIDTH * min(1.0, part / whole if whole else 0.0))
    return el(
        "svg",
        el("rect", width=_WIDTH, height=_HEIGHT, rx=2, class_="track"),
        el("rect", width=length, height=_HEIGHT, rx=2, class_="fill"),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        preserveAspectRatio="none",
        aria_hidden="true",
        focusable="false",
    )
