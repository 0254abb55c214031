# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of simulated machines by the module, and what restore points hold, byte for byte."""

from __future__ import annotations

import contextlib
import os
import threading
import typing as t
from random import Random

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.document import (
    read_document,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
)
from ansible_collections.vdisk.lifecycle.tests.simulator.fixtures import needed, simulator

CALM = {"quiesce": "crash_consistent", "self_check": 2}
OURS = "vdisk-lifecycle "
_MARKER = 3 << 20  # where a guest notes which write was the last on a disk


class Shelf:
    """A repository, filled by the module."""

    def __init__(self, vcenter: t.Any, modules: t.Any, repository: dict[str, str]) -> None:
        self.vcenter, self._modules, self._repository = vcenter, modules, repository

    def back_up(self, vm: str, **options: t.Any) -> dict[str, t.Any]:
        return self._modules.vmdk_backup(vm=vm, **{**CALM, **self._repository, **options})

    def refused(self, vm: str | None, **options: t.Any) -> str:
        options = {**CALM, **self._repository, **options, **({"vm": vm} if vm else {})}
        return str(self._modules.fail("vmdk_backup", **options)["msg"])

    @property
    def opened(self) -> Repository:
        return Repository.open(self._repository["repository"], self._repository["passphrase"])

    def content(self, result: dict[str, t.Any], disk: str) -> bytes:
        repository = self.opened
        point = repository.find(result["restore_point"]["id"]).point
        with repository.open_disk(point, disk) as device:
            return bytes(read(device, 0, device.size))

    def document(self, result: dict[str, t.Any]) -> t.Any:
        repository = self.opened
        return read_document(repository, repository.find(result["restore_point"]["id"]).point)

    def holds_what_the_guest_has(self, vm: str, result: dict[str, t.Any]) -> bool:
        """For a machine that nobody writes to."""
        return all(
            self.content(result, disk["name"])
            == self.vcenter.guest_read(vm, disk["key"], 0, disk["size"])
            for disk in result["restore_point"]["disks"]
        )


def methods(result: dict[str, t.Any]) -> list[str]:
    return [disk["method"] for disk in result["restore_point"]["disks"]]


def transports(result: dict[str, t.Any]) -> set[str]:
    return {disk["transport"] for disk in result["restore_point"]["disks"]}


def left_in(vcenter: t.Any) -> list[t.Any]:
    """Of ours: snapshots, disks at the proxy, leases, journals."""
    state = vcenter.state()
    folder = os.environ["VDISK_STATE_DIR"]
    journals = os.listdir(folder) if os.path.isdir(folder) else []
    found = [state["snapshots"], state["attached"], state["leases"], journals]
    return [each for each in found if each]


class Guest:
    """Writes to the disks of a machine, one after the other, and remembers each write."""

    def __init__(self, vcenter: t.Any, vm: str, sizes: dict[int, int], seed: int) -> None:
        self._vcenter, self._vm, self._sizes = vcenter, vm, sizes
        self._random, self._stop = Random(seed), threading.Event()
        self._begun = threading.Event()
        self.log: list[tuple[int, int, bytes]] = []
        self.before = {key: self.now(key) for key in sizes}

    def now(self, key: int) -> bytes:
        return bytes(self._vcenter.guest_read(self._vm, key, 0, self._sizes[key]))

    @contextlib.contextmanager
    def at_work(self) -> t.Iterator[None]:
        thread = threading.Thread(target=self._work)
        thread.start()
        self._begun.wait()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _work(self) -> None:
        while not self._stop.wait(0.02):
            self.write()
            if len(self.log) >= 2 * len(self._sizes):
                self._begun.set()

    def write(self) -> None:
        """Something somewhere, and then its number, on one disk."""
        keys = sorted(self._sizes)
        key = keys[len(self.log) // 2 % len(keys)]
        offset = self._random.randrange(4 << 20, 12 << 20)
        number = len(self.log).to_bytes(8, "big")
        for place, data in ((offset, self._random.randbytes(3000)), (_MARKER, number)):
            self.log.append((key, place, data))
            self._vcenter.guest_write(self._vm, key, place, data)

    def moment_of(self, contents: dict[int, bytes]) -> int:
        """After how many writes the disks looked like that, all of them at the same moment."""
        seen = [
            int.from_bytes(content[_MARKER : _MARKER + 8], "big") for content in contents.values()
        ]
        least = max(seen) + 2
        for moment in (least, least + 1):
            if contents == self._at(moment):
                return moment
        pytest.fail(f"the disks never were like that; their last writes are {seen}")

    def _at(self, moment: int) -> dict[int, bytes]:
        disks = {key: bytearray(content) for key, content in self.before.items()}
        for key, offset, data in self.log[:moment]:
            disks[key][offset : offset + len(data)] = data
        return {key: bytes(content) for key, content in disks.items()}


@pytest.fixture(scope="module")
def backed_up_vcenter() -> t.Iterator[t.Any]:
    """One for all tests of a file."""
    needed()
    with simulator() as vcenter:
        yield vcenter


@pytest.fixture
def shelf(backed_up_vcenter, modules, repository, tmp_path, monkeypatch) -> t.Iterator[Shelf]:
    """An empty repository, and modules that know where the vCenter is."""
    for name, value in backed_up_vcenter.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path / "jobs"))
    before = backed_up_vcenter.state()["mode"]
    yield Shelf(backed_up_vcenter, modules, repository)
    backed_up_vcenter.clear_rules()
    backed_up_vcenter.mode(**before)
