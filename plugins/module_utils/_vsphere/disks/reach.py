# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""From where the hosts of vSphere reach a datastore."""

from __future__ import annotations

import typing as t

from ..connection.collect import properties

if t.TYPE_CHECKING:
    from ..connection.session import Session
    from ..machine.machine import Machine

VSAN, NFS = "vsan", ("NFS", "NFS41")  # as summary.type of a datastore has them


def host_without(session: Session, machine: Machine, datastore: t.Any) -> str | None:
    """The name of the machine's host where that cannot reach the datastore. Raises DiskError."""
    host = machine.facts.get("runtime.host")
    mounts = properties(session, datastore, ("host",)).get("host") or ()
    reach = [mount.key._moId for mount in mounts if mount.mountInfo.accessible is not False]
    if host is None or not mounts or host._moId in reach:
        return None
    return str(properties(session, host, ("name",)).get("name", host._moId))


def kind_of_datastore(session: Session, datastore: t.Any) -> str:
    """VMFS, NFS, NFS41, vsan, VVOL …"""
    return str(properties(session, datastore, ("summary.type",)).get("summary.type", ""))


def lives_on(session: Session, machine: Machine, kind: str) -> bool:
    """Whether the folder of the machine is on a datastore of that kind."""
    home = str(machine.facts.get("config.files.vmPathName", "")).partition("]")[0].lstrip("[")
    datastores = properties(session, machine.ref, ("datastore",)).get("datastore") or ()
    for datastore in datastores:
        facts = properties(session, datastore, ("name", "summary.type"))
        if facts.get("name") == home:
            return bool(facts.get("summary.type") == kind)
    return False
