# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A volume of any disk as a directory, and back."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .._device.overlay import Overlay
from .._device.raw import RawDevice
from .._guest import session
from .._guest.session import FlatFile, MountRequest
from .._guest.volumes import choose, list_volumes
from .._transport.reference import Road
from .._vmdk.opening.disk import Disk
from .plan import Plan, Result, nothing_to_do

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .._device.device import BlockDevice
    from .._guest.session import MountState
    from .access import Access, AnyDisk


@dataclasses.dataclass(frozen=True)
class MountJob:
    """Which volume of which disk shall be where."""

    path: str
    mount_point: str
    access: Access
    volume: str | None = None
    read_only: bool = True


def plan_mounted(job: MountJob) -> Plan:
    """Mount it, unless it is; clean up what dead mounts left."""
    pinned = _pin(job, job.path)
    wanted = MountRequest(_opener(job, pinned), pinned, job.mount_point, job.volume, job.read_only)
    state, dead = session.find(wanted), session.dead()
    if state is not None and not dead:
        return nothing_to_do(
            _facts(job.path, state), {"mount": _facts(job.path, state), "swept": []}
        )
    after = _facts(job.path, state) if state is not None else _look(job, pinned)

    def apply() -> Result:
        told: list[str] = []
        swept = session.sweep(told.append)
        source = _flat_file(job, pinned) or wanted.source
        if isinstance(source, FlatFile) and not job.read_only:
            _mark_changed(job, pinned)
        mounted = session.mount(dataclasses.replace(wanted, source=source), told.append)
        return {"mount": _facts(job.path, mounted), "swept": swept, "warnings": told}

    before: Result = {"mount": _facts(job.path, state) if state else None, "dead": dead}
    result = {"mount": after, "swept": dead}
    return Plan(before=before, after={"mount": after, "dead": []}, result=result, apply=apply)


def plan_unmounted(mount_point: str) -> Plan:
    """Unmount what we mounted there, dead or alive; clean up what other dead mounts left."""
    state, dead = session.mounted(mount_point), session.dead()
    if state is None and not dead:
        return nothing_to_do({"mount": None}, {"swept": []})

    def apply() -> Result:
        session.unmount(mount_point)
        told: list[str] = []
        return {"swept": session.sweep(told.append), "warnings": told}

    before: Result = {"mount": _facts(state.reference, state) if state else None, "dead": dead}
    return Plan(
        before=before, after={"mount": None, "dead": []}, result={"swept": dead}, apply=apply
    )


def _pin(job: MountJob, path: str) -> str:
    """A reference that means the same tomorrow; `latest` would not."""
    reference = job.access.parse(path)
    if reference.road is Road.RESTORE_POINT:
        return job.access.pin(path)
    return os.path.realpath(reference.text)


def _look(job: MountJob, pinned: str) -> Result:
    """What would be mounted. Raises InvalidRequest where the volume is not to be had."""
    with job.access.open(pinned) as disk:
        volume = choose(list_volumes(disk), job.volume)
    return {
        "path": job.path,
        "mount_point": os.path.realpath(job.mount_point),
        "read_only": job.read_only,
        "volume": volume.as_dict(),
    }


def _facts(path: str, state: MountState) -> Result:
    return {
        "path": path,
        "mount_point": state.mount_point,
        "read_only": state.read_only,
        "volume": state.volume,
    }


def _opener(job: MountJob, pinned: str) -> Callable[[], BlockDevice]:
    """Opens the disk in the process that serves it."""
    is_point = job.access.parse(pinned).road is Road.RESTORE_POINT

    def open_disk() -> BlockDevice:
        if is_point:  # writes go beside it
            disk = job.access.open(pinned)
            return disk if job.read_only else Overlay(disk)
        return job.access.open(pinned, writable=not job.read_only)

    return open_disk


def _flat_file(job: MountJob, pinned: str) -> FlatFile | None:
    """The file that holds the disk's bytes as they are, if there is one."""
    with job.access.open(pinned) as disk:
        return _flat_part(disk)


def _mark_changed(job: MountJob, pinned: str) -> None:
    """The kernel is going to write to the disk behind the engine's back."""
    with job.access.open(pinned, writable=True) as disk:
        if isinstance(disk, Disk):
            disk.mark_changed()


def _flat_part(disk: AnyDisk) -> FlatFile | None:
    part: object = disk
    if isinstance(disk, Disk):
        if len(disk.links) > 1 or len(disk.links[0].parts) > 1:
            return None
        part = disk.links[0].parts[0]
    if not isinstance(part, RawDevice):
        return None
    return FlatFile(part.file.path, part.offset, part.size)
