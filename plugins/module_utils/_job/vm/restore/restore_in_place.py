# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A machine made again what it was, where it is: it is off, and only disks that differ are written.

Tracking of changes is switched off before the first write and on after the last one: what a restore
writes is not tracked, and the next backup must not believe that it knows what has changed.
"""

from __future__ import annotations

import functools
import typing as t

from ...._device.errors import (
    DiskError,
    DiskExists,
    DiskInUse,
    InvalidRequest,
)
from ...._vsphere.changes.tracking import enable_anew
from ...._vsphere.connection.collect import properties
from ...._vsphere.connection.errors import fault_name
from ...._vsphere.machine.frozen import running_trackers, slot_names
from ...._vsphere.machine.machine import look_at
from ...._vsphere.machine.settings import reconfigure
from ...._vsphere.snapshots.journal import Journal, host_name
from ...._vsphere.snapshots.removal import whereabouts
from ...._vsphere.snapshots.sweep import sweep
from ...._vsphere.snapshots.unfinished import (
    WRITTEN,
    Mark,
    forget_dead,
    mark_of,
    no_mark,
)
from ...._vsphere.vmconfig.reapply import (
    can_reapply,
    lost_boot_devices,
    reapply,
    unknown_tags,
)
from ...._vsphere.vmconfig.spec import check_format
from ...plan import Plan, nothing_to_do
from .in_place_rules import require_alone, require_off, require_still
from .mapping import pair_disks
from .results import difference_facts, disk_facts, total, unwanted, with_warnings
from .scene import ALL, CONFIGURATION, DISKS
from .writing import Writer

if t.TYPE_CHECKING:
    from ...._repository.format.manifest import PointDisk
    from ...._vsphere.machine.machine import Machine
    from ...._vsphere.vmconfig.compare import Difference
    from ...plan import Result
    from .mapping import Pair
    from .scene import Scene

_VERSION, _OPTIONS, _TRACKS = (
    "config.changeVersion", "config.extraConfig", "config.changeTrackingEnabled",
)  # fmt: skip
_BOOT_ORDER = "settings.bootOptions.bootOrder"
_MIXTURE = (
    "Some of its disks may be as they were, others as in the restore point, or a mixture of both:"
    " do not start it. Restore it again, once the cause is mended, or from another restore point."
)


def plan_in_place(scene: Scene, machine: Machine) -> Plan:
    """Raises DiskExists without force, DiskInUse for a machine that runs or has snapshots, …"""
    what = scene.request.what or DISKS
    require_alone(machine)
    work = _InPlace(scene, machine, what)
    if what in (DISKS, ALL):
        require_still(scene, machine)
        work.compare()
    if what in (CONFIGURATION, ALL):
        require_off(machine)
        check_format(scene.configuration)
    if not work.is_needed:
        return nothing_to_do(work.before(), work.result([]))
    if not scene.request.force:
        raise DiskExists(
            work.told(),
            path=machine.name,
            hint="Use force: true to overwrite what differs.",
        )
    return Plan(before=work.before(), after=work.after(), result=work.result([]), apply=work.apply)


class _InPlace:
    def __init__(self, scene: Scene, machine: Machine, what: str) -> None:
        self._scene, self._machine, self._what = scene, machine, what
        self._vm = machine.ref
        self._pairs: list[Pair] = []
        self._writer = Writer(scene, machine)
        self._mark = mark_of(machine.facts.get("config.extraConfig"))
        self._differences = scene.differences(machine.ref, None)
        self._now: Mark | None = None
        self._trackers: dict[int, str | None] = {}  # before the first write
        self._transfers: dict[str, Result] = {}

    def compare(self) -> None:
        """Raises DiskNotFound, InvalidRequest, what reading raises."""
        self._pairs = self._paired(self._scene.disks, self._machine)
        for pair in self._pairs:
            # A restore that was killed may have left a disk attached, until it is swept.
            self._writer.compare(pair, strict=self._mark is None)

    def _paired(self, disks: list[PointDisk], machine: Machine) -> list[Pair]:
        return pair_disks(disks, machine, same=True, among=self._scene.point.real_disks)

    @property
    def is_needed(self) -> bool:
        return bool(self._stale or self._settings or self._mends)

    @property
    def _stale(self) -> list[Pair]:
        return [pair for pair in self._pairs if self._writer.may_differ(pair)]

    @property
    def _settings(self) -> list[Difference]:
        """What of the configuration can be put right."""
        if self._what == DISKS:
            return []
        able = [each for each in self._differences if can_reapply(each)]
        if self._lost_boot_devices:
            able = [each for each in able if not each.path.startswith(_BOOT_ORDER)]
        unknown = {f"tags.{label}" for label in self._unknown_tags}
        return [each for each in able if each.path not in unknown]

    @functools.cached_property
    def _unknown_tags(self) -> list[str]:
        return unknown_tags(self._scene.configuration, self._scene.tags)

    @functools.cached_property
    def _lost_boot_devices(self) -> list[str]:
        return lost_boot_devices(self._scene.configuration, self._machine.devices)

    @property
    def _mends(self) -> bool:
        """Whether a restore that was killed is completed by this one."""
        return self._mark is not None and self._what != CONFIGURATION

    @property
    def _written(self) -> list[str]:
        return [
            slot
            for slot, done in self._transfers.items()
            if not done or done["bytes_written"] or done["bytes_zero"]
        ]

    def told(self) -> str:
        """What differs, for an error."""
        unread = {pair.slot: self._writer.why_unread(pair) for pair in self._stale}
        told = [slot for slot, why in unread.items() if why is None]
        told += [each.path for each in self._settings[:5]]
        if self._mends:
            told.append("an earlier restore of it was interrupted")
        what = "the machine is not as in the restore point"
        if not told:
            what = "nobody can tell whether the machine is as in the restore point"
        told += [f"{slot} could not be looked at ({why})" for slot, why in unread.items() if why]
        return f"{what}: {', '.join(told)}"

    def before(self) -> Result:
        disks = {pair.slot: self._content(pair) for pair in self._pairs}
        return {"disks": disks, **{each.path: each.found for each in self._settings}}

    def _content(self, pair: Pair) -> str:
        if self._writer.why_unread(pair) is not None:
            return "a content that could not be looked at"
        return "another content" if self._writer.may_differ(pair) else self._scene.point.id

    def after(self) -> Result:
        disks = {pair.slot: self._scene.point.id for pair in self._pairs}
        return {"disks": disks, **{each.path: each.recorded for each in self._settings}}

    def result(self, warnings: list[str]) -> Result:
        differences = self._differences
        facts: Result = {
            "vm": self._described,
            "disks": [
                disk_facts(pair.point, pair.path, self._transfers.get(pair.slot))
                for pair in self._pairs
            ],
            "differences": difference_facts(differences),
            "not_restored": self._not_restored(),
            "restore_point": self._scene.point.as_dict(),
        }
        if self._transfers:
            facts["transfer"] = total(self._transfers.values())
        return with_warnings(facts, [*warnings, *unwanted(differences, self._machine.name)])

    def _not_restored(self) -> list[str]:
        """In words: what stays as it is, though all of that kind was meant."""
        told = []
        if self._what != CONFIGURATION and not self._scene.only:
            slots, paired = slot_names(self._machine.devices), {each.slot for each in self._pairs}
            others = sorted(set(slots.values()) - paired)
            told += [f"content of {slot}: it is not in the restore point" for slot in others]
        if self._what != DISKS:
            told += [f"tag {each}: there is no such tag" for each in self._unknown_tags]
            lost = self._lost_boot_devices
            told += [f"{each} in the boot order: there is no such device" for each in lost]
        return told

    @functools.cached_property
    def _described(self) -> Result:
        return self._scene.describe(self._vm)

    def apply(self) -> Result:
        purpose = f"restore of {self._machine.name}"
        warnings = [each.message for each in sweep(self._scene.session) if not self._is_mine(each)]
        with Journal.begin(purpose) as journal:
            for pair in self._pairs:
                self._writer.compare_again(pair)
            if self._stale or self._mends:
                warnings += self._write(journal)
        # A disk that nobody could look at before may have been equal.
        has_changed = bool(self._settings or self._mends or self._written)
        if self._settings:
            scene = self._scene
            reapply(scene.session, self._vm, scene.configuration, scene.tags)
        self._differences = self._scene.differences(self._vm, None)
        return {**self.result(warnings), "changed": has_changed}

    def _is_mine(self, swept: t.Any) -> bool:
        """Of a restore of this machine that was killed: this one completes it."""
        return self._mark is not None and swept.run == self._mark.run

    def _write(self, journal: Journal) -> list[str]:
        session, machine = self._scene.session, self._machine
        self._require_unchanged()
        uuid = machine.facts.get("config.instanceUuid")
        where = whereabouts(session, self._vm, machine.name, uuid)
        note = journal.note(WRITTEN, **where, point=self._scene.point.id)
        try:
            self._mark_it(journal)
        except DiskError as error:
            if fault_name(error) is not None:  # else it may have been marked all the same
                journal.done(note)
            raise
        try:
            self._write_disks(journal)
        except DiskError as error:
            if self._writer.has_written or self._mark is not None:
                error.hint = f"{_MIXTURE} {error.hint or ''}".rstrip()
                raise
            self._release(journal, note)
            raise
        return [*self._writer.warnings, *self._release(journal, note)]

    def _require_unchanged(self) -> None:
        """Comparing may have taken hours. Raises DiskInUse."""
        facts = properties(self._scene.session, self._vm, (_VERSION, _OPTIONS))
        if mark_of(facts.get(_OPTIONS)) != self._mark:
            raise DiskInUse("another restore of it has begun meanwhile", path=self._machine.name)
        if facts.get(_VERSION) != self._machine.facts.get(_VERSION):
            raise DiskInUse(
                "the machine was changed by somebody else while its disks were compared",
                path=self._machine.name,
                hint="Run this again.",
            )

    def _mark_it(self, journal: Journal) -> None:
        """Disks that an earlier restore left unfinished, and this one passes over, stay marked."""
        session, old = self._scene.session, self._mark
        tracks = bool(properties(session, self._vm, (_TRACKS,)).get(_TRACKS))
        self._trackers = running_trackers(session, self._vm)
        disks = {pair.slot for pair in self._pairs}
        self._now = Mark(
            run=journal.run,
            host=host_name(),
            point=self._scene.point.id,
            made=False,
            disks=tuple(sorted(disks.union(old.disks if old else ()))),
            tracking=tracks or (old is not None and old.tracking),
        )
        # In one step, which is refused if somebody has changed the machine since it was looked at.
        what = f"mark {self._machine.name}, and switch off its changed block tracking"
        off = {"changeTrackingEnabled": False} if tracks or any(self._trackers.values()) else {}
        version = self._machine.facts.get(_VERSION)
        options = [self._now.option()]
        reconfigure(session, self._vm, what, extraConfig=options, changeVersion=version, **off)

    def _write_disks(self, journal: Journal) -> None:
        """Each is looked at anew before: the one before it may have taken hours."""
        self._look_again()
        for pair in self._pairs:
            self._writer.require_unchanged(pair)
        for pair in self._stale:
            self._require_same(pair, self._look_again())
            self._transfers[pair.slot] = self._writer.write(pair, journal)

    def _look_again(self) -> Machine:
        """Raises DiskInUse where it is not ours to write to any more."""
        machine = look_at(self._scene.session, self._vm)
        require_still(self._scene, machine)
        self._require_own(machine.facts)
        return machine

    def _require_same(self, pair: Pair, machine: Machine) -> None:
        (now,) = self._paired([pair.point], machine)
        if (now.slot, now.path, now.uuid) != (pair.slot, pair.path, pair.uuid):
            raise DiskInUse(
                "the disks of the machine were changed by somebody else meanwhile",
                path=machine.name,
                found=f"{now.path} at {now.slot}",
                expected=f"{pair.path} at {pair.slot}",
                hint="Run this again.",
            )

    def _require_own(self, facts: dict[str, t.Any]) -> None:
        mark = mark_of(facts.get(_OPTIONS))
        if mark != self._now:
            raise DiskInUse(
                "the mark of this restore is not on the machine any more, so another restore may"
                " be at work on it",
                path=self._machine.name,
                found="no mark" if mark is None else f"that of run {mark.run} on {mark.host}",
                hint="Find out who else works on it; then restore it again.",
            )

    def _release(self, journal: Journal, note: int) -> list[str]:
        """The machine is whole, or as it was. Returns warnings."""
        session, name = self._scene.session, self._machine.name
        done = {pair.slot for pair in self._pairs}
        left = [] if self._mark is None else [each for each in self._mark.disks if each not in done]
        if left:
            return [f"{name} stays marked as unfinished: restore {', '.join(left)}, too"]
        self._own_version()
        warnings = []
        if self._now is not None and self._now.tracking:
            why = enable_anew(session, self._vm, journal, self._trackers)
            if why is not None:
                warnings.append(f"changed block tracking stays off: {why}")
        what, version = f"finish {name}", self._own_version()
        reconfigure(session, self._vm, what, extraConfig=[no_mark()], changeVersion=version)
        journal.done(note)
        forget_dead(session, str(self._vm._moId))
        return warnings

    def _own_version(self) -> str | None:
        """Of the machine's configuration, while our mark is on it. Raises DiskInUse."""
        facts = properties(self._scene.session, self._vm, (_VERSION, _OPTIONS))
        self._require_own(facts)
        return facts.get(_VERSION)


def is_recorded(scene: Scene, machine: Machine) -> bool:
    """Whether it is the machine that was backed up."""
    uuid = machine.facts.get("config.instanceUuid")
    return bool(uuid) and uuid == scene.point.source_facts.get("instance_uuid")


def not_recorded(scene: Scene, machine: Machine) -> InvalidRequest:
    """Where the name means another one."""
    return InvalidRequest(
        f"{machine.name} is not the machine that was backed up",
        path=str(machine.ref._moId),
        found=f"instance uuid {machine.facts.get('config.instanceUuid')}",
        expected=str(scene.point.source_facts.get("instance_uuid")),
        hint="Restore it as a new machine under a name that is free (new_name), or restore single"
        " disks (dest).",
    )
