# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Ciphers of dm-crypt: each sector is encrypted by itself, its number makes it different.

Names of ciphers are those of dm-crypt, as in aes-xts-plain64 (cryptsetup(8), "Notes on block
cipher modes"; Documentation/admin-guide/device-mapper/dm-crypt.rst of Linux).
"""

from __future__ import annotations

import typing as t

from ..._device.errors import CorruptDisk, UnsupportedDisk
from .hashes import new_hash
from .libcrypto import libcrypto
from .libraries import require

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Numbering: t.TypeAlias = "Callable[[int], bytes]"

UNIT = 512  # bytes; sectors are numbered in these, also where they are larger
_KEY_BYTES = {"xts": (32, 64), "cbc": (16, 24, 32)}


class SectorCipher:
    """Raises UnsupportedDisk for what is not taught here, CorruptDisk, MissingLibrary."""

    def __init__(self, spec: str, key: bytes, sector_size: int = UNIT) -> None:
        self._mode, numbering = require_known(spec, len(key))
        if self._mode == "xts" and key[: len(key) // 2] == key[len(key) // 2 :]:
            raise CorruptDisk("the two halves of the key are one, which XTS does not allow")
        self._key = key
        self._sector_size = sector_size
        self._numbered = _numbering(numbering, key)
        self._library = libcrypto()

    def __repr__(self) -> str:
        return f"SectorCipher({self._mode}, key hidden)"

    def encrypt(self, first: int, buffer: memoryview) -> None:
        """Whole sectors in place; `first` is the number of the first, in units of 512 bytes."""
        self._crypt(first, buffer, encrypt=True)

    def decrypt(self, first: int, buffer: memoryview) -> None:
        """The same, back."""
        self._crypt(first, buffer, encrypt=False)

    def _crypt(self, first: int, buffer: memoryview, *, encrypt: bool) -> None:
        size, sectors = self._sector_size, self._sectors(first, buffer.nbytes)
        if self._library is None:
            self._crypt_slowly(sectors, buffer, encrypt=encrypt)
        elif buffer.nbytes:
            self._library.crypt(self._mode, self._key, sectors, buffer, size, encrypt=encrypt)

    def _sectors(self, first: int, length: int) -> Iterator[tuple[bytes, int]]:
        """(initial vector, where it begins) of each."""
        for start in range(0, length, self._sector_size):
            yield self._numbered(first + start // UNIT), start

    def _crypt_slowly(
        self, sectors: Iterable[tuple[bytes, int]], buffer: memoryview, *, encrypt: bool
    ) -> None:
        ciphers = require("ciphers")
        algorithm = ciphers.algorithms.AES(self._key)
        mode = ciphers.modes.XTS if self._mode == "xts" else ciphers.modes.CBC
        for vector, start in sectors:
            cipher = ciphers.Cipher(algorithm, mode(vector))
            context = cipher.encryptor() if encrypt else cipher.decryptor()
            end = start + self._sector_size
            buffer[start:end] = context.update(buffer[start:end])


def require_known(spec: str, key_size: int) -> tuple[str, str]:
    """(mode, numbering) of what looks like aes-xts-plain64. Raises UnsupportedDisk, CorruptDisk."""
    cipher, _dash, rest = spec.partition("-")
    mode, _dash, numbering = rest.partition("-")
    known = numbering in _NUMBERINGS or numbering.startswith("essiv:")
    if cipher != "aes" or mode not in _KEY_BYTES or not known:
        raise UnsupportedDisk(
            f"is encrypted with {spec[:60]!r}",
            expected="aes-xts-plain64, or AES in another way that cryptsetup makes by itself",
            hint="Open it with cryptsetup on a host that can, and use what it shows.",
        )
    if key_size not in _KEY_BYTES[mode]:
        raise CorruptDisk(f"a key of {8 * key_size} bits does not fit {spec[:60]}")
    return mode, numbering


def _numbering(name: str, key: bytes) -> Numbering:
    if name in _NUMBERINGS:
        return _NUMBERINGS[name]
    return _essiv(name.removeprefix("essiv:"), key)


def _plain(number: int) -> bytes:
    return (number & 0xFFFFFFFF).to_bytes(16, "little")


def _plain64(number: int) -> bytes:
    return number.to_bytes(16, "little")


def _plain64be(number: int) -> bytes:
    return number.to_bytes(16, "big")


_NUMBERINGS = {"plain": _plain, "plain64": _plain64, "plain64be": _plain64be}


def _essiv(hash_name: str, key: bytes) -> Numbering:
    """The number, encrypted with a hash of the key."""
    ciphers = require("ciphers")
    hashed = new_hash(hash_name, key).digest()
    if len(hashed) not in _KEY_BYTES["cbc"]:
        raise UnsupportedDisk(f"numbers its sectors by {hash_name[:40]}, which is no key of AES")
    algorithm = ciphers.algorithms.AES(hashed)
    update = ciphers.Cipher(algorithm, ciphers.modes.ECB()).encryptor().update
    return lambda number: update(_plain64(number))
