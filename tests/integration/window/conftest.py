# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site with as many machines as VDISK_WINDOW_MACHINES says: 9 in a build."""

from __future__ import annotations

import os
import random

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import keys
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    create_repository,
)
from ansible_collections.vdisk.lifecycle.tests.integration.window.proxies import proxies
from ansible_collections.vdisk.lifecycle.tests.integration.window.site import (
    DISK,
    PASSPHRASE,
    Machine,
    Site,
)
from ansible_collections.vdisk.lifecycle.tests.simulator.fixtures import needed, simulator

MACHINES = int(os.environ.get("VDISK_WINDOW_MACHINES", "9"))
OTHERS = 5  # that the simulator has besides
NAMES = ("proxy1", "proxy2", "proxy3")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Three clusters of machines with something on their disks, three proxies, no backup yet."""
    needed()
    folder = tmp_path_factory.mktemp("site")
    with simulator("--vms", str(MACHINES + OTHERS), "--clusters", "3") as vcenter:
        trusted = {"SSL_CERT_FILE": vcenter.ca_file}
        with proxies(folder, NAMES, **trusted) as hosts:
            nobody = {**hosts["proxy1"], "ansible_port": 1}
            made = Site(folder, vcenter, {**hosts, "silent": nobody})
            made.machines = {each.moref: each for each in machines(vcenter)}
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(keys, "COST", (1 << 4, 8, 1))  # else it would be half of all
                url = str(folder / "repository")
                create_repository(url, passphrase=PASSPHRASE, encryption="aes-256-gcm")
            dice = random.Random(7)
            for each in made.machines.values():
                vcenter.guest_write(each.name, DISK, 1 << 20, dice.randbytes(each.size // 8))
            yield made


def machines(vcenter):
    from pyVmomi import vim

    with vcenter.connect() as client:
        content = client.content
        kind = [vim.VirtualMachine]
        view = content.viewManager.CreateContainerView(content.rootFolder, kind, True)
        for vm in view.view:
            if vm.name.startswith("many"):
                [disk] = [
                    each
                    for each in vm.config.hardware.device
                    if isinstance(each, vim.vm.device.VirtualDisk)
                ]
                host = vm.runtime.host
                yield Machine(
                    vm._moId,
                    vm.name,
                    host.parent.name,
                    host.name,
                    vm.datastore[0].name,
                    disk.capacityInBytes,
                )
