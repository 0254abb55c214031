# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which blocks of 64 KiB: of a layer that has them, or of a disk that has changed."""

from __future__ import annotations

import re
from collections.abc import Iterator

BLOCK = 64 * 1024

_ONES = re.compile("1+")


class Bitmap:
    """A set of block numbers, in one big integer: it can be copied, joined and compared."""

    __slots__ = ("bits",)

    def __init__(self, bits: int = 0) -> None:
        self.bits = bits

    @classmethod
    def over(cls, offset: int, length: int) -> Bitmap:
        """Every block that the bytes touch."""
        if length <= 0:
            return cls()
        first, last = offset // BLOCK, (offset + length - 1) // BLOCK
        return cls(((1 << (last - first + 1)) - 1) << first)

    def __contains__(self, block: int) -> bool:
        return bool(self.bits >> block & 1)

    def __or__(self, other: Bitmap) -> Bitmap:
        return Bitmap(self.bits | other.bits)

    def __sub__(self, other: Bitmap) -> Bitmap:
        return Bitmap(self.bits & ~other.bits)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bitmap) and self.bits == other.bits

    def __hash__(self) -> int:
        return hash(self.bits)

    def __bool__(self) -> bool:
        return bool(self.bits)

    def __len__(self) -> int:
        return bin(self.bits).count("1")

    def runs(self) -> Iterator[tuple[int, int]]:
        """(first block, how many), in order."""
        for match in _ONES.finditer(f"{self.bits:b}"[::-1]):
            yield match.start(), match.end() - match.start()

    def areas(self, size: int) -> Iterator[tuple[int, int]]:
        """(offset, length) in bytes, in order, nothing beyond `size`."""
        for first, count in self.runs():
            start, end = first * BLOCK, min((first + count) * BLOCK, size)
            if start < end:
                yield start, end - start
