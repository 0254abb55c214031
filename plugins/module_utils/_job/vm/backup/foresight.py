# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a backup would do with each disk, without making anything in vSphere."""

from __future__ import annotations

import typing as t

from ...._transport.choose import Absent
from ...._transport.choose import foresee as foresee_transport
from ...._transport.datastore import TRANSPORT as DATASTORE
from ...._vsphere.snapshots.journal import Journal
from .frozen_disks import label_of, still_disks
from .preflight import concerns_of, refuse_unprotectable, unprotectable
from .still import state_of_disk
from .tracking import last_mark
from .transports import make_transports

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...._repository.format.manifest import RestorePoint
    from ...._transport.frozen import FrozenDisk, Transport
    from ...plan import Result
    from .request import VmBackupRequest
    from .subject import Subject


def foresee(request: VmBackupRequest, subject: Subject, points: Sequence[RestorePoint]) -> Result:
    """For check mode. Raises UnsupportedDisk where apply would."""
    lost = unprotectable(subject, request.choice)
    # A run sweeps first; what it has left itself may be all that is in the way.
    if not request.allow_partial and not subject.values.get("runtime.consolidationNeeded"):
        refuse_unprotectable(subject, lost)
    with Journal.begin(f"look at {subject.name}") as journal:
        transports = make_transports(
            subject.session,
            journal,
            request.transports,
            proxy_vm=request.proxy_vm,
            vddk_libdir=request.vddk_libdir,
            vddk_modes=request.vddk_modes,
        )
        if subject.values.get("runtime.powerState") != "poweredOff":
            transports = [_of_running(each) for each in transports]
        disks = [
            _foreseen(request, subject, disk, transports, points)
            for disk in still_disks(subject, journal)
            if request.choice.means(disk.name, label_of(disk)) and disk.name not in lost
        ]
    return {
        "disks": disks,
        "left_out": lost,
        "snapshot": not subject.is_template,
        "concerns": [*subject.report.concerns, *concerns_of(subject.report.disks)],
    }


def _of_running(transport: Transport) -> Transport:
    """Some storage lets files be read all the same; that is seen when it is tried."""
    if transport.name != DATASTORE:
        return transport
    return Absent(DATASTORE, "hosts lock the files of a virtual machine that is not off")


def _foreseen(
    request: VmBackupRequest,
    subject: Subject,
    disk: FrozenDisk,
    transports: Sequence[Transport],
    points: Sequence[RestorePoint],
) -> Result:
    transport, why = foresee_transport(disk, transports)
    method, reason = _method(request, subject, disk, points)
    return {
        "key": disk.device.key,
        "name": disk.name,
        "label": label_of(disk),
        "size": disk.size,
        "method": method,
        "reason": reason,
        "transport": transport,
        "transport_reason": why,
    }


def _method(
    request: VmBackupRequest, subject: Subject, disk: FrozenDisk, points: Sequence[RestorePoint]
) -> tuple[str, str]:
    """As far as it can be told before a snapshot is taken."""
    if request.mode == "full":
        return "full", "asked for"
    if subject.is_template:
        return _method_of_still(request, subject, disk, points)
    known = last_mark(points, disk.uuid, disk.name)
    if known is None:
        return "full", "no restore point has it yet"
    if not request.may_rely:
        return "incremental", "all of it is read: changes are not looked at"
    if known.mark.blind or not known.mark.proved:
        return "incremental", "all of it is read: its changed block tracking is not proved yet"
    return "changed", "what changed since the last restore point, unless the snapshot shows a doubt"


def _method_of_still(
    request: VmBackupRequest, subject: Subject, disk: FrozenDisk, points: Sequence[RestorePoint]
) -> tuple[str, str]:
    known = [entry for point in points if point.problem is None for entry in point.real_disks]
    if disk.name not in {entry.name for entry in known}:
        return "full", "no restore point has it yet"
    if not request.may_rely:
        return "incremental", "all of it is read: changes are not looked at"
    if state_of_disk(subject, disk) in {entry.change_id for entry in known}:
        return "changed", "nobody has worked on the template since a restore point"
    return "incremental", "all of it is read: somebody has worked on the template"
