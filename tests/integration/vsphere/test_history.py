# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened to a machine since the last restore point, as far as vCenter remembers it."""

from __future__ import annotations

import dataclasses
import datetime

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.libraries import (
    vim,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.tasks import wait
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import disk_of
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.marking import (
    enable,
    look,
    proved,
)


def test_history_that_is_not_remembered_is_a_doubt(at_work):
    enable(at_work)
    before = dataclasses.replace(look(at_work)[2].mark, task="task-000")

    assert "does not remember" in look(at_work, before)[2].reason


def believed(at_work):
    """The mark of a disk whose changes are believed, as long as nothing happens to it."""
    enable(at_work)
    before = proved(at_work)
    assert look(at_work, before)[2].reason is None
    return before


def test_events_that_are_forgotten_are_a_doubt(at_work):
    before = believed(at_work)
    at_work[0].mode(forget_events=True)

    assert "does not remember" in look(at_work, before)[2].reason


def datastore(reference):
    return vim().event.DatastoreEventArgument(name=reference.name, datastore=reference)


def tell(at_work, kind, **facts):
    """An event of the machine; moves are not simulated."""
    _vcenter, session, _journal, vm = at_work
    kinds, host = vim().event, vm.runtime.host
    datacenter = session.content.rootFolder.childEntity[0]
    event = getattr(kinds, kind)(
        key=0,
        chainId=0,
        createdTime=datetime.datetime.now(datetime.timezone.utc),
        userName="",
        vm=kinds.VmEventArgument(name=vm.name, vm=vm),
        sourceHost=kinds.HostEventArgument(name=host.name, host=host),
        sourceDatacenter=kinds.DatacenterEventArgument(name="", datacenter=datacenter),
        **facts,
    )
    session.content.eventManager.PostEvent(event, None)


def test_a_machine_that_was_elsewhere_and_came_back_is_read_whole(at_work):
    before = believed(at_work)
    tell(at_work, "VmRelocatedEvent")

    assert "moved to another place at 20" in look(at_work, before)[2].reason


@pytest.mark.parametrize("kind", ["VmMigratedEvent", "DrsVmMigratedEvent"])
def test_a_move_to_another_host_is_no_doubt_unless_its_datastore_is_another(at_work, kind):
    first, second = at_work[1].content.rootFolder.childEntity[0].datastore[:2]
    before = believed(at_work)

    tell(at_work, kind, ds=datastore(first), sourceDatastore=datastore(first))
    assert look(at_work, before)[2].reason is None

    tell(at_work, kind, ds=datastore(first), sourceDatastore=datastore(second))
    assert "moved to another datastore at 20" in look(at_work, before)[2].reason


def test_settings_of_the_disk_that_were_changed_are_a_doubt(at_work):
    before = believed(at_work)
    change = vim().vm.device.VirtualDeviceSpec(operation="edit", device=disk_of(at_work[3]))
    wait(at_work[1], at_work[3].ReconfigVM_Task(vim().vm.ConfigSpec(deviceChange=[change])))

    assert "its settings were changed at 20" in look(at_work, before)[2].reason


def test_a_machine_that_could_have_reverted_itself_meanwhile_is_read_whole(at_work):
    before = believed(at_work)
    for action in ("autoRevert", "keep"):
        option = vim().option.OptionValue(key="snapshot.action", value=action)
        wait(at_work[1], at_work[3].ReconfigVM_Task(vim().vm.ConfigSpec(extraConfig=[option])))

    assert "made to revert to its snapshot" in look(at_work, before)[2].reason


def test_history_that_may_not_be_read_is_a_doubt(at_work):
    enable(at_work)
    before = look(at_work)[2].mark
    at_work[0].rule("CreateCollectorForTasks", fault="NoPermission", privilege="System.View")

    assert "cannot be seen" in look(at_work, before)[2].reason
