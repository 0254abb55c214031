# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The free space of NTFS, by $Bitmap, the seventh record of the MFT ("NTFS Documentation").

Small files lie in their records of the MFT, so what unused records hold is deleted as well.
"""

from __future__ import annotations

import struct
import typing as t

from ...._device.device import read
from ...._device.errors import CorruptDisk
from ... import ntfs
from .bitmap import clear_runs

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ...._device.device import BlockDevice
    from .bitmap import Run

_BITMAP_RECORD = 6
_VOLUME_RECORD = 3
_DATA, _END = 0x80, 0xFFFFFFFF
_IN_USE = 1  # flag of a record
_NON_RESIDENT = 8  # byte of an attribute that says so
_STEP = 1 << 20  # bytes of the bitmap read at once; whole bytes of bits, so pieces need no joining


class _Volume(t.NamedTuple):
    """Sizes and places in bytes."""

    unit: int  # of a cluster
    clusters: int
    record: int  # size of one
    mft: int


def free_runs(device: BlockDevice) -> tuple[int, Iterator[Run]]:
    """The size of a cluster, and (offset, length) in bytes. Raises CorruptDisk."""
    volume = _volume(device)
    place = volume.mft + _BITMAP_RECORD * volume.record
    bitmap = _content_of_record(device, place, volume)
    return volume.unit, _unused(device, bitmap, volume.clusters, volume.unit)


def deleted_contents(device: BlockDevice) -> Iterator[tuple[int, bytes]]:
    """What lies in records of the MFT that are not used, and where. Raises CorruptDisk."""
    volume = _volume(device)
    size = volume.record
    pieces = _content_of_record(device, volume.mft, volume)
    if sum(length for _offset, length in pieces) > device.size:
        raise CorruptDisk("the MFT is larger than the volume", offset=volume.mft)
    for offset, length in pieces:
        for at in range(offset, offset + length, _STEP):
            records = read(device, at, min(_STEP, offset + length - at))
            for start in range(0, len(records) - size + 1, size):
                record = records[start : start + size]
                if record[:4] == b"FILE" and not record[0x16] & _IN_USE:
                    yield from _resident(record, at + start)


def _volume(device: BlockDevice) -> _Volume:
    head = bytes(read(device, 0, 512))
    known = ntfs.recognise(head)
    if known is None:
        raise CorruptDisk("the boot sector of NTFS makes no sense", offset=0)
    sector, cluster = struct.unpack_from("<HB", head, 11)
    unit = sector * (cluster if cluster <= 0x80 else 1 << (256 - cluster))
    if not unit:
        raise CorruptDisk("the boot sector of NTFS makes no sense", offset=0)
    count = struct.unpack_from("<Q", head, 0x28)[0] * sector // unit
    size = known.record_size
    return _Volume(unit, count, size, known.record - _VOLUME_RECORD * size)


def _content_of_record(device: BlockDevice, place: int, volume: _Volume) -> list[Run]:
    """Where the content of a file is, in bytes of the volume. Raises CorruptDisk."""
    record = _without_fixups(bytearray(read(device, place, volume.record)), place)
    found = _data(record)
    if found is None:
        raise CorruptDisk("a file of NTFS itself has no content in its first record", offset=place)
    at, length = found
    if not record[at + _NON_RESIDENT]:
        start, size = _value(record, at)
        return [(place + start, size)]
    pairs = struct.unpack_from("<H", record, at + 0x20)[0] if length >= 0x40 else length
    runs = _mapping(bytes(record[at + pairs : at + length]))
    return [(first * volume.unit, count * volume.unit) for first, count in runs]


def _resident(record: bytearray, place: int) -> Iterator[tuple[int, bytes]]:
    try:
        found = _data(_without_fixups(record, place))
    except CorruptDisk:
        return
    if found is not None and not record[found[0] + _NON_RESIDENT]:
        start, size = _value(record, found[0])
        content = bytes(record[start : start + size])
        if content:
            yield place + start, content


def _value(record: bytearray, at: int) -> tuple[int, int]:
    """Where in a record the content of a resident attribute is, and its size."""
    size, start = struct.unpack_from("<IH", record, at + 16)
    return at + start, size


def _unused(device: BlockDevice, pieces: list[Run], count: int, unit: int) -> Iterator[Run]:
    done = 0  # clusters
    for offset, length in pieces:
        for at in range(0, length, _STEP):
            if done >= count:
                return
            size = min(_STEP, length - at, -(-(count - done) // 8))
            bits = bytes(read(device, offset + at, size))
            known = min(size * 8, count - done)
            yield from clear_runs(bits, known, done * unit, unit)
            done += known


def _without_fixups(record: bytearray, place: int) -> bytearray:
    """The last two bytes of each 512 are kept in the update sequence. Raises CorruptDisk."""
    start, count = struct.unpack_from("<2H", record, 4)
    if record[:4] != b"FILE" or start + 2 * count > len(record) or count * 512 > len(record) + 512:
        raise CorruptDisk("the record of $Bitmap makes no sense", offset=place)
    for number in range(1, count):
        end = number * 512
        record[end - 2 : end] = record[start + 2 * number : start + 2 * number + 2]
    return record


def _data(record: bytearray) -> tuple[int, int] | None:
    """Where in a record the unnamed $DATA attribute is, and its length."""
    at = struct.unpack_from("<H", record, 0x14)[0]
    while at + 24 <= len(record):
        kind, length, named = struct.unpack_from("<IIxB", record, at)
        if kind == _END or length < 24:
            break
        if kind == _DATA and not named and at + length <= len(record):
            return at, length
        at += length
    return None


def _mapping(pairs: bytes) -> Iterator[tuple[int, int]]:
    """Runs of clusters: a byte of two sizes, the length, and how far the place has moved."""
    at = cluster = 0
    while at < len(pairs) and pairs[at]:
        length_size, move_size = pairs[at] & 15, pairs[at] >> 4
        move_at = at + 1 + length_size
        length = int.from_bytes(pairs[at + 1 : move_at], "little")
        cluster += int.from_bytes(pairs[move_at : move_at + move_size], "little", signed=True)
        at = move_at + move_size
        yield cluster, length
