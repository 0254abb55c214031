# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disk an address of a lease is for, and what host has it."""

from __future__ import annotations

import types

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    TransportUnavailable,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nfc.link import (
    link_for,
    links_of,
    slot_in,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.target import (
    VCenter,
)

VCENTER = VCenter("vc.example", "user", "secret", 8443)


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        ("/vm-36/ParaVirtualSCSIController0:0", "scsi0:0"),
        ("/web01/VirtualLsiLogicSASController1:15", "scsi1:15"),
        ("/vm-36/VirtualAHCIController0:29", "sata0:29"),
        ("/vm-36/VirtualNVMEController3:2", "nvme3:2"),
        ("/vm-36/VirtualIDEController1:0", "ide1:0"),
        ("/vm-36/nvram", None),
        ("/vm-36/SomethingNew0:0", None),
        ("", None),
        (None, None),
    ],
)
def test_the_slot_in_a_key(key, slot):
    assert slot_in(key) == slot


def info(*urls, key="/vm-1/ParaVirtualSCSIController0:{}", import_key=None):
    devices = [
        types.SimpleNamespace(
            key=key.format(number), importKey=import_key, url=url, sslThumbprint=None
        )
        for number, url in enumerate(urls)
    ]
    return types.SimpleNamespace(deviceUrl=devices)


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://*/nfc/52/disk-0.vmdk", "vc.example", 8443, "/nfc/52/disk-0.vmdk"),
        ("https://*:444/nfc/disk", "vc.example", 444, "/nfc/disk"),
        ("https://esx1.example/nfc/a%20b?x=1", "esx1.example", 443, "/nfc/a%20b?x=1"),
        ("https://[2001:db8::1]:902/nfc/d", "2001:db8::1", 902, "/nfc/d"),
    ],
)
def test_where_it_is(url, host, port, path):
    [link] = links_of(VCENTER, info(url))
    assert (link.slot, link.at.hostname, link.at.port, link.path) == ("scsi0:0", host, port, path)
    assert "secret" not in repr(link)


def test_a_machine_that_is_being_made_is_known_by_other_keys():
    made = info("https://e/1", key="", import_key="/web01/VirtualLsiLogicController0:1")
    assert [link.slot for link in links_of(VCENTER, made)] == ["scsi0:1"]


def test_files_that_are_no_disks_are_left_out():
    assert links_of(VCENTER, info("https://e/nvram", key="/vm-1/nvram")) == []


def test_one_disk_of_several():
    links = links_of(VCENTER, info("https://e/0", "https://e/1"))
    assert link_for(links, "scsi0:1", "web01").path == "/1"


@pytest.mark.parametrize("count", [0, 2])
def test_none_or_two_for_one_slot(count):
    links = links_of(VCENTER, info(*["https://e/0"] * count, key="/vm-1/VirtualIDEController0:0"))
    with pytest.raises(TransportUnavailable, match="ide0:0"):
        link_for(links, "ide0:0", "web01")
