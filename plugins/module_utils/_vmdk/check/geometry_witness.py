# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A third witness where descriptor and extents disagree about the size: the disk's geometry."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..descriptor.descriptor import Descriptor
    from ..descriptor.extent_line import ExtentLine
    from ..extents.header import SparseHeader

_MOST_CYLINDERS = 16383  # from here on writers cut the number off: it proves nothing


def fits_headers_only(
    descriptor: Descriptor, extents: Sequence[tuple[ExtentLine, str, SparseHeader | None]]
) -> bool:
    """Whether the geometry is that of the headers' capacities and not that of the lines'."""
    headers = [header for _line, _path, header in extents if header is not None]
    if len(headers) != len(descriptor.extents):
        return False
    by_headers = sum(header.capacity for header in headers)
    return _fits(descriptor, by_headers) and not _fits(descriptor, descriptor.sectors)


def _fits(descriptor: Descriptor, capacity: int) -> bool:
    names = ("cylinders", "heads", "sectors")
    texts = [descriptor.get(f"ddb.geometry.{name}") or "" for name in names]
    if not all(text.isdecimal() for text in texts):
        return False
    cylinders, heads, sectors = map(int, texts)
    step = heads * sectors
    if step == 0 or not 0 < cylinders < _MOST_CYLINDERS:
        return False
    return cylinders == max(1, capacity // step)
