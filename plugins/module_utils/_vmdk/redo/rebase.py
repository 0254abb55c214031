# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A child gets another parent: its content is kept by copying, or the parent proven the same."""

from __future__ import annotations

import os
import typing as t

from ..._device.compare import digest
from ..._device.copy import GRAIN, PIECE
from ..._device.device import read
from ..._device.errors import ChainMismatch, InvalidRequest
from ..._device.extent import Kind, pieces
from ..._device.progress import Silent
from ..._device.transaction_mark import refuse_writing
from ..descriptor.content_id import is_content_id, new_cid, new_long_content_id
from ..files.lock import refuse_claimed
from ..files.paths import contained
from ..opening import journal
from ..opening.chain import open_disk
from ..opening.descriptor_edit import plan_edit
from ..opening.descriptor_file import DescriptorFile
from ..opening.family import (
    parent_hint,
    refuse_in_commit,
    refuse_pending_below,
    refuse_with_children,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..._device.device import BlockDevice
    from ..._device.extent import Extent
    from ..._device.progress import Progress
    from ..opening.disk import Disk


def rebase_child(
    path: str | os.PathLike[str],
    new_parent: str | os.PathLike[str],
    *,
    allow_outside: Sequence[str] = (),
    progress: Progress | None = None,
    label: str = "",
) -> int:
    """Put a child on another parent so that it reads the same; the bytes that moved into it.

    What the child inherits is copied into it first where the parents differ, so a crash changes
    nothing. Raises InvalidRequest for a child with children, and what open_disk() raises.
    """
    real, base = os.path.realpath(path), os.path.realpath(new_parent)
    with open_disk(base, allow_outside=allow_outside) as parent:
        hint = _check_place(real, base, parent, allow_outside)
        with open_disk(real, single_link=True) as alone:
            inherited = [run for run in alone.extents() if run.kind is Kind.INHERITED]
            held = alone.descriptor.to_bytes()
        with open_disk(real, writable=True, allow_outside=allow_outside) as child:
            if len(child.links) < 2:
                raise InvalidRequest("has no parent that could be changed", path=child.path)
            if child.descriptor.to_bytes() != held:
                raise ChainMismatch("has just been changed by another job", path=child.path)
            moved = _keep_content(child, parent, inherited, progress or Silent(), label)
            edit = plan_edit(real, {"parentCID": _cid_of(parent), "parentFileNameHint": hint})
            child.flush()
            journal.commit(real, edits=[edit])
    return moved


def attach_child(
    path: str | os.PathLike[str],
    new_parent: str | os.PathLike[str],
    *,
    parent_digest: str | None = None,
    unsafe: bool = False,
    check_only: bool = False,
    allow_outside: Sequence[str] = (),
) -> None:
    """Glue a child whose parent was moved to that parent; nothing but its descriptor changes.

    The parent is the right one if it has the content id that the child names, or, after something
    has touched that id, if its content has `parent_digest`; `unsafe` takes it unseen, and gives
    the child a new content id. Raises ChainMismatch for a wrong one.
    """
    real, base = os.path.realpath(path), os.path.realpath(new_parent)
    journal.finish(real)
    refuse_claimed(real)
    with (
        open_disk(base, allow_outside=allow_outside) as parent,
        DescriptorFile(real, writable=True) as store,
    ):
        refuse_in_commit(real, "attach")
        refuse_pending_below(real)
        if store.descriptor.parent_cid is None:
            raise InvalidRequest("is no child: it needs no parent", path=real)
        changes = _proven(store, parent, parent_digest, unsafe)
        changes["parentFileNameHint"] = _check_place(real, base, parent, allow_outside)
        edit = plan_edit(real, changes)
        if not check_only:
            journal.commit(real, edits=[edit])


def _proven(
    store: DescriptorFile, parent: Disk, parent_digest: str | None, unsafe: bool
) -> dict[str, str | None]:
    """The content ids to write."""
    changes: dict[str, str | None] = {"parentCID": _cid_of(parent)}
    if _is_right(store, parent):
        return changes
    if not unsafe:
        _require_digest(store.path, parent, parent_digest)
        return changes
    refuse_with_children(store.path, "change the content of")
    return changes | _new_content_id(store)


# The parent


def _check_place(child: str, base: str, parent: Disk, allow_outside: Sequence[str]) -> str:
    """The hint for the child. Raises InvalidRequest, UnsafePath."""
    refuse_writing(parent.links[0].path)  # a transaction could not be committed any more
    if any(os.path.samefile(link.path, child) for link in parent.links):
        raise InvalidRequest("cannot become its own parent", path=child, found=base)
    hint = parent_hint(base, child)
    contained(child, hint, allow_outside)
    return hint


def _is_right(store: DescriptorFile, parent: Disk) -> bool:
    """By content id; where that says to look at the long one, by its last 32 bits."""
    wanted, cid = store.descriptor.parent_cid, parent.descriptor.cid
    if cid is not None and not is_content_id(cid):
        long_id = parent.descriptor.get("ddb.longContentID") or ""
        return wanted is not None and long_id.lower().endswith(f"{wanted:08x}")
    return wanted == cid


def _require_digest(child: str, parent: Disk, wanted: str | None) -> None:
    found = None if wanted is None else digest(parent)
    if wanted is None or found != wanted.lower():
        raise ChainMismatch(
            f"{parent.path} is not proven to be its parent: the content id differs",
            path=child,
            found=found or f"CID {_cid_of(parent)}",
            expected=wanted or "the parentCID of the child",
            hint="Name the digest that the parent had as parent_digest, or rebase the child.",
        )


def _cid_of(parent: Disk) -> str:
    cid = parent.descriptor.cid
    if cid is None:
        raise InvalidRequest("has no CID that a child could name", path=parent.path)
    return f"{cid:08x}"


def _new_content_id(store: DescriptorFile) -> dict[str, str | None]:
    cid = new_cid()
    changes: dict[str, str | None] = {"CID": f"{cid:08x}"}
    if store.descriptor.get("ddb.longContentID") is not None:
        changes["ddb.longContentID"] = new_long_content_id(cid)
    return changes


# Content


def _keep_content(
    child: Disk, parent: Disk, inherited: Sequence[Extent], progress: Progress, label: str
) -> int:
    """Store in the child what it reads differently from the new parent. Its content id stays."""
    target = child.links[0].device
    moved = 0
    progress.start(label, sum(run.length for run in inherited))
    for piece in pieces(inherited, PIECE):
        progress.advance(piece.length)
        if _is_hole(child, piece) and _is_hole(parent, piece):
            continue
        data = read(child, piece.offset, piece.length)
        theirs = _read_padded(parent, piece)
        for start, end in _differences(data, theirs):
            target.write(piece.offset + start, memoryview(data)[start:end])
            moved += end - start
    progress.finish()
    return moved


def _is_hole(device: BlockDevice, piece: Extent) -> bool:
    inside = max(0, min(piece.length, device.size - piece.offset))
    return not inside or all(
        extent.kind is Kind.ZERO for extent in device.extents(piece.offset, inside)
    )


def _read_padded(device: BlockDevice, piece: Extent) -> bytearray:
    """Zeros beyond the end, as a child sees a shorter parent."""
    inside = max(0, min(piece.length, device.size - piece.offset))
    data = read(device, piece.offset, inside) if inside else bytearray()
    return data + bytes(piece.length - inside)


def _differences(data: bytearray, theirs: bytearray) -> Iterator[tuple[int, int]]:
    """(start, end) of the grains that differ."""
    if data == theirs:
        return
    for start in range(0, len(data), GRAIN):
        end = min(start + GRAIN, len(data))
        if data[start:end] != theirs[start:end]:
            yield start, end
