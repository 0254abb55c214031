# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a disk that a job makes shall be."""

from __future__ import annotations

import typing as t

from .._device.errors import InvalidRequest
from .._transport.reference import is_served
from .._vmdk.descriptor.types import ADAPTER_TYPES, CREATABLE_TYPES, FLAT_TYPES
from .._vmdk.extents.layout import DiskSpec

MANAGED_TYPES = ("thin", "thick", "eagerZeroedThick")

if t.TYPE_CHECKING:
    from collections.abc import Mapping


def disk_spec(
    size: int,
    disk_type: str,
    *,
    adapter_type: str | None,
    hw_version: int | None,
    metadata: Mapping[str, str],
) -> DiskSpec:
    """None: what is usual. The CID is always new, and longContentID goes with it.

    Flat disks reserve their space at once, as VMware's do, unless their data base calls them thin.
    """
    kept = {key: value for key, value in metadata.items() if key != "longContentID"}
    # Other products write adapters that we would not; the data base keeps those as they are.
    adapter = adapter_type if adapter_type in ADAPTER_TYPES else None
    given = {"adapter_type": adapter, "hw_version": hw_version}
    optional: dict[str, t.Any] = {key: value for key, value in given.items() if value is not None}
    thin = kept.get("thinProvisioned") == "1"
    return DiskSpec(
        size, disk_type, metadata=kept, preallocate=disk_type in FLAT_TYPES and not thin, **optional
    )


def refuse_managed_type(disk_type: str | None) -> None:
    """Raises InvalidRequest for what only a disk on a datastore can be."""
    if disk_type in MANAGED_TYPES:
        raise InvalidRequest(
            f"disk_type {disk_type} is for managed disks ([datastore] path)",
            expected=f"one of {', '.join(CREATABLE_TYPES)} for a disk in files",
        )


def refuse_served(path: str) -> None:
    """Raises InvalidRequest for a disk behind an NBD server, whose format is the server's."""
    if is_served(path):
        raise InvalidRequest(
            "a disk behind an NBD server is read and written, and nothing else",
            path=path,
            hint="Do it where the disk is; or clone it to a VMDK on this host, and do it to that.",
        )
