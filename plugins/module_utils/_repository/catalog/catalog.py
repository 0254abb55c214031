# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What this host knows of a repository: derived from it, checked, and never needed."""

from __future__ import annotations

import os
import threading
import typing as t

from ..libraries import require
from .database import CatalogLost, Database
from .folder import catalog_path

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..format.config import Config
    from ..format.subkeys import SubKeys

Value = t.TypeVar("Value")
_SUM = 8  # bytes of the checksum of a row
_SEAL = 16  # bytes of the checksum of a body
_NONCE = 12
# Documents have random salts: this one gives a key that no document has.
_SALT = b"vdisk catalog".ljust(32, b"\0")


class Catalog:
    """A database, and what proves that a row says what was written there for this repository."""

    def __init__(self, config: Config, subkeys: SubKeys, url: str) -> None:
        self.database = Database(catalog_path(config.repository_id, url))
        self.listing = threading.Lock()  # of the temporary table that list_packs() fills
        self._subkeys = subkeys
        self._repository = bytes.fromhex(config.repository_id)
        self._aes = None
        if subkeys.encrypted:
            aead = require("cryptography.hazmat.primitives.ciphers.aead")
            self._aes = aead.AESGCM(subkeys.document_key(_SALT))

    def sum(self, *parts: bytes) -> bytes:
        """The checksum of a row; its parts have fixed lengths, or there is but one other."""
        return self._subkeys.identify(b"".join((self._repository, *parts)))[:_SUM]

    def seal(self, name: str, body: bytes) -> bytes:
        """A body that is good under this name only, and secret where the repository is."""
        bound = self._repository + name.encode()
        if self._aes is None:
            return body + self._subkeys.identify(bound + b"\0" + body)[:_SEAL]
        nonce = os.urandom(_NONCE)
        return nonce + t.cast("bytes", self._aes.encrypt(nonce, body, bound))

    def unseal(self, name: str, sealed: t.Any) -> bytes | None:
        """None: it is not what seal() made."""
        if not isinstance(sealed, bytes):
            return None
        bound = self._repository + name.encode()
        if self._aes is None:
            body = sealed[:-_SEAL]
            good = self._subkeys.identify(bound + b"\0" + body)[:_SEAL] == sealed[-_SEAL:]
            return body if good else None
        if len(sealed) < _NONCE + _SEAL:
            return None
        try:
            return t.cast("bytes", self._aes.decrypt(sealed[:_NONCE], sealed[_NONCE:], bound))
        except require("cryptography.exceptions").InvalidTag:
            return None

    def retried(self, action: Callable[[], Value]) -> Value:
        """Once more where the file was lost in between: an empty one has taken its place, and
        where that is lost too, a temporary one."""
        for _attempt in range(2):
            try:
                return action()
            except CatalogLost:
                continue
        return action()
