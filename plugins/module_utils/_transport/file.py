# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Disks that are files on this host: VMDK and raw."""

from __future__ import annotations

import typing as t

from .._device.errors import BadReference
from .._device.raw import RawDevice
from .._vmdk.files.lock import lock
from .._vmdk.opening.chain import open_disk as open_vmdk
from .claims import refuse_claims
from .reference import Road

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .._vmdk.opening.disk import Disk
    from .reference import Reference

_VMDK_STARTS = (b"KDMV", b"COWD", b"# Disk Descriptor", b"#Disk Descriptor")


def open_file(
    reference: Reference, *, writable: bool = False, allow_outside: Sequence[str] = ()
) -> Disk | RawDevice:
    """Raises DiskNotFound, NotADisk, CorruptDisk, … and BadReference for a misnamed VMDK."""
    if reference.road is Road.VMDK:
        return open_vmdk(reference.text, writable=writable, allow_outside=allow_outside)
    device = RawDevice.open(reference.text, writable=writable)
    try:
        lock(device.file, exclusive=writable)
        refuse_claims(reference, writable=writable)
        if not device.file.is_block_device:
            _refuse_misnamed(device)
    except BaseException:
        device.close()
        raise
    return device


def _refuse_misnamed(device: RawDevice) -> None:
    """A VMDK under another name, read as raw, would be silently wrong."""
    start = bytes(device.file.read(0, min(device.size, 20)))
    if start.startswith(_VMDK_STARTS):
        raise BadReference(
            "looks like a VMDK, but only names that end in .vmdk are opened as one",
            path=device.name,
            hint="Rename the file (a descriptor's extents keep their names).",
        )
