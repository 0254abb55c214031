# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which disk it is that is backed up: its restore points belong together."""

from __future__ import annotations

import os
import socket
import typing as t

from .._repository.write.source import Source, stable_id
from .._transport.datastore import DatastoreDevice
from .._transport.nbd.client import NbdDevice
from .._vmdk.opening.disk import Disk

if t.TYPE_CHECKING:
    from .access import AnyDisk


def identify(disk: AnyDisk) -> Source:
    """What is backed up: the same disk has the same id in every run, and no other disk has it."""
    if isinstance(disk, NbdDevice):
        return _identify_export(disk)
    if isinstance(disk, DatastoreDevice):
        return _identify_managed(disk)
    path = os.path.realpath(disk.name)
    own = disk.descriptor.get("ddb.uuid") if isinstance(disk, Disk) else None
    # Hosts that share a repository have disks at the same path, and copies have the same uuid.
    identity = stable_id(*this_host(), own or "", path)
    stem, suffix = os.path.splitext(os.path.basename(path))
    name = stem if suffix.lower() in (".vmdk", ".img", ".raw") else stem + suffix
    return Source(kind="disk", id=identity, name=name, facts={"path": path})


def _identify_export(disk: NbdDevice) -> Source:
    """By its address: which disk the server has behind that, it does not tell."""
    identity = stable_id(*this_host(), disk.name)
    name = disk.address.export.rpartition("/")[2] or "nbd"
    return Source(kind="disk", id=identity, name=name, facts={"path": disk.name})


def _identify_managed(disk: DatastoreDevice) -> Source:
    """By its place and its uuid, whichever host reads it."""
    facts = (disk.session.identity, disk.descriptor.get("ddb.uuid") or "", str(disk.place))
    name = os.path.splitext(disk.place.path.name)[0]
    identity = stable_id(*facts)
    return Source(kind="disk", id=identity, name=name, facts={"path": disk.name})


def this_host() -> tuple[str, str]:
    """Its name, and its machine id where it has one: cloned machines may share either."""
    try:
        with open("/etc/machine-id", encoding="ascii") as stream:
            return socket.gethostname(), stream.read().strip()
    except OSError:
        return socket.gethostname(), ""
