# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk is found by its uuid in a tree that looks like /sys."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskInUse,
    DiskNotFound,
    InvalidRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks.guestdisk import (
    GuestDisk,
    find_disk,
    names_in_guest,
    require_unused,
    wait_for_disk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.uuids import (
    api_uuid,
    plain_uuid,
)

UUID = "6000C29e-8d5b-5e2f-0a87-1c4e6a5d3b21"
DIGITS = "6000c29e8d5b5e2f0a871c4e6a5d3b21"
OTHER = "6000c2900000000000000000000000ff"


class Sys:
    """A /sys of our own."""

    def __init__(self, root):
        self.root = root
        (root / "block").mkdir()

    def add(self, name, wwid, size=1 << 30, users=(), partitions=()):
        block = self.root / "block" / name
        (block / "holders").mkdir(parents=True)
        (block / "device").mkdir()
        if wwid is not None:
            (block / "device" / "wwid").write_text(wwid + "\n")
        (block / "size").write_text(f"{size // 512}\n")
        for user in users:
            (block / "holders" / user).touch()
        for number, user in partitions:
            (block / f"{name}{number}" / "holders").mkdir(parents=True)
            (block / f"{name}{number}" / "holders" / user).touch()

    def find(self, uuid=UUID):
        return find_disk(uuid, sys=str(self.root))


@pytest.fixture
def sys(tmp_path):
    return Sys(tmp_path)


@pytest.mark.parametrize(
    "written",
    [UUID, DIGITS, UUID.upper(), "60 00 C2 9e 8d 5b 5e 2f-0a 87 1c 4e 6a 5d 3b 21"],
)
def test_a_uuid_is_one_however_it_is_written(written):
    assert plain_uuid(written) == DIGITS


@pytest.mark.parametrize("written", [UUID, UUID.upper(), DIGITS])
def test_a_uuid_as_vsphere_writes_it(written):
    assert api_uuid(written) == UUID


def test_a_uuid_that_is_not_vmwares_stays_small():
    assert api_uuid("C6687305ABF15A6ABAE274638229D2D8") == "c6687305-abf1-5a6a-bae2-74638229d2d8"


@pytest.mark.parametrize("written", ["", "6000C29e", UUID + "0", "zz" * 16])
def test_what_is_no_uuid_is_told(written):
    with pytest.raises(InvalidRequest, match="32 hexadecimal digits"):
        plain_uuid(written)


def test_the_names_that_udev_makes():
    assert names_in_guest(UUID) == (
        f"/dev/disk/by-id/wwn-0x{DIGITS}",
        f"/dev/disk/by-id/scsi-3{DIGITS}",
    )


def test_the_disk_is_found_among_others(sys):
    sys.add("sda", f"naa.{OTHER}")
    sys.add("sdb", f"naa.{DIGITS}", size=3 << 30)
    sys.add("sr0", None)
    sys.add("nvme0n1", f"eui.{OTHER}")
    assert sys.find() == GuestDisk("/dev/sdb", 3 << 30, ())


def test_a_name_that_only_starts_alike_is_another_disk(sys):
    sys.add("sda", f"naa.{DIGITS[:-1]}0")
    with pytest.raises(DiskNotFound, match=r"EnableUUID"):
        sys.find()


def test_without_enable_uuid_nothing_is_found(sys):
    sys.add("sda", "t10.VMware   Virtual disk")
    with pytest.raises(DiskNotFound, match="no disk with a uuid"):
        sys.find()


def test_two_disks_of_one_uuid_are_never_guessed(sys):
    sys.add("sdb", f"naa.{DIGITS}")
    sys.add("sdc", f"naa.{DIGITS}")
    with pytest.raises(DiskInUse, match=r"/dev/sdb, /dev/sdc"):
        sys.find()


def test_a_disk_that_lvm_or_multipath_took_is_told(sys):
    sys.add("sdb", f"naa.{DIGITS}", users=["dm-7"], partitions=[(1, "dm-3"), (2, "md127")])
    disk = sys.find()
    assert disk.users == ("dm-3", "dm-7", "md127")
    with pytest.raises(DiskInUse, match=r"/dev/sdb: .*dm-3, dm-7, md127"):
        require_unused(disk)


def test_an_unused_disk_is_fine(sys):
    sys.add("sdb", f"naa.{DIGITS}", partitions=[])
    require_unused(sys.find())


def test_a_disk_that_comes_late_is_waited_for(sys):
    late = threading.Timer(0.4, lambda: sys.add("sdb", f"naa.{DIGITS}"))
    late.start()
    try:
        # The size is written last: a look in between must not fail for good.
        disk = wait_for_disk(UUID, seconds=10, sys=str(sys.root))
    finally:
        late.join()
    assert disk.path == "/dev/sdb"


def test_the_scsi_hosts_are_asked_to_look(sys):
    scan = sys.root / "class" / "scsi_host" / "host2" / "scan"
    scan.parent.mkdir(parents=True)
    scan.touch()
    with pytest.raises(DiskNotFound):
        wait_for_disk(UUID, seconds=0.3, sys=str(sys.root))
    assert scan.read_text() == "- - -"


def test_waiting_ends(sys):
    with pytest.raises(DiskNotFound, match="no disk of this host has that uuid"):
        wait_for_disk(UUID, seconds=0, sys=str(sys.root))
