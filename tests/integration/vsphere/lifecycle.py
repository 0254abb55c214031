# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of simulated machines, step by step, and the other people who work on them."""

from __future__ import annotations

import contextlib
import os
import typing as t

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Extent, Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes.changes import (
    Changes,
    Tracker,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes.proof import judged
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.collect import (
    collect,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.libraries import (
    vim,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.session import (
    Session,
    open_session,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.target import (
    VCenter,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.tasks import wait
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.marks import DiskMark
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.tree import (
    all_snapshots,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.journal import (
    Journal,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.quiesce import (
    CRASH_CONSISTENT,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.removal import (
    Patience,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.snapshots import (
    snapshot,
)
from ansible_collections.vdisk.lifecycle.tests.simulator.fixtures import (
    Vcenter,
    needed,
    simulator,
)

QUICK = Patience(removal=8, consolidation=8, settling=8, pause=0.05, longest_pause=0.2)
OURS = "vdisk-lifecycle "
CHUNK = 256 << 10


def log_in(vcenter: t.Any) -> Session:
    os.environ["SSL_CERT_FILE"] = vcenter.ca_file
    return open_session(VCenter(vcenter.hostname, vcenter.username, vcenter.password, vcenter.port))


def find_vm(session: Session, name: str) -> t.Any:
    return find_vms(session, name)[0]


def find_vms(session: Session, *names: str) -> list[t.Any]:
    found = {row["name"]: ref for ref, row in collect(session, vim().VirtualMachine, ("name",))}
    return [found[name] for name in names]


def take_snapshot(session: Session, vm: t.Any) -> t.Any:
    """One that somebody takes through our session."""
    what = "take a snapshot"
    task = session.call(lambda: vm.CreateSnapshot_Task("a", "", False, False), what)
    return wait(session, task, what)


def snapshots(vm: t.Any) -> list[t.Any]:
    """The nodes of all snapshots of a machine, asked of vCenter itself."""
    return list(all_snapshots({"snapshot": vm.snapshot}))


def names(vm: t.Any) -> list[str]:
    return [node.name for node in snapshots(vm)]


def keep(session: Session, vm: t.Any, name: str = "nightly of somebody else") -> None:
    """Another product takes a snapshot."""
    wait(session, vm.CreateSnapshot_Task(name, "{}", False, False))


def set_tracking(session: Session, vm: t.Any, enabled: bool) -> None:
    wait(session, vm.ReconfigVM_Task(vim().vm.ConfigSpec(changeTrackingEnabled=enabled)))


def disk_of(vm: t.Any, key: int = 2000) -> t.Any:
    return next(each for each in vm.config.hardware.device if each.key == key)


class Copy:
    """What a repository would hold of one disk, made of a full backup and increments."""

    def __init__(self, vcenter: t.Any, session: Session, vm: t.Any, journal: Journal) -> None:
        self._vcenter, self._session, self._vm, self._journal = vcenter, session, vm, journal
        self.name = vm.name
        self.image = bytearray()
        self.mark: t.Any = None
        self.reasons: list[str | None] = []

    def back_up(
        self,
        meanwhile: t.Callable[[], None] = lambda: None,
        before_asking: t.Callable[[], None] = lambda: None,
    ) -> None:
        """`meanwhile` is what others do while our snapshot exists, once the disk was read."""
        with snapshot(
            self._session, self._vm, self._journal, CRASH_CONSISTENT, patience=QUICK
        ) as taken:
            tracker = Tracker(self._session, self._vm, taken.snapshot, taken.task)
            (now,) = tracker.marks
            before_asking()
            found = tracker.changes(self.mark, now)
            self.mark = self._read(now.capacity, found)
            meanwhile()
        self.reasons.append(found.reason)

    def _read(self, capacity: int, found: Changes) -> DiskMark:
        """The mark to record."""
        if found.extents is None:
            old, self.image = self.image, bytearray(capacity)
            self._fetch(0, capacity)
            return judged(found, _differing(old, self.image))
        for extent in found.extents:
            self._fetch(extent.offset, extent.length)
        return found.mark

    def _fetch(self, offset: int, length: int) -> None:
        data = self._vcenter.guest_read(self.name, 2000, offset, length)
        self.image[offset : offset + length] = data


def _differing(old: bytearray, new: bytearray) -> t.Iterator[Extent]:
    for start in range(0, len(new), CHUNK):
        if old[start : start + CHUNK] != new[start : start + CHUNK]:
            yield Extent(start, CHUNK, Kind.DATA)


@contextlib.contextmanager
def run_of_ours(purpose: str = "a test") -> t.Iterator[Journal]:
    with Journal.begin(purpose) as journal:
        yield journal


@pytest.fixture(scope="module")
def machines() -> t.Iterator[tuple[Vcenter, list[str]]]:
    """A simulator for all tests of a file, and names of machines that nobody has touched."""
    needed()
    with simulator("--vms", "105") as vcenter:
        yield vcenter, [f"many{number:05}" for number in range(5, 105)]


@pytest.fixture
def place(machines, tmp_path, monkeypatch) -> t.Iterator[tuple[Vcenter, str]]:
    """(vcenter, name of a fresh machine), with a state folder of its own and no rules."""
    vcenter, fresh = machines
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path / "jobs"))
    modes = vcenter.state()["mode"]
    yield vcenter, fresh.pop()
    vcenter.clear_rules()
    vcenter.mode(**modes)


@pytest.fixture
def at_work(place) -> t.Iterator[tuple[Vcenter, Session, Journal, t.Any]]:
    """(vcenter, session, journal, vm) of a run of ours."""
    vcenter, name = place
    with log_in(vcenter) as session, run_of_ours() as journal:
        yield vcenter, session, journal, find_vm(session, name)
