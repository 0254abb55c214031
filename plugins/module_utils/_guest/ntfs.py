# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""NTFS: recognising the boot sector, finding the label in the $Volume record."""

from __future__ import annotations

import struct
import typing as t

from .._device.device import read

if t.TYPE_CHECKING:
    from .._device.device import BlockDevice

_VOLUME_RECORD = 3  # $Volume is always the fourth record of the MFT
_VOLUME_NAME = 0x60
_END = 0xFFFFFFFF


class Ntfs(t.NamedTuple):
    """Where an NTFS volume keeps what it says about itself."""

    serial: str
    record: int  # byte offset of $Volume
    record_size: int
    version: str | None = None

    def label(self, device: BlockDevice) -> str | None:
        """The text of the $VOLUME_NAME attribute; None where the record is not sound."""
        if self.record + self.record_size > device.size:
            return None
        record = read(device, self.record, self.record_size)
        if record[:4] != b"FILE":
            return None
        return _volume_name(record)


def recognise(head: bytes) -> Ntfs | None:
    """By the boot sector ("NTFS Documentation", file $Boot)."""
    if head[3:11] != b"NTFS    " or head[510:512] != b"\x55\xaa":
        return None
    sector, cluster = struct.unpack_from("<HB", head, 11)
    mft = struct.unpack_from("<Q", head, 0x30)[0]
    unit = struct.unpack_from("<b", head, 0x40)[0]
    clusters = cluster if cluster <= 0x80 else 1 << (256 - cluster)  # large ones are a power
    size = unit * clusters * sector if unit > 0 else 1 << min(-unit, 16)
    if sector not in (512, 1024, 2048, 4096) or not 512 <= size <= 1 << 16:
        return None
    serial = f"{struct.unpack_from('<Q', head, 0x48)[0]:016X}"
    return Ntfs(serial, mft * clusters * sector + _VOLUME_RECORD * size, size)


def _volume_name(record: bytearray) -> str | None:
    at = struct.unpack_from("<H", record, 0x14)[0]
    while at + 24 <= len(record):
        kind, length = struct.unpack_from("<II", record, at)
        if kind == _END or length < 24:  # every attribute has a header: no endless loop
            return None
        if kind == _VOLUME_NAME:
            size, start = struct.unpack_from("<IH", record, at + 16)
            text = record[at + start : at + start + min(size, 256)]
            return text.decode("utf-16-le", "replace") or None
        at += length
    return None
