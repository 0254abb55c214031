# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The libcrypto that Python itself is linked to, for AES in many short runs.

Each sector starts anew, and the cryptography library makes some Python objects for that: a third
of the throughput with sectors of 512 bytes. Interface: EVP_EncryptInit(3) of OpenSSL 1.1 and 3.
"""

from __future__ import annotations

import ctypes
import functools
import typing as t

from ..._device.errors import DiskIOError

if t.TYPE_CHECKING:
    from collections.abc import Iterable

_NAMES = ("libcrypto.so.3", "libcrypto.so.1.1")
_POINTER, _INT, _BYTES = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p


class LibCrypto:
    """Raises AttributeError where it is another library."""

    def __init__(self, library: ctypes.PyDLL) -> None:
        self._ciphers = {
            (mode, bits): _function(library, f"EVP_aes_{bits}_{mode}", _POINTER)
            for mode, bits in (("xts", 128), ("xts", 256), ("cbc", 128), ("cbc", 192), ("cbc", 256))
        }
        self._new = _function(library, "EVP_CIPHER_CTX_new", _POINTER)
        self._free = _function(library, "EVP_CIPHER_CTX_free", None, _POINTER)
        self._pad = _function(library, "EVP_CIPHER_CTX_set_padding", _INT, _POINTER, _INT)
        settings = (_POINTER, _POINTER, _POINTER, _BYTES, _BYTES, _INT)
        self._init = _function(library, "EVP_CipherInit_ex", _INT, *settings)
        places = (_POINTER, _POINTER, _POINTER, _POINTER, _INT)
        self._update = _function(library, "EVP_CipherUpdate", _INT, *places)

    def crypt(
        self,
        mode: str,
        key: bytes,
        sectors: Iterable[tuple[bytes, int]],
        buffer: memoryview,
        size: int,
        *,
        encrypt: bool,
    ) -> None:
        """In place. `sectors`: the initial vector of each, and where it begins."""
        bits = len(key) * (4 if mode == "xts" else 8)
        start = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
        done = ctypes.byref(ctypes.c_int())
        context = self._new()
        try:
            cipher = self._ciphers[mode, bits]()
            works = self._init(context, cipher, None, key, None, int(encrypt))
            works &= self._pad(context, 0)
            for vector, offset in sectors:
                at = start + offset
                works &= self._init(context, None, None, None, vector, -1)
                works &= self._update(context, at, done, at, size)
        finally:
            self._free(context)
        if works != 1:
            raise DiskIOError(f"libcrypto refuses AES-{mode.upper()} of {bits} bits on this host")


def _function(library: ctypes.PyDLL, name: str, result: t.Any, *arguments: t.Any) -> t.Any:
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


@functools.cache
def libcrypto() -> LibCrypto | None:
    """None where there is none that is known."""
    for name in _NAMES:
        try:
            return LibCrypto(ctypes.PyDLL(name))
        except (OSError, AttributeError):
            continue
    return None
