# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The content of an encrypted volume."""

from __future__ import annotations

import threading
import typing as t

from ..._device.device import Device, read
from .sectors import UNIT, SectorCipher

if t.TYPE_CHECKING:
    from ..._device.device import BlockDevice, Buffer
    from .header import Payload

_RUN = 1 << 20  # bytes that are encrypted at once


class LuksDevice(Device):
    """Decrypts what is read and encrypts what is written. Owns the container."""

    def __init__(self, container: BlockDevice, payload: Payload, key: bytes) -> None:
        self.container = container
        self.size = payload.size
        self.name = f"{getattr(container, 'name', 'disk')} (LUKS)"
        self._payload = payload
        self._sector = payload.sector
        self._cipher = SectorCipher(payload.cipher, key, payload.sector)
        self._lock = threading.Lock()  # what shares a sector is written in turn

    def readinto(self, offset: int, buffer: memoryview) -> None:
        length = self.check_range(offset, buffer.nbytes)
        start, end = self._widened(offset, offset + length)
        if (start, end) == (offset, offset + length):
            self._read_sectors(start, buffer.cast("B"))
        else:
            whole = bytearray(end - start)
            self._read_sectors(start, memoryview(whole))
            buffer[:] = memoryview(whole)[offset - start : offset - start + length]

    def _widened(self, start: int, end: int) -> tuple[int, int]:
        """To whole sectors."""
        return start // self._sector * self._sector, -(-end // self._sector) * self._sector

    def _read_sectors(self, start: int, buffer: memoryview) -> None:
        if buffer.nbytes:
            self.container.readinto(self._payload.offset + start, buffer)
            self._cipher.decrypt(self._number(start), buffer)

    def _number(self, start: int) -> int:
        return self._payload.tweak + start // UNIT

    def write(self, offset: int, data: Buffer) -> None:
        view = memoryview(data).cast("B")
        self.check_range(offset, view.nbytes)
        with self._lock:
            for done in range(0, view.nbytes, _RUN):
                self._write_run(offset + done, view[done : done + _RUN])

    def _write_run(self, offset: int, data: memoryview) -> None:
        start, end = self._widened(offset, offset + data.nbytes)
        whole = self._with_ends(start, end) if end - start > data.nbytes else bytearray(data)
        whole[offset - start : offset - start + data.nbytes] = data
        self._cipher.encrypt(self._number(start), memoryview(whole))
        self.container.write(self._payload.offset + start, whole)

    def _with_ends(self, start: int, end: int) -> bytearray:
        """Room for a run of sectors; the first and the last one as they are."""
        whole = bytearray(end - start)
        for at in sorted({start, end - self._sector}):
            whole[at - start : at - start + self._sector] = read(self, at, self._sector)
        return whole

    def zero(self, offset: int, length: int) -> None:
        """Encrypted zeros: a hole would not read as zeros."""
        self.check_range(offset, length)
        for done in range(0, length, _RUN):
            self.write(offset + done, bytes(min(_RUN, length - done)))

    def flush(self) -> None:
        self.container.flush()

    def close(self) -> None:
        self.container.close()
