# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redo logs: what a running machine writes to a nonpersistent disk, beside its frozen file."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from ..images import Disk

if TYPE_CHECKING:
    from ..simulator import Simulator
    from .devices import VirtualDisk
    from .machines import Machine


def make_redo(simulator: Simulator, target: Machine, disk: VirtualDisk) -> None:
    """A delta over the file, which is frozen for as long (vsphere.md 3: next to the base disk)."""
    path = f"{disk.path}-REDO_{secrets.token_hex(3)}"
    with simulator.images.lock:
        Disk(simulator.images, simulator.images.open(disk.path).top).freeze(path)
    target.redo[disk.key] = path


def drop_redo(simulator: Simulator, target: Machine, disk: VirtualDisk) -> None:
    path = target.redo.pop(disk.key, "")
    if path:
        simulator.images.delete(path)
