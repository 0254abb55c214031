# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What is backed up, as the caller describes it."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ..._device.errors import InvalidRequest
from ..format.manifest import SOURCE_ID
from ..read.points import LATEST

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..._device.device import BlockDevice
    from .changes import Changes

SELF_CHECK = 64  # chunks: 5 % of wrong ones are found with 96 % probability
_POINT_NAME = re.compile(r"[^@#/\x00-\x1f\x7f]{1,200}")


@dataclasses.dataclass(frozen=True)
class Source:
    """What is backed up: a disk or a VM. `id` stays when `name` changes."""

    kind: str
    id: str
    name: str
    facts: dict[str, t.Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class DiskSource:
    """One disk of a source; `facts` are kept in the manifest, `key` is vSphere's device key.

    changes: what is known to have changed since which state, the least first.
    change_id: tells, once the disk was read, the state it is in; None if that cannot be said.
    self_check: how many chunks to read again that are said to be unchanged.
    """

    name: str
    label: str
    device: BlockDevice
    uuid: str
    path: str
    facts: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    key: int | None = None
    changes: tuple[Changes, ...] = ()
    change_id: Callable[[], str | None] | None = None
    self_check: int = SELF_CHECK


def check_source(source: Source) -> None:
    """Raises InvalidRequest."""
    if not SOURCE_ID.fullmatch(source.id):
        raise InvalidRequest(
            f"{source.id!r} cannot be the id of a source",
            expected="letters, digits, dot, dash and underscore, 128 at most",
        )


def check_disks(disks: list[DiskSource]) -> None:
    """Raises InvalidRequest."""
    names = [disk.name for disk in disks]
    if not disks or len(set(names)) < len(names):
        raise InvalidRequest("a backup needs disks with different names", found=names)


def check_name(name: str) -> None:
    """Of a restore point. Raises InvalidRequest."""
    if name == LATEST or not _POINT_NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name!r} cannot be the name of a restore point",
            expected=f"1 to 200 characters without @ # /, and not {LATEST!r}",
        )
