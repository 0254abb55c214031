# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How a new machine is made, filled, and finished."""

from __future__ import annotations

import typing as t

from ...._device.errors import DiskError, DiskInUse, TransportUnavailable, UnsupportedDisk
from ...._vsphere.machine.machine import look_at
from ...._vsphere.machine.settings import reconfigure
from ...._vsphere.snapshots.journal import Journal, host_name
from ...._vsphere.snapshots.sweep import sweep
from ...._vsphere.snapshots.unfinished import (
    Mark,
    no_mark,
    note_made,
    remove_made,
    unfinished_since,
)
from ...._vsphere.vmconfig.recreate import recreate
from .filling import fill_attached, fill_over_https, verify_over_https
from .importing import IMPORT, Importing, NotImported, why_not_verified
from .mapping import pair_disks
from .nvram import put_nvram
from .placing import with_identity
from .results import (
    difference_facts,
    disk_facts,
    explained,
    total,
    unwanted,
    with_warnings,
)
from .scene import CONFIGURATION

if t.TYPE_CHECKING:
    from ...._vsphere.vmconfig.placement import Placement
    from ...._vsphere.vmconfig.recreate import Create
    from ...plan import Result
    from .filling import Fill
    from .mapping import Pair
    from .scene import Scene

_NOTHING = "nothing to send"
_FILLS: dict[str, Fill] = {"hotadd": fill_attached, "datastore": fill_over_https}


class Making:
    """Of one machine. run() is called once."""

    def __init__(self, scene: Scene, name: str, placement: Placement) -> None:
        self._scene, self.name, self._placement = scene, name, placement
        self._is_empty = scene.request.what == CONFIGURATION
        self.warnings: list[str] = []
        self._not_restored: list[str] = []
        self._passed: list[str] = []  # transports that could not do it, and why
        self._pairs: list[Pair] = []
        self._fills: list[str] = []  # transports that can fill disks which are there
        self._transfers: dict[str, Result] = {}

    def sweep(self) -> None:
        """What killed runs have left. Raises DiskError."""
        self.warnings += [each.message for each in sweep(self._scene.session)]

    def run(self) -> Result:
        """What the module returns. Raises DiskError; nothing of the machine is left then."""
        scene = self._scene
        self._placement = with_identity(
            scene.session, scene.configuration, self._placement, scene.request.identity
        )
        with Journal.begin(f"restore of {scene.point.source_name} as {self.name}") as journal:
            vm = self._made(journal)
        differences = scene.differences(vm, self._placement)
        result: Result = {
            "vm": scene.describe(vm),
            "disks": [
                disk_facts(pair.point, pair.path, self._transfers.get(pair.point.name, {}))
                for pair in self._pairs
            ],
            "differences": difference_facts(differences),
            "not_restored": self._not_restored,
            "restore_point": scene.point.as_dict(),
        }
        if self._transfers:
            result["transfer"] = total(self._transfers.values())
        return with_warnings(result, [*self.warnings, *unwanted(differences, self.name)])

    def _made(self, journal: Journal) -> t.Any:
        session, sizes, folder = self._scene.session, self._sizes(), self._placement.folder
        planned = note_made(session, journal, self.name, sizes, folder)
        try:
            vm = self._create(journal)
        except BaseException as error:
            self._take_back(journal, planned, error)
            raise
        there = note_made(session, journal, self.name, sizes, folder, vm)
        journal.done(planned)
        try:
            self._fill(journal, vm)
            self._finish(journal, vm)
        except BaseException as error:
            self._take_back(journal, there, error)
            raise
        journal.done(there)
        return vm

    def _create(self, journal: Journal) -> t.Any:
        """With its content where the transport makes it so. Raises DiskError."""
        options, ways = [self._mark(journal).option()], self._ways()
        for number, name in enumerate(ways):
            self._fills = [each for each in ways[number:] if each in _FILLS]
            if name != IMPORT:
                return self._recreated(options, None)
            importing = Importing(self._scene, self._placement, journal)
            try:
                vm = self._recreated(options, importing.create)
            except NotImported as error:
                self._passed.append(f"{name}: {error}")
            else:
                self._transfers = importing.transfers
                first = next(iter(self._transfers))
                self._transfers[first] = explained(self._transfers[first], self._passed)
                return vm
        raise self._no_way("no transport can make the machine", self.name, self._passed)

    def _ways(self) -> list[str]:
        """Those to try, in order; for empty disks nothing need be sent."""
        if self._is_empty or not self._scene.disks:
            return [_NOTHING]
        ways = list(self._scene.request.transport)
        why = self._why_not_attached() if "hotadd" in ways else None
        if why is not None:
            ways.remove("hotadd")
            self._passed.append(f"hotadd: {why}")
        why = why_not_verified(self._scene, self._placement) if IMPORT in ways else None
        if why is not None:
            ways.remove(IMPORT)
            self._passed.append(f"{IMPORT}: {why}")
        if not ways:
            raise self._no_way("no transport can make the machine", self.name, self._passed)
        return ways

    def _why_not_attached(self) -> str | None:
        from ...._transport.hotadd.transport import why_not_here

        return why_not_here(self._scene.session, self._scene.request.proxy_vm)

    def _recreated(self, options: list[t.Any], create: Create | None) -> t.Any:
        scene = self._scene
        vm, told = recreate(
            scene.session,
            scene.configuration,
            self._placement,
            tags=scene.tags,
            policies=scene.policies,
            options=options,
            create=create,
        )
        empty = [] if self._is_empty else sorted(scene.without_content())
        told += [f"content of {slot}: it is not in the restore point" for slot in empty]
        self._not_restored += [*told, *(scene.document.left_out if scene.document else ())]
        return vm

    def _fill(self, journal: Journal, vm: t.Any) -> None:
        machine = look_at(self._scene.session, vm)
        self._pairs = pair_disks(self._scene.disks, machine, same=False)
        if self._is_empty:
            return
        for pair in self._pairs:
            if pair.point.name not in self._transfers:
                self._transfers[pair.point.name] = self._fill_one(journal, pair)
            elif self._scene.request.verify:
                verify_over_https(self._scene, pair)

    def _fill_one(self, journal: Journal, pair: Pair) -> Result:
        passed = list(self._passed)
        for name in self._fills:
            try:
                return explained(_FILLS[name](self._scene, journal, pair), passed)
            except (TransportUnavailable, UnsupportedDisk) as error:
                passed.append(f"{name}: {error}")
        raise self._no_way(f"no transport can fill the disk {pair.slot}", pair.path, passed)

    def _no_way(self, what: str, path: str, passed: list[str]) -> TransportUnavailable:
        return TransportUnavailable(
            what,
            path=path,
            found="; ".join(passed) or "none to try",
            hint="Mend one of these reasons, or allow other transports.",
        )

    def _finish(self, journal: Journal, vm: t.Any) -> None:
        """What is done without its mark must not make it less than whole."""
        scene = self._scene
        if scene.document is not None and scene.document.nvram is not None:
            why = put_nvram(scene.session, vm, scene.document)
            if why is not None:
                self._not_restored.append(f"nvram: {why}")
        if not unfinished_since(scene.session, vm, journal.run):
            raise DiskInUse(
                "somebody has taken its mark away, or set another, while it was made",
                path=self.name,
                hint="All of its content was sent. Look at it in vCenter, and verify its disks.",
            )
        reconfigure(scene.session, vm, f"finish {self.name}", extraConfig=[no_mark()])
        if scene.configuration["template"]:
            try:
                make_template(scene, vm, self.name)
            except DiskError as error:
                self._not_restored.append(f"template: {error}")

    def _mark(self, journal: Journal) -> Mark:
        disks = tuple(disk.name for disk in self._scene.disks)
        return Mark(journal.run, host_name(), self._scene.point.id, True, disks)

    def _sizes(self) -> list[int]:
        """Of all disks that the machine will have, also of those that no backup holds."""
        devices = self._scene.configuration["devices"]
        return [each["capacityInKB"] << 10 for each in devices if "capacityInKB" in each]

    def _take_back(self, journal: Journal, number: int, failure: BaseException) -> None:
        """What failed may have been made all the same: then it goes, or stays in the journal."""
        entry = next(each for each in journal.open_entries() if each.number == number)
        try:
            done = remove_made(self._scene.session, entry, journal.run)
            journal.done(number)
        except DiskError as error:
            done = f"is still there: {error}"
        if isinstance(failure, DiskError) and done:
            told = f"What was made of {self.name} {done}"
            failure.hint = " ".join(filter(None, (failure.hint, told)))


def make_template(scene: Scene, vm: t.Any, name: str) -> None:
    """Of a machine that is whole. Raises DiskError."""
    scene.session.call(vm.MarkAsTemplate, f"make {name} a template", name)
