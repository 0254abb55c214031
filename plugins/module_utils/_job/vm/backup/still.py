# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Templates: no snapshot holds their disks, so it is by their state that one sees a change."""

from __future__ import annotations

import typing as t

from ...._device.errors import DiskInUse
from ...._transport.datastore import read_descriptor
from ...._vsphere.disks.folder import DatastoreFiles
from ...._vsphere.disks.paths import find_place, parse_disk
from .frozen_disks import still_disks
from .subject import look_at
from .tracking import still_state

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...._transport.frozen import FrozenDisk
    from ...._vsphere.snapshots.journal import Journal
    from .subject import Subject


def state_of_disk(subject: Subject, disk: FrozenDisk) -> str:
    """Whoever writes to it changes its content id, and the machine that runs it, its version.

    Raises DiskError.
    """
    files = DatastoreFiles(subject.session)
    try:
        found = read_descriptor(files, find_place(subject.session, parse_disk(disk.path)))
    finally:
        files.close()
    version = subject.values.get("config.changeVersion")
    facts = (subject.source_id, disk.device.key, disk.uuid, disk.path, disk.size)
    return still_state((*facts, found.cid, version))


def states_of(subject: Subject, disks: Iterable[FrozenDisk]) -> dict[str, str]:
    """By the names of the disks. Raises DiskError."""
    return {disk.name: state_of_disk(subject, disk) for disk in disks}


def require_same(subject: Subject, journal: Journal, states: Mapping[str, str]) -> None:
    """That they are as they were when the backup began. Raises DiskInUse, DiskError."""
    now = look_at(subject.session, subject.vm)
    disks = [disk for disk in still_disks(now, journal) if disk.name in states]
    if not now.is_template or states_of(now, disks) != states:
        raise DiskInUse(
            "somebody worked on the template while its disks were read",
            path=subject.name,
            hint="What was read may be a mixture, so there is no restore point. Run it again.",
        )
