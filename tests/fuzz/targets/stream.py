# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""streamOptimized in its three layouts, at random and front to back as out of a pipe."""

from __future__ import annotations

import itertools
import typing as t

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.finding import (
    ERROR,
    Finding,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.stream.sequential import (
    sequential_stream,
)

from .. import oracle
from .. import seeds as make
from ..bundle import DISK, Part, pack
from ..limits import require
from ..mutate import mutate

if t.TYPE_CHECKING:
    from pathlib import Path

    from ..look import Look

__all__ = ["judge", "mutate", "seeds"]
_MOST_GRAINS = 2000


def seeds() -> list[bytes]:
    disks = [
        make.stream(20, [0, 2], "footer"),
        make.stream(3 * 1024, [0, 1, 130, 383], "front"),
        make.stream(2048, [3, 200], "markers"),
        make.stream(1024, [], "footer"),
    ]
    return [pack({DISK: Part(disk)}) for disk in disks] + make.corpus("cot/blank.vmdk")


def judge(data: bytes) -> None:
    oracle.judge(data, _compare_roads)


class _Pipe:
    """Gives less than it is asked for, as pipes do."""

    def __init__(self, file: t.BinaryIO) -> None:
        self._file = file

    def read(self, size: int, /) -> bytes:
        return self._file.read(min(size, 1000))


def _compare_roads(disk: Path, findings: list[Finding] | None, look: Look | None) -> None:
    """A stream without faults is the same disk by its tables and by its markers."""
    with disk.open("rb") as file:
        grains = _front_to_back(file)
    healthy = findings is not None and not any(found.severity == ERROR for found in findings)
    if grains is None or look is None or not healthy:
        return
    for place, content in look.pieces.items():
        if content is not None:
            other = _of_grains(grains, place, len(content))
            require(other == content, f"byte {place} is another one when read front to back")


def _front_to_back(file: t.BinaryIO) -> dict[int, bytes] | None:
    """None where that ends in an error."""
    try:
        source = sequential_stream(_Pipe(file))
        return dict(itertools.islice(source, _MOST_GRAINS))
    except DiskError:
        return None


def _of_grains(grains: dict[int, bytes], start: int, length: int) -> bytes:
    content = bytearray(length)
    for offset, data in grains.items():
        first, stop = max(offset, start), min(offset + len(data), start + length)
        if first < stop:
            content[first - start : stop - start] = data[first - offset : stop - offset]
    return bytes(content)
