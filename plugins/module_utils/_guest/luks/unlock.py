# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Encrypted volumes: their headers read, their keys tried."""

from __future__ import annotations

import dataclasses
import hmac
import struct
import time
import typing as t

from ..._device.device import read
from ..._device.errors import UnsupportedDisk
from . import version1, version2
from .device import LuksDevice
from .hashes import merge_stripes
from .header import MAGIC, Payload, damaged, require_sane
from .sectors import SectorCipher

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._device.device import BlockDevice
    from ..assembled import Source
    from .header import Header, Slot
    from .secret import Secret


@dataclasses.dataclass(frozen=True)
class Unlocked:
    """What is inside, as a Source."""

    container: Source
    payload: Payload
    key: bytes = dataclasses.field(repr=False)
    place: None = None

    @property
    def size(self) -> int:
        return self.payload.size

    def open(self, disks: Sequence[BlockDevice]) -> BlockDevice:
        return LuksDevice(self.container.open(disks), self.payload, self.key)


def read_header(device: BlockDevice) -> Header:
    """Raises CorruptDisk, UnsupportedDisk."""
    raw = bytes(read(device, 0, min(version1.SIZE, device.size))).ljust(version1.SIZE, b"\0")
    (version,) = struct.unpack_from(">H", raw, len(MAGIC))
    if raw[: len(MAGIC)] != MAGIC:
        raise damaged("the beginning", raw[: len(MAGIC)])
    if version not in (1, 2):
        raise UnsupportedDisk(f"is encrypted by LUKS version {version}", expected="version 1 or 2")
    header = version1.parse(raw, device) if version == 1 else version2.parse(device)
    require_sane(header, device)
    return header


def find_key(
    device: BlockDevice, header: Header, keys: Sequence[Secret], deadline: float
) -> bytes | None:
    """The volume key; None where nothing opens any slot. Takes a second or so for each slot.

    `deadline`: of time.monotonic(). Raises MissingLibrary, NoSpace, UnsupportedDisk.
    """
    for slot in header.slots:
        for variant in [each for secret in keys for each in secret.variants()]:
            if time.monotonic() > deadline:
                raise UnsupportedDisk("took so long to be tried with keys that we have given up")
            candidate = _candidate(device, slot, variant)
            if _is_right(header, slot, candidate):
                return candidate
    return None


def _candidate(device: BlockDevice, slot: Slot, secret: bytes) -> bytes:
    cipher = SectorCipher(slot.cipher, slot.derive.derive(secret, slot.area_key))
    area = read(device, slot.offset, slot.length)
    cipher.decrypt(0, memoryview(area))
    return merge_stripes(bytes(area[: slot.key * slot.stripes]), slot.key, slot.split_hash)


def _is_right(header: Header, slot: Slot, candidate: bytes) -> bool:
    for digest in header.digests:
        if slot.number in digest.slots:
            found = digest.derive.derive(candidate, len(digest.value))
            return hmac.compare_digest(found, digest.value)
    return False
