# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Is a disk what it should be? Looks at each file by itself, so it works where opening fails."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..._device.errors import CorruptDisk, DiskError, DiskNotFound, NotADisk, UnsupportedDisk
from ..._device.files import File
from ..._device.progress import Silent
from ..descriptor.extent_line import ExtentLine
from ..extents.header import SECTOR, SparseHeader
from ..extents.sparse import GrainedExtent
from ..files.lock import lock
from ..files.paths import contained, require_file
from ..opening.chain import open_disk
from .beside import check_beside
from .chain import NEWLINES_AT, LinkView, walk_chain
from .finding import ERROR, WARNING, Finding
from .flat import check_flat
from .geometry_witness import fits_headers_only
from .sparse import SparseCheck
from .stream import check_stream

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..._device.progress import Progress

_FLAT, _SPARSE, _ZERO = ("FLAT", "VMFS"), "SPARSE", "ZERO"


class ExtentView(t.NamedTuple):
    """An extent whose file is there. `header` is that of a sound sparse extent or stream."""

    line: ExtentLine
    path: str
    header: SparseHeader | None


def check_disk(
    path: str | os.PathLike[str],
    *,
    allow_outside: Sequence[str] = (),
    progress: Progress | None = None,
) -> list[Finding]:
    """All that is wrong with a hosted disk and its parents; damage never raises.

    Tables are read as a whole, streams to the last grain; other content is not read.
    Raises DiskNotFound, NotADisk, DiskInUse, DiskIOError.
    """
    progress = progress or Silent()
    real = os.path.realpath(path)
    found: list[Finding] = []
    links = walk_chain(real, allow_outside)
    extents = [find_extents(link, allow_outside, link.findings) for link in links]
    files = {extent.path for link_extents in extents for extent in link_extents}
    progress.start(os.path.basename(real), sum(map(os.path.getsize, files)))
    for link, link_extents in zip(links, extents, strict=True):
        found += link.findings
        found += _check_link(link, link_extents, allow_outside, progress)
    progress.finish()
    return found


def _check_link(
    link: LinkView, extents: list[ExtentView], allow_outside: Sequence[str], progress: Progress
) -> list[Finding]:
    """The files of one link, each by itself and all together."""
    found: list[Finding] = []
    for path in dict.fromkeys(extent.path for extent in extents):
        same_file = [extent for extent in extents if extent.path == path]
        found += _check_file(link, same_file)
        progress.advance(os.path.getsize(path))
    found += _sizes(link, extents)
    files = list(dict.fromkeys([link.path, *(extent.path for extent in extents)]))
    found += check_beside(link.path, link.descriptor, files, allow_outside)
    return found


# Which files


def find_extents(
    link: LinkView, allow_outside: Sequence[str], found: list[Finding]
) -> list[ExtentView]:
    """Those whose files are there; what is wrong with the others is added to `found`."""
    if link.descriptor is None:
        return _without_descriptor(link)
    if link.header is not None:
        lines = link.descriptor.extents
        if len(lines) != 1:
            message = f"an embedded descriptor must name one extent, found {len(lines)}"
            found.append(Finding("descriptor", ERROR, link.path, message))
        return [ExtentView(lines[0], link.path, link.header)]
    views = []
    for line in link.descriptor.extents:
        try:
            view = _find_extent(link, line, allow_outside)
        except DiskError as error:
            found.append(_of_extent(link, line, error))
            continue
        if view is not None:
            views.append(view)
    return views


def _without_descriptor(link: LinkView) -> list[ExtentView]:
    if link.header is None:
        return []
    line = ExtentLine("RW", link.header.capacity, _SPARSE, os.path.basename(link.path))
    return [ExtentView(line, link.path, link.header)]


def _find_extent(
    link: LinkView, line: ExtentLine, allow_outside: Sequence[str]
) -> ExtentView | None:
    if line.kind == _ZERO:
        return None
    if line.name is None:
        raise CorruptDisk("an extent has no file name", path=link.path, found=str(line))
    path = contained(link.path, line.name, allow_outside)
    require_file(path, link.path)
    if line.kind != _SPARSE:
        return ExtentView(line, path, None)
    with File(path) as file:
        header = SparseHeader.parse(file.read(0, min(SECTOR, file.size)), path)
    return ExtentView(line, path, header)


def _of_extent(link: LinkView, line: ExtentLine, error: DiskError) -> Finding:
    kinds = {DiskNotFound: "missing-extent", CorruptDisk: "header", NotADisk: "header"}
    kind = kinds.get(type(error), "header" if isinstance(error, UnsupportedDisk) else "extent")
    if isinstance(error, CorruptDisk) and error.offset == NEWLINES_AT:
        kind = "newlines"
    text = f"extent {line.name!r}: {error.message}"
    if error.found is not None:
        text += f", found {error.found}"
    path = error.path or link.path
    return Finding(kind, ERROR, path, text, error.offset, how=error.hint or "")


# What is in them


def _check_file(link: LinkView, extents: list[ExtentView]) -> Iterator[Finding]:
    line, path, header = extents[0]
    if line.kind in _FLAT:
        with _opened(path) as file:
            yield from check_flat(file, [extent.line for extent in extents])
    elif header is None:
        yield from _check_by_reading(link, path)
    else:
        with _opened(path) as file:
            if header.is_stream:
                yield from check_stream(file, header)
            else:
                yield from sparse_check(file, header, link).findings()


def sparse_check(file: File, header: SparseHeader, link: LinkView) -> SparseCheck:
    """Of a link whose descriptor is lost nobody knows whether it has a parent."""
    there = link.descriptor is not None
    inherits = link.inherits or not there
    return SparseCheck(file, header, inherits=inherits, has_descriptor=there)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[File]:
    with File(path) as file:
        lock(file, exclusive=False)
        yield file


def _check_by_reading(link: LinkView, path: str) -> Iterator[Finding]:
    """Redo logs of ESXi and the like have one copy of everything: can it be walked through?"""
    try:
        with open_disk(link.path, single_link=True) as disk:
            for part in disk.links[0].parts:
                if isinstance(part, GrainedExtent):
                    part.require_sound()
            for _extent in disk.extents():
                pass
    except UnsupportedDisk as error:
        how = "check it with the product that owns it"
        yield Finding("unchecked", WARNING, path, f"cannot be checked: {error.message}", how=how)
    except CorruptDisk as error:
        yield Finding("extent", ERROR, path, error.message, error.offset, how=error.hint or "")


# Sizes


def _sizes(link: LinkView, extents: list[ExtentView]) -> Iterator[Finding]:
    proven = link.descriptor is not None and fits_headers_only(link.descriptor, extents)
    for line, path, header in extents:
        if header is None or header.capacity == line.sectors:
            continue
        yield Finding(
            "size-mismatch",
            WARNING if header.capacity > line.sectors else ERROR,
            path,
            f"its header says {header.capacity} sectors, its line in the descriptor {line.sectors}",
            12,
            repairable=proven,
            how="repair: true sets the line, as the geometry agrees with the header"
            if proven
            else "nothing proves which is right; compare with a good copy",
        )
