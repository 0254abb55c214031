# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Requests and their replies over one connection."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import typing as t

from ..._device.errors import ServerUnreachable
from ..._device.extent import Extent, Kind
from . import protocol as p
from .wire import ConnectionLost

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._device.device import Buffer
    from .handshake import Export
    from .wire import Wire

WINDOW = 8  # requests sent before the first reply is awaited
_LONGEST_STATUS = 16 << 20  # bytes
_LONGEST_MESSAGE = 64 << 10


@dataclasses.dataclass
class Request:
    """One command, and what came of it."""

    command: int
    offset: int = 0
    length: int = 0
    flags: int = 0
    payload: Buffer = b""
    into: memoryview | None = None  # of a read
    extents: list[Extent] = dataclasses.field(default_factory=list)  # of a block status
    error: int = 0
    message: str = ""
    filled: int = 0  # bytes

    def forget_reply(self) -> None:
        """Before it is sent once more."""
        self.extents, self.error, self.message, self.filled = [], 0, "", 0


class Connection:
    """For one thread at a time; what several may do at once goes over several of these."""

    def __init__(self, wire: Wire, export: Export) -> None:
        self.wire = wire
        self.export = export
        self._cookies = itertools.count(1)
        self._waiting: dict[int, Request] = {}

    def exchange(self, requests: Sequence[Request]) -> None:
        """Send all, and await all replies; errors of the server are noted in the requests.

        Raises ConnectionLost, or ServerUnreachable for nonsense; the connection is of no use then.
        """
        unsent = collections.deque(requests)
        while unsent or self._waiting:
            while unsent and len(self._waiting) < WINDOW:
                self._send(unsent.popleft())
            self._receive()

    def _send(self, request: Request) -> None:
        cookie = next(self._cookies)
        request.forget_reply()
        self._waiting[cookie] = request
        head = (request.flags, request.command, cookie, request.offset, request.length)
        self.wire.send(p.REQUEST.pack(p.REQUEST_MAGIC, *head), request.payload)

    def close(self) -> None:
        """Take leave, if the server is still there."""
        try:
            self.wire.send(p.REQUEST.pack(p.REQUEST_MAGIC, 0, p.CMD_DISC, 0, 0, 0))
        except ConnectionLost:
            pass
        self.wire.close()

    # Replies

    def _receive(self) -> None:
        """One reply, or one chunk of one."""
        head = self.wire.receive(p.SIMPLE_REPLY.size)
        magic, error, cookie = p.SIMPLE_REPLY.unpack(head)
        if magic == p.CHUNK_MAGIC:
            rest = self.wire.receive(p.CHUNK.size - len(head))
            self._chunk(*p.CHUNK.unpack(head + rest)[1:])
            return
        request = self._waiting.pop(cookie, None)
        if magic != p.SIMPLE_MAGIC or request is None:
            raise self._nonsense(f"a reply with magic {magic:#x} to {cookie}")
        if request.command == p.CMD_READ and self.export.is_structured:
            raise self._nonsense("a simple reply to a read")
        if error:
            request.error = error
        elif request.into is not None:
            self._fill(request, 0, request.length)
        self._finish(request)

    def _chunk(self, flags: int, kind: int, cookie: int, length: int) -> None:
        request = self._waiting.get(cookie)
        if request is None or not self.export.is_structured:
            raise self._nonsense(f"a chunk for {cookie}")
        if kind == p.CHUNK_DATA and request.into is not None and length > 8:
            offset = int.from_bytes(self.wire.receive(8), "big")
            self._fill(request, offset - request.offset, length - 8)
        elif kind == p.CHUNK_HOLE and request.into is not None and length == 12:
            payload = self.wire.receive(12)
            offset = int.from_bytes(payload[:8], "big") - request.offset
            view = self._part(request, offset, int.from_bytes(payload[8:], "big"))
            view[:] = bytes(view.nbytes)
        elif kind == p.CHUNK_STATUS and request.command == p.CMD_BLOCK_STATUS:
            self._status(request, length)
        elif kind & (1 << 15) and 6 <= length <= _LONGEST_MESSAGE:
            self._fault(request, self.wire.receive(length))
        elif kind != p.CHUNK_NONE or length:
            raise self._nonsense(f"a chunk of type {kind} with {length} bytes")
        if flags & p.CHUNK_DONE:
            del self._waiting[cookie]
            self._finish(request)

    def _fill(self, request: Request, start: int, length: int) -> None:
        self.wire.receive_into(self._part(request, start, length))

    def _part(self, request: Request, start: int, length: int) -> memoryview:
        """Of the buffer; a server can never make us write elsewhere."""
        request.filled += length
        if request.into is None or start < 0 or start + length > request.into.nbytes:
            raise self._nonsense(f"{length} bytes that were not asked for")
        return request.into[start : start + length]

    def _status(self, request: Request, length: int) -> None:
        if length % 8 != 4 or not 12 <= length <= _LONGEST_STATUS:
            raise self._nonsense(f"a block status of {length} bytes")
        payload = self.wire.receive(length)
        if int.from_bytes(payload[:4], "big") != self.export.allocation:
            return
        start, end = request.offset, request.offset + request.length
        for run, state in p.DESCRIPTOR.iter_unpack(memoryview(payload)[4:]):
            if run == 0:
                raise self._nonsense("a block status of nothing")
            if start == end:
                break
            run = min(run, end - start)  # the last one may go on beyond what was asked
            kind = Kind.ZERO if state & p.STATE_ZERO else Kind.DATA
            request.extents.append(Extent(start, run, kind))
            start += run

    def _fault(self, request: Request, payload: bytes) -> None:
        error, length = p.CHUNK_FAULT.unpack(payload[:6])
        request.error = request.error or error or p.EIO
        request.message = request.message or payload[6 : 6 + length].decode(errors="replace")

    def _finish(self, request: Request) -> None:
        if request.error == p.ESHUTDOWN:
            raise ConnectionLost("the server is shutting down", path=self.wire.name)
        if request.error:
            return
        if request.into is not None and request.filled != request.length:
            raise self._nonsense(f"{request.filled} of {request.length} bytes")
        if request.command == p.CMD_BLOCK_STATUS and not request.extents:
            raise self._nonsense("no block status")

    def _nonsense(self, found: str) -> ServerUnreachable:
        return ServerUnreachable(
            "the NBD server breaks the protocol",
            path=self.wire.name,
            found=found,
            expected="replies to what was asked",
        )
