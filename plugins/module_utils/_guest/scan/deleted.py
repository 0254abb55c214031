# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What was deleted: the free space of volumes, given to the virus scanner in pieces."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import typing as t
from itertools import islice, starmap

from ..._device.device import read
from ..._device.errors import DiskError
from ..._device.extent import Kind
from .free.free_space import free_space
from .magic import HEAD, begins_file
from .tree import THREADS

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.device import BlockDevice
    from ..._device.progress import Progress
    from .clamd import Clamd, Verdict
    from .free.free_space import FreeSpace
    from .report import Clock, Report

WINDOW = 16 << 20  # bytes that are looked at at once
_TAIL = 1024  # zeros that the end of an archive may consist of
_OVERLAP = 64 << 10  # of two windows, for what lies across the border
_MOST_OFTEN = 16  # times that a window is read for archives in it
_AT_ONCE = 2 * THREADS  # pieces in memory, each as large as a window at most


class Area(t.NamedTuple):
    """A volume, or what lies between volumes: its content, and where that is on the disk."""

    name: str
    device: BlockDevice
    kind: str | None  # of its file system
    start: int | None  # None: in pieces, or unlocked


class Piece(t.NamedTuple):
    """Bytes that may be a file, and where in the area they are."""

    offset: int
    data: bytes


@dataclasses.dataclass(frozen=True)
class DeletedScan:
    """Looks at the free space of areas of a disk."""

    reference: str
    engine: Clamd
    clock: Clock
    progress: Progress

    def run(self, area: Area, report: Report) -> None:
        """Into the report. Raises MissingTool when the engine has died."""
        try:
            self._run(area, report)
        except _TimeIsOver as over:
            report.stop(self._place(area, over.offset))

    def _run(self, area: Area, report: Report) -> None:
        self._hurry(0)
        free = free_space(area.device, area.kind)
        self.progress.start(f"{self.reference} {area.name}", sum(n for _at, n in free.runs))
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            self._judge(area, free, starmap(Piece, free.contents), report, pool)
            for offset, length in free.runs:
                try:
                    for window in _windows(area.device, offset, length, self._window):
                        self._look(area, free, window, report, pool)
                except DiskError as error:
                    report.add(report.skipped, {**self._place(area, offset), "reason": str(error)})
                self.progress.advance(length)
                self._hurry(offset + length)
        self.progress.finish()

    def _hurry(self, offset: int) -> None:
        if self.clock.is_over:
            raise _TimeIsOver(offset)

    @property
    def _window(self) -> int:
        return min(WINDOW, max(_OVERLAP, self.engine.limits.largest - _OVERLAP))

    def _look(
        self,
        area: Area,
        free: FreeSpace,
        window: Piece,
        report: Report,
        pool: concurrent.futures.ThreadPoolExecutor,
    ) -> None:
        """Whatever begins in a window, each by itself; then the window, for what lies across."""
        self._hurry(window.offset)
        report.size += len(window.data)
        named = self._judge(area, free, pieces_of(window, free.block), report, pool)
        if len(named) > 1:
            verdict = self._scan(window)
            if verdict.signature is None or verdict.signature not in named:
                self._note(area, free, window, verdict, report)

    def _judge(
        self,
        area: Area,
        free: FreeSpace,
        pieces: Iterator[Piece],
        report: Report,
        pool: concurrent.futures.ThreadPoolExecutor,
    ) -> list[str | None]:
        """The signature of each piece, None for one without any."""
        named = []
        while batch := list(islice(pieces, _AT_ONCE)):
            self._hurry(batch[0].offset)
            for piece, verdict in zip(batch, pool.map(self._scan, batch), strict=True):
                self._note(area, free, piece, verdict, report)
                named.append(verdict.signature)
        return named

    def _note(
        self, area: Area, free: FreeSpace, piece: Piece, verdict: Verdict, report: Report
    ) -> None:
        place = {**self._place(area, piece.offset), "length": len(piece.data)}
        if verdict.signature:
            where = "raw" if free.why_all else "deleted"
            found = {**place, "signature": verdict.signature, "where": where}
            if found not in report.infected:
                report.add(report.infected, found)
        elif verdict.skipped:
            report.add(report.skipped, {**place, "reason": verdict.skipped})

    def _scan(self, piece: Piece) -> Verdict:
        """As a file that has no name and lies in memory."""
        fd = os.memfd_create("piece", os.MFD_CLOEXEC)
        try:
            with open(fd, "wb", closefd=False) as stream:
                stream.write(piece.data)
            return self.engine.scan(fd)
        finally:
            os.close(fd)

    def _place(self, area: Area, offset: int) -> dict[str, t.Any]:
        on_disk = None if area.start is None else area.start + offset
        return {
            "path": self.reference,
            "volume": area.name,
            "offset": on_disk,
            "volume_offset": offset,
        }


def _windows(device: BlockDevice, offset: int, length: int, most: int) -> Iterator[Piece]:
    """What is stored of a run; nothing is read of what is zeros by the disk's own account."""
    for extent in device.extents(offset, length):
        if extent.kind is Kind.ZERO:
            continue
        for at in range(extent.offset, extent.end, most):
            size = min(most + _OVERLAP, extent.end - at)
            data = bytes(read(device, at, size))
            if data.strip(b"\0"):
                yield Piece(at, data)


def pieces_of(window: Piece, block: int) -> Iterator[Piece]:
    """The files that may have been there, without the zeros after their ends.

    A file begins with a block. One begins where the block before ends in zeros, which fill what a
    file leaves of its last block, or where the first bytes are those of a kind that is known: such
    a one goes beyond the next one, for archives hold zeros themselves, and to the end of the window
    unless there are so many of them that the window would be read too often.
    """
    data = window.data
    starts = [at for at in range(0, len(data), block) if _may_begin(data, at)]
    known = [begins_file(data[start : start + HEAD]) for start in starts]
    reach = _MOST_OFTEN * len(data) // max(1, sum(known))
    for start, end, is_known in zip(starts, [*starts[1:], len(data)], known, strict=True):
        content = data[start : max(end, start + reach) if is_known else end]
        size = len(content.rstrip(b"\0"))
        if size:
            yield Piece(window.offset + start, content[: size + is_known * _TAIL])


def _may_begin(data: bytes, at: int) -> bool:
    if at == 0 or begins_file(data[at : at + HEAD]):
        return True
    return data[at - 1] == 0 and data[at] != 0


class _TimeIsOver(Exception):
    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset
