# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a restore point holds of a virtual machine beside its disks, as one more, small disk.

So whatever copies, verifies or collects disks of a repository takes care of it, too.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import typing as t

from ..._device.device import read
from ..._device.errors import RepositoryDamaged, RestorePointNotFound

if t.TYPE_CHECKING:
    from ..._repository.format.manifest import RestorePoint
    from ..._repository.repository import Repository

NAME = "configuration"  # of the disk in the point
FACTS = {"role": "configuration"}
FORMAT, VERSION = "vdisk-vm", 1
_SECTOR = 512
_LARGEST = 64 << 20  # bytes


@dataclasses.dataclass(frozen=True)
class VmDocument:
    """`configuration` is what vmconfig.record made. `vmx` is without secrets, and for people to
    look at. `left_out` says in words what could not be recorded, and why."""

    configuration: dict[str, t.Any]
    nvram: bytes | None = None
    vmx: str | None = None
    left_out: tuple[str, ...] = ()


def write_document(document: VmDocument) -> bytes:
    """The content of the disk: JSON, and spaces up to a whole number of sectors. The same machine
    has the same bytes."""
    nvram = None if document.nvram is None else base64.b64encode(document.nvram).decode()
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "configuration": document.configuration,
        "nvram": nvram,
        "vmx": document.vmx,
        "left_out": list(document.left_out),
    }
    data = json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=True).encode() + b"\n"
    return data + b" " * (-len(data) % _SECTOR)


def read_document(repository: Repository, point: RestorePoint) -> VmDocument:
    """Raises RestorePointNotFound for a point that holds none, RepositoryDamaged."""
    if not any(disk.is_configuration for disk in point.disks):
        raise RestorePointNotFound(
            f"restore point {point.id} holds the configuration of no virtual machine",
            path=point.repository,
            hint="Only restore points that vmdk_backup made with vm do.",
        )
    with repository.open_disk(point, NAME) as disk:
        if disk.size > _LARGEST:
            raise _damaged(point, f"{disk.size} bytes are too many")
        data = bytes(read(disk, 0, disk.size))
    return parse_document(data, point)


def parse_document(data: bytes, point: RestorePoint) -> VmDocument:
    """Raises RepositoryDamaged."""
    try:
        facts = json.loads(data)
        if (facts["format"], facts["version"]) != (FORMAT, VERSION):
            raise _damaged(point, f"it is {facts['format']} {facts['version']}")
        nvram = facts["nvram"]
        return VmDocument(
            configuration=dict(facts["configuration"]),
            nvram=None if nvram is None else base64.b64decode(nvram, validate=True),
            vmx=facts["vmx"],
            left_out=tuple(facts["left_out"]),
        )
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise _damaged(point, f"{type(error).__name__}: {error}") from error


def _damaged(point: RestorePoint, why: str) -> RepositoryDamaged:
    return RepositoryDamaged(
        f"the configuration in restore point {point.id} cannot be understood: {why}",
        path=point.repository,
        hint="A newer version of this collection may have written it. The disks can be restored"
        " one by one all the same.",
    )
