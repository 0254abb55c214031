# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Making a disk, whole or not at all."""

from __future__ import annotations

import contextlib
import functools
import os
import typing as t

from ..._device.errors import DiskError, DiskExists, NotADisk
from ..._device.files import (
    TEMPORARY_SUFFIX,
    File,
    remove_if_there,
    replace_durably,
)
from ..._device.raw import RawDevice
from ..._device.slice import ConcatDevice
from ..descriptor.new import new_descriptor
from ..descriptor.types import STREAM_OPTIMIZED
from ..extents.header import SECTOR
from ..extents.layout import (
    DESCRIPTOR_SECTORS,
    check_name,
    extent_lines,
    is_embedded,
    is_flat,
    sparse_header,
)
from ..extents.sparse import SparseExtent
from ..files.lock import lock, refuse_claimed
from ..files.ownership import keep_owner
from ..files.paths import folder_of
from ..opening import journal
from ..opening.descriptor_file import DescriptorFile
from ..opening.family import refuse_with_children
from ..opening.lazy import LazyExtent, OpenExtents, opened, too_many
from ..stream.writer import StreamWriter
from .building import (
    new_file,
    new_flat,
    new_sparse,
    require_folder,
    require_space,
    require_writable,
)
from .own_files import lock_files, lock_open_files, require_own_files, require_plain, sweep

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.device import Device
    from ..descriptor.extent_line import ExtentLine
    from ..extents.layout import DiskSpec
    from ..opening.disk import Disk


@contextlib.contextmanager
def new_disk(
    path: str | os.PathLike[str],
    spec: DiskSpec,
    *,
    replace: bool = False,
    held: Disk | None = None,
    compression_level: int | None = None,
) -> Iterator[Device]:
    """A new disk, all zeros, to be filled; it appears under its name when the block ends well.

    With replace, a disk that is there stays whole until then; where the caller has it open
    (converting in place), `held` is that disk. After an error nothing is left.
    Raises DiskExists, DiskInUse, NoSpace, InvalidRequest, UnsupportedDisk.
    """
    spec.check()
    build = _Build(os.path.realpath(path), spec, replace, held, compression_level)
    try:
        build.start()
        yield build.device
        build.commit()
    except BaseException:
        build.discard()
        raise
    finally:
        build.release()


def check_new_disk(
    path: str | os.PathLike[str],
    spec: DiskSpec,
    *,
    replace: bool = False,
    held: Disk | None = None,
) -> None:
    """Raises what new_disk() would raise before it writes anything."""
    spec.check()
    build = _Build(os.path.realpath(path), spec, replace, held, None)
    try:
        build.check()
        build.require_space()
    finally:
        build.release()


def create_disk(path: str | os.PathLike[str], spec: DiskSpec, *, replace: bool = False) -> None:
    """A new disk of zeros. Raises what new_disk() raises."""
    with new_disk(path, spec, replace=replace):
        pass


class _Build:
    """One disk on its way."""

    device: Device

    def __init__(
        self, path: str, spec: DiskSpec, replace: bool, held: Disk | None, level: int | None
    ) -> None:
        self.path, self.spec, self.replace, self.level = path, spec, replace, level
        self.held = held
        self.lines = extent_lines(path, spec)
        self.parts: list[Device] = []
        self.made: list[str] = []
        self.descriptor_file: File | None = None
        self.old: DescriptorFile | None = None
        self.old_files: list[str] = []
        self.locks = contextlib.ExitStack()

    @property
    def files(self) -> list[str]:
        """Extents first, the file that makes it a disk last."""
        folder = folder_of(self.path)
        named = [os.path.join(folder, line.name) for line in self.lines if line.name]
        return [*(name for name in named if name != self.path), self.path]

    def start(self) -> None:
        """Make all files under their temporary names."""
        journal.finish(self.path)
        self.check()
        sweep(self.path)
        self.require_space()
        descriptor = new_descriptor(
            self.spec.disk_type,
            self.lines,
            adapter_type=self.spec.adapter_type,
            hw_version=self.spec.hw_version,
            metadata=self.spec.metadata,
            parent=self.spec.parent,
        ).to_bytes()
        if is_embedded(self.spec):
            self.parts.append(self._embedded(descriptor))
        else:
            self._separate(descriptor)
        self.device = self.parts[0] if len(self.parts) == 1 else ConcatDevice(self.parts, self.path)

    def check(self) -> None:
        """Hold what is there, without touching it."""
        require_folder(self.path)
        require_writable(folder_of(self.path))
        check_name(self.path)
        self._look_at_what_is_there()

    def require_space(self) -> None:
        if self.spec.preallocate:
            require_space(folder_of(self.path), self.spec.size)

    def _look_at_what_is_there(self) -> None:
        if os.path.isdir(self.path):
            raise NotADisk("is a directory, not a disk", path=self.path)
        if self.replace and os.path.exists(self.path):
            self._lock_old()
        for path in self.files:
            if os.path.lexists(path) and path not in self.old_files:
                raise DiskExists(
                    "is already there",
                    path=path,
                    hint="Choose another name, or ask to replace the disk (force).",
                )

    def _lock_old(self) -> None:
        """The old disk's files go when the new ones come. A file that is no disk goes, too."""
        self.old_files = [self.path]
        require_plain(self.old_files)
        refuse_claimed(self.path)
        refuse_with_children(self.path, "replace")
        if self.held is not None:
            store = self.held.links[0].store
            lock_open_files(self.held.links[0])
        else:
            try:
                store = self.old = DescriptorFile(self.path, writable=True)
            except NotADisk:
                return
            lock_files(store, self.locks)
        require_own_files(store)
        self.old_files = store.files()

    def _embedded(self, descriptor: bytes) -> Device:
        sectors = self.spec.size // SECTOR
        file = self._new_file(self.path)
        if self.spec.disk_type == STREAM_OPTIMIZED:
            return StreamWriter(file, sectors, descriptor, level=self.level)
        room = max(DESCRIPTOR_SECTORS, -(-(len(descriptor) + 1) // SECTOR))
        return new_sparse(file, sparse_header(sectors, room), descriptor)

    def _new_file(self, path: str) -> File:
        """Under its temporary name, noted so that discard() removes ours and no other job's."""
        file = new_file(path)
        self.made.append(file.path)
        if self.old_files:
            like = path if path in self.old_files and os.path.exists(path) else self.path
            keep_owner(file, os.stat(like))
        return file

    def _separate(self, descriptor: bytes) -> None:
        # Kept open, and so locked: it tells a second job that this disk is being made.
        self.descriptor_file = self._new_file(self.path)
        self.descriptor_file.write(0, descriptor)
        self.descriptor_file.flush()
        pool = OpenExtents() if too_many(len(self.lines)) else None
        for path, line in zip(self.files[:-1], self.lines, strict=True):
            part = self._new_extent(path, line)
            if pool:
                part.close()
                part = self._lazy(path + TEMPORARY_SUFFIX, line, pool)
            self.parts.append(part)

    def _new_extent(self, path: str, line: ExtentLine) -> Device:
        file = self._new_file(path)
        if is_flat(self.spec):
            size = line.sectors * SECTOR
            return new_flat(file, size, preallocate=self.spec.preallocate)
        return new_sparse(file, sparse_header(line.sectors, 0))

    def _lazy(self, path: str, line: ExtentLine, pool: OpenExtents) -> Device:
        size = line.sectors * SECTOR
        opener = functools.partial(_reopen, path, None if is_flat(self.spec) else line.sectors)
        extent = LazyExtent(pool, opener, size=size, name=path, path=path)
        extent.writes_in_parallel = is_flat(self.spec)
        return extent

    def commit(self) -> None:
        """All content durable, then the names."""
        for part in self.parts:
            _finish(part)
        gone = [path for path in self.old_files if path not in self.files]
        if len(self.files) == 1 and not gone:
            replace_durably(self.path + TEMPORARY_SUFFIX, self.path)
        else:
            journal.commit(self.path, self.files, gone)

    def discard(self) -> None:
        """Leave nothing behind, unless the journal says that the disk is finished."""
        for part in self.parts:
            with contextlib.suppress(DiskError):
                _abandon(part)
        if not os.path.exists(self.path + journal.SUFFIX):
            for path in self.made:
                with contextlib.suppress(DiskError):
                    remove_if_there(path)

    def release(self) -> None:
        for locked in (self.old, self.descriptor_file):
            if locked is not None:
                locked.close()
        self.locks.close()


def _reopen(path: str, sparse_sectors: int | None) -> Device:
    """One of very many extents that are being made. Raises DiskInUse."""
    file = File(path, writable=True)
    try:
        lock(file, exclusive=True)
        if sparse_sectors is None:
            return RawDevice(file)
        return SparseExtent(file, sparse_header(sparse_sectors, 0), fresh=True)
    except BaseException:
        file.close()
        raise


def _finish(part: Device) -> None:
    with opened(part) as device:
        if isinstance(device, (SparseExtent, StreamWriter)):
            device.finish()
        else:
            device.flush()
    part.close()


def _abandon(part: Device) -> None:
    """Close without writing anything more."""
    device = part.find() if isinstance(part, LazyExtent) else part
    file = getattr(device, "file", None)
    if isinstance(file, File):
        file.close()
