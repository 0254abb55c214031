# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_power_on, looked at by pyVmomi."""

from __future__ import annotations

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.restored import (
    UNFINISHED,
)


@pytest.fixture
def machine(room):
    """One that is off, without disks."""
    return room.machine(sizes=())


def state(room, name):
    return room.vm(name).runtime.powerState


def tell(room, name, path, value):
    """What the guest tells vCenter."""
    room.vcenter.set_property("VirtualMachine", name, path, value, "xsd:string")


def test_it_is_switched_on_once(room, machine):
    foretold = room.lab.modules.run("vmdk_power_on", check_mode=True, vm=machine)
    assert (foretold["changed"], state(room, machine)) == (True, "poweredOff")

    result = room.lab.modules.vmdk_power_on(vm=machine)
    assert (result["changed"], state(room, machine)) == (True, "poweredOn")
    assert result["diff"]["before"] == {"power_state": "poweredOff"}
    assert result["vm"]["moref"] == room.vm(machine)._moId

    assert not room.lab.modules.vmdk_power_on(vm=machine)["changed"]
    assert not room.lab.modules.run("vmdk_power_on", check_mode=True, vm=machine)["changed"]


@pytest.mark.parametrize(
    ("sign", "path", "value", "expected"),
    [
        ("tools", "guest.toolsRunningStatus", "guestToolsRunning", True),
        ("address", "guest.ipAddress", "192.0.2.17", "192.0.2.17"),
    ],
)
def test_its_guest_is_waited_for(room, machine, sign, path, value, expected):
    wish = {"vm": machine, "wait_for": sign}
    tell(room, machine, path, "")
    late = room.lab.modules.fail("vmdk_power_on", timeout=1, **wish)
    assert f"{machine}: it did not come up within 1 seconds, found poweredOn" in late["msg"]
    assert state(room, machine) == "poweredOn"

    tell(room, machine, path, value)
    result = room.lab.modules.vmdk_power_on(timeout=60, **wish)
    assert (result["changed"], result["vm"][sign]) == (False, expected)


def test_a_machine_whose_restore_broke_off_is_not_started(room, machine):
    mark = vim.option.OptionValue(key=UNFINISHED, value="whatever it says")
    room.lab.wait(room.vm(machine).ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[mark])))
    message = room.lab.modules.fail("vmdk_power_on", vm=machine)["msg"]
    assert "a restore of it was not completed" in message
    assert state(room, machine) == "poweredOff"


def test_what_vsphere_says_against_it_is_told(room, machine):
    room.vcenter.rule("PowerOnVM_Task", fault="NoDiskSpace", task=True)
    message = room.lab.modules.fail("vmdk_power_on", vm=machine)["msg"]
    assert f"{machine}: cannot switch it on at" in message
    assert "the datastore is full" in message
    assert state(room, machine) == "poweredOff"
