# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first transport that carries a disk is taken; the others are told of."""

from __future__ import annotations

import types

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskInUse,
    DiskIOError,
    TransportUnavailable,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.backup.road import Road
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.choose import (
    Absent,
    choose,
    foresee,
)

DISK = types.SimpleNamespace(name="scsi0:0", vm_name="web01", path="[ds] web01/web01.vmdk", size=4)


class Way:
    """A transport as tests want it."""

    def __init__(self, name, *, refusal=None, error=None, content=b"disk", sequential=False):
        self.name, self._refusal, self._error = name, refusal, error
        self.is_sequential, self._content = sequential, content
        self.opened = 0

    def refusal(self, disk):
        return self._refusal

    def open(self, disk):
        self.opened += 1
        if self._error:
            raise self._error
        return MemoryDevice(self._content)

    def close(self):
        pass


class Failing(Way):
    """Can be opened, but not read."""

    def open(self, disk):
        device = MemoryDevice(4)
        device.readinto = self._fail
        return device

    def _fail(self, offset, buffer):
        raise DiskIOError("broken", path=self.name)


def test_the_first_that_can_is_taken():
    chosen = choose(DISK, [Way("hotadd"), Way("nfc")])
    assert chosen.transport.name == "hotadd"
    assert chosen.reason == "the first of those to try"


def test_what_was_passed_over_is_told():
    refusing = Way("hotadd", refusal="this host is no machine there")
    failing = Way("datastore", error=DiskInUse("the file is in use"))
    chosen = choose(DISK, [refusing, Absent("vddk", "no library"), failing, Way("nfc")])
    assert chosen.transport.name == "nfc"
    assert chosen.reason == (
        "passed over hotadd: this host is no machine there; vddk: no library;"
        " datastore: the file is in use."
    )
    assert refusing.opened == 0


def test_nobody_can():
    with pytest.raises(TransportUnavailable, match=r"web01: .*scsi0:0|scsi0:0 of web01") as error:
        choose(DISK, [Way("hotadd", refusal="no"), Way("nfc", error=DiskInUse("busy"))])
    assert error.value.found == "hotadd: no; nfc: busy."


def test_nothing_is_opened_to_foresee():
    ways = [Way("hotadd", refusal="no"), Way("nfc")]
    name, reason = foresee(DISK, ways)
    assert name == "nfc"
    assert reason == "passed over hotadd: no, as far as that is known before trying"
    assert ways[1].opened == 0


def test_a_road_goes_on_by_another_transport():
    road = Road(DISK, [Failing("hotadd"), Way("nfc", content=b"good")])
    with pytest.raises(DiskIOError):
        read(road, 0, 4)
    road.close()
    assert road.fall_back()
    assert read(road, 0, 4) == b"good"
    assert road.facts["transport"] == "nfc"
    assert road.facts["transport_reason"].startswith("passed over hotadd: hotadd: broken")


def test_a_road_ends():
    road = Road(DISK, [Failing("nfc")])
    with pytest.raises(DiskIOError):
        read(road, 0, 4)
    assert not road.fall_back()


def test_parts_are_not_asked_of_who_carries_whole_disks():
    ways = [Way("hotadd", error=DiskInUse("busy")), Way("nfc", sequential=True)]
    road = Road(DISK, ways)
    road.needs_ranges = True
    with pytest.raises(TransportUnavailable, match="whole disks"):
        read(road, 0, 4)
    assert road.fall_back()
    assert road.only_whole
    road.needs_ranges = False
    assert read(road, 0, 4) == b"disk"


def test_a_road_that_nobody_went_says_so():
    assert Road(DISK, [Way("nfc")]).facts["transport"] == "none"
