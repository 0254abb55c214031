# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Managed disks of no machine, into a repository and back."""

# pylint: disable=unused-import
from __future__ import annotations

from random import Random

from ansible_collections.vdisk.lifecycle.tests.integration.modules.conftest import (  # noqa: F401
    repository,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.vm_backups import (
    backed_up_vcenter,  # noqa: F401
    shelf,  # noqa: F401
)

CONTENT = Random(5).randbytes(3 << 20) + bytes(1 << 20)
PATH = "[datastore1] data/shared.vmdk"


def test_a_disk_of_no_machine_is_backed_up_and_restored(shelf, modules, repository, tmp_path):  # noqa: F811
    source, back = tmp_path / "source.img", tmp_path / "back.img"
    source.write_bytes(CONTENT)
    modules.vmdk_clone(src=source, dest=PATH)
    made = modules.vmdk_backup(path=PATH, **repository)
    assert made["restore_point"]["source"]["name"] == "shared"
    assert not modules.vmdk_backup(path=PATH, **repository)["changed"]
    modules.vmdk_restore(restore_point="shared@latest", dest=back, **repository)
    assert back.read_bytes() == CONTENT
    modules.vmdk_restore(restore_point="shared@latest", dest="[nfs1] again.vmdk", **repository)
    modules.vmdk_clone(src="[nfs1] again.vmdk", dest=tmp_path / "again.img")
    assert (tmp_path / "again.img").read_bytes() == CONTENT


def test_a_disk_that_a_running_machine_has_is_refused(shelf, modules, repository):  # noqa: F811
    with shelf.vcenter.connect() as service:
        view = service.content.viewManager.CreateContainerView(service.content.rootFolder, [], True)
        machine = next(each for each in view.view if each.name == "db01")
        devices = machine.config.hardware.device
        path = next(each.backing.fileName for each in devices if each.key == 2000)
    refused = modules.fail("vmdk_backup", path=path, **repository)["msg"]
    assert "is running" in refused
