# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Content that comes once, from its start to its end, for readers on several threads."""

from __future__ import annotations

import bisect
import dataclasses
import threading
import typing as t

from ..._device.device import Device
from ..._device.errors import CorruptDisk, InvalidRequest
from ..._device.extent import Extent, Kind

if t.TYPE_CHECKING:
    from collections.abc import Generator

    Pieces: t.TypeAlias = Generator[tuple[int, bytes], None, None]

KEPT = 16 << 20  # bytes that were read already: threads are not in order, and may ask twice
MOST = 512 << 20  # bytes that nobody has asked for yet


@dataclasses.dataclass
class _Part:
    offset: int
    data: bytes
    unread: int

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


class ForwardDevice(Device):
    """Read-only. What lies far behind the reader is gone; asking for it is an error.

    `pieces` are (offset, data) in ascending order, and all else is zeros: that is only sure once
    they have ended, so the last byte is not given before. extents() is told as they come, and can
    be had once.
    """

    def __init__(self, name: str, size: int, pieces: Pieces) -> None:
        self.name, self.size = name, size
        self._pieces = pieces
        self._lock = threading.Lock()
        self._parts: list[_Part] = []
        self._held = 0  # bytes in them
        self._gone = 0  # before this byte they are forgotten
        self._known = 0  # before this byte everything has come
        self._failed: BaseException | None = None
        self.has_ended = False

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Waits until all of it has come. Raises InvalidRequest backwards, and what pieces raise.

        The last byte of the disk is only given once the pieces have ended without an error.
        """
        end = offset + self.check_range(offset, buffer.nbytes)
        with self._lock:
            self._refuse_backwards(offset)
            while not self._covers(end):
                self._advance()
            parts = self._take(offset, end)
        done = offset
        for part in parts:
            start, stop = max(part.offset, offset), min(part.end, end)
            _clear(buffer[done - offset : start - offset])
            buffer[start - offset : stop - offset] = part.data[
                start - part.offset : stop - part.offset
            ]
            done = stop
        _clear(buffer[done - offset :])

    def extents(self, offset: int = 0, length: int | None = None) -> t.Iterator[Extent]:
        """As far as it is known, and further as it comes. Raises what readinto() raises."""
        end = offset + self.check_range(offset, length)
        while offset < end:
            run = self._next_run(offset, end)
            yield run
            offset = run.end

    def close(self) -> None:
        with self._lock:
            self._parts.clear()
            self._pieces.close()
            self._failed = self._failed or InvalidRequest("is closed", path=self.name)

    def _next_run(self, offset: int, end: int) -> Extent:
        with self._lock:
            self._refuse_backwards(offset)
            while (index := self._first_behind(offset)) == len(self._parts):
                if self._covers(end):
                    return Extent(offset, end - offset, Kind.ZERO)
                self._advance()
            part = self._parts[index]
        if part.offset > offset:
            return Extent(offset, min(part.offset, end) - offset, Kind.ZERO)
        return Extent(offset, min(part.end, end) - offset, Kind.DATA)

    def _first_behind(self, offset: int) -> int:
        """The first part that has bytes from there on."""
        return bisect.bisect_right(self._parts, offset, key=lambda part: part.end)

    def _covers(self, end: int) -> bool:
        return self.has_ended or self._known >= end < self.size

    def _take(self, offset: int, end: int) -> list[_Part]:
        taken = []
        for index in range(self._first_behind(offset), len(self._parts)):
            part = self._parts[index]
            if part.offset >= end:
                break
            part.unread -= min(part.end, end) - max(part.offset, offset)
            taken.append(part)
        return taken

    def _advance(self) -> None:
        if self._failed is not None:
            raise self._failed
        try:
            offset, data = next(self._pieces)
            self._add(offset, data)
        except StopIteration:
            self._known, self.has_ended = self.size, True
        except BaseException as error:
            self._failed = error
            raise

    def _add(self, offset: int, data: bytes) -> None:
        if offset < self._known or offset + len(data) > self.size:
            raise CorruptDisk(
                "the parts of the stream do not follow each other",
                path=self.name,
                offset=offset,
                expected=f"from byte {self._known} on, up to {self.size}",
            )
        self._parts.append(_Part(offset, data, len(data)))
        self._held += len(data)
        self._known = offset + len(data)
        self._forget()

    def _forget(self) -> None:
        count = 0
        for part in self._parts[:-1]:
            if self._held <= (KEPT if part.unread <= 0 else MOST):
                break
            self._held -= len(part.data)
            self._gone = part.end
            count += 1
        del self._parts[:count]

    def _refuse_backwards(self, offset: int) -> None:
        if offset < self._gone:
            raise InvalidRequest(
                "this disk comes as a stream, and what was asked for has gone by",
                path=self.name,
                offset=offset,
                expected=f"a read at byte {self._gone} or behind it",
                hint="Use another transport where a disk is not read from its start to its end.",
            )


def _clear(buffer: memoryview) -> None:
    if buffer.nbytes:
        buffer[:] = bytes(buffer.nbytes)
