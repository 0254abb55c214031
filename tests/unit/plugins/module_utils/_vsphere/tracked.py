# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk with changed block tracking, in memory: it answers as vSphere does on a bad day."""

from __future__ import annotations

import dataclasses
import typing as t
import uuid

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.marks import DiskMark

BLOCK = 64 << 10
TAIL = 512 * 3  # the last block is not a whole one


@dataclasses.dataclass
class Area:
    start: int
    length: int


@dataclasses.dataclass
class Page:
    startOffset: int  # noqa: N815
    length: int
    changedArea: list[Area]  # noqa: N815


@dataclasses.dataclass
class Kept:
    """A snapshot of another product."""

    number: int
    blocks: list[int]
    path: str
    tracker: uuid.UUID | None


class World:
    """One VM with one disk. A block holds a number; `changed` is the epoch of its last change.

    What makes vSphere forget changes makes it forget here too, without a word: whether that shows
    is up to the rules under test. `ours`: our snapshot is there.
    """

    def __init__(self, blocks: int) -> None:
        self.blocks = [0] * blocks
        self.changed = [0] * blocks
        self.epoch = 1
        self.tracker: uuid.UUID | None = uuid.uuid4()
        self.blind = self.ours = False
        self.disk, self.key, self.build = uuid.uuid4(), 2000, 100
        self.snapshots = list[Kept]()
        self.path, self.numbers, self.moves = "[ds] vm/vm.vmdk", 0, 0
        self.breaks, self.tasks = list[int](), 0

    @property
    def capacity(self) -> int:
        return len(self.blocks) * BLOCK - TAIL

    def write(self, block: int, value: int) -> None:
        block %= len(self.blocks)
        self.blocks[block] = value
        if not self.blind:
            self.changed[block] = self.epoch

    def keep(self) -> None:
        """Somebody else takes a snapshot."""
        self.numbers += 1
        self.snapshots.append(Kept(self.numbers, list(self.blocks), self.path, self.tracker))
        self._stun()
        self.path = self._free_path()

    def drop(self) -> None:
        """Somebody else deletes the oldest snapshot: its child is merged into its file."""
        if self.snapshots:
            gone = self.snapshots.pop(0)
            if self.snapshots:
                self.snapshots[0].path = gone.path
            else:
                self.path = gone.path
            self._stun()

    def revert(self, which: int) -> None:
        """To a snapshot: what was written since is undone, and nothing counts it as a change."""
        if self.snapshots:
            which %= len(self.snapshots)
            target = self.snapshots[which]
            del self.snapshots[which + 1 :]
            self.blocks = list(target.blocks)
            self.path = self._free_path()
            self.tasks += 1
            self.breaks.append(self.tasks)
            self._stun()

    def resize(self) -> None:
        if not self.snapshots:
            self.blocks += [0] * 3
            self.changed = [0] * len(self.blocks)  # KB2090639

    def restart_tracking(self) -> None:
        """Another product resets it. Under a snapshot it sees nothing from then on."""
        self.tracker, self.blind = uuid.uuid4(), bool(self.snapshots or self.ours)
        self.changed = [0] * len(self.blocks)
        self._stun()

    def stop_tracking(self) -> None:
        self.tracker = None

    def attach_anew(self) -> None:
        if not self.snapshots:
            self.key += 1
            self.changed = [0] * len(self.blocks)

    def attach_again(self) -> None:
        """Out and in again, into the same place; what was written elsewhere nobody counted."""
        if not self.snapshots:
            self.tasks += 1
            self.breaks.append(self.tasks)
            self.blocks[0] += 1
            self.changed = [0] * len(self.blocks)

    def replace(self) -> None:
        """Another disk in the same place."""
        if not self.snapshots:
            self.disk = uuid.uuid4()
            self.blocks = [value + 1 for value in self.blocks]

    def move(self) -> None:
        """Storage vMotion of all its files, each time into a folder that was not there before."""
        self.moves += 1
        for each in (self, *self.snapshots):
            each.path = f"[ds] vm_{self.moves}/{each.path.rpartition('/')[2]}"
        self.changed = [0] * len(self.blocks)

    def upgrade_host(self) -> None:
        self.build += 1
        self.changed = [0] * len(self.blocks)

    def freeze(self) -> Frozen:
        """Our snapshot. What the guest writes from now on belongs to the next epoch."""
        self.tasks += 1
        frozen = Frozen(self)
        self.ours = True
        self._stun()
        return frozen

    def thaw(self) -> None:
        """Our snapshot goes."""
        self.ours = False
        self._stun()

    def running(self) -> str | None:
        """As frozen.running_tracker."""
        return str(self.tracker) if self.tracker else None

    def past(self, before: DiskMark) -> str | None:
        """As history.broken."""
        return (
            "reverted, or detached"
            if any(when > int(before.task) for when in self.breaks)
            else None
        )

    def untracked(self) -> str | None:
        if self.tracker is None:
            return "it is off"
        if any(each.tracker != self.tracker for each in self.snapshots):
            return "it was switched on under a snapshot"
        return None

    def _stun(self) -> None:
        self.epoch += 1

    def _free_path(self) -> str:
        """The first name that no file has, as ESXi does it: names come back."""
        used = {each.path for each in self.snapshots} | {self.path}
        names = (f"[ds] vm/vm-{number:06}.vmdk" for number in range(1, 99))
        return next(name for name in names if name not in used)


class Frozen:
    """The disk as our snapshot holds it."""

    def __init__(self, world: World) -> None:
        self.content = list(world.blocks)
        self.capacity = world.capacity
        self._changed = list(world.changed)
        self._world, self._tracker = world, world.tracker
        self.mark = DiskMark(
            vcenter="vc",
            vm="vm-1",
            key=world.key,
            label="scsi0:0",
            uuid=str(world.disk),
            capacity=world.capacity,
            change_id=f"{world.tracker}/{world.epoch}" if world.tracker else None,
            untracked=world.untracked(),
            chain=(world.path, *(each.path for each in reversed(world.snapshots))),
            snapshots=tuple(each.number for each in world.snapshots),
            change_version="1",
            host_build=str(world.build),
            storage="VMFS",
            task=str(world.tasks),
            taken_at="2026-01-01T00:00:00+00:00",
        )

    def query(self, paging: Paging) -> t.Callable[[int, str], Page]:
        """As QueryChangedDiskAreas; it does not mind whose tracker a change id is from, nor that
        somebody has begun anew since and deleted the files of this one."""

        def ask(start: int, change_id: str) -> Page:
            if start >= self.capacity:
                raise AssertionError("A specified parameter was not correct: startOffset")
            since = int(change_id.rpartition("/")[2])
            return paging.page(self._areas(since), start, self.capacity)

        return ask

    def _areas(self, since: int) -> list[Area]:
        if self._world.tracker != self._tracker:
            return []
        # The last one goes beyond the end of the disk, to the end of the block.
        return [
            Area(block * BLOCK, BLOCK) for block, epoch in enumerate(self._changed) if epoch > since
        ]


@dataclasses.dataclass
class Paging:
    """So many areas to an answer; with `window`, only those of so many blocks, be there any."""

    areas: int
    window: int | None = None

    def page(self, areas: list[Area], start: int, capacity: int) -> Page:
        stop = capacity if self.window is None else min(start + self.window * BLOCK, capacity)
        here = [area for area in areas if start <= area.start < stop]
        if len(here) > self.areas:
            here = here[: self.areas]
            stop = here[-1].start + here[-1].length
        return Page(start, stop - start, here)
