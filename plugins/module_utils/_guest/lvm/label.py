# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The label of an LVM2 physical volume, and the text that it points to.

Layout: lib/label/label.h and lib/format_text/layout.h of LVM2.
"""

from __future__ import annotations

import struct
import typing as t
import zlib

from ..._device.device import read
from ..._device.errors import CorruptDisk

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.device import BlockDevice

SECTOR = 512
_LABEL = struct.Struct("<8sQII8s")  # magic, its own sector, checksum, offset of the header, kind
_HEADER = struct.Struct("<32sQ")  # uuid, bytes; then lists of areas
_AREA = struct.Struct("<QQ")  # offset, bytes; zeros end a list
_METADATA = struct.Struct("<I16sIQQ")  # checksum, magic, version, offset, bytes of the area
_PLACE = struct.Struct("<QQII")  # offset in the area, bytes, checksum, flags
_MAGIC, _KIND, _METADATA_MAGIC = b"LABELONE", b"LVM2 001", b" LVM2 x[5A%r0N*>"
_IGNORED = 1  # a copy that is not kept up to date
_FIRST_CHECKSUM = 0xF597A6CF
_LONGEST = 8 << 20  # bytes of text; that of a thousand volumes has one million


class Physical(t.NamedTuple):
    """A physical volume. `text` describes its volume group; empty where it keeps no copy."""

    uuid: str
    size: int
    text: str


def find_physical(device: BlockDevice) -> Physical | None:
    """None for what is none. Raises CorruptDisk where all copies of the text are damaged."""
    for number in range(min(4, device.size // SECTOR)):
        sector = bytes(read(device, number * SECTOR, SECTOR))
        magic, own, checksum, offset, kind = _LABEL.unpack_from(sector)
        fits = (magic, kind, own) == (_MAGIC, _KIND, number)
        if fits and checksum == _checksum(sector[20:]) and 32 <= offset <= SECTOR - 48:
            return _physical(device, sector[offset:])
    return None


def _physical(device: BlockDevice, header: bytes) -> Physical:
    uuid, size = _HEADER.unpack_from(header)
    areas = _AREA.iter_unpack(header[_HEADER.size :][: (len(header) - _HEADER.size) // 16 * 16])
    for _data in iter(lambda: next(areas, (0, 0)), (0, 0)):
        pass
    problems: list[str] = []
    for offset, length in iter(lambda: next(areas, (0, 0)), (0, 0)):
        try:
            text = _text(device, offset, length)
        except ValueError as error:
            problems.append(f"at byte {offset}: {error}")
            continue
        if text:
            return Physical(_dashed(uuid), size, text)
    if problems:
        raise CorruptDisk(
            "the description of its LVM volume group is damaged", found="; ".join(problems)
        )
    return Physical(_dashed(uuid), size, "")


def _text(device: BlockDevice, offset: int, length: int) -> str:
    """Empty for an area that is not used. Raises ValueError."""
    if offset + SECTOR > device.size or offset + length > device.size:
        raise ValueError("beyond the end of the volume")
    sector = bytes(read(device, offset, SECTOR))
    checksum, magic, version, own, size = _METADATA.unpack_from(sector)
    if (magic, version, own) != (_METADATA_MAGIC, 1, offset) or checksum != _checksum(sector[4:]):
        raise ValueError("no header of a metadata area")
    place, count, sum_of_text, flags = _PLACE.unpack_from(sector, _METADATA.size)
    if not place or flags & _IGNORED:
        return ""
    if not (SECTOR <= place < size and count <= min(size - SECTOR, _LONGEST)):
        raise ValueError(f"{count} bytes at {place}, of {size}")
    data = b"".join(_ring(device, offset, size, place, count))
    if _checksum(data) != sum_of_text:
        raise ValueError("the checksum does not fit")
    return data.rstrip(b"\0").decode("utf-8", "replace")


def _ring(device: BlockDevice, area: int, size: int, place: int, count: int) -> Iterator[bytes]:
    """The text goes on behind the header when it has come to the end of the area."""
    first = min(count, size - place)
    yield bytes(read(device, area + place, first))
    if count > first:
        yield bytes(read(device, area + SECTOR, count - first))


def _checksum(data: bytes) -> int:
    """CRC-32 without the final inversion, from a start of LVM's own."""
    return zlib.crc32(data, _FIRST_CHECKSUM ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def _dashed(uuid: bytes) -> str:
    text = uuid.decode("ascii", "replace")
    ends = (6, 10, 14, 18, 22, 26, 32)
    return "-".join(text[start:end] for start, end in zip((0, *ends), ends, strict=False))
