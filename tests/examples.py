# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a test tries that could go on for ever."""

from __future__ import annotations

import os
from collections.abc import Sequence


def examples(count: int) -> int:
    """So many for a developer, whose are new each time; a third of them in a build, where they are
    the same each time (tests/conftest.py) and more of them would find nothing new."""
    return -(-count // 3) if os.environ.get("VDISK_CI") else count


def some(numbers: range) -> range:
    """All of them for a developer, each third in a build."""
    return numbers[::3] if os.environ.get("VDISK_CI") else numbers


def turn(cases: Sequence[str]) -> Sequence[str]:
    """All of them for a developer; a third in a build, each day another (tests/tools/pytest.sh):
    these are about what is printed somewhere, and take a whole Ansible each."""
    day = os.environ.get("VDISK_CI") and os.environ.get("VDISK_DAY")
    return cases[int(day) % 3 :: 3] if day else cases
