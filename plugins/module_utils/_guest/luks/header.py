# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What the header of an encrypted volume says, whichever version it is."""

from __future__ import annotations

import typing as t

from ..._device.errors import CorruptDisk, DiskError
from .derive import Argon2, Pbkdf2
from .sectors import UNIT, require_known

if t.TYPE_CHECKING:
    from ..._device.device import BlockDevice

MAGIC = b"LUKS\xba\xbe"
_MOST_STRIPES = 4000  # there has never been another number
_MOST_SLOTS = 32  # as cryptsetup has it
_SHORTEST_DIGEST = 20  # bytes, as in LUKS1
_FIRST_AREA = 4096  # bytes; before that there is always the header itself


class Slot(t.NamedTuple):
    """One place where the volume key is kept, split, and encrypted with a key of a user."""

    number: int
    derive: Pbkdf2 | Argon2
    offset: int  # bytes
    cipher: str
    area_key: int  # bytes of the key of its area
    key: int  # bytes of the volume key
    stripes: int
    split_hash: str

    @property
    def length(self) -> int:
        """Bytes of the area that are used."""
        return -(-self.key * self.stripes // UNIT) * UNIT


class Digest(t.NamedTuple):
    """By what a volume key is known to be right."""

    derive: Pbkdf2
    value: bytes
    slots: frozenset[int]


class Payload(t.NamedTuple):
    """Where the content is and how it is encrypted."""

    offset: int
    size: int
    cipher: str
    sector: int
    tweak: int  # number of the first sector, in units of 512 bytes


class Header(t.NamedTuple):
    """Slots in the order in which they are to be tried."""

    version: int
    uuid: str
    slots: tuple[Slot, ...]
    digests: tuple[Digest, ...]
    payload: Payload


def require_sane(header: Header, device: BlockDevice) -> None:
    """Raises CorruptDisk for what cannot be, UnsupportedDisk for unknown ciphers."""
    if len(header.slots) > _MOST_SLOTS:
        raise damaged("key slots", f"{len(header.slots)} of them")
    for slot in header.slots:
        _require_sane_slot(slot, header.payload)
    if any(len(digest.value) < _SHORTEST_DIGEST for digest in header.digests):
        raise damaged("a digest", "too few bytes to know a key by")
    payload = header.payload
    tweaks = range((1 << 64) - payload.size // UNIT)
    if payload.sector not in (512, 1024, 2048, 4096) or payload.tweak not in tweaks:
        raise damaged("the content", f"sectors of {payload.sector} bytes from {payload.tweak}")
    if payload.size <= 0 or payload.size % payload.sector or payload.offset < _FIRST_AREA:
        raise damaged("the content", f"{payload.size} bytes at byte {payload.offset}")
    if payload.offset + payload.size > device.size:
        raise damaged("the content", f"{payload.size} bytes at {payload.offset} of {device.size}")


def _require_sane_slot(slot: Slot, payload: Payload) -> None:
    name = f"key slot {slot.number}"
    if not 0 < slot.stripes <= _MOST_STRIPES:
        raise damaged(name, f"{slot.stripes} stripes of {slot.key} bytes")
    require_known(slot.cipher, slot.area_key)
    require_known(payload.cipher, slot.key)
    if slot.offset < _FIRST_AREA or slot.offset + slot.length > payload.offset:
        raise damaged(name, f"it lies at byte {slot.offset}")


def damaged(what: str, found: object) -> DiskError:
    """The error for a header that contradicts itself."""
    return CorruptDisk(
        f"the LUKS header is damaged: {what}",
        found=found,
        hint="Restore it in a copy of the disk with cryptsetup luksHeaderRestore or repair.",
    )
