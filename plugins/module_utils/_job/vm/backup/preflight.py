# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What must be settled before a backup makes anything in vCenter."""

from __future__ import annotations

import typing as t

from ...._device.errors import (
    DiskInUse,
    InvalidRequest,
    TransportUnavailable,
    UnsupportedDisk,
)
from ...._vsphere.machine.tree import all_snapshots
from ...._vsphere.snapshots.journal import at_work_on, known_runs
from ...._vsphere.snapshots.naming import maker, snapshot_name
from ...._vsphere.snapshots.removal import snapshot_of
from ...._vsphere.snapshots.unfinished import mark_of

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ...._repository.repository import Repository
    from ...._vsphere.inventory.protect import DiskReport
    from .subject import Choice, Subject


def unprotectable(subject: Subject, choice: Choice) -> dict[str, str]:
    """Of the disks that are meant, those that no backup can hold, by name, and why."""
    return {
        disk.name: str(disk.concern)
        for disk in subject.report.disks
        if choice.means(disk.name, disk.label) and not disk.protectable
    }


def refuse_unprotectable(subject: Subject, found: Mapping[str, str]) -> None:
    """Raises UnsupportedDisk where there is any."""
    if found:
        raise UnsupportedDisk(
            f"{len(found)} of {len(subject.report.disks)} disks cannot be backed up",
            path=subject.name,
            found=" ".join(f"{name}: {why}" for name, why in found.items()),
            hint="Leave them out knowingly with exclude_disks, or allow a restore point without"
            " them with allow_partial.",
        )


def refuse_empty(subject: Subject, lost: Mapping[str, str], left: Sequence[str]) -> None:
    """A restore point may lack disks, but not all that were meant. Raises TransportUnavailable."""
    if lost and not left:
        raise TransportUnavailable(
            "none of its disks could be backed up",
            path=subject.name,
            found=" ".join(f"{name}: {why}" for name, why in lost.items()),
        )


def refuse_plain_repository(subject: Subject, repository: Repository) -> None:
    """The content of an encrypted machine is read in the clear. Raises InvalidRequest."""
    if subject.is_encrypted and not repository.config.encrypted:
        raise InvalidRequest(
            "the virtual machine is encrypted, and the repository is not",
            path=subject.name,
            found=repository.url,
            hint="What vSphere encrypts is read in the clear: use an encrypted repository.",
        )


def refuse_second_run(subject: Subject, own: str, dead: Iterable[str]) -> None:
    """Two backups of a machine at once would each see the snapshot of the other, or take the disks
    of a template from each other. `dead` are runs that a sweep knows of. Raises DiskInUse."""
    other = at_work_on(subject.source_id, own)
    if other is not None:
        raise DiskInUse(
            "another run on this host backs it up",
            path=subject.name,
            found=f"run {other}",
            hint="Wait until it has ended.",
        )
    living = known_runs() - {own, *dead}
    for node in all_snapshots(subject.values):
        head = maker(node)
        if head is not None and head["run"] in living:
            raise DiskInUse(
                "another run on this host has a snapshot of it",
                path=subject.name,
                found=f"{node.name}, since {head.get('time')}",
                hint="Wait until it has ended.",
            )


def refuse_unfinished(vm_name: str, options: Iterable[t.Any] | None) -> None:
    """A restore that is at work, or was killed, leaves a mixture, which nobody wants to keep.

    `options`: extraConfig, of the machine or of what is frozen of it. Raises DiskInUse.
    """
    mark = mark_of(options)
    if mark is not None:
        raise DiskInUse(
            "a restore of it is not finished, so its disks may be a mixture",
            path=vm_name,
            found=f"run {mark.run} on {mark.host}, of restore point {mark.point}",
            hint="Let it end, or complete it by running it again (vmdk_restore).",
        )


def require_snapshot(subject: Subject, run: str) -> None:
    """What was read holds still as long as our snapshot is there. Raises DiskInUse."""
    if snapshot_of(subject.session, subject.vm, run) is None:
        raise DiskInUse(
            "somebody removed the snapshot while its disks were read",
            path=subject.name,
            found=f"no snapshot {snapshot_name(run)}",
            hint="What was read may be a mixture, so there is no restore point. Run it again.",
        )


def concerns_of(disks: Iterable[DiskReport]) -> list[str]:
    """What an operator should know of disks that can be backed up all the same."""
    return [f"{disk.name}: {disk.concern}" for disk in disks if disk.protectable and disk.concern]
