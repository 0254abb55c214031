# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Reading a disk chunk by chunk, on threads."""

from __future__ import annotations

import typing as t

from ..._device.extent import Kind, pieces, widen_data
from ..._device.pipeline import BufferPool, ordered_map
from ..._device.zeros import is_zero
from ..format.map import GROUP, NO_ID, chunk_count, group_count, root_of
from .budget import plan_budget

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ..._device.device import BlockDevice
    from ..._device.extent import Extent
    from ..access import Access
    from ..format.chunk import Encoded
    from .budget import Budget

    Prepare = Callable[[bytes, memoryview], "Encoded | None"]


class Chunk(t.NamedTuple):
    """A chunk that was read. `id` is None for zeros; `encoded` is what prepare() made of it."""

    number: int
    length: int
    id: bytes | None
    encoded: Encoded | None


def scan(
    access: Access, device: BlockDevice, prepare: Prepare, budget: Budget | None = None
) -> Generator[Chunk, None, None]:
    """All chunks that hold data, in order; the others are zeros.

    prepare(id, content) runs on the threads. What it returns is good until the next chunk is asked
    for, because buffers are used again.
    """
    size = access.config.chunk_size
    buffers = BufferPool(size)

    def load(extent: Extent) -> tuple[Chunk, bytearray]:
        buffer = buffers.take()
        content = memoryview(buffer)[: extent.length]
        device.readinto(extent.offset, content)
        number = extent.offset // size
        if is_zero(buffer, 0, extent.length):
            return Chunk(number, extent.length, None, None), buffer
        chunk_id = access.subkeys.identify(content)
        return Chunk(number, extent.length, chunk_id, prepare(chunk_id, content)), buffer

    runs = widen_data(device.extents(), size, device.size)
    data = (run for run in runs if run.kind is Kind.DATA)
    budget = budget or plan_budget(size)
    for chunk, buffer in ordered_map(load, pieces(data, size), budget.workers, budget.window):
        yield chunk
        buffers.give(buffer)


def root_of_device(access: Access, device: BlockDevice) -> bytes:
    """The root that a backup of this device would have."""
    size, subkeys = access.config.chunk_size, access.subkeys
    ids: dict[int, bytearray] = {}
    for chunk in scan(access, device, lambda _id, _content: None):
        if chunk.id is not None:
            group, inside = divmod(chunk.number, GROUP)
            count = chunk_count(device.size, size, group)
            held = ids.setdefault(group, bytearray(count * len(NO_ID)))
            held[inside * len(NO_ID) : (inside + 1) * len(NO_ID)] = chunk.id
    contents = (
        subkeys.identify(ids[group]) if group in ids else NO_ID
        for group in range(group_count(device.size, size))
    )
    return root_of(subkeys, device.size, contents)
