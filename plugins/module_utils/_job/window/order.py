# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which machine needs its backup most."""

from __future__ import annotations

import math
import typing as t

if t.TYPE_CHECKING:
    from .model import Machine


def urgency(machine: Machine, now: float) -> float:
    """How many times its RPO has passed since its last good point, weighed by its risk; endless
    where it never had one. It grows each night, so nobody waits for ever."""
    if machine.last is None:
        return math.inf
    return max(0.0, now - machine.last) / machine.rpo * machine.risk


def by_urgency(machines: t.Iterable[Machine], now: float) -> list[Machine]:
    """The most urgent first. What the last windows had no room for leads; of equals the longest
    begins, since it is the hardest to place, and then the order is by name."""
    return sorted(
        machines,
        key=lambda each: (-each.missed, -urgency(each, now), -each.seconds, each.name),
    )
