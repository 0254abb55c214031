# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a recorded configuration cannot be put right, as it is not there any more."""

from __future__ import annotations

import types

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.plain import (
    to_plain,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.reapply import (
    lost_boot_devices,
    unknown_tags,
)

vim = pytest.importorskip("pyVmomi").vim
KINDS = vim.vm.device


def tags(*labels):
    return types.SimpleNamespace(labels=dict(enumerate(labels)))


def test_tags_that_are_gone():
    document = {"tags": ["tier:gold", "tier:golden"]}

    assert unknown_tags(document, tags("tier:gold")) == ["tier:golden"]
    assert unknown_tags(document, None) == ["tier:gold", "tier:golden"]
    assert unknown_tags({"tags": []}, tags()) == []


def disk(unit, key):
    return KINDS.VirtualDisk(key=key, controllerKey=1000, unitNumber=unit)


def recorded(*order):
    kinds = vim.vm.BootOptions
    options = kinds(bootOrder=[*order, kinds.BootableCdromDevice()])
    devices = [to_plain(each) for each in (CONTROLLER, disk(0, 2000), disk(1, 2001))]
    return {"devices": devices, "settings": {"bootOptions": to_plain(options)}}


CONTROLLER = KINDS.ParaVirtualSCSIController(key=1000, busNumber=0, scsiCtlrUnitNumber=7)


def test_boot_devices_that_are_gone():
    first, second = (vim.vm.BootOptions.BootableDiskDevice(deviceKey=key) for key in (2000, 2001))

    found = lost_boot_devices(recorded(second, first), [CONTROLLER, disk(0, 2005)])

    assert found == ["VirtualDisk ParaVirtualSCSIController0:1"]
    assert lost_boot_devices(recorded(second), [CONTROLLER, disk(1, 2009)]) == []


def test_a_machine_of_which_no_boot_order_was_recorded():
    assert lost_boot_devices({"devices": [], "settings": {}}, []) == []
