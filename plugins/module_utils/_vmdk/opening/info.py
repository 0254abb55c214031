# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What is known about an open disk: the `disk` value of module results."""

from __future__ import annotations

import os
import typing as t

if t.TYPE_CHECKING:
    from .disk import Disk


def describe(disk: Disk) -> dict[str, object]:
    """`allocated`: bytes that the files of the leaf take from their file system."""
    descriptor = disk.descriptor
    return {
        "path": disk.path,
        "disk_type": disk.disk_type,
        "size": disk.size,
        "allocated": sum(map(_allocated, disk.files())),
        "adapter_type": lookup(disk, "adapterType"),
        "hw_version": _number(lookup(disk, "virtualHWVersion")),
        "cid": _hex(descriptor.cid),
        "parent_cid": _hex(descriptor.parent_cid),
        "uuid": lookup(disk, "uuid"),
        "encoding": descriptor.get("encoding") or descriptor.get("ddb.encoding") or "UTF-8",
        "geometry": _geometry(disk),
        "metadata": descriptor.metadata(),
        "extents": _extents(disk),
        "chain": [link.path for link in disk.links],
        "flags": disk.flags,
    }


def _allocated(path: str) -> int:
    """0 for the map of an RDM that has stayed on its host."""
    return os.stat(path).st_blocks * 512 if os.path.exists(path) else 0


def lookup(disk: Disk, key: str) -> str | None:
    """A value of the disk data base, from the leaf up the chain (TN p.5)."""
    for link in disk.links:
        value = link.descriptor.get(f"ddb.{key}")
        if value is not None:
            return value
    return None


def _geometry(disk: Disk) -> dict[str, int | None]:
    names = ("cylinders", "heads", "sectors")
    return {name: _number(lookup(disk, f"geometry.{name}")) for name in names}


def _extents(disk: Disk) -> list[dict[str, object]]:
    return [
        {
            "kind": line.kind,
            "access": line.access,
            "sectors": line.sectors,
            "path": path,
            "offset": line.offset or 0,
        }
        for line, path in disk.links[0].extents
    ]


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def _hex(cid: int | None) -> str | None:
    return "ffffffff" if cid is None else f"{cid:08x}"
