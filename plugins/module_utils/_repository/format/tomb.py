# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""tomb/<id>/…: packs that are going to be deleted. docs/repository-format.md, "Tombs"."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ..._device.errors import RepositoryDamaged
from .document import head_of, read_members, write_document
from .sealed import Members
from .times import is_second

if t.TYPE_CHECKING:
    from .config import Config
    from .subkeys import SubKeys

PREFIX = "tomb/"
_KEY = re.compile(r"tomb/([0-9a-f]{32})/(packs|witnesses)")


@dataclasses.dataclass(frozen=True)
class Tomb:
    """What `tomb/<id>/packs` says; never written again."""

    id: str
    written: str  # UTC, by the clock of the host that collects: 2026-11-22T02:00:00Z
    packs: frozenset[bytes]

    @property
    def key(self) -> str:
        return packs_key(self.id)


def packs_key(tomb_id: str) -> str:
    return f"{PREFIX}{tomb_id}/packs"


def witnesses_key(tomb_id: str) -> str:
    return f"{PREFIX}{tomb_id}/witnesses"


def tomb_of(key: str) -> tuple[str, str] | None:
    """(id of the tomb, `packs` or `witnesses`); None for another object."""
    match = _KEY.fullmatch(key)
    return (match[1], match[2]) if match else None


def encode_tomb(tomb: Tomb, config: Config, subkeys: SubKeys) -> bytes:
    facts = {
        **head_of("vdisk-tomb", config),
        "id": tomb.id,
        "written": tomb.written,
        "packs": sorted(pack.hex() for pack in tomb.packs),
    }
    return write_document(tomb.key, facts, subkeys)


def decode_tomb(key: str, data: bytes, config: Config, subkeys: SubKeys) -> Tomb:
    """Raises RepositoryDamaged naming `key`."""
    members = _members("vdisk-tomb", key, data, config, subkeys)
    names = enumerate(members.items("packs"))
    tomb = Tomb(
        id=members.text("id"),
        written=members.text("written"),
        packs=frozenset(
            Members(key, {f"{n}": name}, "packs.").binary(f"{n}", 32) for n, name in names
        ),
    )
    if not is_second(tomb.written):
        raise RepositoryDamaged("its time is wrong", path=key, found=tomb.written)
    return tomb


def encode_witnesses(
    tomb_id: str, witnesses: frozenset[str], config: Config, subkeys: SubKeys
) -> bytes:
    """`witnesses` are the keys of all sessions that were there after the tomb was."""
    facts = {
        **head_of("vdisk-witnesses", config),
        "id": tomb_id,
        "sessions": sorted(witnesses),
    }
    return write_document(witnesses_key(tomb_id), facts, subkeys)


def decode_witnesses(key: str, data: bytes, config: Config, subkeys: SubKeys) -> frozenset[str]:
    """Raises RepositoryDamaged naming `key`."""
    sessions = _members("vdisk-witnesses", key, data, config, subkeys).items("sessions")
    if not all(isinstance(session, str) for session in sessions):
        raise RepositoryDamaged("its member sessions is wrong", path=key)
    return frozenset(sessions)


def _members(form: str, key: str, data: bytes, config: Config, subkeys: SubKeys) -> Members:
    members = read_members(form, key, data, config, subkeys)
    known = tomb_of(key)
    members.one_of("id", () if known is None else known[:1])
    return members
