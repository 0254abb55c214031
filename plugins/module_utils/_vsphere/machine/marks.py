# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What is known of a disk at the moment of a snapshot, kept in the restore point."""

from __future__ import annotations

import dataclasses
import typing as t

ALLOCATED = "*"  # as a change id: what was ever written


@dataclasses.dataclass(frozen=True)
class DiskMark:
    """A disk as it is frozen by a snapshot. Two of them tell whether one grew out of the other.

    `change_id` is the one in the snapshot's own description of the disk: that of the running disk
    is younger already. `chain` is all files below it, the frozen one first. `snapshots` are the ids
    of those that ours stands on. `task` is the key of the task that made ours, a landmark in the
    history of the VM. `untracked` says why the changes up to here are not to be relied on; `blind`
    that this stays so until tracking begins anew; `proved` that what this tracker says was once
    compared with all of the disk, with no doubt since.
    """

    vcenter: str
    vm: str  # moref: within one vCenter it is never given to another VM
    key: int
    label: str
    uuid: str
    capacity: int  # bytes
    change_id: str | None
    untracked: str | None
    chain: tuple[str, ...]
    snapshots: tuple[int, ...]
    change_version: str
    host_build: str
    storage: str  # kind of the datastore: VMFS, NFS, vsan …
    task: str
    taken_at: str  # ISO 8601, by vCenter's clock
    proved: bool = False
    blind: bool = False

    @property
    def path(self) -> str:
        """The frozen file, as `[datastore] path`."""
        return self.chain[0]

    @property
    def tracker(self) -> str | None:
        """What a change id must have in common with an earlier one to be comparable."""
        return tracker_of(self.change_id)

    @property
    def count(self) -> int | None:
        """The number in the change id, which only grows while nobody meddles with the files."""
        number = (self.change_id or "").rpartition("/")[2]
        return int(number) if number.isdigit() else None

    def following(self, before: DiskMark | None) -> DiskMark:
        """As it is to be recorded after an earlier one: tracking once found blind stays blind.

        What only was so for a moment is not handed down; it has ended the proof, and that suffices.
        """
        if before is None or not before.blind or before.tracker in (None, ""):
            return self
        if self.blind or before.tracker != self.tracker:
            return self
        return dataclasses.replace(self, untracked=before.untracked, blind=True)

    def facts(self) -> dict[str, t.Any]:
        """For a manifest: JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def parse(cls, facts: t.Mapping[str, t.Any]) -> DiskMark | None:
        """None for what another version wrote: that is no mark at all."""
        names = {field.name for field in dataclasses.fields(cls)}
        if not names <= facts.keys():
            return None
        known: dict[str, t.Any] = {name: facts[name] for name in names}
        return cls(
            **{**known, "chain": tuple(known["chain"]), "snapshots": tuple(known["snapshots"])}
        )


def tracker_of(change_id: str | None) -> str | None:
    """The first part of a change id: whoever counts, until it begins anew."""
    return None if change_id is None else change_id.rpartition("/")[0]
