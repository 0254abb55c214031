# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a disk is started by and in, and what QEMU is told of it."""

import json
import socket
import struct

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import MissingTool
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.boot.firmware import (
    EfiFiles,
    efi_files,
    firmware_of,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.boot.lines import (
    JsonLines,
    Silence,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.boot.machine import (
    Files,
    Machine,
    bus_of,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.boot.picture import from_ppm

FILES = Files((3, 4), (5, 6, 7), 8)


def disk(code=b"", kind=None):
    """With an MBR of one partition."""
    sector = bytearray(code.ljust(446, b"\0") + bytes(64) + b"\x55\xaa")
    if kind is not None:
        struct.pack_into("<B3xB3xII", sector, 446, 0, kind, 2048, 2048)
    return MemoryDevice(bytes(sector) + bytes(4 << 20))


@pytest.mark.parametrize(
    ("device", "firmware"),
    [
        (disk(), "bios"),
        (disk(kind=0x83), "bios"),
        (disk(kind=0xEF), "efi"),
        (disk(b"\xfa\xeb", kind=0xEF), "bios"),
    ],
)
def test_firmware_of_a_disk(device, firmware):
    assert firmware_of(device) == firmware


def described(folder, name, **changes):
    for file in ("code.fd", "vars.fd"):
        (folder / file).write_bytes(b"")
    facts = {
        "interface-types": ["uefi"],
        "mapping": {
            "device": "flash",
            "executable": {"filename": str(folder / "code.fd"), "format": "raw"},
            "nvram-template": {"filename": str(folder / "vars.fd"), "format": "raw"},
        },
        "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}],
        "features": ["acpi-s3"],
        **changes,
    }
    (folder / name).write_text(json.dumps(facts))


def test_the_firmware_that_packages_describe_is_found(tmp_path):
    described(tmp_path, "10-signed.json", features=["secure-boot", "requires-smm"])
    (tmp_path / "20-broken.json").write_text("{")
    described(tmp_path, "60-plain.json")
    found = efi_files("x86_64", (str(tmp_path),))
    assert found == EfiFiles(str(tmp_path / "code.fd"), str(tmp_path / "vars.fd"))


def test_missing_firmware_is_named_with_its_package(tmp_path):
    described(tmp_path, "60-plain.json")
    with pytest.raises(MissingTool, match="qemu-efi-aarch64"):
        efi_files("aarch64", (str(tmp_path),))


@pytest.mark.parametrize(
    ("adapter", "bus"),
    [(None, "virtio"), ("ide", "ide"), ("lsilogic", "pvscsi"), ("nvme", "nvme"), ("odd", "virtio")],
)
def test_the_bus_follows_the_controller(adapter, bus):
    assert bus_of(adapter) == bus


def machine(**changes):
    usual = {"architecture": "x86_64", "machine": "pc", "accelerator": "tcg", "bus": "pvscsi"}
    return Machine(**{**usual, "memory": 1 << 30, "cpus": 2, "network": "none", **changes})


def test_a_machine_is_fenced_off():
    arguments = machine().arguments(FILES)
    assert arguments[arguments.index("-nic") + 1] == "none"
    assert "spawn=deny" in arguments[arguments.index("-sandbox") + 1]
    isolated = machine(network="isolated").arguments(FILES)
    assert "restrict=on" in isolated[isolated.index("-nic") + 1]


def test_the_first_disk_is_started_from():
    arguments = machine().arguments(FILES)
    assert "scsi-hd,bus=disks.0,scsi-id=0,drive=disk0,bootindex=0" in arguments
    assert "scsi-hd,bus=disks.0,scsi-id=1,drive=disk1,bootindex=1" in arguments
    assert "driver=nbd,node-name=disk1,server.type=fd,server.str=4" in arguments


def test_a_comma_in_a_path_is_no_option():
    arguments = machine(efi=EfiFiles("/a,readonly=off", "/b")).arguments(FILES)
    assert any(text.endswith("file=/a,,readonly=off") for text in arguments)


def test_half_a_picture_is_none():
    assert from_ppm(b"P6\n2 2\n255\n" + bytes(11)) is None
    assert from_ppm(b"P6\n2 2\n255\n" + bytes(12)).pixels == bytes(12)
    assert from_ppm(b"") is None


def test_what_a_guest_babbles_does_no_harm():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        lines = JsonLines(ours)
        theirs.sendall(b'\xff{"return": 1}\nnonsense\n' + b"[" * 5000 + b'\n[1]\n{"return": ')
        assert lines.wait(1) == [{"return": 1}]
        theirs.sendall(b"2}\n")
        assert lines.wait(1) == [{"return": 2}]
        theirs.setblocking(False)
        with pytest.raises(Silence):
            for _number in range(1000):
                try:
                    theirs.send(b"x" * 65536)
                except BlockingIOError:
                    pass
                lines.received()
