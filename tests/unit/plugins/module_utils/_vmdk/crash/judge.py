# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true after a crash, whatever the operation was."""

from __future__ import annotations

import dataclasses
import shutil
import typing as t

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    ChainMismatch,
    CorruptDisk,
    DiskError,
    DiskNotFound,
    InvalidRequest,
    MissingLink,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.check import check_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.finding import ERROR
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.repair import repair_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import (
    SECTOR,
    SparseHeader,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import (
    table_sectors,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.remove import (
    finish_pending,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REFUSED = "refused: in the middle of a commit"
NO_DAMAGE = (
    "commit",  # to be finished, which the next job does
    "unused-space",  # grains that no table came to name: all that a check can tell is that
)
ORPHAN = "has not the parent that it was made for"


class Facts(t.NamedTuple):
    """What a disk is to its user."""

    content: bytes
    disk_type: str
    metadata: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        runs, last = [], -1
        for place in range(0, len(self.content), 4096):
            if self.content[place] != last:
                last = self.content[place]
                runs.append(f"{place // 4096}:{last:02x}")
        return f"{self.disk_type} of {len(self.content)} bytes {' '.join(runs)} {self.metadata}"


Found = dict[str, "Facts | str | None"]


@dataclasses.dataclass(frozen=True)
class Operation:
    """prepare() a folder, run() there; `disks` in the order in which they are opened afterwards.

    accepts(before, after, found): also right, beside what it was and what it shall be.
    again: what a user does next where it has not happened yet. tables_differ: before it, too.
    """

    prepare: Callable[[Path], object]
    run: Callable[[Path], object]
    disks: tuple[str, ...] = ("disk.vmdk",)
    accepts: Callable[[Found, Found, Found], bool] = lambda _before, _after, _found: False
    again: Callable[[Path], object] | None = None
    tables_differ: bool = False
    ignored: tuple[str, ...] = ()  # metadata that is new every time


class Judge:
    """Called with a folder after a crash. Raises what is wrong with it."""

    def __init__(self, operation: Operation, whole: Path, scratch: Path) -> None:
        self.operation = operation
        self.before = self._look(whole)
        shutil.copytree(whole, scratch)
        operation.run(scratch)
        self.after = self._look(scratch)
        self.files = set(_files(scratch))
        assert not [name for name in self.files if ".vdisk-" in name]

    def __call__(self, folder: Path) -> None:
        if not self.operation.tables_differ:
            _require_told(folder)
        found = self._look(folder)
        self._require_right(found, "opened")
        content = _files(folder)
        assert self._look(folder) == found, "a second opening reads something else"
        assert _files(folder) == content, "a second opening changes files"
        self._require_healthy_after_repair(folder, found)
        self._require_next_job_works(folder, found)

    def _look(self, folder: Path) -> Found:
        ignored = ("longContentID", *self.operation.ignored)
        return {name: _facts(folder / name, ignored) for name in self.operation.disks}

    def _require_right(self, found: Found, when: str) -> None:
        if found not in (self.before, self.after):
            right = self.operation.accepts(self.before, self.after, found)
            assert right, f"{when}: {found}\nbefore: {self.before}\nafter: {self.after}"

    def _require_healthy_after_repair(self, folder: Path, disks: Found) -> None:
        for name, facts in disks.items():
            if isinstance(facts, Facts):
                repair_disk(folder / name)
                found = check_disk(folder / name)
                errors = [f for f in found if f.severity == ERROR and f.kind not in NO_DAMAGE]
                assert errors == [], f"after repair: {errors}"
        self._require_right(self._look(folder), "repaired")

    def _require_next_job_works(self, folder: Path, found: Found) -> None:
        if found != self.after:
            (self.operation.again or self.operation.run)(folder)
        for name, facts in self.after.items():
            if facts is None:
                finish_pending(folder / name)
        assert self._look(folder) == self.after, "done again"
        left = set(_files(folder)) ^ self.files
        assert left == set(), "left by the crash and not swept by the next job, or missing"


def _facts(path: Path, ignored: tuple[str, ...]) -> Facts | str | None:
    """None: there is no such disk. Where opening finds damage, after a repair."""
    try:
        return _read(path, ignored)
    except (MissingLink, ChainMismatch):
        return ORPHAN
    except DiskNotFound:
        if not path.exists():
            return None
        raise
    except InvalidRequest as refused:
        assert "vmdk_snapshot" in str(refused)
        return REFUSED
    except CorruptDisk:
        repair_disk(path)
        return _read(path, ignored)


def _read(path: Path, ignored: tuple[str, ...]) -> Facts:
    with open_disk(path) as disk:
        kept = {k: v for k, v in disk.descriptor.metadata().items() if k not in ignored}
        content = bytes(read(disk, 0, disk.size))
        return Facts(content, disk.disk_type, tuple(sorted(kept.items())))


def _files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def _require_told(folder: Path) -> None:
    """Where the two copies of the tables differ, the mark of an unclean shutdown says so."""
    for path in folder.rglob("*.vmdk"):
        data = path.read_bytes()
        try:
            header = SparseHeader.parse(data[:SECTOR], str(path))
        except DiskError:
            continue
        if header.has_redundant_tables and not header.unclean:
            copies = [
                _tables(data, header, place) for place in (header.rgd_offset, header.gd_offset)
            ]
            assert copies[0] == copies[1], f"{path.name}: half-written tables, and no mark"


def _tables(data: bytes, header: SparseHeader, directory: int) -> list[bytes]:
    length = table_sectors(header) * SECTOR
    entries = memoryview(data)[directory * SECTOR :][: 4 * header.directory_entries].cast("I")
    return [data[entry * SECTOR :][:length] if entry else bytes(length) for entry in entries]
