# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold for any bytes that call themselves a disk. Anything but a DiskError is a find.

- Reading says the same by whatever road (look.py), within the limits (limits.py).
- A check, and a repair that only looks, change no byte.
- A repair changes no content: each piece that could be read before reads afterwards as it did,
  or as the other copy of the tables had it, and repairs come to an end. Only where
  the copies differ and the check says that nothing proves which is right, it may be an error.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import struct
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.check import check_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.finding import Finding
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.repair import repair_disk

from .bundle import DISK, Files, Part, lay_down, unpack
from .limits import Violation, bounded, require, watched
from .look import Look, look_at

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Extra: t.TypeAlias = Callable[[Path, list[Finding] | None, Look | None], None]

OUTSIDE = b'# Disk DescriptorFile\nCID=12345678\ncreateType="custom"\nRW 64 ZERO\n'
_MOST_REPAIRS = 4
_DIRECTORIES = struct.Struct("<QQ")  # rgdOffset and gdOffset
_DIRECTORIES_AT = 48


def judge(bundle: bytes, extra: Extra | None = None) -> None:
    """Raises Violation, or whatever else the engine should not have raised.

    `extra`: what else to look at, given the disk, its findings, and what was read of it.
    """
    files = unpack(bundle)
    if files is None or DISK not in files:
        return
    folder = _folder()
    size = sum(len(part.data) + part.hole for part in files.values())
    with bounded(size), watched(folder):
        swapped = _swapped(files, folder)
        lay_down(files, folder)
        before = look_at(folder / DISK)
        findings = _or_none(check_disk, folder / DISK)
        _or_none(repair_disk, folder / DISK, dry_run=True)
        _require_same(files, folder)
        if extra is not None:
            extra(folder / DISK, findings, before)
        if _repair(folder / DISK):
            _check_repaired(folder / DISK, before, swapped, findings or ())


def _or_none(job: t.Callable[..., t.Any], *args: object, **options: object) -> t.Any:
    try:
        return job(*args, **options)
    except DiskError:
        return None


@functools.cache
def _folder() -> Path:
    """One for the whole process, in memory where there is some to be had."""
    memory = Path("/dev/shm")
    root = tempfile.mkdtemp(
        prefix="vdisk-fuzz-", dir=memory if os.access(memory, os.W_OK) else None
    )
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    folder = Path(root, "disk")
    folder.mkdir()
    Path(root, "out.vmdk").write_bytes(OUTSIDE)
    return folder


def _require_same(files: Files, folder: Path) -> None:
    require(sorted(os.listdir(folder)) == sorted(files), "a check made or removed files")
    for name, part in files.items():
        same = (folder / name).read_bytes() == part.data + bytes(part.hole)
        require(same, f"a check changed {name}")


# Repairs


def _swapped(files: Files, folder: Path) -> Look | None:
    """The disk as the redundant copy of its tables has it."""
    data, hole = files[DISK]
    if data[:4] != b"KDMV" or len(data) < _DIRECTORIES_AT + _DIRECTORIES.size:
        return None
    changed = bytearray(data)
    redundant, primary = _DIRECTORIES.unpack_from(changed, _DIRECTORIES_AT)
    _DIRECTORIES.pack_into(changed, _DIRECTORIES_AT, primary, redundant)
    lay_down({**files, DISK: Part(bytes(changed), hole)}, folder)
    return look_at(folder / DISK)


def _repair(disk: Path) -> bool:
    """Until nothing is left to do, which takes more than once where metadata lies on metadata."""
    for _round in range(_MOST_REPAIRS):
        changes = _or_none(repair_disk, disk)
        if not changes:
            return changes is not None
    raise Violation(f"repairs do not come to an end: {changes[:2]}")


def _check_repaired(
    disk: Path, before: Look | None, swapped: Look | None, findings: Iterable[Finding]
) -> None:
    places = [place for look in (before, swapped) if look is not None for place in look.pieces]
    after = look_at(disk, places)
    if before is not None:
        require(after is not None, "a repair made the disk unreadable")
    if before is not None and after is not None:
        _compare(before, swapped, after, disputed=any(map(_is_open, findings)))


def _is_open(found: Finding) -> bool:
    return found.kind == "tables-differ" and not found.repairable


def _compare(before: Look, swapped: Look | None, after: Look, *, disputed: bool) -> None:
    for place, content in before.pieces.items():
        if content is None or place not in after.pieces:
            continue
        allowed: list[bytes | None] = [content]
        other = None if swapped is None else swapped.pieces.get(place)
        if other is not None:
            allowed.append(other)
        if disputed:  # and the check has said so: then reading refuses to guess
            allowed.append(None)
        require(after.pieces[place] in allowed, f"a repair changed the content of byte {place}")
