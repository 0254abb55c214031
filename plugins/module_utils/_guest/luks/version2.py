# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Headers of LUKS2 (LUKS2 on-disk format specification): two copies of a binary part with JSON."""

from __future__ import annotations

import base64
import json
import struct
import typing as t

from ..._device.device import read
from ..._device.errors import UnsupportedDisk
from .derive import Argon2, Pbkdf2
from .hashes import new_hash
from .header import MAGIC, Digest, Header, Payload, Slot, damaged

if t.TYPE_CHECKING:
    from ..._device.device import BlockDevice

    Json: t.TypeAlias = "dict[str, t.Any]"

_BINARY = struct.Struct(">6sHQQ48s32s64s40s48sQ184x64s")  # 2.1
_SECOND_MAGIC = b"SKUL\xba\xbe"
_CHECKSUM = slice(448, 512)
_SIZES = tuple(0x4000 << shift for shift in range(9))  # 16 KiB to 4 MiB, 2.2
_BINARY_SIZE = 4096
_HINT = "Open it with cryptsetup on a host that can, and use what it shows."


class _Bad(Exception):
    """Why a copy is not to be believed."""


class _Copy(t.NamedTuple):
    sequence: int
    uuid: str
    areas: Json


def parse(device: BlockDevice) -> Header:
    """From the newer of the copies that are sound. Raises CorruptDisk, UnsupportedDisk."""
    copies, problems = [], []
    for offset in (0, *_SIZES):
        try:
            copies.append(_read_copy(device, offset))
        except _Bad as bad:
            problems.append(f"at byte {offset}: {bad}")
    if not copies:
        raise damaged("no copy is sound", "; ".join(problems[:2]))
    newest = max(copies, key=lambda each: each.sequence)
    try:
        return _header(newest, device)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise damaged("its description cannot be understood", repr(error)) from error


def _read_copy(device: BlockDevice, offset: int) -> _Copy:
    if offset + _BINARY_SIZE > device.size:
        raise _Bad("beyond the end of the volume")
    raw = bytearray(read(device, offset, _BINARY_SIZE))
    magic, version, size, sequence, _label, name, _salt, uuid, _system, own, checksum = (
        _BINARY.unpack_from(raw)
    )
    if magic != (_SECOND_MAGIC if offset else MAGIC) or version != 2:
        raise _Bad("no header")
    if size not in _SIZES or own != offset or offset not in (0, size):
        raise _Bad(f"a header of {size} bytes that says it is at byte {own}")
    if offset + size > device.size:
        raise _Bad("beyond the end of the volume")
    raw += read(device, offset + _BINARY_SIZE, size - _BINARY_SIZE)
    raw[_CHECKSUM] = bytes(64)
    found = new_hash(_text(name), bytes(raw)).digest()
    if checksum[: len(found)] != found:
        raise _Bad("the checksum does not fit")
    try:
        areas = json.loads(raw[_BINARY_SIZE:].split(b"\0")[0])
    except (ValueError, RecursionError) as error:
        raise _Bad("its JSON cannot be read") from error
    return _Copy(sequence, _text(uuid), areas)


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("ascii", "replace")


def _header(copy: _Copy, device: BlockDevice) -> Header:
    areas = copy.areas
    _require_plain(areas)
    slots = [_slot(int(number), each) for number, each in areas["keyslots"].items()]
    digests = tuple(_digest(each) for each in areas["digests"].values() if "0" in each["segments"])
    priority = {int(number): each.get("priority", 1) for number, each in areas["keyslots"].items()}
    slots.sort(key=lambda slot: (-priority[slot.number], slot.number))
    payload = _payload(areas["segments"]["0"], device)
    return Header(2, copy.uuid, tuple(slots), digests, payload)


def _require_plain(areas: Json) -> None:
    """Raises UnsupportedDisk for what is under way, or protected in more ways than one."""
    needed = areas["config"].get("requirements", {}).get("mandatory", [])
    kinds = {each["type"] for each in areas["keyslots"].values()}
    if any("reencrypt" in need for need in needed) or "reencrypt" in kinds:
        raise UnsupportedDisk(
            "is being encrypted anew, and that was never finished",
            found=", ".join(map(str, needed))[:200] or None,
            hint="Finish it first: cryptsetup reencrypt --resume-only.",
        )
    if needed:
        raise _unsupported(f"needs {', '.join(map(str, needed))}")
    if kinds - {"luks2"}:
        raise _unsupported(f"has key slots of type {', '.join(sorted(kinds))}")
    if areas["segments"].keys() != {"0"}:
        raise _unsupported(f"has {len(areas['segments'])} segments instead of one")


def _payload(segment: Json, device: BlockDevice) -> Payload:
    if segment["type"] != "crypt":
        raise _unsupported(f"has a segment of type {segment['type']}")
    if "integrity" in segment:
        kind = segment["integrity"].get("type", "unknown")
        raise _unsupported(f"has its integrity protected by {kind}, which takes dm-integrity")
    offset, sector = int(segment["offset"]), int(segment["sector_size"])
    size = segment["size"]
    if size == "dynamic":
        size = (device.size - offset) // sector * sector
    return Payload(offset, int(size), str(segment["encryption"]), sector, int(segment["iv_tweak"]))


def _slot(number: int, slot: Json) -> Slot:
    area, split = slot["area"], slot["af"]
    if area["type"] != "raw" or split["type"] != "luks1":
        raise _unsupported(f"keeps its keys in areas of type {area['type']}, {split['type']}")
    return Slot(
        number,
        _derivation(slot["kdf"]),
        offset=int(area["offset"]),
        cipher=str(area["encryption"]),
        area_key=int(area["key_size"]),
        key=int(slot["key_size"]),
        stripes=int(split["stripes"]),
        split_hash=str(split["hash"]),
    )


def _derivation(facts: Json) -> Pbkdf2 | Argon2:
    salt = base64.b64decode(facts["salt"], validate=True)
    if facts["type"] == "pbkdf2":
        return Pbkdf2(str(facts["hash"]), int(facts["iterations"]), salt)
    if facts["type"] not in ("argon2i", "argon2id"):
        raise _unsupported(f"derives its keys by {facts['type']}")
    return Argon2(facts["type"], int(facts["time"]), int(facts["memory"]), int(facts["cpus"]), salt)


def _digest(facts: Json) -> Digest:
    if facts["type"] != "pbkdf2":
        raise _unsupported(f"knows its key by {facts['type']}")
    salt = base64.b64decode(facts["salt"], validate=True)
    value = base64.b64decode(facts["digest"], validate=True)
    derive = Pbkdf2(str(facts["hash"]), int(facts["iterations"]), salt)
    return Digest(derive, value, frozenset(map(int, facts["keyslots"])))


def _unsupported(what: str) -> UnsupportedDisk:
    return UnsupportedDisk(
        f"is encrypted in a way that is not known here: it {what[:200]}", hint=_HINT
    )
