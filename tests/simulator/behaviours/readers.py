# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reads a frozen file just now, so that it must not change: attached disks, and NFC leases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .machines import Machines

if TYPE_CHECKING:
    from ..images import Layer
    from ..simulator import Simulator


class Readers:
    """Leases say here what they read: name → paths."""

    def __init__(self, _simulator: Simulator) -> None:
        self.reading: dict[str, set[str]] = {}


def readers_of(simulator: Simulator, layer: Layer) -> list[str]:
    """Machines with a redo log over a chain that has this very layer, and leases that send it."""
    attached = [
        each.id
        for each in simulator.part(Machines).known()
        for path in list(each.redo.values())
        if layer in simulator.images.open(path).layers
    ]
    reading = dict(simulator.part(Readers).reading)
    return attached + [name for name, paths in reading.items() if layer.path in paths]
