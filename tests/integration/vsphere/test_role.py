# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/vsphere_role.yml: what its roles allow is enough, and no more than there is."""

# pylint: disable=unused-import
from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ansible_collections.vdisk.lifecycle.tests.integration.modules.conftest import (  # noqa: F401
    repository,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.hotadd_tree import guest_tree
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.vm_backups import (
    backed_up_vcenter,  # noqa: F401
    left_in,
    shelf,  # noqa: F401
    transports,
)
from ansible_collections.vdisk.lifecycle.tests.simulator.privileges import WANTED

PLAYBOOK = Path(__file__).parents[3] / "playbooks/vsphere_role.yml"
LISTS = ("backup", "encrypted", "vddk", "restore", "disk", "patch")
CHANGES = (  # of a machine, by what is changed
    "Settings", "ChangeTracking", "AddNewDisk", "AddExistingDisk", "RemoveDisk", "EditDevice",
)  # fmt: skip


@pytest.fixture(scope="module")
def variables():
    return yaml.safe_load(PLAYBOOK.read_text(encoding="utf-8"))[0]["vars"]


@pytest.fixture
def only(request, variables):
    """only(purpose): from now on the user may do what is in that list, and nothing else."""
    vcenter = request.getfixturevalue("shelf").vcenter
    everything = {*WANTED.values(), *(f"VirtualMachine.Config.{each}" for each in CHANGES)}

    def restrict(purpose):
        allowed = set(variables[f"vsphere_{purpose}_privileges"])
        vcenter.mode(denied=sorted(everything - allowed))

    yield restrict
    vcenter.mode(denied=[])


@pytest.mark.parametrize("purpose", LISTS)
def test_vsphere_has_all_privileges_of_the_role(shelf, variables, purpose):  # noqa: F811
    wanted = variables[f"vsphere_{purpose}_privileges"]
    assert wanted == sorted(set(wanted))
    with shelf.vcenter.connect() as service:
        roles = {each.name: each for each in service.content.authorizationManager.roleList}
        assert set(wanted) <= set(roles["Admin"].privilege)


@pytest.mark.parametrize("transport", ["hotadd", "nfc"])
def test_with_the_role_for_backups_a_machine_is_backed_up(
    shelf,  # noqa: F811
    only,
    transport,
    tmp_path,
    monkeypatch,
):
    with guest_tree(shelf.vcenter, tmp_path / "guest") as tree:
        for name, value in tree.environment().items():
            monkeypatch.setenv(name, value)
        only("backup")
        made = shelf.back_up("db01", transport=[transport])
    assert made["changed"]
    assert transports(made) == {transport}
    assert not made.get("leftovers")
    assert left_in(shelf.vcenter) == []
