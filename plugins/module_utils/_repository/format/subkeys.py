# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What is derived from the master key; without one, the plain hashes that take its place."""

from __future__ import annotations

import hmac
import typing as t

from ..._device.errors import InvalidRequest
from ..libraries import require

MASTER_BYTES = 32
_INFO_ID = b"vdisk chunk id"
_INFO_SIGN = b"vdisk signature"
_INFO_PACK = b"vdisk pack"
_INFO_DOCUMENT = b"vdisk document"


class SubKeys:
    """`master` is None for a repository that is not encrypted."""

    def __init__(self, master: bytes | None) -> None:
        self.master = master
        self._blake3 = require("blake3").blake3
        self._id_key = None if master is None else derive(master, b"", _INFO_ID)
        self._sign_key = None if master is None else derive(master, b"", _INFO_SIGN)

    @property
    def encrypted(self) -> bool:
        return self.master is not None

    def identify(self, data: t.Any) -> bytes:
        """The id of some content, 32 bytes: BLAKE3, keyed where the repository is encrypted."""
        if self._id_key is None:
            return t.cast("bytes", self._blake3(data).digest())
        return t.cast("bytes", self._blake3(data, key=self._id_key).digest())

    def sign(self, body: bytes) -> str:
        """64 hexadecimal digits: HMAC-SHA256, or BLAKE3 where there is no key."""
        if self._sign_key is None:
            return checksum(body)
        return hmac.new(self._sign_key, body, "sha256").hexdigest()

    def pack_key(self, salt: bytes) -> bytes:
        """The AES-256 key of one pack. Only for encrypted repositories."""
        return self._derive(salt, _INFO_PACK)

    def document_key(self, salt: bytes) -> bytes:
        """The AES-256 key of one document. Only for encrypted repositories."""
        return self._derive(salt, _INFO_DOCUMENT)

    def _derive(self, salt: bytes, info: bytes) -> bytes:
        if self.master is None:
            raise InvalidRequest("a repository that is not encrypted has no keys")
        return derive(self.master, salt, info)


def checksum(body: bytes) -> str:
    """The signature of documents that no key protects."""
    return t.cast("str", require("blake3").blake3(body).hexdigest())


def derive(master: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869), 32 bytes."""
    hashes = require("cryptography.hazmat.primitives.hashes")
    hkdf = require("cryptography.hazmat.primitives.kdf.hkdf")
    kdf = hkdf.HKDF(algorithm=hashes.SHA256(), length=MASTER_BYTES, salt=salt, info=info)
    return t.cast("bytes", kdf.derive(master))
