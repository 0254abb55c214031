# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Checking flat extents: all that can be wrong with raw bytes is how many there are."""

from __future__ import annotations

import typing as t

from ..extents.header import SECTOR
from .finding import ERROR, WARNING, Finding

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.files import File
    from ..descriptor.extent_line import ExtentLine


def check_flat(file: File, lines: list[ExtentLine]) -> Iterator[Finding]:
    """`lines`: all that lie in this file. A device may be longer than what is used of it."""
    end = max((line.offset or 0) + line.sectors for line in lines) * SECTOR
    if file.size < end:
        yield Finding(
            "extent-size",
            ERROR,
            file.path,
            f"is shorter than its descriptor says: {file.size} bytes, expected {end}",
            file.size,
            how="restore it from a good copy, or take what is left with salvage_to",
        )
    elif file.size > end and not file.is_block_device:
        yield Finding(
            "extent-size",
            WARNING,
            file.path,
            f"is longer than its descriptor says: {file.size} bytes, expected {end}; what lies "
            "behind is not part of the disk",
            end,
            how="compare the size of the disk with its partition table",
        )
