# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of all managed disks: what guests wrote, in the layers that snapshots froze.

This is the model that everything else is held against, so it is plain and does one thing at a
time: one lock for all.
"""

from __future__ import annotations

import os
import re
import threading
import uuid as uuids

from .bitmaps import BLOCK, Bitmap
from .descriptors import FRESH_CID, Descriptor, database, new_cid
from .layers import Layer, read_layer

_PATH = re.compile(r"^\[([^]]+)\] ?(.+)$")


class Images:
    """`datastore_dir` has a directory for each datastore."""

    def __init__(self, datastore_dir: str) -> None:
        self.directory = str(datastore_dir)
        self.lock = threading.RLock()
        self._layers: dict[str, Layer] = {}
        self._live: dict[str, Disk] = {}

    def file(self, path: str) -> str:
        """Where `[datastore] directory/name` is on this machine; ValueError for other strings."""
        match = _PATH.match(path)
        if match is None or ".." in match[2].split("/"):
            raise ValueError(f"{path!r} is not a path on a datastore")
        return os.path.join(self.directory, match[1], match[2].lstrip("/"))

    def open(self, path: str) -> Disk:
        """The chain that ends here. The same object each time, as long as it is the top of it."""
        with self.lock:
            if path not in self._live:
                self._live[path] = Disk(self, self._layer(path))
            return self._live[path]

    def create(self, path: str, size: int, *, thin: bool = True, uuid: str = "") -> Disk:
        """An empty disk of `size` bytes; replaces what is there."""
        with self.lock:
            self.forget(path)
            file = self.file(path)
            os.makedirs(os.path.dirname(file), exist_ok=True)
            entries = database(size, uuid or new_uuid(), thin)
            extent = os.path.basename(self.file(path)).removesuffix(".vmdk") + "-flat.vmdk"
            layer = Layer(path, file, Descriptor("vmfs", size, extent, FRESH_CID, database=entries))
            layer.remove()
            layer.save()
            self._layers[path] = layer
            return self.open(path)

    def delete(self, path: str) -> None:
        with self.lock:
            self._layer(path).remove()
            self.forget(path)

    def forget(self, path: str) -> None:
        """The files were changed by somebody else: read them anew when they are asked for."""
        with self.lock:
            self._layers.pop(path, None)
            self._live.pop(path, None)

    def children(self, layer: Layer) -> list[Layer]:
        return [each for each in self._layers.values() if each.parent is layer]

    def _layer(self, path: str) -> Layer:
        if path not in self._layers:
            layer = read_layer(path, self.file(path))
            if layer.descriptor.parent:
                layer.parent = self._layer(_beside(path, layer.descriptor.parent))
            self._layers[path] = layer
        return self._layers[path]

    def _child(self, parent: Layer, path: str, kind: str) -> Layer:
        """A new, empty delta over `parent`."""
        above = parent.descriptor
        suffix = {"seSparse": "-sesparse.vmdk", "vmfsSparse": "-delta.vmdk"}[kind]
        descriptor = Descriptor(
            kind,
            above.size,
            os.path.basename(self.file(path)).removesuffix(".vmdk") + suffix,
            cid=above.cid,
            parent_cid=above.cid,
            parent=os.path.relpath(self.file(parent.path), os.path.dirname(self.file(path))),
            database={"ddb.longContentID": above.database.get("ddb.longContentID", "")},
        )
        layer = Layer(path, self.file(path), descriptor, parent)
        layer.remove()
        layer.save()
        self._layers[path] = layer
        return layer


class Disk:
    """What a virtual machine sees as one disk: the top layer takes the writes.

    Time is counted in epochs. `mark` begins one; every write belongs to the one it came in.
    """

    def __init__(self, images: Images, top: Layer) -> None:
        self.images = images
        self.top = top
        self.epoch = 0
        self.is_reopened = False
        self._changes: dict[int, Bitmap] = {0: Bitmap()}

    @property
    def path(self) -> str:
        return self.top.path

    @property
    def size(self) -> int:
        return self.top.descriptor.size

    @property
    def layers(self) -> list[Layer]:
        """Base … top."""
        chain: list[Layer] = []
        layer = self.top
        while True:
            chain.insert(0, layer)
            if layer.parent is None:
                return chain
            layer = layer.parent

    def read(self, offset: int, length: int) -> bytes:
        with self.images.lock:
            self._check(offset, length)
            runs = [self.top.read(block) for block in _blocks(offset, length)]
            start = offset % BLOCK
            return b"".join(runs)[start : start + length]

    def write(self, offset: int, data: bytes) -> None:
        with self.images.lock:
            self._check(offset, len(data))
            if self.is_reopened or self.top.descriptor.cid == FRESH_CID:
                self.is_reopened = False  # the first write after that (TN p.3)
                self.top.descriptor.cid = new_cid()
                self.top.save()
            end = offset + len(data)
            for block in _blocks(offset, len(data)):
                start = block * BLOCK
                content = bytearray(self.top.read(block))
                first, last = max(offset, start), min(end, start + BLOCK)
                content[first - start : last - start] = data[first - offset : last - offset]
                self.top.write(block, bytes(content[: self.size - start]))
            self._changed(Bitmap.over(offset, len(data)))

    def mark(self) -> int:
        """Begin an epoch and say its number: `changed_since` it is what is written from now on."""
        with self.images.lock:
            self.epoch += 1
            self._changes[self.epoch] = Bitmap()
            return self.epoch

    def changed_since(self, epoch: int, until: int | None = None) -> Bitmap:
        """Written, or lost again, in `epoch` or later; and, with `until`, before that one."""
        with self.images.lock:
            changed = Bitmap()
            for number, bitmap in self._changes.items():
                if number >= epoch and (until is None or number < until):
                    changed |= bitmap
            return changed

    def allocated(self) -> Bitmap:
        with self.images.lock:
            held = Bitmap()
            for layer in self.layers:
                held |= layer.held
            return held

    def freeze(self, child_path: str, kind: str = "seSparse") -> Layer:
        """What is there stays as it is; from now on writes go to a new delta. Begins an epoch."""
        with self.images.lock:
            frozen = self.top
            self._become(self.images._child(frozen, child_path, kind))
            self.mark()
            return frozen

    def switch(self, layer: Layer, child_path: str, kind: str = "seSparse") -> None:
        """Go back to a frozen layer: a new delta over it. The old top goes, if nothing needs it."""
        with self.images.lock:
            old, before = self.top, self.layers
            self._become(self.images._child(layer, child_path, kind))
            for each in {*before} ^ {*self.layers}:
                self._changed(each.held)
            if old.parent is not None and not self.images.children(old):
                self._discard(old)
            self.mark()

    def drop_top(self) -> None:
        """Forget what was written since the last freeze."""
        with self.images.lock:
            old = self.top
            if old.parent is None:
                raise ValueError(f"{old.path} is the base")
            lost = old.held
            self._become(old.parent)
            self._discard(old)
            self._changed(lost)

    def merge(self, layer: Layer) -> None:
        """Put a layer's blocks into its parent, for good; its children become the parent's."""
        with self.images.lock:
            parent = layer.parent
            if parent is None or self.images.children(parent) != [layer]:
                raise ValueError(f"{layer.path} has no parent of its own")
            for first, count in layer.held.runs():
                for block in range(first, first + count):
                    parent.write(block, layer.read(block)[: self.size - block * BLOCK])
            for child in self.images.children(layer):
                child.parent = parent
                child.descriptor.parent = os.path.relpath(parent.file, os.path.dirname(child.file))
                child.descriptor.parent_cid = parent.descriptor.cid
                child.save()
            if layer is self.top:
                self._become(parent)
            self._discard(layer)

    def grow(self, size: int) -> None:
        """Bytes. A chain cannot grow."""
        with self.images.lock:
            if self.top.parent is not None or size < self.size:
                raise ValueError(f"{self.path} cannot be made of {size} bytes")
            self.top.descriptor.size = size
            self.top.save()

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise ValueError(f"{offset}+{length} is outside of {self.path}: {self.size} bytes")

    def _changed(self, blocks: Bitmap) -> None:
        self._changes[self.epoch] |= blocks

    def _become(self, layer: Layer) -> None:
        live = self.images._live
        if live.get(self.top.path) is self:
            del live[self.top.path]
        self.top = layer
        live[layer.path] = self

    def _discard(self, layer: Layer) -> None:
        layer.remove()
        self.images.forget(layer.path)


def new_uuid() -> str:
    """As VMware gives them to disks: all begin with 6000C29."""
    digits = uuids.uuid4().hex
    return str(uuids.UUID("6000c29" + digits[7:]))


def _beside(path: str, name: str) -> str:
    datastore, _other, rest = path.partition("] ")
    return f"{datastore}] {os.path.normpath(os.path.join(os.path.dirname(rest), name))}"


def _blocks(offset: int, length: int) -> range:
    return range(offset // BLOCK, -(-(offset + length) // BLOCK) if length else offset // BLOCK)


__all__ = ["BLOCK", "Bitmap", "Disk", "Images", "Layer", "new_uuid"]
