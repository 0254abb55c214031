# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A volume of any disk as a directory, and back."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import typing as t

from .._device.errors import InvalidRequest
from .._device.overlay import Overlay
from .._device.raw import RawDevice
from .._device.unreadable import Unreadable
from .._guest import appliance, session
from .._guest.discover import find_volumes
from .._guest.facts.guest import facts_of
from .._guest.luks.secret import read_key_file
from .._guest.mount import require_lossless
from .._guest.mountables import require_writable
from .._guest.request import APPLIANCE, HOST, VOLUME, FlatFile, MountRequest
from .._guest.volumes import choose
from .._transport.claims import refuse_claims
from .._transport.reference import Road
from .._vmdk.opening.disk import Disk
from .._vmdk.opening.family import refuse_with_children
from . import transact_disk
from .kept_disk import open_kept
from .plan import Plan, Result, nothing_to_do
from .transact_disk import TransactJob

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._device.device import BlockDevice
    from .._guest.filesystems import FileSystem
    from .._guest.request import Source
    from .._guest.session import MountState
    from .access import Access, AnyDisk


@dataclasses.dataclass(frozen=True)
class MountJob:
    """Which volume of which disk shall be where. disks: further ones of the same machine."""

    path: str
    mount_point: str
    access: Access
    disks: tuple[str, ...] = ()
    volume: str | None = None
    subvolume: str | None = None
    luks_key_file: str | None = None
    layout: str = VOLUME
    isolation: str = HOST
    read_only: bool = True
    transaction: bool = False
    overlay: str | None = None
    facts: bool = False
    changes: bool = False
    lost: tuple[tuple[int, int], ...] = ()  # (offset, length) of the first disk

    @property
    def is_read_only(self) -> bool:
        """A transaction is there to be written to."""
        return self.read_only and not self.transaction


def plan_mounted(job: MountJob) -> Plan:
    """Mount it, unless it is; clean up what dead mounts left, finish what a killed commit left."""
    _require_read_only(job)
    paths = tuple(job.access.lasting(path) for path in (job.path, *job.disks))
    unfinished = transact_disk.unfinished(job.access, paths)
    transaction = None if unfinished else _transaction(job, paths)
    wanted = _request(job, paths, transaction)
    state, dead = session.find(wanted), session.dead()
    if state is not None and not dead:
        facts = _facts(job.path, state)
        return nothing_to_do(facts, {"mount": facts, "swept": [], **_inside(job, paths)})
    if job.isolation == APPLIANCE:
        appliance.require()
    after = _facts(job.path, state) if state is not None else _look(job, paths, wanted, unfinished)

    def apply() -> Result:
        told: list[str] = []
        transact_disk.finish(job.access, paths)
        swept = session.sweep(told.append)
        mounted = _mount(job, paths, wanted, told.append)
        facts = _facts(job.path, mounted)
        return {"mount": facts, "swept": swept, "warnings": told, **_inside(job, paths)}

    before: Result = {"mount": _facts(job.path, state) if state else None, "dead": dead}
    result = {"mount": after, "swept": dead}
    return Plan(before=before, after={"mount": after, "dead": []}, result=result, apply=apply)


def _require_read_only(job: MountJob) -> None:
    if job.lost and not job.is_read_only:
        raise InvalidRequest("a disk that has lost something is only mounted read-only")


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


def _transaction(job: MountJob, paths: Sequence[str]) -> Result | None:
    """What it will be. Raises InvalidRequest for disks that must not be written to so."""
    if job.transaction:
        return transact_disk.foresee(job.access, paths, job.overlay)
    if not job.read_only:
        transact_disk.require_free(job.access, paths)
    return None


def _request(job: MountJob, paths: tuple[str, ...], transaction: Result | None) -> MountRequest:
    first, *further = [_opener(job, path) for path in paths]
    return MountRequest(
        first,
        paths[0],
        job.mount_point,
        job.volume,
        job.is_read_only,
        further=tuple(further),
        paths=paths,
        key_file=None if job.luks_key_file is None else os.path.abspath(job.luks_key_file),
        subvolume=job.subvolume,
        layout=job.layout,
        isolation=job.isolation,
        transaction=transaction,
        lost=" ".join(f"{offset}+{length}" for offset, length in job.lost),
    )


def _mount(
    job: MountJob, paths: tuple[str, ...], wanted: MountRequest, warn: Callable[[str], None]
) -> MountState:
    if job.transaction:
        with transact_disk.begun(job.access, paths, job.overlay) as transaction:
            openers = transaction.openers(job.access)
            wanted = dataclasses.replace(wanted, transaction=transaction.as_dict())
            return session.mount(_from(wanted, [openers[path] for path in paths]), warn)
    sources = [_flat_file(job, path) or _opener(job, path) for path in paths]
    if not job.read_only:
        _mark_changed(job, paths, sources)
    return session.mount(_from(wanted, sources), warn)


def _from(wanted: MountRequest, sources: Sequence[Source]) -> MountRequest:
    return dataclasses.replace(wanted, source=sources[0], further=tuple(sources[1:]))


def _inside(job: MountJob, paths: Sequence[str]) -> Result:
    """What can be told of the system whose root is mounted."""
    told: Result = {"guest": facts_of(job.mount_point)} if job.facts else {}
    if job.changes and job.transaction:
        told["changes"] = transact_disk.changes_of(transact_job(job, paths))
    return told


def transact_job(job: MountJob, paths: Sequence[str] = ()) -> TransactJob:
    """What ends the transaction of these disks, or of what is mounted there."""
    return TransactJob(
        job.access,
        job.mount_point,
        paths,
        changes=job.changes,
        volume=job.volume,
        subvolume=job.subvolume,
        luks_key_file=job.luks_key_file,
        layout=job.layout,
        isolation=job.isolation,
    )


def _look(job: MountJob, paths: Sequence[str], wanted: MountRequest, unfinished: bool) -> Result:
    """What would be mounted. Raises InvalidRequest where the volume is not to be had."""
    wanted.check()
    volume = None  # half merged disks cannot be read; the root of a guest is found by mounting
    if not unfinished:
        volume = _volume(job, paths)
    shown = None if volume is None else {**volume, "mount_point": os.path.realpath(job.mount_point)}
    return {
        "path": job.path,
        "mount_point": os.path.realpath(job.mount_point),
        "read_only": job.is_read_only,
        "volume": volume,
        "volumes": [] if shown is None else [shown],
        "transaction": wanted.transaction,
    }


def _volume(job: MountJob, paths: Sequence[str]) -> Result | None:
    with contextlib.ExitStack() as opened:
        disks = [opened.enter_context(job.access.open(path)) for path in paths]
        keys = [] if job.luks_key_file is None else [read_key_file(job.luks_key_file)]
        volumes = find_volumes(disks, keys)
    if job.layout != VOLUME and job.volume is None:
        return None
    chosen = choose(volumes, job.volume)
    if not job.is_read_only:
        require_writable(chosen.as_dict(), chosen.read_only_because)
        if job.isolation == HOST:
            require_lossless(t.cast("FileSystem", chosen.filesystem).kind)
    return chosen.as_dict()


def _facts(path: str, state: MountState) -> Result:
    return {
        "path": path,
        "mount_point": state.mount_point,
        "read_only": state.read_only,
        "volume": state.volume,
        "volumes": list(state.parts),
        "transaction": state.transaction,
    }


def _opener(job: MountJob, path: str) -> Callable[[], BlockDevice]:
    """Opens the disk in the process that serves it."""
    is_point = job.access.parse(path).road is Road.RESTORE_POINT
    first = job.access.lasting(job.path)

    def open_disk() -> BlockDevice:
        if is_point and not job.read_only:  # writes go beside it
            return Overlay(job.access.open(path))
        disk = open_kept(job.access, path, writable=not job.read_only)
        return Unreadable(disk, job.lost) if job.lost and path == first else disk

    return open_disk


def _flat_file(job: MountJob, path: str) -> FlatFile | None:
    """The file that holds the disk's bytes as they are, if there is one."""
    if job.lost:
        return None
    with job.access.open(path) as disk:
        part = _flat_part(disk)
    return part and part._replace(require_free=functools.partial(_require_free, job, path))


def _require_free(job: MountJob, path: str) -> None:
    """Raises InvalidRequest for what somebody has begun since we looked, before our lock."""
    reference = job.access.parse(path)
    refuse_claims(reference, writable=not job.read_only)
    if reference.road is Road.VMDK and not job.read_only:
        refuse_with_children(path, "write to")


def _mark_changed(job: MountJob, paths: Sequence[str], sources: Sequence[Source]) -> None:
    """The kernel is going to write to the disk behind the engine's back."""
    for path, source in zip(paths, sources, strict=True):
        if isinstance(source, FlatFile):
            with job.access.open(path, writable=True) as disk:
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
