# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disk of a machine is which of a restore point."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskNotFound,
    InvalidRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.restore.mapping import (
    pair_disks,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.manifest import (
    PointDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.machine import (
    Machine,
)

kinds = pytest.importorskip("pyVmomi").vim.vm.device
ONE, TWO, THREE = (f"6000c29{number}-0000-0000-0000-000000000000" for number in (1, 2, 3))


def recorded(name, uuid, size=1 << 20):
    return PointDisk(name, 2000, name, uuid, "", size, "full", "", 0, 0, b"", [], {})


def attached(unit, uuid, size=1 << 20):
    backing = kinds.VirtualDisk.FlatVer2BackingInfo(fileName=f"[ds] {unit}.vmdk", uuid=uuid)
    return kinds.VirtualDisk(
        key=2000 + unit, controllerKey=1000, unitNumber=unit, backing=backing,
        capacityInKB=size >> 10, capacityInBytes=size,
    )  # fmt: skip


def machine(*disks):
    controller = kinds.ParaVirtualSCSIController(key=1000, busNumber=0, scsiCtlrUnitNumber=7)
    return Machine(None, "web01", {"config.hardware.device": [controller, *disks]})


def slots(pairs):
    return [(pair.point.name, pair.slot) for pair in pairs]


def test_disks_of_the_same_machine_are_known_by_their_uuids_wherever_they_are():
    there = machine(attached(0, TWO.upper()), attached(1, ONE))

    pairs = pair_disks([recorded("scsi0:0", ONE), recorded("scsi0:1", TWO)], there, same=True)

    assert slots(pairs) == [("scsi0:0", "scsi0:1"), ("scsi0:1", "scsi0:0")]


def test_disks_of_another_machine_are_known_by_their_places():
    there = machine(attached(0, TWO), attached(1, ONE))

    pairs = pair_disks([recorded("scsi0:0", ONE), recorded("scsi0:1", TWO)], there, same=False)

    assert slots(pairs) == [("scsi0:0", "scsi0:0"), ("scsi0:1", "scsi0:1")]


def test_a_disk_without_a_uuid_is_known_by_its_place():
    pairs = pair_disks([recorded("scsi0:1", "")], machine(attached(1, None)), same=True)

    assert slots(pairs) == [("scsi0:1", "scsi0:1")]


def test_a_stranger_in_the_place_of_a_disk_is_never_taken_for_it():
    with pytest.raises(InvalidRequest, match="another disk at scsi0:0"):
        pair_disks([recorded("scsi0:0", ONE)], machine(attached(0, THREE)), same=True)


def test_a_disk_that_is_gone():
    with pytest.raises(DiskNotFound, match="does not have the disk scsi0:1") as caught:
        pair_disks([recorded("scsi0:1", TWO)], machine(attached(0, ONE)), same=True)
    assert "#scsi0:1" in caught.value.hint


@pytest.mark.parametrize("same", [True, False])
def test_a_disk_that_has_grown(same):
    with pytest.raises(InvalidRequest, match="another size"):
        pair_disks([recorded("scsi0:0", ONE)], machine(attached(0, ONE, 2 << 20)), same=same)


@pytest.mark.parametrize("turned", [False, True])
def test_a_copy_that_was_attached_beside_the_original_is_never_taken_for_it(turned):
    disks = [attached(0, TWO), attached(1, ONE), attached(2, ONE)]
    there = machine(*(reversed(disks) if turned else disks))

    pairs = pair_disks([recorded("scsi0:0", TWO), recorded("scsi0:1", ONE)], there, same=True)

    assert slots(pairs) == [("scsi0:0", "scsi0:0"), ("scsi0:1", "scsi0:1")]


def test_of_two_copies_at_other_places_nobody_knows_which_one_is_meant():
    with pytest.raises(InvalidRequest, match="copies with the same uuid") as caught:
        pair_disks(
            [recorded("scsi0:0", ONE)], machine(attached(1, ONE), attached(2, ONE)), same=True
        )
    assert caught.value.found == "scsi0:1, scsi0:2"


def test_a_point_with_two_disks_of_one_uuid():
    disks = [recorded("scsi0:0", ONE), recorded("scsi0:1", ONE)]

    pairs = pair_disks(disks, machine(attached(1, ONE), attached(0, ONE)), same=True)

    assert slots(pairs) == [("scsi0:0", "scsi0:0"), ("scsi0:1", "scsi0:1")]
    left = machine(attached(0, ONE))
    for wanted in (disks, disks[1:]):
        with pytest.raises(InvalidRequest, match="which disk of web01 is scsi0:1"):
            pair_disks(wanted, left, same=True, among=disks)


def test_two_disks_of_a_point_never_become_one():
    disks = [recorded("scsi0:1", ""), recorded("scsi0:0", ONE)]

    with pytest.raises(InvalidRequest, match="would be one disk"):
        pair_disks(disks, machine(attached(1, ONE)), same=True)
