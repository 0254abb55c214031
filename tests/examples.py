# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a test tries that could go on for ever."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator


def examples(count: int) -> int:
    """So many for a developer, whose are new each time; a third of them in a build, where they are
    the same each time (tests/conftest.py) and more of them would find nothing new."""
    return -(-count // 3) if os.environ.get("VDISK_CI") else count


def some(numbers: range) -> range:
    """All of them for a developer, each third in a build."""
    return numbers[::3] if os.environ.get("VDISK_CI") else numbers


def shares(cases: int) -> int:
    """Into how many shares a build divides a test of so many cases; each is a way through the same
    code, and a fault of that meets most of them."""
    if share() is None or cases < 4:
        return 1
    return 2 if cases < 6 else 3 if cases < 12 else 4


def each(first: int) -> Iterator[int]:
    """first, first + 1 and so on for a developer; a third of them, its share, in a build."""
    taken = share()
    return itertools.count(first) if taken is None else itertools.count(first + taken % 3, 3)


def share() -> int | None:
    """Which share a build takes (tests/tools/pytest.sh); None for a developer."""
    return int(os.environ.get("VDISK_SHARE", "0")) if os.environ.get("VDISK_CI") else None
