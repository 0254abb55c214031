# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The one door to every disk outside a repository."""

from __future__ import annotations

import typing as t

from .._device.errors import ReadOnlyDisk, TransportUnavailable
from .claims import refuse_claims
from .datastore import open_datastore
from .file import open_file
from .nbd.client import open_nbd
from .reference import Reference, Road

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .._device.raw import RawDevice
    from .._vmdk.opening.disk import Disk
    from .._vsphere.connection.target import VCenter
    from .datastore import DatastoreDevice
    from .nbd.client import NbdDevice


def open_disk(
    reference: Reference,
    *,
    writable: bool = False,
    allow_outside: Sequence[str] = (),
    vcenter: VCenter | None = None,
) -> Disk | RawDevice | DatastoreDevice | NbdDevice:
    """The device behind a reference that is not a restore point. Raises DiskError."""
    if reference.road in (Road.VMDK, Road.RAW):
        return open_file(reference, writable=writable, allow_outside=allow_outside)
    if reference.road is Road.NBD:
        refuse_claims(reference, writable=writable)
        return open_nbd(reference.text, writable=writable)
    if reference.road is Road.DATASTORE and vcenter is not None:
        if writable:
            raise ReadOnlyDisk(
                "the content of a managed disk cannot be changed in place",
                path=reference.text,
                hint="Clone it to a file on this host, change that, and clone it back.",
            )
        return open_datastore(vcenter, reference.text)
    raise TransportUnavailable(
        f"no disk on a {reference.road.value} is opened here ({reference.text})",
        hint="Copy the disk to a file on this host first.",
    )
