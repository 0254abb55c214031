# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A disk sent to a host as a streamOptimized VMDK that never is a file."""

from __future__ import annotations

import contextlib
import http.client
import typing as t

from ..._device.errors import InvalidRequest, TransportUnavailable
from ..._device.files import File
from ..._vmdk.descriptor.extent_line import ExtentLine
from ..._vmdk.descriptor.new import new_descriptor
from ..._vmdk.extents.header import MAGIC, SECTOR
from ..._vmdk.stream.writer import StreamWriter
from .link import BROKEN

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..._device.device import Buffer
    from .link import Link

_OK = (http.client.OK, http.client.CREATED, http.client.NO_CONTENT)


class Upload:
    """`target` takes the content. The host has it when finish() returns."""

    def __init__(self, link: Link, size: int, name: str) -> None:
        """Raises DiskError."""
        self.name, self._link = name, link
        self._connection = link.connect()
        try:
            self._begin()
            pipe = _Pipe(name, self._send)
            self.target = StreamWriter(pipe, size // SECTOR, _descriptor(size))
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._connection.close()

    def finish(self) -> None:
        """Raises DiskError where the host did not like it."""
        self.target.finish()
        self._send(b"")
        try:
            self._judge()
        except BROKEN as error:
            raise self._link.broken(error) from error

    def _send(self, data: bytes) -> None:
        """One chunk; an empty one is the last. A host that refuses says so and closes; its answer
        tells more than our broken pipe."""
        try:
            self._connection.send(b"%x\r\n%b\r\n" % (len(data), data))
        except BROKEN as error:
            with contextlib.suppress(*BROKEN):
                self._judge()
            raise self._link.broken(error) from error

    def _judge(self) -> None:
        answer = self._connection.getresponse()
        words = answer.read(300).decode("utf-8", "replace")
        if answer.status not in _OK:
            raise TransportUnavailable(
                f"the host {self._link.at.hostname} does not take the disk:"
                f" {answer.status} {answer.reason}",
                path=self.name,
                found=words or None,
            )

    def _begin(self) -> None:
        try:
            self._connection.putrequest("POST", self._link.path)
            self._connection.putheader("Content-Type", "application/x-vnd.vmware-streamVmdk")
            self._connection.putheader("Transfer-Encoding", "chunked")
            self._connection.endheaders()
        except BROKEN as error:
            raise self._link.broken(error) from error


class _Pipe(File):
    """What a StreamWriter writes to: only ever behind what it has written. Its magic, which makes a
    file a disk at the very end, is sent as it shall be, since half an upload is no disk anyway."""

    def __init__(self, name: str, send: Callable[[bytes], None]) -> None:
        self.path, self.writable = name, True
        self._send = send
        self._end = 0

    def write(self, offset: int, data: Buffer) -> None:
        content = bytes(data)
        if offset == 0 and self._end:
            return  # the magic
        if offset != self._end:
            raise InvalidRequest("a stream is written front to back", path=self.path)
        if offset == 0:
            content = MAGIC + content[len(MAGIC) :]
        self._send(content)
        self._end += len(content)

    def flush(self) -> None:
        """Nothing is durable before the host says so."""

    def close(self) -> None:
        """The connection is closed by whoever opened it."""


def _descriptor(size: int) -> bytes:
    line = ExtentLine("RW", size // SECTOR, "SPARSE", "disk.vmdk")
    text = new_descriptor(
        "streamOptimized", [line], adapter_type="lsilogic", hw_version=13, metadata={}
    )
    return text.to_bytes()
