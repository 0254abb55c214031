# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks as the managers make them: their type, and what is in them.

A descriptor says only whether a disk is thin. Eager zeroing is a state of the blocks on VMFS; it is
remembered here, as real hosts do outside of the descriptor.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..images import BLOCK, Bitmap, Disk

if TYPE_CHECKING:
    from ..simulator import Simulator

THIN, EAGER, LAZY = "thin", "eagerZeroedThick", "preallocated"
_ALIASES = {"thick": LAZY, "preallocated": LAZY, "eagerZeroedThick": EAGER}


class EagerDisks:
    """Paths of the disks whose blocks are all zeroed."""

    def __init__(self, _simulator: Simulator) -> None:
        self.paths: set[str] = set()


def create(
    simulator: Simulator, path: str, size: int, kind: str, *, uuid: str = "", adapter: str = ""
) -> Disk:
    """`kind` as VirtualDiskType has it; what is unknown becomes thin."""
    image = simulator.images.create(path, size, thin=True, uuid=uuid)
    if adapter:
        image.top.descriptor.database["ddb.adapterType"] = adapter
    set_kind(simulator, image, _ALIASES.get(kind, THIN))
    if kind == EAGER:
        fill(image)
    return image


def kind_of(simulator: Simulator, image: Disk) -> str:
    base = image.layers[0]
    if base.descriptor.database.get("ddb.thinProvisioned") == "1":
        return THIN
    return EAGER if base.path in simulator.part(EagerDisks).paths else LAZY


def set_kind(simulator: Simulator, image: Disk, kind: str) -> None:
    base, eager = image.layers[0], simulator.part(EagerDisks).paths
    base.descriptor.database.pop("ddb.thinProvisioned", None)
    eager.discard(base.path)
    if kind == THIN:
        base.descriptor.database["ddb.thinProvisioned"] = "1"
    elif kind == EAGER:
        eager.add(base.path)
    base.save()


def adapter_of(image: Disk) -> str:
    return image.layers[0].descriptor.database.get("ddb.adapterType", "lsilogic")


def fill(image: Disk) -> None:
    """Every block is there, whatever is in it."""
    with image.images.lock:
        missing = Bitmap.over(0, image.size) - image.allocated()
        for first, count in missing.runs():
            for block in range(first, first + count):
                length = min(BLOCK, image.size - block * BLOCK)
                image.top.write(block, bytes(length))


def copy(simulator: Simulator, source: Disk, path: str, kind: str, *, adapter: str = "") -> Disk:
    """The whole chain's content in one new disk, with a uuid of its own."""
    with simulator.images.lock:
        target = create(simulator, path, source.size, kind, adapter=adapter)
        base, marks = target.layers[0], source.layers[0].descriptor.database.items()
        base.descriptor.database.update(item for item in marks if item[0].startswith("ddb.fcd."))
        base.save()
        for offset, length in source.allocated().areas(source.size):
            for start in range(offset, offset + length, BLOCK):
                piece = source.read(start, min(BLOCK, offset + length - start))
                if piece.count(0) != len(piece):
                    target.write(start, piece)
        return target


def move(simulator: Simulator, source: str, target: str) -> None:
    """The descriptor and the data file under new names; the disk stays the same, uuid and all."""
    images = simulator.images
    with images.lock:
        layer = images.open(source).top
        eager = simulator.part(EagerDisks).paths
        file, old_data = images.file(target), layer.data
        extent = os.path.basename(file).removesuffix(".vmdk") + "-flat.vmdk"
        os.rename(old_data, os.path.join(os.path.dirname(file), extent))
        os.unlink(layer.file)
        images.forget(source)
        layer.file, layer.path, layer.descriptor.extent = file, target, extent
        layer.save()
        if source in eager:
            eager.discard(source)
            eager.add(target)


def punch(simulator: Simulator, image: Disk) -> None:
    """Gives back blocks of a base that hold nothing but zeros."""
    with image.images.lock:
        layer, kept = image.top, []
        if layer.parent is not None:
            return
        for first, count in layer.held.runs():
            for block in range(first, first + count):
                data = layer.read(block)
                if data.count(0) != len(data):
                    kept.append((block, data[: image.size - block * BLOCK]))
        with open(layer.data, "r+b") as file:
            file.truncate(0)
            file.truncate(image.size)
        layer.held = Bitmap()
        for block, data in kept:
            layer.write(block, data)
