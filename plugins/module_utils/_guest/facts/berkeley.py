# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The values of a hash file of Berkeley DB, read page by page (its db_page.h tells the layout)."""

from __future__ import annotations

import struct
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC, _MAGIC_AT, _PAGE_SIZE_AT = 0x061561, 12, 20
_HEADER = 26  # bytes of a page before what it holds
_HASH_PAGES, _OVERFLOW_PAGE = (2, 13), 7
_INLINE, _ELSEWHERE = 1, 3  # kinds of items


def values(data: bytes) -> Iterator[bytes]:
    """In no order. Raises ValueError for what is no such file, or damaged."""
    try:
        yield from _File(data).values()
    except (struct.error, IndexError) as error:
        raise ValueError(f"damaged: {error}") from error


class _File:
    def __init__(self, data: bytes) -> None:
        self._data = data
        orders = [each for each in "<>" if data[_MAGIC_AT:16] == struct.pack(f"{each}I", _MAGIC)]
        if not orders:
            raise ValueError("no hash file of Berkeley DB")
        self._order = orders[0]
        self._page_size = self._number("I", _PAGE_SIZE_AT)
        if not 512 <= self._page_size <= 64 << 10:
            raise ValueError(f"a page size of {self._page_size} bytes")

    def values(self) -> Iterator[bytes]:
        for start in range(self._page_size, len(self._data), self._page_size):
            if self._data[start + 25] in _HASH_PAGES:
                yield from self._values_of(start)

    def _values_of(self, page: int) -> Iterator[bytes]:
        """Items grow from the end of the page; each second one is a value."""
        count = self._number("H", page + 20)
        places = [self._number("H", page + _HEADER + 2 * index) for index in range(count)]
        ends = [self._page_size, *places]
        for index in range(1, count, 2):
            start = page + places[index]
            kind = self._data[start]
            if kind == _INLINE:
                yield self._data[start + 1 : page + ends[index]]
            elif kind == _ELSEWHERE:
                yield self._gathered(self._number("I", start + 4), self._number("I", start + 8))

    def _gathered(self, page: int, length: int) -> bytes:
        """What lies on a chain of pages; one that comes back to itself ends with the length."""
        parts, found = [], 0
        while page and found < length:
            start = page * self._page_size
            if self._data[start + 25] != _OVERFLOW_PAGE:
                raise ValueError(f"page {page} is not of the kind that it should be")
            size = self._number("H", start + 22)
            if not size:
                raise ValueError(f"page {page} holds nothing")
            parts.append(self._data[start + _HEADER : start + _HEADER + size])
            found += size
            page = self._number("I", start + 16)
        return b"".join(parts)[:length]

    def _number(self, kind: str, offset: int) -> int:
        return int(struct.unpack_from(self._order + kind, self._data, offset)[0])
