# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Children of a disk: redo logs and linked clones."""

from __future__ import annotations

import os
import typing as t

from .._device.errors import CorruptDisk
from .chain import open_disk
from .create import create_disk
from .info import lookup
from .layout import DiskSpec, Parent
from .paths import contained, folder_of
from .types import ADAPTER_TYPES, MONOLITHIC_SPARSE

if t.TYPE_CHECKING:
    from collections.abc import Sequence


def create_child(
    parent_path: str | os.PathLike[str],
    child_path: str | os.PathLike[str],
    disk_type: str = MONOLITHIC_SPARSE,
    *,
    allow_outside: Sequence[str] = (),
) -> None:
    """An empty child: it reads as its parent, and takes the writes from now on.

    A parent outside the child's folder must be below one of allow_outside, as it must when the
    child is opened. Raises UnsafePath, and what open_disk() and create_disk() raise.
    """
    child = os.path.realpath(child_path)
    with open_disk(parent_path, allow_outside=allow_outside) as parent:
        hint = _hint(os.path.realpath(parent_path), child)
        contained(child, hint, allow_outside)
        cid = parent.descriptor.cid
        if cid is None:
            raise CorruptDisk("has no CID that a child could name", path=parent.path)
        adapter = lookup(parent, "adapterType")
        spec = DiskSpec(
            size=parent.size,
            disk_type=disk_type,
            adapter_type=adapter if adapter in ADAPTER_TYPES else "lsilogic",
            parent=Parent(cid, hint),
        )
        create_disk(child, spec)


def _hint(parent: str, child: str) -> str:
    """Relative below the child's folder, so that both can move together; else absolute."""
    relative = os.path.relpath(parent, folder_of(child))
    return parent if relative.startswith(os.pardir + os.sep) else relative
