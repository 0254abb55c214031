# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A restore point as an NFS datastore, on which machines run at once: instant recovery."""

from __future__ import annotations

import dataclasses
import os
import shutil
import typing as t

from .._device.errors import DiskExists, DiskInUse, InvalidRequest, from_oserror
from .._device.files import TEMPORARY_SUFFIX, write_durably
from .._device.kept_overlay import KeptOverlay
from .._guest.lockedfolder import remove_directory
from .._guest.mount import unmount_dead
from .._guest.mountinfo import mounted_at
from .._guest.share.daemon import POINT, SERVER, Share
from .._guest.share.ganesha import PSEUDO, check_free, configuration
from .._transport.reference import Road
from .export_state import ExportFolder, Journal
from .plan import Plan, nothing_to_do
from .served import start, stop
from .share_files import SharedDisk, describe

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .._device.device import BlockDevice
    from .._guest.share.ganesha import Listen
    from .access import Access
    from .plan import Result

MARK = ".vdisk-share"  # in folders of ours: what is in them may be deleted
FILES, OVERLAYS = "files", "overlays"


@dataclasses.dataclass(frozen=True)
class ShareJob:
    """Which point, or which disk of one, shall be served from which folder, to whom."""

    path: str
    folder: str
    access: Access
    listen: Listen

    @property
    def state(self) -> ShareFolder:
        return state_of(self.folder)


def plan_shared(job: ShareJob) -> Plan:
    """Serve it, unless it is served. What was written in an earlier time is there again."""
    disks = _disks(job)
    reference = _reference(job, disks)
    wanted = Journal(_place(job.folder), reference, read_only=False, name=_listening(job.listen))
    configuration(job.folder, job.folder, job.listen)  # raises for what cannot be written there
    there = job.state.load()
    facts = _facts(job, disks)
    if there is not None and there.is_alive:
        _require_same(there, wanted)
        return nothing_to_do(facts, {"share": facts})
    _require_ours(job.folder, reference)
    if there is None:
        check_free(job.listen)

    def ready() -> None:
        check_free(job.listen)
        _require_ours(job.folder, reference)  # another run may have been faster, and gone again
        _prepare(job.folder, reference, disks)

    def apply() -> Result:
        server = Share(
            job.state.path, os.path.join(job.folder, FILES), lambda: _open(job, disks), job.listen
        )
        _started, lost = start(job.state, wanted, server, ready, _require_same)
        return {"share": facts, **({"warnings": [lost]} if lost else {})}

    return Plan({"share": None}, {"share": facts}, {"share": facts}, apply)


def plan_unshared(folder: str, *, discard: bool = False) -> Plan:
    """Stop serving what is in the folder; discard: and delete the folder, with all that machines
    have written there."""
    state, there = state_of(folder), state_of(folder).load()
    if discard:
        _require_ours(folder)
    has_files = discard and os.path.lexists(os.path.join(folder, MARK))
    if there is None and not has_files:
        return nothing_to_do({"share": None}, {})

    def apply() -> Result:
        with state.locked():
            journal = state.load()
            lost = None if journal is None else stop(state, journal)
            if has_files:
                _delete(folder)
        return {"warnings": [lost]} if lost and not discard else {}

    before: Result = {"share": there.reference if there else None, "folder": folder}
    after: Result = {"share": None, "folder": None if discard else folder}
    return Plan(before, after, {}, apply)


def state_of(folder: str) -> ShareFolder:
    """Of the folder, whatever name it goes by."""
    return ShareFolder(ExportFolder.of(_place(folder)).path)


class ShareFolder(ExportFolder):
    """The journal, the mount point and the NFS server's files of one share."""

    def clear(self) -> None:
        shutil.rmtree(os.path.join(self.path, SERVER), ignore_errors=True)
        point = os.path.join(self.path, POINT)
        if mounted_at(point):  # what a killed server left
            unmount_dead(point)
        remove_directory(point)
        super().clear()


def _disks(job: ShareJob) -> list[SharedDisk]:
    """Raises InvalidRequest for what is no restore point, RestorePointNotFound."""
    if job.access.parse(job.path).road is not Road.RESTORE_POINT:
        raise InvalidRequest(
            "only disks in restore points are shared in this way",
            path=job.path,
            hint="Back the disk up first (vmdk_backup), or serve it over NBD (vmdk_export).",
        )
    point, name = job.access.find(job.path)
    names = [name] if name else [disk.name for disk in point.real_disks]
    return [SharedDisk.of(point, name, alone=len(names) == 1) for name in names]


def _reference(job: ShareJob, disks: list[SharedDisk]) -> str:
    point = disks[0].point
    names = ",".join(disk.name for disk in disks)
    return f"{point.source_id}@{point.id}#{names} in {job.access.open_repository().url}"


def _open(job: ShareJob, disks: list[SharedDisk]) -> Mapping[str, BlockDevice]:
    """In the process that serves them."""
    repository, opened = job.access.open_repository(), {}
    for disk in disks:
        path = os.path.join(job.folder, OVERLAYS, disk.flat)
        base = repository.open_disk(disk.point, disk.name)
        opened[disk.flat] = KeptOverlay(base, path, disk.identity)
    return opened


def _prepare(folder: str, reference: str, disks: list[SharedDisk]) -> None:
    """The mark first: then all else is ours. Descriptors that are there stay as they are:
    hypervisors write to them, too."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    _write_once(os.path.join(folder, MARK), f"{reference}\n".encode())
    for name in (FILES, OVERLAYS):
        os.makedirs(os.path.join(folder, name), mode=0o700, exist_ok=True)
    for disk in disks:
        _write_once(os.path.join(folder, FILES, disk.descriptor), describe(disk))


def _write_once(path: str, text: bytes) -> None:
    if not os.path.lexists(path):
        write_durably(path, text)


def _delete(folder: str) -> None:
    """The mark goes last, so that a killed deletion can be repeated."""
    folder = os.path.realpath(folder)
    try:
        for name in set(os.listdir(folder)) - {MARK}:
            path = os.path.join(folder, name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        os.unlink(os.path.join(folder, MARK))
    except OSError as error:
        raise from_oserror(error, "delete what is in it", folder) from error
    remove_directory(folder)


def _require_ours(folder: str, reference: str | None = None) -> None:
    """Raises DiskExists for a folder with other things in it, or with writes to another point."""
    if not os.path.lexists(folder):
        return
    if os.path.isdir(folder):
        _require_safe(folder)
        if set(os.listdir(folder)) <= {MARK + TEMPORARY_SUFFIX}:  # empty, or a killed start of ours
            return
    try:
        with open(os.path.join(folder, MARK), encoding="utf-8") as stream:
            found = stream.read().strip()
    except OSError:
        hint = "Choose another folder, or one that is not there yet."
        raise DiskExists("has other things in it", path=folder, hint=hint) from None
    if reference not in (None, found):
        raise DiskExists(
            "what machines have written here belongs to another restore point",
            path=folder,
            found=found,
            expected=reference,
            hint="Choose another folder, or delete it with state: discarded.",
        )


def _require_safe(folder: str) -> None:
    """Whoever can write there could put links in our way. Raises InvalidRequest."""
    found = os.stat(folder)
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise InvalidRequest(
            "other users of this host can write to the folder",
            path=folder,
            found=f"owner {found.st_uid}, mode {found.st_mode & 0o7777:o}",
            expected=f"owner {os.geteuid()}, mode 700",
            hint="Choose another folder; one that is not there yet is made as it should be.",
        )


def _require_same(there: Journal, wanted: Journal) -> None:
    if (there.reference, there.name) != (wanted.reference, wanted.name):
        raise DiskInUse(
            "something else is served from this folder",
            path=there.place,
            found=f"{there.reference}, {there.name}",
            expected=f"{wanted.reference}, {wanted.name}",
            hint="Stop that first (state: stopped), or choose another folder.",
        )


def _place(folder: str) -> str:
    return f"nfs {os.path.realpath(folder)}"


def _listening(listen: Listen) -> str:
    clients = ", ".join(sorted(listen.clients))
    return f"at port {listen.port} of {listen.address} for {clients}"


def _facts(job: ShareJob, disks: list[SharedDisk]) -> Result:
    return {
        "path": job.path,
        "folder": job.folder,
        "address": job.listen.address,
        "port": job.listen.port,
        "remote_path": PSEUDO,
        "clients": sorted(job.listen.clients),
        "disks": [
            {"name": disk.name, "file": disk.descriptor, "size": disk.disk.size} for disk in disks
        ],
    }
