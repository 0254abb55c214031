# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""quarantine/<pack>: nothing new uses this pack. docs/repository-format.md, "Quarantine"."""

from __future__ import annotations

import typing as t

from ..._device.errors import RepositoryDamaged
from .document import head_of, read_members, write_document
from .pack import LARGEST

if t.TYPE_CHECKING:
    from ..store.protocol import Store
    from .config import Config
    from .subkeys import SubKeys

FORMAT = "vdisk-quarantine"
PREFIX = "quarantine/"
_DIGITS = 64
_MOST_OFFSETS = 1000  # a document stays small; which blobs are bad, verify finds out each time


class Quarantine(t.NamedTuple):
    """Why a pack is not used again; `offsets` are those of its bad blobs, as far as known."""

    pack: bytes
    why: str
    when: str  # 2026-11-22T02:00:00Z
    offsets: tuple[int, ...]


def quarantine_key(pack: bytes) -> str:
    return f"{PREFIX}{pack.hex()}"


def pack_of(key: str) -> bytes | None:
    """The pack that an object is about; None for a stranger among them."""
    digits = key[len(PREFIX) :]
    try:
        pack = bytes.fromhex(digits)
    except ValueError:
        return None
    return pack if len(digits) == _DIGITS and pack.hex() == digits else None


def quarantined(store: Store) -> frozenset[bytes]:
    """The packs in quarantine. Their documents are not read: a damaged one holds as well."""
    packs = (pack_of(stored.key) for stored in store.list(PREFIX))
    return frozenset(pack for pack in packs if pack is not None)


def encode(quarantine: Quarantine, config: Config, subkeys: SubKeys) -> bytes:
    facts = {
        **head_of(FORMAT, config),
        "pack": quarantine.pack.hex(),
        "why": quarantine.why,
        "when": quarantine.when,
        "offsets": list(quarantine.offsets[:_MOST_OFFSETS]),
    }
    return write_document(quarantine_key(quarantine.pack), facts, subkeys)


def decode(key: str, data: bytes, config: Config, subkeys: SubKeys) -> Quarantine:
    """Raises RepositoryDamaged naming `key`."""
    members = read_members(FORMAT, key, data, config, subkeys)
    offsets = members.items("offsets")
    if not all(isinstance(offset, int) and 0 <= offset <= LARGEST for offset in offsets):
        raise RepositoryDamaged("its member offsets is wrong", path=key)
    quarantine = Quarantine(
        members.binary("pack", _DIGITS // 2),
        members.text("why"),
        members.text("when"),
        tuple(offsets),
    )
    if key != quarantine_key(quarantine.pack):
        raise RepositoryDamaged("is about another pack", path=key, found=quarantine.pack.hex())
    return quarantine
