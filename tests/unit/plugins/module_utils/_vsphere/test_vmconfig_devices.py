# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded disks as requests for new ones."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.compare import (
    differences,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.devices import (
    DeviceSpecs,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.placement import (
    Placement,
)

pytest.importorskip("pyVmomi")

DISK = "vim.vm.device.VirtualDisk"
RAW = {
    "_type": f"{DISK}.RawDiskMappingVer1BackingInfo",
    "fileName": "[ds] web01/lun.vmdk",
    "compatibilityMode": "physicalMode",
    "diskMode": "independent_persistent",
}
FLAT = {"_type": f"{DISK}.FlatVer2BackingInfo", "fileName": "[ds] web01/web01.vmdk"}
NOWHERE = Placement(folder=None, pool=None)


def document(backing):
    disk = {"_type": DISK, "key": 2000, "capacityInKB": 1024, "unitNumber": 0, "backing": backing}
    nothing = {"extra_config": {}, "tags": [], "policies": {}, "names": {}}
    vmx = {"vmx": "[ds] web01/web01.vmx"}
    return {"devices": [disk], "slots": {"2000": "scsi0:0"}, "files": vmx, **nothing}


@pytest.mark.parametrize(
    ("backing", "thin"),
    [
        (RAW, True),
        (FLAT, None),
        ({**FLAT, "thinProvisioned": False}, False),
        ({**FLAT, "thinProvisioned": True}, True),
    ],
    ids=["raw device", "flat", "thick", "thin"],
)
def test_what_a_disk_becomes(backing, thin):
    [spec] = DeviceSpecs(document(backing), NOWHERE, None, {}).all()

    assert spec.device.backing.thinProvisioned is thin
    assert spec.device.backing.fileName == "[ds]"


def test_that_a_raw_device_becomes_a_thin_disk_is_no_surprise():
    found = {**FLAT, "thinProvisioned": True}
    told = {
        each.path: each.intended for each in differences(document(RAW), document(found), NOWHERE)
    }

    [path] = [path for path in told if path.endswith(".thinProvisioned")]
    assert told[path] == "new disks are flat files"
