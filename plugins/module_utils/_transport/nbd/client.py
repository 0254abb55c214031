# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A disk behind an NBD server, as a block device."""

from __future__ import annotations

import os
import threading
import typing as t

from ..._device.device import Device, read
from ..._device.errors import DiskError, DiskIOError, NoSpace, ReadOnlyDisk, UnsupportedDisk
from ..._device.extent import Extent, Kind, merge
from ..._device.zeros import ZEROS
from . import protocol as p
from .address import parse_uri
from .connection import Request
from .pool import Patience, Pool
from .unflushed import Unflushed, Written

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.device import Buffer
    from .address import Address
    from .connection import Connection

TRANSPORT = "nbd"
PIECE = 512 << 10  # bytes of one request; several are under way at once
_ZEROED_AT_ONCE = 128 << 20  # bytes; a server without holes writes them
_ASKED_AT_ONCE = 1 << 30  # bytes of which the holes are asked for


class NbdDevice(Device):
    """Any number of threads may read and write. What was written is durable after flush()."""

    writes_in_parallel = True

    def __init__(
        self, address: Address, *, writable: bool = False, patience: Patience | None = None
    ) -> None:
        self.name = address.uri
        self.address = address
        self.writable = writable
        self._unflushed = Unflushed()
        self._edges = threading.Lock()  # of blocks that are written in part
        self._pool = Pool(address, self._send_again, patience or Patience())
        self.export = self._pool.export
        self.size = self.export.size
        self._can_flush = self.export.can(p.SEND_FLUSH)  # else it keeps nothing in memory
        self._piece = min(max(PIECE, self.export.minimum), self.export.maximum)
        if writable and self.export.can(p.READ_ONLY):
            self.close()
            raise ReadOnlyDisk("the NBD server lets nobody write to it", path=self.name)

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Raises DiskIOError, ServerUnreachable."""
        length = self.check_range(offset, buffer.nbytes)
        start, end = self._whole_blocks(offset, offset + length)
        if (start, end) == (offset, offset + length):
            self._read(offset, buffer)
        elif length:
            whole = bytearray(end - start)
            self._read(start, memoryview(whole))
            buffer[:] = memoryview(whole)[offset - start : offset - start + length]

    def write(self, offset: int, data: Buffer) -> None:
        """Raises ReadOnlyDisk, NoSpace, DiskIOError, ServerUnreachable."""
        length = self.check_range(offset, memoryview(data).nbytes)
        if not self.writable:
            super().write(offset, data)
        start, end = self._whole_blocks(offset, offset + length)
        if (start, end) == (offset, offset + length):
            self._write(offset, memoryview(data))
        elif length:
            with self._edges:
                whole = read(self, start, end - start)
                whole[offset - start : offset - start + length] = data
                self._write(start, memoryview(whole))

    def zero(self, offset: int, length: int) -> None:
        """Raises what write() raises."""
        self.check_range(offset, length)
        if not self.writable:
            super().zero(offset, length)
        grain, end = self.export.minimum, offset + length
        start = min(end, -(-offset // grain) * grain)
        stop = max(start, end // grain * grain)
        self._write_zeros(offset, start)
        for at in range(start, stop, _ZEROED_AT_ONCE):
            self._zero(at, min(_ZEROED_AT_ONCE, stop - at))
        self._write_zeros(stop, end)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        """Without block status, or where the server does not know, all of it counts as data."""
        length = self.check_range(offset, length)
        if self.export.allocation is None:
            return super().extents(offset, length)
        return merge(self._extents(offset, offset + length))

    def flush(self) -> None:
        """Raises NoSpace, DiskIOError, ServerUnreachable."""
        if not self.writable or not self._can_flush:
            return
        mark = self._unflushed.mark()
        self._do([Request(p.CMD_FLUSH)])
        self._unflushed.forget(mark)

    def close(self) -> None:
        self._pool.close()

    def _whole_blocks(self, start: int, end: int) -> tuple[int, int]:
        """As the server wants them; the last block of a disk may be short."""
        grain = self.export.minimum
        return start // grain * grain, min(self.size, -(-end // grain) * grain)

    def _read(self, offset: int, view: memoryview) -> None:
        self._do(
            [
                Request(p.CMD_READ, offset + at, part.nbytes, into=part)
                for at, part in self._pieces(view)
            ]
        )

    def _write(self, offset: int, view: memoryview) -> None:
        self._do(
            [
                Request(p.CMD_WRITE, offset + at, part.nbytes, payload=part)
                for at, part in self._pieces(view)
            ],
            lambda: self._unflushed.add(Written(offset, view.nbytes, bytes(view))),
        )
        self._flush_if_much()

    def _pieces(self, view: memoryview) -> Iterator[tuple[int, memoryview]]:
        view = view.cast("B")
        for at in range(0, view.nbytes, self._piece):
            yield at, view[at : at + self._piece]

    def _write_zeros(self, start: int, end: int) -> None:
        for at in range(start, end, len(ZEROS)):
            self.write(at, memoryview(ZEROS)[: min(len(ZEROS), end - at)])

    def _zero(self, offset: int, length: int) -> None:
        if not self.export.can(p.SEND_WRITE_ZEROES):
            self._write_zeros(offset, offset + length)
            return
        request = Request(p.CMD_WRITE_ZEROES, offset, length)
        try:
            self._do([request], lambda: self._unflushed.add(Written(offset, length, None)))
        except DiskError:
            if request.error not in (p.ENOTSUP, p.EINVAL):
                raise
            self._write_zeros(offset, offset + length)
        self._flush_if_much()

    def _flush_if_much(self) -> None:
        if self._unflushed.is_much:
            self.flush()

    def _extents(self, offset: int, end: int) -> Iterator[Extent]:
        while offset < end:
            start, stop = self._whole_blocks(offset, min(end, offset + _ASKED_AT_ONCE))
            request = Request(p.CMD_BLOCK_STATUS, start, stop - start)
            self._exchange([request])
            # What it cannot tell, reading will.
            found = request.extents
            if not found or found[-1].end <= offset:
                found = [Extent(start, stop - start, Kind.DATA)]
            for extent in found:
                first, last = max(offset, extent.offset), min(end, extent.end)
                if first < last:
                    yield Extent(first, last - first, extent.kind)
            offset = min(end, found[-1].end)

    # Requests

    def _do(self, requests: list[Request], done: t.Callable[[], None] | None = None) -> None:
        self._exchange(requests, done)
        self._complain(requests)

    def _exchange(self, requests: list[Request], done: t.Callable[[], None] | None = None) -> None:
        """`done` is told of success before connections can be made anew."""

        def work(connection: Connection) -> None:
            connection.exchange(requests)
            if done is not None and self._can_flush and not any(r.error for r in requests):
                done()

        self._pool.run(work)

    def _complain(self, requests: list[Request]) -> None:
        for request in requests:
            if request.error:
                raise _meaning(request, self.name)

    def _send_again(self, connection: Connection) -> None:
        """All that a server that was started anew may have forgotten."""
        for written in self._unflushed.all():
            if written.data is None:
                requests = [Request(p.CMD_WRITE_ZEROES, written.offset, written.length)]
            else:
                requests = [
                    Request(p.CMD_WRITE, written.offset + at, part.nbytes, payload=part)
                    for at, part in self._pieces(memoryview(written.data))
                ]
            connection.exchange(requests)
            self._complain(requests)


def open_nbd(uri: str, *, writable: bool = False) -> NbdDevice:
    """Raises BadReference, ServerUnreachable, DiskNotFound, ReadOnlyDisk, …"""
    return NbdDevice(parse_uri(uri), writable=writable)


def _meaning(request: Request, name: str) -> DiskError:
    what = p.COMMANDS[request.command]
    where = None if request.command == p.CMD_FLUSH else request.offset
    said = f" ({request.message})" if request.message else ""
    if request.error == p.ENOSPC:
        return NoSpace(f"the NBD server has no space left{said}", path=name, offset=where)
    if request.error == p.EPERM:
        return ReadOnlyDisk(f"the NBD server does not let us {what} it{said}", path=name)
    if request.error == p.ENOTSUP:
        return UnsupportedDisk(f"the NBD server cannot {what} it{said}", path=name)
    number = os.strerror(request.error)
    hint = "The log of the server says more."
    return DiskIOError(
        f"the NBD server failed to {what} it: {number}{said}", path=name, offset=where, hint=hint
    )
