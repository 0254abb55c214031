# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""FLAT and VMFS extents: the bytes as they are (TN p.4)."""

from __future__ import annotations

import typing as t

from ..._device.errors import TruncatedDisk
from ..._device.raw import RawDevice
from .header import SECTOR

if t.TYPE_CHECKING:
    from ..._device.files import File
    from ..descriptor.extent_line import ExtentLine


def flat_extent(file: File, line: ExtentLine) -> RawDevice:
    """The device. The offset of the line is in sectors. Raises TruncatedDisk."""
    offset, size = (line.offset or 0) * SECTOR, line.sectors * SECTOR
    if file.size < offset + size:
        raise TruncatedDisk(
            "the extent is shorter than its descriptor says",
            path=file.path,
            found=f"{file.size} bytes",
            expected=f"{offset + size} bytes",
            hint="Restore the file from a good copy.",
        )
    return RawDevice(file, offset, size)
