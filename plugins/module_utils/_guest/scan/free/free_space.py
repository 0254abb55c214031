# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Where a volume holds nothing, by its file system's own tables."""

from __future__ import annotations

import itertools
import struct
import typing as t

from ...._device.errors import CorruptDisk, OutOfRange
from . import ext, fat, ntfs, xfs
from .bitmap import joined

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ...._device.device import BlockDevice
    from .bitmap import Run

    Reader = Callable[[BlockDevice], tuple[int, Iterator[Run]]]

_READERS: dict[str, Reader] = {
    "ext2": ext.free_runs,
    "ext3": ext.free_runs,
    "ext4": ext.free_runs,
    "xfs": xfs.free_runs,
    "vfat": fat.fat_runs,
    "exfat": fat.exfat_runs,
    "ntfs": ntfs.free_runs,
}
_BLOCK = 4096
_MOST_RUNS = (
    1 << 21
)  # what fits into memory; tables that give more are made to break who reads them


class FreeSpace(t.NamedTuple):
    """Sorted runs (offset, length) in bytes of the volume, and the size of what is allocated.

    `why_all` says why it is all of the volume; empty where the tables were read. `contents` are
    those of deleted files that lie, as a whole, elsewhere: where, and what.
    """

    block: int
    runs: list[Run]
    why_all: str = ""
    contents: Iterable[tuple[int, bytes]] = ()


def free_space(device: BlockDevice, kind: str | None) -> FreeSpace:
    """All of the volume where its tables are not known here or cannot be relied on.

    A file that is there is found twice then, which is better than never.
    """
    reader = _READERS.get(kind or "")
    if reader is None:
        return _all(device, f"the free space of {kind or 'unknown content'} is not known here")
    try:
        block, runs = reader(device)
        found = FreeSpace(block, list(_at_most(_MOST_RUNS, _inside(joined(runs), device.size))))
        if kind == "ntfs":
            return found._replace(contents=list(ntfs.deleted_contents(device)))
        return found
    except (CorruptDisk, OutOfRange, struct.error, OverflowError) as error:
        return _all(device, f"its tables cannot be read: {error}")


def _all(device: BlockDevice, why: str) -> FreeSpace:
    return FreeSpace(_BLOCK, [(0, device.size)], why)


def _at_most(number: int, runs: Iterator[Run]) -> Iterator[Run]:
    yield from itertools.islice(runs, number)
    if next(runs, None) is not None:
        raise CorruptDisk(f"more than {number} pieces of free space")


def _inside(runs: Iterator[Run], size: int) -> Iterator[Run]:
    for offset, length in runs:
        if 0 <= offset < size:
            yield offset, min(length, size - offset)
