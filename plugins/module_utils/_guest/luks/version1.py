# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Headers of LUKS1 (LUKS1 on-disk format specification, 2.3 "the partition header")."""

from __future__ import annotations

import struct
import typing as t

from .derive import Pbkdf2
from .header import Digest, Header, Payload, Slot, damaged
from .sectors import UNIT

if t.TYPE_CHECKING:
    from ..._device.device import BlockDevice

SIZE = 592
_FIXED = struct.Struct(">6xH32s32s32sII20s32sI40s")
_SLOT = struct.Struct(">II32sII")
_ENABLED = 0x00AC71F3


def parse(raw: bytes, device: BlockDevice) -> Header:
    """Raises CorruptDisk."""
    fields = _FIXED.unpack_from(raw)
    names, numbers, uuid = fields[1:4], fields[4:9], fields[9]
    cipher, mode, hash_name = (_text(name) for name in names)
    start, key_size, digest, salt, iterations = numbers
    spec = f"{cipher}-{mode}"
    slots = []
    for number in range(8):
        state, rounds, slot_salt, place, stripes = _SLOT.unpack_from(raw, 208 + 48 * number)
        if state == _ENABLED:
            derive = Pbkdf2(hash_name, rounds, slot_salt)
            sizes = (key_size, key_size, stripes, hash_name)
            slots.append(Slot(number, derive, place * UNIT, spec, *sizes))
    size = (device.size - start * UNIT) // UNIT * UNIT
    known = Digest(Pbkdf2(hash_name, iterations, salt), digest, frozenset(range(8)))
    payload = Payload(start * UNIT, size, spec, UNIT, 0)
    return Header(1, _text(uuid), tuple(slots), (known,), payload)


def _text(field: bytes) -> str:
    try:
        return field.split(b"\0")[0].decode("ascii")
    except UnicodeDecodeError:
        raise damaged("a name that is none", field[:16]) from None
