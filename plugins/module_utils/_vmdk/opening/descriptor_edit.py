# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Changing a descriptor as a step of a journal: whatever a crash left, it can be done again."""

from __future__ import annotations

import os
import typing as t

from ..._device.files import TEMPORARY_SUFFIX, File, remove_if_there, replace_durably
from ..._device.transaction_mark import refuse_writing
from ..descriptor.support import require_supported
from ..extents.probe import sparse_header
from ..files.ownership import keep_owner
from .descriptor_file import append_descriptor, embedded_place, read_descriptor, require_room

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..extents.header import SparseHeader


class Edit(t.NamedTuple):
    """The text of a descriptor, before and after."""

    path: str
    old: bytes
    new: bytes


def plan_edit(path: str, changes: Mapping[str, str | None]) -> Edit:
    """The descriptor with some keys set, or dropped where the value is None.

    Raises UnsupportedDisk for an encrypted disk or a stream without room, InvalidRequest where a
    transaction is pending on it, and what read_descriptor() raises.
    """
    refuse_writing(path)
    with File(path) as file:
        header, descriptor = read_descriptor(file)
        require_supported(descriptor)
        old = descriptor.to_bytes()
        for key, value in changes.items():
            if value is None:
                descriptor.delete(key)
            else:
                descriptor.set(key, value)
        new = descriptor.to_bytes()
        if header is not None and header.is_stream:
            require_room(file, header, new)
    return Edit(path, old, new)


def store_edit(edit: Edit) -> None:
    """Write the new text where the old one is, or a torn mixture of both; else do nothing."""
    with File(edit.path, writable=True) as file:
        header = sparse_header(file)
        if header is not None:
            _store_embedded(file, header, edit)
        elif _text(bytes(file.read(0, file.size))) == _text(edit.old):
            _store_separate(file, edit)


def _store_separate(old: File, edit: Edit) -> None:
    temporary = edit.path + TEMPORARY_SUFFIX
    remove_if_there(temporary)
    with File.create(temporary) as file:
        keep_owner(file, os.fstat(old.fileno()))
        file.write(0, edit.new)
        file.flush()
    replace_durably(temporary, edit.path)


def _store_embedded(file: File, header: SparseHeader, edit: Edit) -> None:
    place, room = embedded_place(file, header)
    if not _is_mixture(bytes(file.read(place, room)), edit.old, edit.new):
        return
    if len(edit.new) > room:
        header = append_descriptor(file, header, edit.new)
        file.write(0, header.pack())
    else:
        file.write(place, edit.new.ljust(room, b"\0"))
    file.flush()


def _is_mixture(found: bytes, old: bytes, new: bytes) -> bool:
    size = len(found)
    triples = zip(found, old.ljust(size, b"\0"), new.ljust(size, b"\0"), strict=False)
    return _text(found) == _text(old) or all(byte in (a, b) for byte, a, b in triples)


def _text(data: bytes) -> bytes:
    return data.split(b"\0", 1)[0]
