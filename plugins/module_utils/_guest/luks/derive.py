# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""From a passphrase to a key: PBKDF2, and Argon2 where a library has it."""

from __future__ import annotations

import importlib
import typing as t

from ..._device.errors import MissingLibrary, NoSpace, UnsupportedDisk
from .hashes import pbkdf2

_MOST_ITERATIONS = 100_000_000  # of PBKDF2: about a minute
_MOST_MEMORY = 4 << 20  # KiB, as cryptsetup itself has it
_MOST_WORK = 64 << 20  # KiB times passes: about a minute
_LIBRARIES = ("cryptography.hazmat.primitives.kdf.argon2", "argon2.low_level")


class Pbkdf2(t.NamedTuple):
    """RFC 8018, 5.2."""

    hash_name: str
    iterations: int
    salt: bytes

    def derive(self, secret: bytes, length: int) -> bytes:
        """Raises UnsupportedDisk for a hash that is not there, and for what would never end."""
        if not 0 < self.iterations <= _MOST_ITERATIONS:
            raise _absurd(f"{self.iterations} iterations of PBKDF2")
        return pbkdf2(self.hash_name, secret, self.salt, self.iterations, length)


class Argon2(t.NamedTuple):
    """RFC 9106."""

    variant: str  # argon2i or argon2id
    passes: int
    memory: int  # KiB
    lanes: int
    salt: bytes

    def derive(self, secret: bytes, length: int) -> bytes:
        """Raises MissingLibrary, NoSpace, and UnsupportedDisk for what would never end."""
        if not (0 < self.lanes <= 64 and 8 * self.lanes <= self.memory <= _MOST_MEMORY):
            raise _absurd(f"{self.memory} KiB of memory in {self.lanes} lanes")
        if not 0 < self.passes * self.memory <= _MOST_WORK:
            raise _absurd(f"{self.passes} passes over {self.memory} KiB")
        try:
            return _argon2(self, secret, length)
        except MemoryError:
            needed = f"{self.memory >> 10} MiB free"
            raise NoSpace("there is too little memory to try a key", expected=needed) from None


def _argon2(wanted: Argon2, secret: bytes, length: int) -> bytes:
    for name, derive in zip(_LIBRARIES, (_by_cryptography, _by_argon2_cffi), strict=True):
        try:
            return derive(importlib.import_module(name), wanted, secret, length)
        except (ImportError, AttributeError):  # old ones have not, or not this variant
            continue
    raise MissingLibrary(
        f"this key slot needs {wanted.variant}, which cryptography has from 44 on",
        hint="Install it on this host: python3 -m pip install 'cryptography>=44', or argon2-cffi",
    )


def _by_cryptography(library: t.Any, wanted: Argon2, secret: bytes, length: int) -> bytes:
    kind = library.Argon2id if wanted.variant == "argon2id" else library.Argon2i
    unsupported = importlib.import_module("cryptography.exceptions").UnsupportedAlgorithm
    numbers = {"iterations": wanted.passes, "lanes": wanted.lanes, "memory_cost": wanted.memory}
    try:
        return bytes(kind(salt=wanted.salt, length=length, **numbers).derive(secret))
    except unsupported as error:
        raise ImportError("it was built over an old OpenSSL") from error


def _by_argon2_cffi(library: t.Any, wanted: Argon2, secret: bytes, length: int) -> bytes:
    kind = library.Type.ID if wanted.variant == "argon2id" else library.Type.I
    numbers = (wanted.passes, wanted.memory, wanted.lanes, length)
    return bytes(library.hash_secret_raw(secret, wanted.salt, *numbers, kind))


def _absurd(found: str) -> UnsupportedDisk:
    return UnsupportedDisk(
        "a key slot asks for more work than any that cryptsetup makes",
        found=found,
        hint="Whoever made it wants to keep this host busy; look at it with cryptsetup luksDump.",
    )
