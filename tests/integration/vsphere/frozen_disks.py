# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that hold still, for transports to read, and the model that they are held against."""

from __future__ import annotations

import hashlib
import random
import typing as t

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind, pieces
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.pipeline import ordered_map
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.frozen import FrozenDisk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.session import (
    Session,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.tasks import wait
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.frozen import (
    disks_of,
    slot_names,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.journal import (
    Journal,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import log_in
from ansible_collections.vdisk.lifecycle.tests.simulator.fixtures import (
    Vcenter,
    needed,
    simulator,
)

CHUNK = 256 << 10
MACHINES = 42


@pytest.fixture(scope="module")
def machines() -> t.Iterator[tuple[Vcenter, list[str]]]:
    """A small simulator for all tests of a file, and names of machines that nobody has touched."""
    needed()
    with simulator("--vms", str(MACHINES)) as vcenter:
        yield vcenter, [f"many{number:05}" for number in range(5, MACHINES)]


@pytest.fixture(scope="module")
def there(machines: tuple[Vcenter, list[str]]) -> t.Iterator[Session]:
    """One session for all tests of a file."""
    with log_in(machines[0]) as session:
        yield session


def frozen(
    session: Session, journal: Journal, vm: t.Any, snapshot: t.Any = None
) -> list[FrozenDisk]:
    """All disks of a snapshot, or of a machine that is off."""
    devices = list((snapshot or vm).config.hardware.device)
    slots = slot_names(devices)
    return [
        FrozenDisk(
            session,
            journal,
            vm,
            vm.name,
            snapshot,
            disk,
            slots[disk.key],
            disk.backing.fileName,
            disk.capacityInBytes,
            disk.backing.uuid,
            disk.backing.datastore.summary.type,
            "",
        )
        for disk in disks_of(devices)
    ]


def read_all(device: t.Any, chunk: int = CHUNK, workers: int = 4) -> bytes:
    """As a backup does: what is data, on threads, in chunks that are not those of the stream."""
    content = bytearray(device.size)
    view = memoryview(content)
    runs = (run for run in device.extents() if run.kind is Kind.DATA)

    def load(run: t.Any) -> None:
        device.readinto(run.offset, view[run.offset : run.end])

    for result in ordered_map(load, pieces(runs, chunk), workers):
        assert result is None
    return bytes(content)


def digest(content: bytes) -> str:
    """What two disks are compared by: their bytes would be a long message."""
    return hashlib.sha256(content).hexdigest()


def fill(vcenter: t.Any, name: str, key: int, size: int, count: int = 3) -> None:
    """Random data here and there, also in the last bytes."""
    chance = random.Random(f"{name} {key}")
    for _turn in range(count):
        data = chance.randbytes(chance.randrange(1, 200000))
        vcenter.guest_write(name, key, chance.randrange(0, size - len(data)), data)
    vcenter.guest_write(name, key, size - 700, chance.randbytes(700))


def take(session: Session, vm: t.Any, name: str = "ours") -> t.Any:
    """A snapshot."""
    return wait(session, vm.CreateSnapshot_Task(name, "", False, False), "take a snapshot")
