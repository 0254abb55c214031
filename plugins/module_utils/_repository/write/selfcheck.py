# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Is a list of changes to be believed? Some chunks that it calls unchanged are read again."""

from __future__ import annotations

import bisect
import functools
import itertools
import random
import typing as t

from ..._device.device import read
from ..._device.extent import Kind
from ..._device.pipeline import ordered_map
from ..._device.zeros import is_zero
from ..format.map import GROUP, group_count
from .changes import ChunkSet

if t.TYPE_CHECKING:
    from ..._device.device import BlockDevice
    from ..access import Access
    from .changes import Base


class SelfCheck:
    """Compares a disk with its base where nothing is said to have changed."""

    def __init__(
        self, access: Access, device: BlockDevice, base: Base, changed: ChunkSet, most: int
    ) -> None:
        self._access, self._device, self._base = access, device, base
        self._chunk_size = access.config.chunk_size
        self._changed = changed
        runs = (run for run in device.extents() if run.kind is not Kind.ZERO)
        spans = ((run.offset, run.length) for run in runs)
        self._data = ChunkSet.touched(spans, device.size, self._chunk_size)
        self._sample = _draw(self._data.without(changed), most)
        # None: the map is not to be had, so the group will be read anyhow. All are asked for in
        # order, and of a big disk they would be gigabytes.
        self._ids = functools.lru_cache(maxsize=1)(base.chunk_ids)
        self.bytes_read = 0

    def first_wrong(self) -> int | None:
        """A byte of the disk in a chunk that has changed after all, or None.

        What has become a hole costs no reading, so that is looked at wherever a map is at hand.
        """
        for number, length, found in ordered_map(self._read, self._sample):
            self.bytes_read += length
            known = self._ids(number // GROUP)
            if known is not None and known[number % GROUP] != found:
                return number * self._chunk_size
        return self._new_hole()

    def _read(self, number: int) -> tuple[int, int, bytes | None]:
        """(number, bytes, id or None for zeros)."""
        start = number * self._chunk_size
        content = read(self._device, start, min(self._chunk_size, self._device.size - start))
        zero = is_zero(content, 0, len(content))
        return number, len(content), None if zero else self._access.subkeys.identify(content)

    def _new_hole(self) -> int | None:
        """A chunk that held data, and is nothing but a hole now."""
        data, changed = self._data.groups(), self._changed.groups()
        at_hand = {number // GROUP for number in self._sample} | changed.keys()
        for group in range(group_count(self._device.size, self._chunk_size)):
            empty = group not in data and group not in changed
            if empty and self._base.disk.maps[group] is not None and self._base.is_whole(group):
                return group * GROUP * self._chunk_size
            known = self._ids(group) if group in at_hand else None
            if known is None:
                continue
            seen = itertools.chain(*data.get(group, ()), *changed.get(group, ()))
            explained = {number % GROUP for number in seen}
            for inside, chunk_id in enumerate(known):
                if chunk_id is not None and inside not in explained:
                    return (group * GROUP + inside) * self._chunk_size
        return None


def _draw(chunks: ChunkSet, most: int) -> list[int]:
    """`most` of them at random, each as likely as any other, in order."""
    ends = list(itertools.accumulate(len(run) for run in chunks.runs))
    total = ends[-1] if ends else 0
    picked = sorted(random.sample(range(total), min(most, total)))
    numbers = []
    for pick in picked:
        run = bisect.bisect_right(ends, pick)
        numbers.append(chunks.runs[run].stop - (ends[run] - pick))
    return numbers
