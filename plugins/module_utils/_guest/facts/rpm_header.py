# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The header of an rpm package, as its databases keep it (rpm's manual, "Package format")."""

from __future__ import annotations

import struct
import typing as t

from .package import Package

if t.TYPE_CHECKING:
    from collections.abc import Mapping

_SIZES = struct.Struct(">II")  # entries of the index, bytes of data
_ENTRY = struct.Struct(">IIII")  # tag, type, offset, count
_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH, _SOURCE = 1000, 1001, 1002, 1003, 1022, 1044
_INT32, _STRINGS = 4, (6, 9)  # types: a number, a string, a translated string


def package_of(blob: bytes) -> Package | None:
    """None for what is no header, and for the keys that rpm keeps among the packages."""
    tags = _tags(blob)
    name = tags.get(_NAME)
    if not name or name == "gpg-pubkey":
        return None
    version = f"{tags.get(_VERSION, '')}-{tags.get(_RELEASE, '')}"
    epoch = tags.get(_EPOCH)
    return Package(
        name,
        version if epoch is None else f"{epoch}:{version}",
        tags.get(_ARCH, "(none)"),
        "rpm",
        tags.get(_SOURCE, ""),
    )


def _tags(blob: bytes) -> Mapping[int, str]:
    if len(blob) < _SIZES.size:
        return {}
    count, length = _SIZES.unpack_from(blob)
    start = _SIZES.size + count * _ENTRY.size
    if start + length > len(blob):
        return {}
    data, found = blob[start : start + length], {}
    for tag, kind, offset, _count in _ENTRY.iter_unpack(blob[_SIZES.size : start]):
        if tag in (_NAME, _VERSION, _RELEASE, _ARCH, _SOURCE) and kind in _STRINGS:
            found[tag] = data[offset:].partition(b"\0")[0].decode(errors="replace")
        elif tag == _EPOCH and kind == _INT32:
            found[tag] = str(int.from_bytes(data[offset : offset + 4], "big"))
    return found
