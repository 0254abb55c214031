# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says of itself below /sys."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    TransportUnavailable,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.hotadd.this_host import (
    this_host,
)

UUID, SWAPPED = "4c4c4544-0043-4210-8051-b4c04f4e3132", "44454c4c-4300-1042-8051-b4c04f4e3132"
DIGITS = "6000c29e8d5b5e2f0a871c4e6a5d3b21"


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")

    return write


def test_both_byte_orders_of_the_bios_uuid(tmp_path, write):
    write("class/dmi/id/product_uuid", UUID.upper())
    assert this_host(str(tmp_path)).uuids == (UUID, SWAPPED)


@pytest.mark.parametrize("text", [None, "", "Not Settable"])
def test_a_host_without_one(tmp_path, write, text):
    if text is not None:
        write("class/dmi/id/product_uuid", text)
    assert this_host(str(tmp_path)).uuids == ()


def test_addresses_and_disks(tmp_path, write):
    write("class/net/lo/address", "00:00:00:00:00:00")
    write("class/net/eth0/address", "00:50:56:AA:BB:CC")
    write("class/net/tun0/address", "")
    write("block/sda/device/wwid", f"naa.{DIGITS}")
    write("block/sr0/size", "0")
    host = this_host(str(tmp_path))
    assert host.macs == {"00:50:56:aa:bb:cc"}
    assert host.disks == {DIGITS}


def test_who_is_not_root_is_told_so(tmp_path, monkeypatch):
    def refuse(*_arguments, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(TransportUnavailable, match="become: true"):
        this_host(str(tmp_path))
