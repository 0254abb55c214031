# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Children of a disk (redo logs, linked clones): made, emptied, named."""

from __future__ import annotations

import os
import re
import typing as t

from ..._device.errors import CorruptDisk, InvalidRequest, UnsupportedDisk
from ..._device.extent import Kind
from ..._device.transaction_mark import refuse_writing
from ..descriptor.types import ADAPTER_TYPES, CHILD_TYPES, MONOLITHIC_SPARSE
from ..extents.layout import DiskSpec, Parent
from ..files.paths import contained, folder_of
from ..life.create import check_new_disk, create_disk, new_disk
from ..opening.chain import open_disk
from ..opening.family import parent_hint
from ..opening.info import lookup

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..opening.disk import Disk

_LONG_ID = "longContentID"
_NUMBERED = re.compile(r"(.*)-(\d{6})", re.DOTALL)  # VMware numbers redo logs with six digits


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
        refuse_writing(parent.links[0].path)  # a transaction could not be committed any more
        hint = parent_hint(os.path.realpath(parent_path), child)
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


def revert_child(path: str | os.PathLike[str], *, allow_outside: Sequence[str] = ()) -> None:
    """Throw away what a child holds: it reads as its parent again, under a new content id.

    Raises InvalidRequest for a disk without a parent or with children, UnsupportedDisk for a kind
    of redo log that is not made here, and what open_disk() and new_disk() raise.
    """
    with (
        open_disk(path, allow_outside=allow_outside) as child,
        new_disk(path, _reverted(child), replace=True, held=child),
    ):
        pass


def check_revert(path: str | os.PathLike[str], *, allow_outside: Sequence[str] = ()) -> None:
    """Raises what revert_child() would raise before it writes anything."""
    with open_disk(path, allow_outside=allow_outside) as child:
        check_new_disk(path, _reverted(child), replace=True, held=child)


def _reverted(child: Disk) -> DiskSpec:
    if len(child.links) < 2:
        raise InvalidRequest("has no parent to revert to", path=child.path)
    require_child_type(child)
    kept = {key: value for key, value in child.descriptor.metadata().items() if key != _LONG_ID}
    return DiskSpec(
        size=child.links[1].device.size,
        disk_type=child.disk_type,
        metadata=kept,
        parent=Parent(child.descriptor.parent_cid or 0, child.descriptor.parent_hint or ""),
    )


def require_child_type(child: Disk) -> None:
    """Raises UnsupportedDisk."""
    if child.disk_type not in CHILD_TYPES:
        raise UnsupportedDisk(
            f"is a redo log of type {child.disk_type}, which cannot be made anew here",
            path=child.path,
            expected=" or ".join(CHILD_TYPES),
        )


def is_empty_child(path: str | os.PathLike[str]) -> bool:
    """Whether a child holds nothing, so that it reads as its parent."""
    with open_disk(path, single_link=True) as child:
        return all(extent.kind is Kind.INHERITED for extent in child.extents())


def redo_log_of(path: str) -> str:
    """Where a new redo log of a disk goes: `web01-000001.vmdk`, the first number that is free."""
    stem, suffix = os.path.splitext(path)
    stem, own = _split_number(stem)
    folder = folder_of(path)
    numbers = [_split_number(os.path.splitext(name)[0]) for name in os.listdir(folder)]
    taken = [number for name, number in numbers if name == os.path.basename(stem)]
    return f"{stem}-{max([own, *taken]) + 1:06d}{suffix}"


def _split_number(stem: str) -> tuple[str, int]:
    match = _NUMBERED.fullmatch(stem)
    return (stem, 0) if match is None else (match[1], int(match[2]))
