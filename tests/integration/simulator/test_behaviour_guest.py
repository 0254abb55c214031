# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests may do behind the clients' backs: write as the guest, replace files."""

from __future__ import annotations

import ssl
import urllib.request

import pytest

from ansible_collections.vdisk.lifecycle.tests.simulator.clients import (
    chain,
    disks,
    snapshot,
    wait,
)


def put(here, path, data):
    host = f"https://{here.vcenter.hostname}:{here.vcenter.port}"
    request = urllib.request.Request(
        f"{host}/folder/{path}?dcPath=DC0&dsName=datastore1",
        data,
        {"Cookie": here.service._stub.cookie.split(";")[0]},
        method="PUT",
    )
    tls = ssl.create_default_context(cafile=here.vcenter.ca_file)
    urllib.request.urlopen(request, context=tls, timeout=30).close()


@pytest.mark.parametrize("name", ["2000", "scsi0:0", "Hard disk 1"])
def test_names_of_a_disk(here, vm, name):
    here.vcenter.control("POST", "guest/write", b"x", vm=vm.name, disk=name, offset=3)
    assert here.read(vm)[:4] == b"\0\0\0x"


def test_a_disk_that_is_not_there(here, vm):
    with pytest.raises(ValueError, match="no disk 2001"):
        here.write(vm, 0, b"x", 2001)


def test_beyond_the_end(here, vm):
    with pytest.raises(ValueError, match="outside"):
        here.write(vm, (16 << 20) - 1, b"xx")


def test_a_file_replaced_over_https(here, vm):
    wait(vm.PowerOffVM_Task())
    here.write(vm, 0, b"old")
    put(here, f"{vm.name}/{vm.name}-flat.vmdk", b"new" + bytes((16 << 20) - 3))
    assert here.read(vm) == b"new" + bytes((16 << 20) - 3)


def test_not_of_a_running_machine(here, vm):
    with pytest.raises(OSError):
        put(here, f"{vm.name}/{vm.name}-flat.vmdk", bytes(16 << 20))


def test_not_under_a_snapshot(here, vm):
    wait(vm.PowerOffVM_Task())
    snapshot(vm)
    with pytest.raises(OSError):
        put(here, f"{vm.name}/{vm.name}-flat.vmdk", bytes(16 << 20))
    assert len(chain(vm)) == 2


def test_a_machine_by_its_id(here, vm):
    here.vcenter.guest_write(vm._moId, 2000, 0, b"x")
    assert here.read(vm)[:1] == b"x"
    assert disks(vm)[0].key == 2000
