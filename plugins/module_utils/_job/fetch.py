# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Bytes of any disk, read into a result or into a file."""

from __future__ import annotations

import base64
import os
import typing as t

from .._device.compare import compare
from .._device.copy import copy
from .._device.device import read
from .._device.errors import InvalidRequest
from .._device.files import TEMPORARY_SUFFIX, remove_if_there, replace_durably
from .._device.raw import RawDevice
from .._device.slice import SliceDevice
from .._device.transaction_mark import refuse_writing
from .._device.units import human_size
from .._vmdk.files.paths import folder_of
from .._vmdk.life.building import require_folder, require_writable
from .target import refuse_own_files

if t.TYPE_CHECKING:
    from .access import AnyDisk
    from .plan import Result
    from .requests import EditRequest

RETURNED = 1 << 20  # bytes: more goes to a file, not through Ansible's result


def read_bytes(request: EditRequest, disk: AnyDisk) -> tuple[Result, bool]:
    """(what the result says, whether the file `dest` has to be written)."""
    if request.writes or (request.length is None and request.dest is None):
        return {}, False
    length = disk.check_range(request.offset, request.length)
    if request.dest is not None:
        _check_dest(disk, request.dest)
        return {"dest": request.dest}, _differs(request.dest, disk, request.offset, length)
    if length > RETURNED:
        raise InvalidRequest(
            f"{human_size(length)} are too much for a result",
            path=request.path,
            expected=f"at most {human_size(RETURNED)}",
            hint="Name a file as dest.",
        )
    data = bytes(read(disk, request.offset, length))
    disk.require_unchanged()
    result: Result = {"content_base64": base64.b64encode(data).decode("ascii")}
    try:
        result["content"] = data.decode("utf-8")
    except UnicodeDecodeError:
        result["content"] = None
    return result, False


def _check_dest(disk: AnyDisk, dest: str) -> None:
    """What is read becomes a plain file, which must not take the place of a disk.

    Raises InvalidRequest, DiskNotFound, ReadOnlyDisk.
    """
    refuse_own_files(disk, dest)
    refuse_writing(dest)  # a raw disk is a plain file, too
    if dest.lower().endswith(".vmdk") or (os.path.exists(dest) and not os.path.isfile(dest)):
        raise InvalidRequest(
            "what is read becomes a plain file, which cannot go here",
            path=dest,
            hint="Name a file that does not end in .vmdk. vmdk_clone makes disks.",
        )
    require_folder(dest)
    require_writable(folder_of(dest))


def _differs(dest: str, disk: AnyDisk, offset: int, length: int) -> bool:
    if not os.path.lexists(dest):
        return True
    with RawDevice.open(dest) as there:
        return compare(there, SliceDevice(disk, offset, length)) is not None


def fetch(request: EditRequest) -> None:
    """The file `dest`, whole or not at all."""
    dest = request.dest or ""
    temporary = dest + TEMPORARY_SUFFIX
    remove_if_there(temporary)  # left by a killed job
    try:
        with request.access.open(request.path) as disk:
            length = disk.check_range(request.offset, request.length)
            with RawDevice.create(temporary, length) as target:
                source = SliceDevice(disk, request.offset, length)
                copy(source, target, target_is_zero=True, progress=request.progress, label=dest)
                disk.require_unchanged()
                target.flush()
        replace_durably(temporary, dest)
    finally:
        remove_if_there(temporary)
