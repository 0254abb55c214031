# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Is everything there and good? Four levels, and what is to be done about what is not."""

from __future__ import annotations

import dataclasses
import random
import time
import typing as t

from ..._device.errors import DiskError, InvalidRequest, RepositoryDamaged
from ..._device.progress import Silent
from ..format.pack import pack_key
from ..format.quarantine import quarantine_key
from ..read.points import disk_of, find_point, load_points
from ..read.reader import PointDevice
from ..write.scan import root_of_device
from .documents import Documents, list_packs
from .finding import ERROR, NOTE, WARNING, Finding, is_sound
from .maps import HitFinder, MapChecker
from .packs import examine_packs
from .remedy import Remedy

if t.TYPE_CHECKING:
    from ..._device.progress import Progress
    from ..access import Access
    from ..format.manifest import PointDisk, RestorePoint
    from .maps import Damage
    from .packs import Fault

LIST, PACKS, DATA, RESTORE = LEVELS = ("list", "packs", "data", "restore")


@dataclasses.dataclass(frozen=True)
class Wish:
    """What to verify. `sample` is a share such as 10% or a number of packs, or of restore points.

    The same `seed` takes the same sample of the same repository.
    """

    level: str = PACKS
    sample: str | None = None
    seed: int | None = None
    restore_point: str | None = None
    quarantine: bool = False  # whether the caller goes on with apply_remedy()
    progress: Progress = dataclasses.field(default_factory=Silent)


@dataclasses.dataclass(frozen=True)
class Verified:
    """What verify() found; `remedy` is what apply_remedy() would do about it."""

    findings: list[Finding]
    objects: int
    bytes: int  # that were read, or with level restore decoded
    seconds: float
    sample: dict[str, t.Any] | None
    remedy: Remedy

    @property
    def ok(self) -> bool:
        return is_sound(self.findings)


def verify(access: Access, wish: Wish) -> Verified:
    """Reads only. Raises InvalidRequest, RestorePointNotFound, AmbiguousRestorePoint, DiskIOError
    where not even a list of objects can be had."""
    return _Verification(access, wish).run()


class _Verification:
    def __init__(self, access: Access, wish: Wish) -> None:
        if wish.level not in LEVELS:
            raise InvalidRequest(f"there is no level {wish.level!r}", expected=" or ".join(LEVELS))
        if wish.sample is not None and wish.level == LIST:
            raise InvalidRequest("level list looks at everything; sample is for the other levels")
        self.access, self.wish = access, wish
        self.only = self._only()
        self.documents = Documents(access, self.only)
        self.faults: dict[bytes, Fault] = {}
        self.sound: set[bytes] = set()
        self.findings: list[Finding] = []
        self.sample: dict[str, t.Any] | None = None
        self.objects = self.bytes = 0

    def run(self) -> Verified:
        begin = time.monotonic()
        # Packs first: a backup that commits meanwhile refers to packs that were not listed yet,
        # and those are looked up one by one.
        self.sizes, strangers = list_packs(self.access)
        points = self.documents.points()
        self.documents.others()
        maps = self._maps(points)
        if self.wish.level == RESTORE:
            self._restore(points)
        self._examine_those_met()
        findings = [*self.documents.findings, *strangers, *self.findings]
        findings += [
            Finding("reference", ERROR, where, what, how="Restore from another restore point.")
            for where, what in maps.wrong.items()
        ]
        findings += self._pack_findings()
        return Verified(
            findings=findings,
            objects=self.objects + self.documents.count + maps.count,
            bytes=self.bytes + self.documents.bytes,
            seconds=round(time.monotonic() - begin, 3),
            sample=self.sample,
            remedy=self._remedy(),
        )

    def _only(self) -> str | None:
        """The key of the one restore point that was asked for."""
        if self.wish.restore_point is None:
            return None
        return find_point(load_points(self.access), self.wish.restore_point).point.key

    # Maps and packs

    def _maps(self, points: list[RestorePoint]) -> MapChecker:
        packs, tables = self.sizes, dict[bytes, bytes]()
        if self.only is not None:  # its maps say which packs it needs
            first = MapChecker(self.access, self.sizes, {})
            first.run(points, self.wish.progress)
            packs = {name: size for name, size in packs.items() if name in first.used}
        if self.wish.level in (PACKS, DATA):
            tables.update(self._examine(self._sampled_packs(packs), self.wish.level == DATA))
        maps = MapChecker(self.access, self.sizes, tables)
        maps.run(points, self.wish.progress)
        for pack, fault in maps.faults.items():
            if fault.kind in ("missing", "short"):  # says more than that its digest is wrong
                self.faults[pack] = fault
            else:
                self.faults.setdefault(pack, fault)
        return maps

    def _sampled_packs(self, packs: dict[bytes, int]) -> dict[bytes, int]:
        chosen = self._chosen("packs", [pack_key(name) for name in packs])
        return {name: size for name, size in packs.items() if pack_key(name) in chosen}

    def _examine(self, packs: dict[bytes, int], blobs: bool) -> dict[bytes, bytes]:
        """The tables of those that are sound."""
        tables = {}
        for seen in examine_packs(self.access, packs, blobs=blobs, progress=self.wish.progress):
            self.objects += 1
            self.bytes += seen.size
            if seen.fault is not None:
                self.faults[seen.pack] = seen.fault
                continue
            self.sound.add(seen.pack)
            self.faults.pop(seen.pack, None)
            if seen.table is not None:
                tables[seen.pack] = seen.table
        return tables

    def _examine_those_met(self) -> None:
        """More of packs that did not serve; and those in quarantine may be well again."""
        met = {*self.access.detours, *self.faults} - self.sound
        for pack, document in self.documents.quarantine.items():
            if pack not in self.sound and (document is None or self.wish.level != LIST):
                met.add(pack)
        packs = {pack: self.sizes[pack] for pack in sorted(met) if self._is_worth(pack)}
        if packs:
            self._examine(packs, blobs=True)

    def _is_worth(self, pack: bytes) -> bool:
        """Whether looking at it, perhaps once more, can tell more than is known."""
        fault = self.faults.get(pack)
        if pack not in self.sizes or (fault is not None and fault.kind in ("missing", "short")):
            return False
        return fault is None or fault.kind == "unreadable" or self.wish.level != DATA

    def _chosen(self, kind: str, names: list[str]) -> set[str]:
        """The sample; all where none was asked for."""
        if self.wish.sample is None:
            return set(names)
        seed = random.SystemRandom().getrandbits(31) if self.wish.seed is None else self.wish.seed
        count = sample_size(self.wish.sample, len(names))
        chosen = random.Random(seed).sample(sorted(names), count)
        self.sample = {"seed": seed, "of": len(names), kind: sorted(chosen)}
        return set(chosen)

    # Restoring

    def _restore(self, points: list[RestorePoint]) -> None:
        chosen = self._chosen("restore_points", [point.key for point in points])
        for point in points:
            if point.key in chosen:
                for disk in point.disks:
                    self._restore_disk(point, disk)

    def _restore_disk(self, point: RestorePoint, disk: PointDisk) -> None:
        error = self._try_restore(point, disk)
        if error is None:
            return
        # The point may have been dropped, or its content moved to other packs, since we read it.
        now = Documents(self.access, point.key).points()
        if not now or (now[0] != point and self._try_restore(now[0], disk) is None):
            return
        self._meet(error)
        how = "Other disks and restore points are not hit by this, unless they are named too."
        name = f"{point.key}#{disk.name}"
        self.findings.append(Finding("restore", ERROR, name, str(error), how=how))

    def _try_restore(self, point: RestorePoint, disk: PointDisk) -> DiskError | None:
        disk = point.disks[disk_of(point, disk.name)]
        self.objects += 1
        self.bytes += disk.size
        self.wish.progress.start(f"{point.source_name}@{point.name}#{disk.name}", disk.size)
        try:
            root = root_of_device(self.access, PointDevice(self.access, point, disk))
        except DiskError as error:
            return error
        if root != disk.root:
            return RepositoryDamaged("what is restored has another digest than the manifest says")
        self.wish.progress.finish()
        return None

    def _meet(self, error: DiskError) -> None:
        """Have the pack examined that an error is about."""
        for pack in self.sizes:
            if error.path and error.path.endswith(pack_key(pack)):
                self.access.detours.setdefault(pack, error)

    # Findings about packs

    def _pack_findings(self) -> list[Finding]:
        if not self.faults:
            return self._notes_on_quarantine()
        # Read again: points may have been dropped, or moved to other packs, since we began.
        points = Documents(self.access, self.only).points()
        damage = HitFinder(self.access, self.faults).run(points)
        found = []
        for pack, fault in sorted(self.faults.items()):
            if not damage[pack].used and self._is_nothing(pack):
                del self.faults[pack]
            else:
                found.append(self._pack_finding(pack, fault, damage[pack]))
        return found + self._notes_on_quarantine()

    def _is_nothing(self, pack: bytes) -> bool:
        """Whether a pack that nothing needs is gone, or was not asked about."""
        return self.only is not None or self.access.store.size(pack_key(pack)) is None

    def _pack_finding(self, pack: bytes, fault: Fault, damage: Damage) -> Finding:
        held = self.documents.quarantine.get(pack) is not None
        severity = ERROR if damage.lost else NOTE if held else WARNING
        return Finding(
            f"pack-{fault.kind}",
            severity,
            pack_key(pack),
            fault.message,
            min(fault.offsets, default=None),
            tuple(damage.lost),
            _what_to_do(held or self.wish.quarantine, damage),
        )

    def _notes_on_quarantine(self) -> list[Finding]:
        return [
            Finding("quarantine", NOTE, quarantine_key(pack), message, how=how)
            for pack in sorted(self.documents.quarantine)
            if pack not in self.faults
            for message, how in [self._state_of(pack)]
        ]

    def _state_of(self, pack: bytes) -> tuple[str, str]:
        if pack in self.sound:
            return "the pack is well again", "quarantine: true lifts it."
        if pack not in self.sizes:
            return "the pack is gone, and nothing refers to it", "quarantine: true lifts it."
        return "the pack was not read", "The other levels look whether it is well again."

    def _remedy(self) -> Remedy:
        known = self.documents.quarantine
        gone = self.sizes.keys() | self.faults.keys()
        return Remedy(
            faults={pack: why for pack, why in self.faults.items() if known.get(pack) is None},
            lift=sorted(pack for pack in known if pack in self.sound or pack not in gone),
            mend=self.documents.to_mend,
        )


def sample_size(sample: str, count: int) -> int:
    """Of `count` things; of a share at least one. Raises InvalidRequest."""
    digits = sample[:-1] if sample.endswith("%") else sample
    possible = len(digits) <= 12 and digits.isdecimal() and int(digits) > 0
    if not possible or (sample != digits and int(digits) > 100):
        raise InvalidRequest(
            f"the sample {sample!r} is not possible",
            expected="a number, or a share from 1% to 100%",
        )
    wanted = int(digits) if sample == digits else -(-count * int(digits) // 100)
    return min(count, wanted)


def _what_to_do(held: bool, damage: Damage) -> str:
    if damage.lost:
        if held:
            return "Back up: what the disks still hold is stored again. Drop what stays damaged."
        return "Run with quarantine: true, then back up: what the disks still hold is stored again."
    if not damage.used:
        return "No restore point needs it. vmdk_prune removes it."
    if held:
        healed = f"; {damage.healed} of it from other packs" if damage.healed else ""
        return f"It is in quarantine. All that restore points need can be read{healed}."
    return "Nothing is lost. Run with quarantine: true, so that backups no longer rely on it."
