# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One file of a disk's chain: the base, or the delta that a snapshot put on top of it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator

from .bitmaps import BLOCK, Bitmap
from .descriptors import Descriptor, parse


@dataclasses.dataclass(eq=False)
class Layer:
    """Blocks that `held` has not are the parent's, or zeros where there is none."""

    path: str  # "[datastore] directory/name.vmdk"
    file: str  # the descriptor, on this machine
    descriptor: Descriptor
    parent: Layer | None = None
    held: Bitmap = dataclasses.field(default_factory=Bitmap)

    @property
    def data(self) -> str:
        return os.path.join(os.path.dirname(self.file), self.descriptor.extent)

    def save(self) -> None:
        """The descriptor, and a data file of the right size."""
        with open(self.file, "w", encoding="utf-8") as descriptor:
            descriptor.write(self.descriptor.text())
        with open(self.data, "ab") as data:
            data.truncate(self.descriptor.size)

    def load(self) -> Layer:
        """What holes say: blocks are written whole, so one with data in it is held."""
        for start, end in _data_of(self.data):
            self.held |= Bitmap.over(start, end - start)
        return self

    def read(self, block: int) -> bytes:
        """A whole block, as the chain up to here has it."""
        layer: Layer | None = self
        while layer is not None and block not in layer.held:
            layer = layer.parent
        if layer is None:
            return bytes(BLOCK)
        with open(layer.data, "rb") as data:
            return os.pread(data.fileno(), BLOCK, block * BLOCK).ljust(BLOCK, b"\0")

    def write(self, block: int, content: bytes) -> None:
        """A whole block, or the whole of the disk's last, shorter one."""
        with open(self.data, "r+b") as data:
            os.pwrite(data.fileno(), content, block * BLOCK)
        self.held |= Bitmap(1 << block)

    def remove(self) -> None:
        for file in (self.file, self.data):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file)


def read_layer(path: str, file: str) -> Layer:
    with open(file, encoding="utf-8") as descriptor:
        return Layer(path, file, parse(descriptor.read())).load()


def _data_of(file: str) -> Iterator[tuple[int, int]]:
    with open(file, "rb") as data:
        size, end = os.fstat(data.fileno()).st_size, 0
        while end < size:
            try:
                start = os.lseek(data.fileno(), end, os.SEEK_DATA)
            except OSError:  # ENXIO: nothing but a hole
                return
            end = os.lseek(data.fileno(), start, os.SEEK_HOLE)
            yield start, end
