# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What this host knows of itself, to be compared with what vCenter says of a virtual machine."""

from __future__ import annotations

import dataclasses
import re
import uuid as uuids
from pathlib import Path

from ..._device.errors import TransportUnavailable
from ..._vsphere.disks.guestdisk import disks_with_uuids

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_NOBODY = "00:00:00:00:00:00"  # of the loopback interface


@dataclasses.dataclass(frozen=True)
class ThisHost:
    """`bios_uuid` is empty where there is none: in some containers, and outside of PCs."""

    bios_uuid: str
    macs: frozenset[str]
    disks: frozenset[str]  # uuids

    @property
    def uuids(self) -> tuple[str, ...]:
        """vSphere and Linux do not agree on the byte order of the first three fields: it changed
        with SMBIOS 2.6, and so with the hardware version of the machine."""
        if not self.bios_uuid:
            return ()
        known = uuids.UUID(self.bios_uuid)
        return str(known), str(uuids.UUID(bytes=known.bytes_le))


def this_host(sys_root: str) -> ThisHost:
    """Raises TransportUnavailable where it is not for this user to know."""
    addresses = (_text(path) for path in Path(sys_root, "class", "net").glob("*/address"))
    macs = {mac.lower() for mac in addresses if _MAC.fullmatch(mac.lower())} - {_NOBODY}
    return ThisHost(_bios_uuid(sys_root), frozenset(macs), frozenset(disks_with_uuids(sys_root)))


def _bios_uuid(sys_root: str) -> str:
    path = Path(sys_root, "class", "dmi", "id", "product_uuid")
    try:
        return str(uuids.UUID(path.read_text(encoding="ascii").strip()))
    except PermissionError as error:
        raise TransportUnavailable(
            "only root may know which virtual machine this host is, and read its disks",
            path=str(path),
            hint="Run the task with become: true.",
        ) from error
    except (OSError, ValueError):
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
