# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Bytes anywhere in a disk, and the entries of its data base: read and written."""

from __future__ import annotations

import os
import typing as t

from .._device.compare import compare
from .._device.copy import GRAIN, PIECE
from .._device.device import read
from .._device.errors import InvalidRequest, ReadOnlyDisk
from .._device.extent import Extent, Kind, pieces
from .._device.memory import MemoryDevice
from .._device.raw import RawDevice
from .._device.slice import SliceDevice
from .._vmdk.life.metadata import canonical_uuid, check_key, check_metadata, set_metadata
from .._vmdk.opening.disk import Disk
from .facts import is_point
from .fetch import fetch, read_bytes
from .inspect_disk import inspect
from .plan import Plan, Result

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .._device.device import Device
    from .access import AnyDisk
    from .requests import EditRequest


def plan_edit(request: EditRequest) -> Plan:
    """Change only what differs. Raises ReadOnlyDisk, OutOfRange, UnsupportedDisk, …"""
    if request.access.is_managed(request.path):
        # Imported here, as it needs what plain disks do not.
        from .managed import data

        return data.plan_edit(request)
    with request.access.open(request.path) as disk:
        before = inspect(disk)
        entries, dropped = _metadata_changes(request, disk, before)
        place = _first_difference(request, disk)
        result, stale = read_bytes(request, disk)
    if place is not None:
        with request.access.open(request.path, writable=True):
            pass  # whatever forbids it is told now, in check mode too
    if entries or dropped:
        check_metadata(request.path, entries, remove=dropped)
    if place is None and not stale and not entries and not dropped:
        return Plan(before, before, {"disk": before, "bytes_written": 0, **result})
    after = predicted(before, entries, dropped)
    if place is not None:
        after["first_difference"] = place

    def apply() -> Result:
        written = _write(request) if place is not None else 0
        if stale:
            fetch(request)
        if entries or dropped:
            set_metadata(request.path, entries, remove=dropped)
        with request.access.open(request.path) as disk:
            return {"disk": inspect(disk), "bytes_written": written, **result}

    return Plan(before, after, {"disk": after, **result}, apply)


# Bytes


def _source(request: EditRequest) -> Device:
    """What shall be in the disk."""
    device: Device
    if request.src is None:
        device = MemoryDevice(request.content or b"")
    else:
        device = RawDevice.open(request.src)
    device.size = device.check_range(0, request.length)
    return device


def _first_difference(request: EditRequest, disk: AnyDisk) -> int | None:
    """The first byte of the disk that is not yet as it shall be."""
    if not request.writes:
        return None
    with _source(request) as source:
        disk.check_range(request.offset, source.size)
        found = compare(SliceDevice(disk, request.offset, source.size), source)
    if found is not None and is_point(disk):
        raise ReadOnlyDisk(
            "a restore point is never changed",
            path=request.path,
            hint="Restore it, then change the disk.",
        )
    return None if found is None else request.offset + found


def _write(request: EditRequest) -> int:
    """The bytes that were written: those runs of 64 KiB that differ."""
    written = 0
    with _source(request) as source, request.access.open(request.path, writable=True) as disk:
        request.progress.start(os.path.basename(request.path), source.size)
        for piece in pieces([Extent(0, source.size, Kind.DATA)], PIECE):
            wanted = read(source, piece.offset, piece.length)
            found = read(disk, request.offset + piece.offset, piece.length)
            for start in range(0, piece.length, GRAIN):
                part = wanted[start : start + GRAIN]
                if part != found[start : start + GRAIN]:
                    disk.write(request.offset + piece.offset + start, part)
                    written += len(part)
            request.progress.advance(piece.length)
        disk.flush()
        request.progress.finish()
    return written


# The data base


def _metadata_changes(
    request: EditRequest, disk: AnyDisk, before: Result
) -> tuple[dict[str, str], list[str]]:
    """(entries to set, entries to drop) as far as they differ. Keys match in any case."""
    wanted = {check_key(key): value for key, value in request.metadata.items()}
    dropped = [check_key(key) for key in request.remove_metadata]
    if request.uuid is not None:
        wanted["uuid"] = canonical_uuid(request.uuid)
    if not wanted and not dropped:
        return {}, []
    if not isinstance(disk, Disk):
        raise InvalidRequest("has no data base: it is no hosted VMDK", path=request.path)
    both = {key.lower() for key in wanted} & {key.lower() for key in dropped}
    if both:
        raise InvalidRequest(f"cannot both set and remove {', '.join(sorted(both))}")
    there = {key.lower() for key in before["metadata"]}
    return differing(wanted, before), [key for key in dropped if key.lower() in there]


def differing(wanted: dict[str, str], before: Result) -> dict[str, str]:
    """The entries that the data base does not have yet. Keys match in any case."""
    there = {key.lower(): value for key, value in before["metadata"].items()}
    return {key: value for key, value in wanted.items() if not _is_set(there, key, value)}


def _is_set(there: dict[str, str], key: str, value: str) -> bool:
    found = there.get(key.lower())
    if found is not None and key.lower() == "uuid":
        return found.lower() == value.lower()
    return found == value


def predicted(before: Result, entries: dict[str, str], dropped: Sequence[str] = ()) -> Result:
    """The disk as it will be, with these entries in its data base."""
    if "metadata" not in before:
        return dict(before)
    gone = {key.lower() for key in (*dropped, *entries)}
    kept = {key: value for key, value in before["metadata"].items() if key.lower() not in gone}
    return {**before, "metadata": {**kept, **entries}}
