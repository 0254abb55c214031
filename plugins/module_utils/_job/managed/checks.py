# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What can be asked of a managed disk at all."""

from __future__ import annotations

import typing as t

from ..._device.errors import InvalidRequest
from ..._device.units import human_size
from ..._vmdk.life.metadata import check_key
from ..._vsphere.disks.disks import in_kib
from ..spec import MANAGED_TYPES

if t.TYPE_CHECKING:
    from ..plan import Result

ADAPTERS = ("ide", "buslogic", "lsilogic")


def check_type(disk_type: str | None) -> None:
    """Raises InvalidRequest."""
    if disk_type is not None and disk_type not in MANAGED_TYPES:
        raise InvalidRequest(
            f"disk_type {disk_type} is for disks in files of a host",
            expected=f"one of {', '.join(MANAGED_TYPES)} for a managed disk",
        )


def check_growth(before: Result, size: int) -> None:
    """Raises InvalidRequest rather than shrink."""
    in_kib(size)
    if size < before["size"]:
        raise InvalidRequest(
            "the disk is larger than asked for, and disks are never cut",
            path=before["path"],
            found=f"{before['size']} bytes ({human_size(before['size'])})",
            expected=f"{size} bytes ({human_size(size)})",
            hint="Ask for its present size, or copy its content to a new, smaller disk.",
        )


def refuse_keys(metadata: t.Iterable[str]) -> None:
    """Raises InvalidRequest."""
    others = [key for key in metadata if check_key(key).lower() != "uuid"]
    if others:
        raise InvalidRequest(
            "of the data base of a managed disk, only the uuid can be set",
            found=", ".join(sorted(others)),
            hint="vSphere keeps the rest itself.",
        )
