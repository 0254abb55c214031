# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Superblocks: made by the real mkfs programs, judged by blkid."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.filesystems import identify

MIB = 1 << 20

MAKERS = {
    "ext2": (8, ["mkfs.ext2", "-q", "-L", "My ext2"]),
    "ext3": (8, ["mkfs.ext3", "-q", "-L", "e3"]),
    "ext4": (8, ["mkfs.ext4", "-q", "-L", "sixteen letters!"]),
    "ext4, small": (1, ["mkfs.ext4", "-q", "-b", "1024"]),
    "xfs": (300, ["mkfs.xfs", "-q", "-L", "twelve chars"]),
    "btrfs": (120, ["mkfs.btrfs", "-q", "-L", "a longer label of btrfs"]),
    "btrfs, no label": (120, ["mkfs.btrfs", "-q"]),
    "vfat 12": (2, ["mkfs.vfat", "-F", "12", "-n", "TWELVE"]),
    "vfat 16": (16, ["mkfs.vfat", "-F", "16", "-n", "A LABEL 16"]),
    "vfat 32": (64, ["mkfs.vfat", "-F", "32", "-n", "THIRTYTWO"]),
    "vfat 32, sectors of 4096": (300, ["mkfs.vfat", "-F", "32", "-S", "4096", "-n", "FOURK"]),
    "vfat, no label": (16, ["mkfs.vfat"]),
    "vfat with a fake table": (16, ["mkfs.vfat", "--mbr=y", "-n", "FAKE"]),
    "exfat": (16, ["mkfs.exfat", "-L", "Müsli"]),
    "exfat, no label": (16, ["mkfs.exfat"]),
    "ntfs": (16, ["mkfs.ntfs", "-q", "-F", "-Q", "-L", "Größe C"]),
    "ntfs, clusters of 64 KiB": (64, ["mkfs.ntfs", "-q", "-F", "-Q", "-c", "65536", "-L", "big"]),
    "ntfs, sectors of 4096": (64, ["mkfs.ntfs", "-q", "-F", "-Q", "-s", "4096", "-L", "fourk"]),
    "ntfs, no label": (16, ["mkfs.ntfs", "-q", "-F", "-Q"]),
    "swap": (8, ["mkswap", "-L", "swap one"]),
}


def told_by_blkid(path):
    """(TYPE, LABEL, UUID)."""

    def tag(name):
        argv = ["/usr/sbin/blkid", "-p", "-s", name, "-o", "value", path]
        said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
        return said.rstrip("\n") or None

    return tag("TYPE"), tag("LABEL"), tag("UUID")


def identified(path):
    with RawDevice.open(path) as device:
        return identify(device)


@pytest.mark.parametrize("name", MAKERS)
def test_what_mkfs_made_is_told_as_blkid_tells_it(image, tool, name):
    size, argv = MAKERS[name]
    path = image(size * MIB)
    tool(*argv, path)
    found = identified(path)
    assert (found.kind, found.label, found.uuid) == told_by_blkid(path)


@pytest.mark.parametrize("bits", [12, 16, 32])
def test_width_of_fat(image, tool, bits):
    size, argv = MAKERS[f"vfat {bits}"]
    path = image(size * MIB)
    tool(*argv, path)
    assert identified(path).version == f"FAT{bits}"


def test_swap_is_reported_but_not_mountable(image, tool):
    path = image(8 * MIB)
    tool(*MAKERS["swap"][1], path)
    assert not identified(path).mountable


def test_squashfs(tmp_path, tool):
    (tmp_path / "tree").mkdir()
    path = tmp_path / "s.img"
    tool("mksquashfs", tmp_path / "tree", path, "-quiet", "-no-progress")
    assert identified(path) == ("squashfs", None, None, None)


def test_iso9660(tmp_path, tool):
    (tmp_path / "tree").mkdir()
    path = tmp_path / "s.iso"
    tool("genisoimage", "-quiet", "-V", "A CD", "-o", path, tmp_path / "tree")
    found = identified(path)
    assert (found.kind, found.label, found.uuid) == told_by_blkid(path)


@pytest.mark.parametrize("version", ["luks1", "luks2"])
def test_luks(image, tool, version):
    path = image(32 * MIB)
    options = ["--label", "secret"] if version == "luks2" else []
    fast = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]
    argv = ["cryptsetup", "-q", "luksFormat", "--type", version, *fast, *options, path]
    tool(*argv, "--key-file", "-", text="x")
    found = identified(path)
    assert (found.kind, found.label, found.uuid) == told_by_blkid(path)
    assert not found.mountable


def test_lvm():
    """A label as pvcreate writes it: sector 1, the header 32 bytes on."""
    head = bytearray(MIB)
    head[512:544] = b"LABELONE" + bytes(12) + b"\x20\0\0\0" + b"LVM2 001"
    head[544:576] = b"abcdefGHIJ1234klmnOPQR5678stuvwx"
    found = identify(MemoryDevice(head))
    assert found[:3] == ("LVM2_member", None, "abcdef-GHIJ-1234-klmn-OPQR-5678-stuvwx")
    assert not found.mountable


@pytest.mark.parametrize("size", [0, 1, 512, 70000, MIB])
def test_nothing_is_found_in_zeros(size):
    assert identify(MemoryDevice(size)) is None


def test_fat_whose_root_lies_outside_keeps_the_boot_label(image, tool):
    path = image(64 * MIB)
    tool(*MAKERS["vfat 32"][1], path)
    with open(path, "r+b") as stream:
        stream.seek(44)
        stream.write(b"\xff\xff\xff\x0f")
    assert identified(path).label == "THIRTYTWO"


@given(st.lists(st.tuples(st.integers(0, 1024), st.binary(min_size=1, max_size=8)), max_size=6))
def test_damaged_ntfs_record_never_hangs_or_reads_outside(patches):
    disk = bytearray(MIB)
    disk[3:11], disk[510:512] = b"NTFS    ", b"\x55\xaa"
    disk[11:14], disk[0x30], disk[0x40] = b"\0\2\1", 16, 0xF6  # MFT at sector 16, 1 KiB records
    record = 16 * 512 + 3 * 1024
    disk[record : record + 4], disk[record + 0x14] = b"FILE", 0x38
    for offset, data in patches:
        disk[record + offset : record + offset + len(data)] = data
    assert identify(MemoryDevice(disk[:MIB])).kind == "ntfs"


@given(st.binary(min_size=512, max_size=512))
def test_any_boot_sector_is_survived(sector):
    head = bytearray(sector) + bytes(4096)
    for kind in (b"EXFAT   ", b"NTFS    ", sector[3:11]):
        head[0], head[3:11], head[510:512] = 0xEB, kind, b"\x55\xaa"
        identify(MemoryDevice(head))
