# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The links of a chain, each looked at by itself, as far as they can be found."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from ..._device.errors import ChainMismatch, CorruptDisk, DiskError, NotADisk, UnsupportedDisk
from ..._device.files import File
from ..extents.header import MAGIC, SECTOR, SparseHeader
from ..extents.probe import sparse_header
from ..files.lock import lock
from ..files.paths import require_file
from ..opening.descriptor_file import read_descriptor
from ..opening.family import check_parent, find_parent
from .finding import ERROR, NOTE, WARNING, Finding

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..descriptor.descriptor import Descriptor

REPAIR_CID = "restore the parent; only if its content is known to be right: repair_cid: true"
NEWLINES_AT = 73  # byte of the header
_VERSION = re.compile(rb"^version=\d", re.MULTILINE)


@dataclasses.dataclass
class LinkView:
    """One disk of a chain. Without a descriptor it is damaged beyond reading; see `findings`."""

    path: str
    descriptor: Descriptor | None = None
    header: SparseHeader | None = None  # of a file that is descriptor and extent in one
    is_sparse: bool = False  # begins as a sparse extent does, whether its header is sound or not
    findings: list[Finding] = dataclasses.field(default_factory=list)

    @property
    def inherits(self) -> bool:
        return self.descriptor is not None and self.descriptor.parent_cid is not None

    def add(self, kind: str, error: DiskError, how: str = "") -> None:
        """A fault that reading has met."""
        text = error.message if error.found is None else f"{error.message}, found {error.found}"
        if error.expected is not None:
            text += f", expected {error.expected}"
        path = error.path or self.path
        how = how or error.hint or ""
        self.findings.append(Finding(kind, ERROR, path, text, error.offset, how=how))


def walk_chain(path: str, allow_outside: Sequence[str] = ()) -> list[LinkView]:
    """The disk first, then its parents. Raises DiskNotFound, NotADisk, DiskInUse, DiskIOError."""
    links = [look_at(path)]
    while True:
        child = links[-1]
        if child.descriptor is None or child.descriptor.parent_cid is None:
            return links
        try:
            parent = find_parent(child.path, child.descriptor, allow_outside)
        except DiskError as error:
            child.add("missing-link", error)
            return links
        if not os.path.exists(parent):
            waiting = DiskError(f"its parent {parent} is in the middle of an interrupted job")
            child.add("missing-link", waiting, "repair: true, or any opening, finishes that job")
            return links
        if any(os.path.samefile(parent, known.path) for known in links):
            child.add("circular-chain", ChainMismatch("the chain of parents leads in a circle"))
            return links
        links.append(look_at(parent, is_parent=True))
        _compare_ids(child, links[-1])


def _compare_ids(child: LinkView, parent: LinkView) -> None:
    if child.descriptor is None or parent.descriptor is None:
        return
    try:
        check_parent(child.descriptor, parent.descriptor)
    except ChainMismatch as error:
        child.add("cid-mismatch", error, REPAIR_CID)
        if parent.descriptor.cid is not None:
            child.findings[-1] = dataclasses.replace(child.findings[-1], repairable=True)


def look_at(path: str, *, is_parent: bool = False) -> LinkView:
    """One link. Raises DiskNotFound, NotADisk, DiskInUse, DiskIOError."""
    link = LinkView(path)
    if os.path.exists(path):
        require_file(path, path)
    with File(path) as file:
        lock(file, exclusive=False)
        head = bytes(file.read(0, min(SECTOR, file.size)))
        link.is_sparse = head.startswith(MAGIC)
        if _read_header(link, file, head, is_parent):
            _read_text(link, file)
    return link


def _read_header(link: LinkView, file: File, head: bytes, is_parent: bool) -> bool:
    """Whether a descriptor can be looked for."""
    try:
        link.header = sparse_header(file)
    except NotADisk as error:
        if not is_parent and not link.path.lower().endswith(".vmdk"):
            raise
        hint = "if it was a stream, salvage_to finds its grains without a header"
        link.add("not-a-disk", error, hint)
        return False
    except UnsupportedDisk as error:
        if not link.is_sparse and not is_parent:
            raise
        link.add("header", error)
        return False
    except CorruptDisk as error:
        link.add("newlines" if error.offset == NEWLINES_AT else "header", error)
        return False
    return True


def _read_text(link: LinkView, file: File) -> None:
    try:
        _header, link.descriptor = read_descriptor(file)
    except (CorruptDisk, UnsupportedDisk) as error:
        link.add("descriptor", error, "restore it from a good copy, or use salvage_to")
        return
    text = link.descriptor.to_bytes()
    if link.descriptor.get("version") is not None and not _VERSION.search(text):
        message = "the version line has blanks or capitals: qemu takes such a disk for a raw one"
        how = "write it as version=1"
        link.findings.append(Finding("spelling", NOTE, link.path, message, how=how))
    if link.descriptor.cid is None:
        message = "the descriptor has no CID, so no child can name it"
        link.findings.append(Finding("cid", WARNING, link.path, message))
