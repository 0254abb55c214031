# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""All volumes of a machine's disks, whatever they are inside of."""

from __future__ import annotations

import typing as t

from .._device.errors import CorruptDisk
from .filesystems import identify
from .luks.locks import Locks
from .lvm.label import find_physical
from .lvm.members import MEMBER, Members
from .volumes import list_volumes

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .._device.device import BlockDevice
    from .assembled import Source
    from .luks.secret import Secret
    from .lvm.label import Physical
    from .volumes import Volume

_DEEPEST = 6  # volumes inside of volumes; more are only ever made to keep somebody busy


def find_volumes(disks: Sequence[BlockDevice], keys: Sequence[Secret] = ()) -> list[Volume]:
    """Partitions or whole disks, what the keys unlock, and logical volumes.

    Each key that is tried at an encrypted volume takes a second or so. Raises CorruptDisk for a
    partition table that nobody can read; WrongKey where keys open nothing; MissingLibrary, NoSpace.
    """
    return _Search(disks, keys).run()


class _Search:
    def __init__(self, disks: Sequence[BlockDevice], keys: Sequence[Secret]) -> None:
        self.disks = disks
        self.locks = Locks(disks, keys)
        self.physicals: dict[Source, Physical | None] = {}
        self.problems: dict[Source, str] = self.locks.problems  # of what holds other volumes

    def run(self) -> list[Volume]:
        plain = [v for number, disk in enumerate(self.disks) for v in list_volumes(disk, number)]
        inside: list[Volume] = []
        for _depth in range(_DEEPEST):
            known = inside
            inside = [*self._unlocked([*plain, *known]), *self._logical([*plain, *known])]
            if inside == known:
                break
        self.locks.require_right_key()
        return [self._explained(volume) for volume in (*plain, *inside)]

    def _unlocked(self, volumes: Iterable[Volume]) -> list[Volume]:
        found = filter(None, map(self.locks.open, volumes))
        return [self._with_content(volume) for volume in found]

    def _logical(self, volumes: Iterable[Volume]) -> list[Volume]:
        members = Members()
        for volume in volumes:
            if volume.source is not None and volume.holds(MEMBER):
                self._add(members, volume.source, volume.read_only_because)
        return [self._with_content(volume) for volume in members.volumes()]

    def _add(self, members: Members, source: Source, read_only_because: str) -> None:
        try:
            if source not in self.physicals:
                self.physicals[source] = None
                self.physicals[source] = find_physical(source.open(self.disks))
            physical = self.physicals[source]
            if physical is not None:
                members.add(physical, source, read_only_because)
        except CorruptDisk as error:
            self.problems[source] = str(error)

    def _with_content(self, volume: Volume) -> Volume:
        if volume.source is None:
            return volume
        return volume._replace(filesystem=identify(volume.source.open(self.disks)))

    def _explained(self, volume: Volume) -> Volume:
        problem = self.problems.get(volume.source, "") if volume.source is not None else ""
        return volume._replace(problem=problem) if problem else volume
