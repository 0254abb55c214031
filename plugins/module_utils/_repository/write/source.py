# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What is backed up, as the caller describes it."""

from __future__ import annotations

import dataclasses
import re
import typing as t
import uuid

from ..._device.errors import InvalidRequest
from ..format.manifest import SOURCE_ID
from ..read.points import LATEST

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..._device.device import BlockDevice
    from .changes import Changes

SELF_CHECK = 64  # chunks: 5 % of wrong ones are found with 96 % probability
_NAMESPACE = uuid.UUID("6f1c7c5e-3a52-4d0b-9d5f-5c3d6a0f9b17")  # of ids made here (RFC 9562, v5)
_POINT_NAME = re.compile(r"[^@#/\x00-\x1f\x7f]{1,200}")


@dataclasses.dataclass(frozen=True)
class Source:
    """What is backed up: a disk or a VM. `id` stays when `name` changes."""

    kind: str
    id: str
    name: str
    facts: dict[str, t.Any] = dataclasses.field(default_factory=dict)


def stable_id(*facts: object) -> str:
    """The id of what these facts, in this order, tell from all else."""
    return str(uuid.uuid5(_NAMESPACE, "|".join(map(str, facts))))


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a disk was read. `base` is the change_id of the earlier state that it was compared with.

    differing: offset and length of each chunk that is not as it was then; None where only what
    changed was read, or nothing can be compared. distrusted: what was known of changes was wrong.
    """

    base: str | None
    differing: Sequence[tuple[int, int]] | None
    distrusted: bool


@dataclasses.dataclass(frozen=True)
class DiskSource:
    """One disk of a source; `facts` are kept in the manifest, `key` is vSphere's device key.

    changes: what is known to have changed since which state, the least first.
    change_id: tells, once the disk was read, the state it is in; None if that cannot be said.
    self_check: how many chunks to read again that are said to be unchanged.
    title: how messages and progress call it; else its label.
    doubt: why nothing is known to have changed, in words.
    judge: more facts, which only how it was read can tell.
    distrust: hears at once, with the reason, that what was known of changes is wrong.
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
    title: str = ""
    doubt: str = ""
    judge: Callable[[Reading], dict[str, t.Any]] | None = None
    distrust: Callable[[str], None] | None = None

    @property
    def shown(self) -> str:
        return self.title or self.label


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
