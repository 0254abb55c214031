# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A virtual machine into a repository."""

from __future__ import annotations

import typing as t

from ...._device.errors import DiskExists
from ...._device.memory import ZeroDevice
from ...._repository.write.source import DiskSource
from ...._vsphere.connection.shared import shared_session
from ...._vsphere.snapshots.journal import Journal
from ...._vsphere.snapshots.sweep import sweep
from ...plan import Plan, nothing_to_do
from ..document import FACTS
from ..document import NAME as CONFIGURATION
from .foresight import foresee
from .preflight import refuse_plain_repository, refuse_second_run, refuse_unfinished
from .run import VmRun
from .subject import look_at, look_at_vm

if t.TYPE_CHECKING:
    from ...._repository.repository import Repository
    from ...plan import Result
    from .request import VmBackupRequest
    from .subject import Subject


def plan_vm_backup(request: VmBackupRequest) -> Plan:
    """A restore point of that name or young enough will do; else one is made."""
    repository = request.access.open_repository()
    session = shared_session(request.access.vcenter)
    subject = look_at_vm(session, request.vm)
    points, disks = repository.points(subject.source_id), subject.report.disks
    enough = next((point for point in points if request.suffices(point, disks)), None)
    if enough is not None:
        return nothing_to_do({}, {"restore_point": enough.as_dict()})
    request.choice.check(disks)
    refuse_plain_repository(subject, repository)
    repository.check_backup(
        _stand_ins(request, subject),
        subject.source(),
        name=request.name,
        mode=request.mode,
        retain=request.retention,
        workers=request.workers,
        memory_limit=request.memory_limit,
    )
    result: Result = {}
    if request.foresee:
        result = {"plan": foresee(request, subject, points)}
    return Plan(
        before={"newest": points[-1].as_dict() if points else None},
        after={"newest": {"name": request.name or "(a new one)", "source": subject.name}},
        result=result,
        apply=lambda: _apply(request, repository, subject),
    )


def _stand_ins(request: VmBackupRequest, subject: Subject) -> list[DiskSource]:
    """The disks, without anything to read: for what can be checked beforehand."""
    meant = [
        DiskSource(disk.name, disk.label, ZeroDevice(disk.size), disk.uuid or "", disk.path)
        for disk in subject.report.disks
        if disk.protectable and request.choice.means(disk.name, disk.label)
    ]
    return meant or [DiskSource(CONFIGURATION, CONFIGURATION, ZeroDevice(0), "", "", FACTS)]


def _apply(request: VmBackupRequest, repository: Repository, planned: Subject) -> Result:
    session, vm = planned.session, planned.vm
    with Journal.begin(f"backup of {planned.name}", planned.source_id) as journal:
        swept = sweep(session, [vm], request.patience)
        subject = look_at(session, vm)  # as it is without our leftovers
        refuse_second_run(subject, journal.run, [each.run for each in swept if not each.done])
        refuse_unfinished(subject.name, subject.values.get("config.extraConfig"))
        request.choice.check(subject.report.disks)
        run = VmRun(request, repository, subject, journal)
        run.warnings += [f"{each.vm}: {each.message}" for each in swept]
        try:
            return run.result()
        except DiskExists as error:  # another run has made this very point meanwhile
            result = _made_elsewhere(request, repository, subject, error)
            left = [str(error)] if journal.open_entries() else []
            warnings = [*run.warnings, *left]
            return {**result, **({"warnings": warnings} if warnings else {})}


def _made_elsewhere(
    request: VmBackupRequest, repository: Repository, subject: Subject, error: DiskExists
) -> Result:
    """Raises the error where that point will not do."""
    if error.found is None:
        raise error
    point = repository.find(f"{subject.source_id}@{error.found}").point
    if not request.suffices(point, subject.report.disks):
        raise error
    return {"changed": False, "restore_point": point.as_dict()}
