# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Answering the requests of one client."""

from __future__ import annotations

import contextlib
import itertools
import struct
import typing as t

from ..._device.errors import NoSpace, ReadOnlyDisk
from ..._device.extent import Kind, merge
from ..._device.zeros import ZEROS
from . import protocol as p
from .offer import LARGEST

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..._device.device import Buffer
    from .offer import Agreed, Offer
    from .wire import Wire

_MOST_RUNS = 8192  # of one block status; the client asks on
_KEPT = 2 << 20  # bytes of a buffer for the next request
_HOLE = p.STATE_HOLE | p.STATE_ZERO


class _Refused(Exception):
    """A request that is wrong in itself."""

    def __init__(self, error: int) -> None:
        super().__init__(error)
        self.error = error


class Answering:
    """One request after the other; those of several clients run at the same time."""

    def __init__(self, wire: Wire, offer: Offer, agreed: Agreed) -> None:
        self.wire = wire
        self.offer = offer
        self.device = offer.device
        self.agreed = agreed
        self._buffer = bytearray()
        self._changing = (
            offer.lock.shared
            if getattr(offer.device, "writes_in_parallel", False)
            else offer.lock.alone
        )
        self._commands: dict[int, Callable[[int, int, int], Buffer]] = {
            p.CMD_READ: self._read,
            p.CMD_WRITE: self._write,
            p.CMD_FLUSH: self._flush,
            p.CMD_TRIM: self._trim,
            p.CMD_WRITE_ZEROES: self._write_zeros,
            p.CMD_BLOCK_STATUS: self._block_status,
        }

    def run(self) -> None:
        """Until the client leaves, or talks nonsense. Raises ConnectionLost."""
        while True:
            head = p.REQUEST.unpack(self.wire.receive(p.REQUEST.size))
            magic, flags, command, cookie, offset, length = head
            too_long = command == p.CMD_WRITE and length > LARGEST
            if magic != p.REQUEST_MAGIC or command == p.CMD_DISC or too_long:
                return
            if command == p.CMD_WRITE:
                self.wire.receive_into(self._room(length))
            self._answer(command, flags, cookie, offset, length)

    def _room(self, length: int) -> memoryview:
        """A buffer of that length, until the next request."""
        if length > len(self._buffer):
            self._buffer = bytearray(length)
        elif len(self._buffer) > max(_KEPT, length):
            self._buffer = bytearray(max(_KEPT, length))
        return memoryview(self._buffer)[:length]

    def _answer(self, command: int, flags: int, cookie: int, offset: int, length: int) -> None:
        try:
            self._check(command, offset, length)
            content = self._commands[command](flags, offset, length)
        except _Refused as refused:
            self._reply_error(cookie, refused.error, "the request is not valid")
        except Exception as error:
            writes = command not in (p.CMD_READ, p.CMD_BLOCK_STATUS)
            what = f"{p.COMMANDS[command]} {length} bytes at byte {offset}"
            self.offer.note(what, error, write=writes)
            self._reply_error(cookie, _number(error), str(error))
        else:
            self._reply(command, cookie, offset, content)

    def _check(self, command: int, offset: int, length: int) -> None:
        if command not in self._commands:
            raise _Refused(p.EINVAL)
        if command == p.CMD_FLUSH:
            return
        changes = command not in (p.CMD_READ, p.CMD_BLOCK_STATUS)
        if changes and self.offer.read_only:
            raise _Refused(p.EPERM)
        if offset + length > self.device.size:
            raise _Refused(p.ENOSPC if changes else p.EINVAL)
        if command == p.CMD_READ and length > LARGEST:
            raise _Refused(p.EOVERFLOW)

    # Commands: flags, offset, length -> what is sent with the reply

    def _read(self, _flags: int, offset: int, length: int) -> Buffer:
        room = self._room(length)
        with self.offer.lock.shared():
            self.device.readinto(offset, room)
        return room

    def _write(self, flags: int, offset: int, length: int) -> Buffer:
        with self._changed(flags):
            self.device.write(offset, memoryview(self._buffer)[:length])
        return b""

    def _flush(self, _flags: int, _offset: int, _length: int) -> Buffer:
        if not self.offer.read_only:
            with self.offer.lock.alone():
                self.device.flush()
        return b""

    def _trim(self, flags: int, offset: int, length: int) -> Buffer:
        with self._changed(flags):
            self.device.zero(offset, length)
        return b""

    def _write_zeros(self, flags: int, offset: int, length: int) -> Buffer:
        with self._changed(flags):
            if not flags & p.FLAG_NO_HOLE:
                self.device.zero(offset, length)
                return b""
            for at in range(offset, offset + length, len(ZEROS)):
                part = memoryview(ZEROS)[: min(len(ZEROS), offset + length - at)]
                self.device.write(at, part)
        return b""

    @contextlib.contextmanager
    def _changed(self, flags: int) -> t.Iterator[None]:
        with self._changing():
            yield
        if flags & p.FLAG_FUA:
            self._flush(0, 0, 0)

    def _block_status(self, flags: int, offset: int, length: int) -> Buffer:
        if self.agreed.allocation is None or not length:
            raise _Refused(p.EINVAL)
        most = 1 if flags & p.FLAG_REQ_ONE else _MOST_RUNS
        with self.offer.lock.shared():
            runs = list(itertools.islice(merge(self.device.extents(offset, length)), most))
        states = (
            p.DESCRIPTOR.pack(run.length, _HOLE if run.kind is Kind.ZERO else 0) for run in runs
        )
        return struct.pack(">I", self.agreed.allocation) + b"".join(states)

    # Replies

    def _reply(self, command: int, cookie: int, offset: int, content: Buffer) -> None:
        if not self.agreed.is_structured:
            self.wire.send(p.SIMPLE_REPLY.pack(p.SIMPLE_MAGIC, 0, cookie), content)
        elif not content:
            self._chunk(p.CHUNK_NONE, cookie)
        elif command == p.CMD_BLOCK_STATUS:
            self._chunk(p.CHUNK_STATUS, cookie, content)
        else:
            self._chunk(p.CHUNK_DATA, cookie, content, struct.pack(">Q", offset))

    def _reply_error(self, cookie: int, error: int, message: str) -> None:
        if not self.agreed.is_structured:
            self.wire.send(p.SIMPLE_REPLY.pack(p.SIMPLE_MAGIC, error, cookie))
            return
        text = message.encode()[: p.LONGEST_STRING]
        self._chunk(p.CHUNK_ERROR, cookie, p.CHUNK_FAULT.pack(error, len(text)) + text)

    def _chunk(self, kind: int, cookie: int, content: Buffer = b"", before: bytes = b"") -> None:
        length = len(before) + memoryview(content).nbytes
        head = p.CHUNK.pack(p.CHUNK_MAGIC, p.CHUNK_DONE, kind, cookie, length)
        self.wire.send(head + before, content)


def _number(error: Exception) -> int:
    """What the protocol calls it."""
    if isinstance(error, NoSpace):
        return p.ENOSPC
    if isinstance(error, MemoryError):
        return p.ENOMEM
    return p.EPERM if isinstance(error, ReadOnlyDisk) else p.EIO
