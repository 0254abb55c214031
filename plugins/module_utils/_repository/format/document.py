# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Documents that only the holder of a key can read: docs/repository-format.md, "Documents"."""

from __future__ import annotations

import json
import os
import typing as t

from ..._device.errors import RepositoryDamaged
from ..libraries import require
from .sealed import Members, parse, seal, unseal

if t.TYPE_CHECKING:
    from .config import Config
    from .subkeys import SubKeys

_MAGIC = b"VBD1"
_SALT = 32
_HEADER = len(_MAGIC) + _SALT
_NONCE = bytes(12)  # every document has its own key
_LARGEST = 1 << 30  # bytes of a decompressed document


def write_document(key: str, facts: dict[str, t.Any], subkeys: SubKeys) -> bytes:
    """The bytes of the object `key`: encrypted, or signed where there is no key."""
    if not subkeys.encrypted:
        return seal(facts, subkeys.sign)
    body = json.dumps(facts, ensure_ascii=True, allow_nan=False).encode()
    frame = require("zstandard").ZstdCompressor(level=3).compress(body)
    salt = os.urandom(_SALT)
    sealed: bytes = _cipher(subkeys, salt).encrypt(_NONCE, frame, key.encode())
    return _MAGIC + salt + sealed


def read_document(key: str, data: bytes, subkeys: SubKeys) -> dict[str, t.Any]:
    """What was written as the object `key`. Raises RepositoryDamaged naming it."""
    if not subkeys.encrypted:
        return unseal(key, data, subkeys.sign)
    if not data.startswith(_MAGIC) or len(data) < _HEADER:
        raise RepositoryDamaged("does not begin as a document", path=key, found=data[:8].hex())
    cipher = _cipher(subkeys, data[len(_MAGIC) : _HEADER])
    try:
        frame = cipher.decrypt(_NONCE, data[_HEADER:], key.encode())
    except require("cryptography.exceptions").InvalidTag as error:
        raise RepositoryDamaged(
            "it does not decrypt: it was changed, damaged or moved", path=key
        ) from error
    return parse(key, _expand(key, frame))


def head_of(form: str, config: Config) -> dict[str, t.Any]:
    """The members that every document begins with."""
    return {"format": form, "version": 1, "repository": config.repository_id}


def read_members(form: str, key: str, data: bytes, config: Config, subkeys: SubKeys) -> Members:
    """Of a document of this form and this repository. Raises RepositoryDamaged naming `key`."""
    members = Members(key, read_document(key, data, subkeys))
    members.one_of("format", (form,))
    members.one_of("version", (1,))
    members.one_of("repository", (config.repository_id,))
    return members


def _expand(key: str, frame: bytes) -> bytes:
    zstandard = require("zstandard")
    try:
        return t.cast("bytes", zstandard.ZstdDecompressor().decompress(frame, _LARGEST))
    except zstandard.ZstdError as error:
        raise RepositoryDamaged(f"it does not decompress ({error})", path=key) from error


def _cipher(subkeys: SubKeys, salt: bytes) -> t.Any:
    aead = require("cryptography.hazmat.primitives.ciphers.aead")
    return aead.AESGCM(subkeys.document_key(salt))
