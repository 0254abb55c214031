# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage policies of a recorded VM."""

from __future__ import annotations

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.policies import (
    Policies,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.placement import (
    Found,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.record import record
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.recreate import (
    recreate,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.spec import (
    make_spec,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.furnished import place

ENCRYPTING = "VM Encryption Policy"


def test_policies_are_found_by_their_names(there):
    session, _tags, vm = there
    policies = Policies(session)

    known = {each["name"]: each["id"] for each in policies.all()}

    assert policies.of_machine(vm, {2000: "scsi0:0"}) == {}
    assert policies.find({"id": "another vCenter's", "name": ENCRYPTING}) == known[ENCRYPTING]
    assert policies.find({"id": known[ENCRYPTING], "name": "renamed"}) == known[ENCRYPTING]
    assert policies.find({"id": "?", "name": "?"}) is None


def test_policies_outlive_a_session(there, vcenter):
    policies = Policies(there[0])
    policies.all()
    vcenter.expire_sessions()

    assert policies.of_machine(there[2], {2000: "scsi0:0"}) == {}


def test_policies_are_asked_for_again(there):
    session, tags, vm = there
    document = record(session, vm, tags=tags)
    policies = Policies(session)
    document["policies"] = {
        "home": {"id": "?", "name": ENCRYPTING},
        "scsi0:1": {"id": "?", "name": "vSAN Default Storage Policy"},
        "scsi0:0": {"id": "?", "name": "gone"},
    }
    placement = place(session, vm)
    profiles = {what: policies.find(each) for what, each in document["policies"].items()}
    profiles = {what: each for what, each in profiles.items() if each}

    spec = make_spec(document, placement, Found(session, placement), profiles=profiles)
    told = recreate(session, document, placement, tags=tags, policies=policies)[1]

    assert [each.profileId for each in spec.vmProfile] == [profiles["home"]]
    disks_of_spec = [each for each in spec.deviceChange if each.fileOperation == "create"]
    assert [[one.profileId for one in each.profile] for each in disks_of_spec] == [
        [],
        [profiles["scsi0:1"]],
    ]
    assert "storage policy gone of scsi0:0: there is none of that name" in told
