# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""holds/<point id>: a point that nobody may drop. docs/repository-format.md, "Holds"."""

from __future__ import annotations

import typing as t

from ..._device.errors import RepositoryDamaged
from .document import head_of, read_members, write_document

if t.TYPE_CHECKING:
    from .config import Config
    from .subkeys import SubKeys

PREFIX = "holds/"
FORMAT = "vdisk-hold"


class Hold(t.NamedTuple):
    """`point` is the key of its manifest; `since` is UTC: 2026-11-22T02:00:00Z."""

    key: str
    point: str
    reason: str
    since: str


def encode_hold(hold: Hold, config: Config, subkeys: SubKeys) -> bytes:
    facts = {
        **head_of(FORMAT, config),
        "point": hold.point,
        "reason": hold.reason,
        "since": hold.since,
    }
    return write_document(hold.key, facts, subkeys)


def decode_hold(key: str, data: bytes, config: Config, subkeys: SubKeys) -> Hold:
    """Raises RepositoryDamaged naming `key`."""
    members = read_members(FORMAT, key, data, config, subkeys)
    hold = Hold(key, members.text("point"), members.text("reason"), members.text("since"))
    if hold.point.rpartition("/")[2] != key[len(PREFIX) :]:
        raise RepositoryDamaged("is the hold of another point", path=key, found=hold.point)
    return hold
