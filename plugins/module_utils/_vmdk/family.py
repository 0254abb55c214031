# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The parent of a child disk, and the children of a parent."""

from __future__ import annotations

import ntpath
import os
import typing as t

from .._device.errors import ChainMismatch, DiskError, InvalidRequest, MissingLink, UnsafePath
from .._device.files import File
from .descriptor_file import read_descriptor
from .paths import contained, folder_of, require_file

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .descriptor import Descriptor


def find_parent(child: str, descriptor: Descriptor, allow_outside: Iterable[str]) -> str:
    """The path of the parent: where the hint says, else a file of that name beside the child.

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
        tried.append(path)
    if unsafe is not None and os.path.isfile(str(unsafe.found)):
        raise unsafe
    raise MissingLink(
        f"its parent {hint!r} is missing" if hint else "does not say where its parent is",
        path=child,
        found=f"nothing at {' or '.join(tried)}" if hint else None,
        hint="Bring the parent back beside the child, or open this link alone.",
    )


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
    """Disks in the same folder that name this one as their parent, by hint and content id."""
    folder, own_name = folder_of(path), os.path.basename(path)
    descriptor = _peek(path)
    found = []
    for name in sorted(os.listdir(folder)):
        other = os.path.join(folder, name)
        if name == own_name or not name.lower().endswith(".vmdk") or descriptor is None:
            continue
        child = _peek(other)
        if child is None or child.parent_cid is None or child.parent_cid != descriptor.cid:
            continue
        if ntpath.basename(child.parent_hint or "") == own_name:
            found.append(other)
    return found


def refuse_with_children(path: str, action: str) -> None:
    """Raises InvalidRequest where a child would no longer fit its parent."""
    children = children_of(path)
    if children:
        raise InvalidRequest(
            f"cannot {action} a disk that has children",
            path=path,
            found=", ".join(children),
            hint="Remove or commit the children first.",
        )


def _peek(path: str) -> Descriptor | None:
    """The descriptor without a lock; None where there is none to read."""
    try:
        require_file(path, path)
        with File(path) as file:
            return read_descriptor(file)[1]
    except DiskError:
        return None
