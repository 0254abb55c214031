# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Hashes by the names that cryptsetup gives them, and what LUKS makes of them."""

from __future__ import annotations

import hashlib
import typing as t

from ..._device.errors import UnsupportedDisk

_OURS = {"blake2b-512": "blake2b", "blake2s-256": "blake2s"}


def new_hash(name: str, data: bytes = b"") -> t.Any:
    """Raises UnsupportedDisk for what this host does not have, or what has no certain length."""
    try:
        found = hashlib.new(python_name(name), data)
    except ValueError:
        raise _unknown(name) from None
    if not found.digest_size:
        raise _unknown(name)
    return found


def python_name(name: str) -> str:
    """What hashlib calls it."""
    return _OURS.get(name, name.replace("sha3-", "sha3_"))


def pbkdf2(name: str, secret: bytes, salt: bytes, iterations: int, length: int) -> bytes:
    """Raises UnsupportedDisk."""
    try:
        return hashlib.pbkdf2_hmac(python_name(name), secret, salt, iterations, length)
    except ValueError:
        raise _unknown(name) from None


def merge_stripes(stripes: bytes, key_size: int, hash_name: str) -> bytes:
    """The key that was split into stripes (LUKS1 on-disk format, 2.4 "Anti-forensic splitter")."""
    last = len(stripes) - key_size
    key = bytes(key_size)
    for start in range(0, last, key_size):
        key = _diffused(_xored(key, stripes[start : start + key_size]), hash_name)
    return _xored(key, stripes[last:])


def _diffused(data: bytes, hash_name: str) -> bytes:
    size = new_hash(hash_name).digest_size
    parts = []
    for number, start in enumerate(range(0, len(data), size)):
        part = data[start : start + size]
        hashed = new_hash(hash_name, number.to_bytes(4, "big") + part).digest()
        parts.append(hashed[: len(part)])
    return b"".join(parts)


def _xored(one: bytes, other: bytes) -> bytes:
    number = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return number.to_bytes(len(one), "little")


def _unknown(name: str) -> UnsupportedDisk:
    return UnsupportedDisk(
        f"needs the hash {name[:40]!r}, which Python does not have on this host",
        hint="Open it with cryptsetup on a host that can, and use what it shows.",
    )
