# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Extents whose content is not to be had: raw device mappings, and NOACCESS extents (TN p.4)."""

from __future__ import annotations

import typing as t

from ..._device.device import Device
from ..._device.errors import UnsupportedDisk

if t.TYPE_CHECKING:
    from ..._device.device import Buffer


class OpaqueExtent(Device):
    """Has a size and nothing else. It opens, so that the disk can be described."""

    def __init__(self, size: int, disk: str, what: str, hint: str) -> None:
        self.size, self.name = size, disk
        self._what, self._hint = what, hint
        self.flags = [f"{disk}: {what}"]

    def readinto(self, offset: int, buffer: memoryview) -> None:
        if self.check_range(offset, buffer.nbytes):
            raise self._refusal()

    def write(self, offset: int, data: Buffer) -> None:
        raise self._refusal()

    def zero(self, offset: int, length: int) -> None:
        raise self._refusal()

    def _refusal(self) -> UnsupportedDisk:
        return UnsupportedDisk(self._what, path=self.name, hint=self._hint)


def raw_device_mapping(size: int, disk: str) -> OpaqueExtent:
    """The mapping file of an RDM means something to its ESXi host only."""
    what = "raw device mapping: content is not in these files"
    hint = "Clone it on its host to an ordinary disk (vmkfstools -i), or read the LUN itself."
    return OpaqueExtent(size, disk, what, hint)


def no_access(size: int, disk: str, line: str) -> OpaqueExtent:
    """`line` is how the descriptor has it."""
    what = f"an extent must not be accessed: {line}"
    return OpaqueExtent(size, disk, what, "The rest of the disk can be read.")
