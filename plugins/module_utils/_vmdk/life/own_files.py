# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which files truly belong to a disk: a descriptor is text, and may name whatever it likes."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ..._device.errors import DiskError, DiskInUse, DiskNotFound, InvalidRequest, NotADisk
from ..._device.files import TEMPORARY_SUFFIX, File, remove_if_there
from ..extents.cowd import MAGIC as COWD
from ..extents.header import MAGIC, TEMPORARY_MAGIC
from ..extents.sesparse import MAGIC_BYTES as SE_SPARSE
from ..files.lock import lock
from ..files.paths import folder_of
from ..opening.family import peek
from ..opening.lazy import LazyExtent, too_many
from ..opening.leftovers import leftovers

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..opening.descriptor_file import DescriptorFile
    from ..opening.disk import Link

_SPARSE_KINDS = ("SPARSE", "VMFSSPARSE", "SESPARSE")
_SPARSE_MAGICS = (MAGIC, TEMPORARY_MAGIC, COWD, SE_SPARSE)
_HINT = "If they shall go all the same, remove the disk with force: true."


def require_own_files(store: DescriptorFile) -> None:
    """Before the files of a disk go. Raises InvalidRequest, NotADisk, UnsafePath.

    An extent is the disk's own where it looks like one, is no disk itself, and where no other
    descriptor in the folder uses it.
    """
    files = store.files()
    require_plain(files)
    sparse = {line.name for line in store.descriptor.extents if line.kind in _SPARSE_KINDS}
    for path in files[1:]:
        is_sparse = os.path.basename(path) in sparse
        if os.path.lexists(path) and not _looks_own(store.path, path, is_sparse):
            raise InvalidRequest(
                f"names {os.path.basename(path)!r}, which does not look like a part of it",
                path=store.path,
                expected="an extent named after the disk, or at least one that is no disk itself",
                hint=_HINT,
            )
    _refuse_shared(store.path, files)


def require_plain(paths: Iterable[str]) -> None:
    """Raises NotADisk for a directory or a device."""
    for path in paths:
        if os.path.lexists(path):
            mode = os.lstat(path).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
                what = "a directory" if stat.S_ISDIR(mode) else "no plain file"
                raise NotADisk(f"is {what}, not an extent", path=path)


def _looks_own(disk: str, path: str, is_sparse: bool) -> bool:
    if os.path.dirname(path) != folder_of(disk) or not stat.S_ISREG(os.lstat(path).st_mode):
        return False
    if peek(path) is not None:  # a disk itself
        return False
    return is_named_after(disk, path) or (is_sparse and _has_magic(path))


def is_named_after(disk: str, path: str) -> bool:
    """`web01-flat.vmdk`, `web01-s001.vmdk`: as all products name extents of `web01.vmdk`."""
    stem, suffix = os.path.splitext(os.path.basename(disk).lower())
    name = os.path.basename(path).lower()
    return name.startswith((f"{stem}-", f"{stem}.", f"{stem}_")) and (
        name.endswith((suffix, ".vmdk"))
    )


def _has_magic(path: str) -> bool:
    with File(path) as file:
        head = bytes(file.read(0, min(8, file.size)))
    return head.startswith(_SPARSE_MAGICS)


def _refuse_shared(disk: str, files: list[str]) -> None:
    """Raises InvalidRequest where another descriptor beside the disk uses one of its files."""
    own = {_identity(path): path for path in files if os.path.lexists(path)}
    names, folder = set(files), folder_of(disk)
    for name in sorted(os.listdir(folder)):
        other = os.path.join(folder, name)
        if not name.lower().endswith(".vmdk") or other in names:
            continue
        for path in _files_named_by(other):
            if _identity(path) in own:
                raise InvalidRequest(
                    f"shares {own[_identity(path)]} with another disk",
                    path=disk,
                    found=other,
                    hint=_HINT,
                )


def _files_named_by(other: str) -> Iterator[str]:
    descriptor = peek(other)
    if descriptor is None:
        return
    folder = folder_of(other)
    names = [line.name for line in descriptor.extents if line.name]
    if _has_magic(other):  # embedded: the extent is this file, and the name often that of another
        names = []
    for path in (other, *(os.path.join(folder, name) for name in names)):
        with contextlib.suppress(OSError, ValueError):
            if os.path.exists(path):
                yield path


def _identity(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        status = os.lstat(path)
    return status.st_dev, status.st_ino


# Locks


def lock_files(store: DescriptorFile, locks: contextlib.ExitStack) -> None:
    """Nobody else may have an extent open: the loop device of a mount holds its own.

    Held until `locks` ends, but of very many files only the first ones. Raises DiskInUse.
    """
    for number, path in enumerate(store.files()[1:]):
        if _is_regular(path):
            file = _open_for_lock(path)
            with contextlib.ExitStack() as this:
                this.callback(file.close)
                lock(file, exclusive=True)
                if not too_many(number):
                    locks.push(this.pop_all())


def lock_open_files(link: Link) -> None:
    """The same for a disk that the caller has open. Raises DiskInUse."""
    lock(link.store.file, exclusive=True)
    lazy = [part for part in link.parts if isinstance(part, LazyExtent)]
    for part in lazy:
        part.close()  # it opens itself again
    for path in dict.fromkeys(part.path for part in lazy if part.path is not None):
        with _open_for_lock(path) as probe:
            lock(probe, exclusive=True)
    files = [getattr(part, "file", None) for part in link.parts]
    # Of extents that share a file, the first holds the lock (kinds.py).
    mine = {file.path: file for file in reversed(files) if isinstance(file, File)}
    for file in mine.values():
        if not file.is_block_device:
            lock(file, exclusive=True)


def _open_for_lock(path: str) -> File:
    try:
        return File(path, writable=True)  # NFS wants that for an exclusive lock
    except DiskError:
        return File(path)


def _is_regular(path: str) -> bool:
    return os.path.exists(path) and stat.S_ISREG(os.stat(path).st_mode)


# Leftovers


def sweep(disk: str) -> None:
    """Remove what killed jobs left of this disk, unless somebody holds it.

    The caller has finished the journal, and holds the disk where there is one.
    """
    if _is_being_made(disk):
        return
    for path in leftovers(disk):
        with contextlib.suppress(DiskError):
            if not stat.S_ISREG(os.lstat(path).st_mode):
                continue
            with File(path) as file:
                lock(file, exclusive=True)
                remove_if_there(path)


def _is_being_made(disk: str) -> bool:
    """Whoever makes a disk holds its descriptor all the time, but not all of many extents."""
    with contextlib.suppress(DiskNotFound, NotADisk), File(disk + TEMPORARY_SUFFIX) as file:
        try:
            lock(file, exclusive=True)
        except DiskInUse:
            return True
    return False
