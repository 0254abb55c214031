# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The parent of a child disk, and the children of a parent."""

from __future__ import annotations

import ntpath
import os
import typing as t

from ..._device.errors import (
    ChainMismatch,
    DiskError,
    DiskNotFound,
    InvalidRequest,
    MissingLink,
    UnsafePath,
)
from ..._device.files import File
from ..._device.transaction_mark import refuse_writing
from ..files.paths import contained, folder_of, require_file
from .descriptor_file import read_descriptor
from .journal_file import SUFFIX

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..descriptor.descriptor import Descriptor


def find_parent(child: str, descriptor: Descriptor, allow_outside: Iterable[str]) -> str:
    """The path of the parent: where the hint says, else a file of that name beside the child.

    Where a journal waits, it must be finished first: the parent may not be there.
    Raises MissingLink, UnsafePath.
    """
    hint = descriptor.parent_hint or ""
    tried: list[str] = []
    unsafe: UnsafePath | None = None
    for name in dict.fromkeys((hint, ntpath.basename(hint))):  # hints come from Windows too
        try:
            path = contained(child, name, allow_outside)
        except UnsafePath as error:
            unsafe = error
            continue
        if os.path.isfile(path) and not os.path.samefile(path, child):
            return path
        journal = os.path.realpath(path) + SUFFIX
        if os.path.lexists(journal):  # on its way to another name, which the journal tells
            return path
        tried.append(path)
    if unsafe is not None and os.path.isfile(str(unsafe.found)):
        raise unsafe
    raise MissingLink(
        f"its parent {hint!r} is missing" if hint else "does not say where its parent is",
        path=child,
        found=f"nothing at {' or '.join(tried)}" if hint else None,
        hint="Bring the parent back beside the child, or open this link alone.",
    )


def parent_hint(parent: str, child: str) -> str:
    """Relative below the child's folder, so that both can move together; else absolute."""
    relative = os.path.relpath(parent, folder_of(child))
    return parent if relative.startswith(os.pardir + os.sep) else relative


def check_parent(child: Descriptor, parent: Descriptor) -> None:
    """Raises ChainMismatch where the parent was changed after the child was made (TN p.3)."""
    if child.parent_cid != parent.cid:
        raise ChainMismatch(
            f"its parent {parent.path} has been modified since the child was created",
            path=child.path,
            found=f"CID {_shown(parent.cid)} in the parent",
            expected=f"parentCID {_shown(child.parent_cid)}",
            hint="Restore the parent. Only if its content is known to be right, repair the CID.",
        )


def _shown(cid: int | None) -> str:
    return "unreadable" if cid is None else f"{cid:08x}"


def children_of(path: str) -> list[str]:
    """Disks in the same folder that name this one as their parent, by hint and content id.

    Under whatever name: a parent may have hard links, and links may lead to it.
    """
    real = os.path.realpath(path)
    folder, descriptor = folder_of(real), peek(real)
    found: list[str] = []
    if descriptor is None:
        return found
    for name in sorted(os.listdir(folder)):
        other = os.path.join(folder, name)
        if not name.lower().endswith(".vmdk") or _is_same(other, real):
            continue
        child = peek(other)
        if child is None or child.parent_cid is None or child.parent_cid != descriptor.cid:
            continue
        if _names(child.parent_hint or "", real):
            found.append(other)
    return found


def _names(hint: str, path: str) -> bool:
    """Whether a hint beside `path` means it, with folder or without (hints move with disks)."""
    base = ntpath.basename(hint)
    places = (os.path.join(folder_of(path), name) for name in (base, hint) if name)
    return base == os.path.basename(path) or any(_is_same(place, path) for place in places)


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def refuse_with_children(path: str, action: str) -> None:
    """Raises InvalidRequest where a child would no longer fit its parent.

    So it would be for a child of which a part is in its parent already: see commit.py.
    """
    refuse_in_commit(path, action)
    children = children_of(path)
    if children:
        raise InvalidRequest(
            f"cannot {action} a disk that has children",
            path=path,
            found=", ".join(children),
            hint="Remove or commit the children first.",
        )


def refuse_pending_below(path: str) -> None:
    """Before any file of a parent is changed, if only its layout: raises InvalidRequest where a
    transaction is pending on a disk below, since that would take it for another one."""
    known = [path]  # damage may lead in a circle
    for disk in known:
        children = [child for child in children_of(disk) if child not in known]
        for child in children:
            refuse_writing(child)
        known += children


# A commit that did not end. The mark names the child, and lies beside the parent that holds a part
# of the child's content: together they read as the child, the parent alone as neither.

MARK = ".vdisk-commit"


def half_committed(path: str) -> str | None:
    """The child of which this disk holds a part, because a commit was killed or failed."""
    try:
        require_file(path + MARK, path)
        with File(path + MARK) as mark:
            name = os.fsdecode(bytes(mark.read(0, min(4096, mark.size))))
    except DiskNotFound:
        return None
    child = os.path.join(folder_of(path), os.path.basename(name))
    return child if child in children_of(path) else None


def refuse_half_committed(path: str) -> None:
    """Raises InvalidRequest for a parent whose own content is lost."""
    child = half_committed(path)
    if child is not None:
        raise _unfinished(
            "is in the middle of a commit, complete only below its child", path, child
        )


def refuse_in_commit(path: str, action: str) -> None:
    """Raises InvalidRequest for a child without which its parent cannot be read any more."""
    parent = parent_in_commit(path)
    if parent is not None:
        message = f"cannot {action} a disk whose commit is not complete: without it, {parent} is"
        raise _unfinished(f"{message} neither what it was nor what it shall be", path, path)


def parent_in_commit(path: str) -> str | None:
    """The parent that holds a part of this child, and reads right only below it."""
    descriptor = peek(path)
    hint = None if descriptor is None else descriptor.parent_hint
    if hint is None:
        return None
    parent = os.path.join(folder_of(path), ntpath.basename(hint))
    child = half_committed(parent)
    return parent if child is not None and os.path.samefile(child, path) else None


def _unfinished(message: str, path: str, child: str) -> InvalidRequest:
    return InvalidRequest(
        message,
        path=path,
        found=f"a commit of {child} that was interrupted",
        hint="Finish the commit: vmdk_snapshot with this child and state: absent.",
    )


def peek(path: str) -> Descriptor | None:
    """The descriptor without a lock; None where there is none to read."""
    try:
        require_file(path, path)
        with File(path) as file:
            return read_descriptor(file)[1]
    except DiskError:
        return None
