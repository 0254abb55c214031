# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Commit: what a child holds goes into its parent, and the child goes.

Only bytes that the child covers are written, so child and parent read the same all the time. The
parent keeps its content id until all of it is durable; the mark beside it (family.py) keeps others
from reading it alone. Then one journal hands the child's content id to the parent, puts the
grandchildren on it and removes the child.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..._device.copy import GRAIN, PIECE
from ..._device.device import read
from ..._device.errors import InvalidRequest, ReadOnlyDisk
from ..._device.extent import Kind, pieces
from ..._device.files import write_durably
from ..._device.progress import Silent
from ..._device.transfer import Transfer
from ..._device.zeros import data_runs
from ..descriptor.content_id import is_content_id, new_cid, new_long_content_id
from ..extents.header import SECTOR
from ..files.paths import contained, folder_of
from ..life.building import require_space
from ..life.grow import grow_parent
from ..life.own_files import require_own_files
from ..opening import journal
from ..opening.chain import open_apart
from ..opening.descriptor_edit import Edit, plan_edit
from ..opening.family import MARK, children_of, refuse_pending_below

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..._device.extent import Extent
    from ..._device.progress import Progress
    from ..opening.disk import Disk


def commit_child(
    path: str | os.PathLike[str],
    *,
    allow_outside: Sequence[str] = (),
    progress: Progress | None = None,
    label: str = "",
) -> Transfer:
    """Merge a child into its parent and remove it. A killed commit is finished by the next one.

    Raises InvalidRequest where the parent has other children or lies elsewhere, NoSpace,
    UnsupportedDisk for a stream, and what open_disk() raises.
    """
    child, parent = _open(path, allow_outside)
    with contextlib.ExitStack() as locks:
        with child, parent:
            own = _own_runs(child, parent)
            write_durably(parent.path + MARK, os.fsencode(os.path.basename(child.path)))
            transfer = _merge(child, parent, own, progress or Silent(), label)
            for disk in (child, parent):
                _keep_locked(disk, locks)
        changes = _new_parent(child, parent, bool(own))
        _hand_over(child, parent, changes)
    return transfer


def check_commit(path: str | os.PathLike[str], *, allow_outside: Sequence[str] = ()) -> None:
    """Raises what commit_child() would raise before it writes anything."""
    child, parent = open_apart(path, allow_outside=allow_outside)
    with child, parent:
        _check(child, parent)
        _own_runs(child, parent)


def _open(path: str | os.PathLike[str], allow_outside: Sequence[str]) -> tuple[Disk, Disk]:
    real = os.path.realpath(path)
    child, parent = open_apart(real, allow_outside=allow_outside)
    with contextlib.ExitStack() as on_error:
        on_error.callback(parent.close)
        on_error.callback(child.close)
        _check(child, parent)
        if child.size <= parent.size:
            on_error.pop_all()
            return child, parent
        grow_parent(parent, child.size)
    return open_apart(real, allow_outside=allow_outside)


# What must be so


def _check(child: Disk, parent: Disk) -> None:
    refuse_pending_below(child.path)
    if folder_of(child.path) != folder_of(parent.path):
        raise InvalidRequest(
            "cannot be committed: its parent lies in another folder, and may have other children",
            path=child.path,
            found=parent.path,
            hint="Make a disk of its own of it (vmdk_convert), or move it beside its parent.",
        )
    siblings = [path for path in children_of(parent.path) if not os.path.samefile(path, child.path)]
    if siblings:
        raise InvalidRequest(
            "cannot be committed: its parent has other children",
            path=child.path,
            found=", ".join(siblings),
            hint="Remove or convert them first.",
        )
    if child.size < parent.size:
        raise InvalidRequest(
            "is smaller than its parent, and a disk is never cut",
            path=child.path,
            found=f"{child.size} bytes",
            expected=f"at least {parent.size} bytes",
        )
    _refuse_to_uncover(child, parent)
    for file in child.files():
        contained(parent.path, file)  # the journal will remove it
    require_own_files(child.links[0].store)


def _refuse_to_uncover(child: Disk, parent: Disk) -> None:
    """A parent that grows shows what a longer disk below it holds there; the child never did."""
    if child.size > parent.size and len(parent.links) > 1:
        below = parent.links[1].device
        if below.size > parent.size:
            raise InvalidRequest(
                "is longer than its parent, which is shorter than the disk below it",
                path=child.path,
                found=f"{child.size}, {parent.size} and {below.size} bytes",
                hint="Make a disk of its own of it (vmdk_convert).",
            )


def _own_runs(child: Disk, parent: Disk) -> list[Extent]:
    """What the child holds. Raises ReadOnlyDisk, NoSpace where the parent cannot take it."""
    own = [extent for extent in child.extents() if extent.kind is not Kind.INHERITED]
    _require_writable(parent, own)
    if child.size <= parent.size:  # else it grows first, and is measured then
        _require_space(parent, own)
    return own


def _require_writable(parent: Disk, own: Sequence[Extent]) -> None:
    start = 0
    for line, path in parent.links[0].extents:
        end = start + line.sectors * SECTOR
        if line.access != "RW" or line.kind == "ZERO":
            for extent in own:
                if extent.offset < end and extent.end > start:
                    raise ReadOnlyDisk(
                        "an extent of the parent cannot be written", path=path, found=str(line)
                    )
        start = end


def _require_space(parent: Disk, own: Sequence[Extent]) -> None:
    """Raises NoSpace while the parent is still untouched."""
    held = sum(
        extent.length
        for run in own
        if run.kind is Kind.DATA
        for extent in parent.links[0].device.extents(run.offset, run.length)
        if extent.kind is Kind.DATA
    )
    total = sum(run.length for run in own if run.kind is Kind.DATA)
    require_space(folder_of(parent.path), max(0, total - held))


# Content


def _merge(
    child: Disk, parent: Disk, own: Sequence[Extent], progress: Progress, label: str
) -> Transfer:
    target = parent.links[0].device  # not the disk: its content id must stay for now
    transfer = Transfer(bytes_total=sum(extent.length for extent in own))
    progress.start(label, transfer.bytes_total)
    for piece in pieces(own, PIECE):
        for start, end, data in _runs(child, piece):
            if data is None:
                target.zero(start, end - start)
                transfer.bytes_zero += end - start
            else:
                target.write(start, data)
                transfer.bytes_written += end - start
        transfer.bytes_read += piece.length if piece.kind is Kind.DATA else 0
        progress.advance(piece.length)
    target.flush()
    progress.finish()
    return transfer.finish()


def _runs(child: Disk, piece: Extent) -> Iterator[tuple[int, int, memoryview | None]]:
    """(start, end, content) of the runs of a piece; None: zeros."""
    done = piece.offset
    if piece.kind is Kind.DATA:
        data = read(child, piece.offset, piece.length)
        for first, last in data_runs(data, piece.length, GRAIN):
            start, end = piece.offset + first, piece.offset + last
            if done < start:
                yield done, start, None
            yield start, end, memoryview(data)[first:last]
            done = end
    if done < piece.end:
        yield done, piece.end, None


# Names and content ids


def _keep_locked(disk: Disk, locks: contextlib.ExitStack) -> None:
    """The lock outlives the disk's own file: closing that one marks the disk as clean."""
    held = os.dup(disk.links[0].store.file.fileno())
    locks.callback(os.close, held)


def _new_parent(child: Disk, parent: Disk, changed: bool) -> dict[str, str | None]:
    """Keys of the parent's descriptor: it has the child's content now, so the child's ids."""
    cid, own_cid = child.descriptor.cid, parent.descriptor.cid
    if not changed and own_cid is not None:
        return {"CID": f"{own_cid:08x}"}
    if cid is None or not is_content_id(cid):
        cid = new_cid()
    changes: dict[str, str | None] = {"CID": f"{cid:08x}", "changeTrackPath": None}
    if parent.descriptor.get("version") == "3":  # of change tracking (VDDK guide)
        changes["version"] = "1"
    if parent.descriptor.get("ddb.longContentID") is not None:
        long_id = child.descriptor.get("ddb.longContentID")
        changes["ddb.longContentID"] = long_id or new_long_content_id(cid)
    return changes


def _hand_over(child: Disk, parent: Disk, changes: dict[str, str | None]) -> None:
    """From here on the parent is the disk."""
    grandchild = {
        "parentCID": changes["CID"],
        "parentFileNameHint": os.path.basename(parent.path),
    }
    edits: list[Edit] = [plan_edit(parent.path, changes)]
    edits += [plan_edit(path, grandchild) for path in children_of(child.path)]
    removed = [*child.files(), parent.path + MARK]
    journal.commit(parent.path, removed=removed, edits=edits)
