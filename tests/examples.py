# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a test tries that could go on for ever."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import TypeVar


def examples(count: int) -> int:
    """So many for a developer, whose are new each time; a third of them in a build, where they are
    the same each time (tests/conftest.py) and more of them would find nothing new."""
    return -(-count // 3) if os.environ.get("VDISK_CI") else count


def some(numbers: range) -> range:
    """All of them for a developer, each third in a build."""
    return numbers[::3] if os.environ.get("VDISK_CI") else numbers


T = TypeVar("T")


def turn(cases: Sequence[T]) -> Sequence[T]:
    """All of them for a developer; a third in a build, each day another (tests/tools/pytest.sh):
    of what takes a whole Ansible each, or is one of many ways through the same code."""
    day = _day()
    return cases if day is None else cases[day % 3 :: 3]


def each(first: int) -> Iterator[int]:
    """first, first + 1 and so on for a developer; each third in a build, each day another."""
    day = _day()
    return itertools.count(first) if day is None else itertools.count(first + day % 3, 3)


def _day() -> int | None:
    return int(os.environ.get("VDISK_DAY", "0")) if os.environ.get("VDISK_CI") else None
