# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Writing the whole content of a disk to a place, so that a crash leaves the old or the new."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
import typing as t

from .._device.copy import copy
from .._device.errors import DiskExists, InvalidRequest
from .._device.files import File, remove_if_there, replace_durably
from .._device.raw import RawDevice
from .._device.transaction_mark import refuse_writing
from .._device.units import human_size
from .._transport.claims import refuse_claims
from .._transport.nbd.client import NbdDevice, open_nbd
from .._transport.reference import Road, is_block_device
from .._vmdk.extents.layout import DiskSpec
from .._vmdk.files.lock import lock
from .._vmdk.files.paths import folder_of
from .._vmdk.life.building import new_file, require_folder, require_writable
from .._vmdk.life.create import check_new_disk, new_disk
from .._vmdk.opening.disk import Disk

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .._device.device import BlockDevice, Device
    from .._device.progress import Progress
    from .._device.transfer import Transfer
    from .._transport.reference import Reference
    from .access import AnyDisk


@dataclasses.dataclass(frozen=True)
class Target:
    """Where the content goes. `spec` says what kind of VMDK, if it is one."""

    reference: Reference
    spec: DiskSpec
    replace: bool = False

    @property
    def disk_type(self) -> str:
        return self.spec.disk_type if self.reference.road is Road.VMDK else "raw"

    def facts(self) -> dict[str, t.Any]:
        """What is known before it is there."""
        return {
            "path": self.reference.text,
            "disk_type": self.disk_type,
            "size": self.spec.size,
        }


def refuse_own_files(source: AnyDisk, dest: str) -> None:
    """A disk must not be replaced by a copy of itself or of its child, nor any of their files.

    Raises InvalidRequest.
    """
    own = [source.name]
    if isinstance(source, Disk):
        own = [path for link in source.links for path in link.files()]
    if is_one_of(own, dest):
        raise InvalidRequest(
            "is the source itself, or a file that the source consists of", path=dest
        )


def is_one_of(paths: Iterable[str], dest: str) -> bool:
    """Whether `dest` is one of these files, under whatever name."""
    there = [path for path in paths if os.path.exists(path)]
    return os.path.exists(dest) and any(os.path.samefile(path, dest) for path in there)


def exists(reference: Reference) -> bool:
    """Whether something is there already.

    Raises InvalidRequest for a place nobody can write, DiskNotFound for a folder that is missing.
    """
    if reference.road is Road.NBD:
        return True
    if reference.road not in (Road.VMDK, Road.RAW):
        raise InvalidRequest(f"{reference.text}: cannot write to a {reference.road.value}")
    require_folder(reference.text)
    return os.path.lexists(reference.text)


def has_fixed_size(reference: Reference) -> bool:
    """Whether it is a place whose own size stays, and may be more than what is put there."""
    return reference.road is Road.NBD or is_block_device(reference.text)


def check(target: Target) -> None:
    """Raises what write() would raise before it writes anything."""
    path = target.reference.text
    if target.reference.road is Road.VMDK:
        check_new_disk(path, target.spec, replace=target.replace)
    elif has_fixed_size(target.reference):
        _open_fixed(target.reference, target.spec.size).close()
    else:
        require_writable(folder_of(path))
        with contextlib.ExitStack() as held:
            _lock_old(os.path.realpath(path), target.replace, held)


def write(source: Device, target: Target, progress: Progress, label: str) -> Transfer:
    """Make the target's content that of source. Raises DiskExists, NoSpace, …"""
    with contextlib.ExitStack() as opened:
        device, is_zero = _open(target, opened)
        transfer = copy(source, device, target_is_zero=is_zero, progress=progress, label=label)
        source.require_unchanged()
        device.flush()
    return transfer


def _open(target: Target, opened: contextlib.ExitStack) -> tuple[BlockDevice, bool]:
    """(a device to write to, whether it holds zeros only)."""
    path, size = target.reference.text, target.spec.size
    if target.reference.road is Road.VMDK:
        making = new_disk(path, target.spec, replace=target.replace)
        return opened.enter_context(making), True
    if has_fixed_size(target.reference):
        return opened.enter_context(_open_fixed(target.reference, size)), False
    return opened.enter_context(_new_raw_file(path, size, target.replace)), True


def _open_fixed(reference: Reference, size: int) -> RawDevice | NbdDevice:
    is_nbd = reference.road is Road.NBD
    opener = open_nbd if is_nbd else RawDevice.open
    device = opener(reference.text, writable=True)
    try:
        if isinstance(device, RawDevice):
            lock(device.file, exclusive=True)
        refuse_claims(reference, writable=True)
    except BaseException:
        device.close()
        raise
    if device.size < size:
        device.close()
        raise InvalidRequest(
            f"the {'export' if is_nbd else 'block device'} is too small",
            path=reference.text,
            found=human_size(device.size),
            expected=f"at least {human_size(size)}",
        )
    return device


@contextlib.contextmanager
def _new_raw_file(path: str, size: int, replace: bool) -> Iterator[RawDevice]:
    path = os.path.realpath(path)
    with contextlib.ExitStack() as held:
        old = _lock_old(path, replace, held)
        file = new_file(path)
        held.callback(remove_if_there, file.path)  # after an error; else it has its name by then
        held.callback(file.close)
        if old is not None:
            _take_over(file, old)
        file.truncate(size)
        device = RawDevice(file)
        yield device
        device.flush()
        replace_durably(file.path, path)


def _lock_old(path: str, replace: bool, held: contextlib.ExitStack) -> File | None:
    """The file that will be replaced, kept from others until then."""
    if not os.path.exists(path):
        return None
    if not replace:
        raise DiskExists("is already there", path=path, hint="Use force: true to replace it.")
    old = File(path)
    held.callback(old.close)
    lock(old, exclusive=True)
    refuse_writing(path)
    return old


def _take_over(file: File, old: File) -> None:
    """Give a file owner and rights of the one it replaces, as far as we may."""
    status = os.fstat(old.fileno())
    with contextlib.suppress(PermissionError):
        os.fchown(file.fileno(), status.st_uid, status.st_gid)
    os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode))
