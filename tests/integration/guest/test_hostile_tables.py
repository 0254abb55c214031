# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partition tables and volume groups that real tools made, and that somebody changed to hurt.

Their checksums are right again afterwards: what is checked is what lies behind those.
"""

from __future__ import annotations

import os
import random
import re
import struct
import subprocess
import time
import zlib

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.discover import find_volumes
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.lvm import label
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.lvm.text import parse

MIB = 1 << 20
ABSURD = (0, -1, 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1, 10**30)
SEEDS = range(*map(int, os.environ.get("VDISK_SEEDS", "0:80").split(":")))
SECONDS = 60  # for all of them, on a busy machine it is some seconds


# Of a GPT: where its table is, how long; and the first and last sectors of four partitions.
FIELDS = (512 + 72, 512 + 80, 512 + 84, *range(1056, 1568, 128), *range(1064, 1568, 128))


def look(disk):
    """Everything that somebody who wants to mount looks at; where it is refused, in words."""
    device = MemoryDevice(disk)
    try:
        volumes = find_volumes([device])
    except DiskError:
        return None
    for volume in volumes:
        assert str(volume.as_dict())
        if not volume.mountable:
            continue
        content = volume.open([device])
        if content.size:
            read(content, max(0, content.size - 512), min(512, content.size))
    return volumes


@pytest.fixture(scope="module")
def gpt(tmp_path_factory, tool):
    """Four partitions; the table begins in the third sector."""
    path = tmp_path_factory.mktemp("gpt") / "disk.img"
    with open(path, "wb") as stream:
        stream.truncate(8 * MIB)
    lines = "".join(f"start={2048 + 2048 * number}, size=2048\n" for number in range(4))
    tool("sfdisk", "--quiet", "--label", "gpt", path, text=lines)
    tool("mkfs.ext4", "-q", "-L", "root", "-E", f"offset={MIB}", path, "1M")
    return path.read_bytes()


def with_checksums(disk):
    """Of the primary header and its table; there is no backup."""
    disk[-33 * 512 :] = bytes(33 * 512)
    start, count, size = struct.unpack_from("<QII", disk, 512 + 72)
    length = count * size
    if (start + 1) * 512 + length < len(disk):
        table = disk[start * 512 : start * 512 + length]
        disk[512 + 88 : 512 + 92] = struct.pack("<I", zlib.crc32(table))
    disk[512 + 16 : 512 + 20] = bytes(4)
    disk[512 + 16 : 512 + 20] = struct.pack("<I", zlib.crc32(disk[512 : 512 + 92]))
    return disk


def test_any_gpt_is_read_or_refused(gpt):
    begin = time.monotonic()
    known = []
    for seed in SEEDS:
        noise, disk = random.Random(seed), bytearray(gpt)
        for _change in range(noise.choice((1, 2, 5))):
            where = noise.choice(FIELDS)
            form = "<Q" if where >= 1024 or where == 512 + 72 else "<I"
            size = struct.calcsize(form)
            disk[where : where + size] = struct.pack(form, noise.choice(ABSURD) % (1 << (8 * size)))
        known.append(look(with_checksums(disk)))
    assert time.monotonic() - begin < SECONDS
    assert any(known) and None in known  # else the changes show nothing


def test_overlapping_partitions_are_never_writable_by_mistake(gpt):
    disk = bytearray(gpt)
    disk[1024 + 128 + 32 : 1024 + 128 + 48] = disk[1024 + 32 : 1024 + 48]  # the second as the first
    volumes = look(with_checksums(disk))
    assert all(each.read_only_because for each in volumes[:2])


@pytest.fixture(scope="module")
def group(tmp_path_factory, tool):
    """A physical volume without a partition, with a volume group of two volumes."""
    folder = tmp_path_factory.mktemp("lvm")
    path = folder / "disk.img"
    with open(path, "wb") as stream:
        stream.truncate(20 * MIB)
    device = tool("losetup", "--find", "--show", path).strip()
    try:
        own = f'devices{{filter=["a|^{device}$|","r|.*|"]}} global{{locking_dir="{folder}/lock"}}'
        options = ["--driverloaded", "n", "--config", own]
        tool("pvcreate", *options, device)
        tool("vgcreate", *options, "vg0", device)
        for name in ("root", "home"):
            tool("lvcreate", *options, "-an", "-Zn", "-Wn", "-n", name, "-l", "2", "vg0")
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    return path.read_bytes()


AREA = 4096  # where the metadata area begins
PLACES = re.compile(r"(?<== )\d+|(?<=, )\d+|\b(?:root|home|pv0|striped)\b")
WORDS = ("root", "home", "pv0", "striped", "mirror", "snapshot", "thin", "raid5", "cache")


def text_of(disk):
    place, count = struct.unpack_from("<QQ", disk, AREA + 40)
    return bytes(disk[AREA + place : AREA + place + count]).decode()


def with_text(disk, text):
    """The same, but described otherwise."""
    disk, data = bytearray(disk), text.encode()
    disk[AREA + 512 : AREA + 512 + len(data)] = data
    fields = struct.pack("<QQII", 512, len(data), label._checksum(data), 0)
    disk[AREA + 40 : AREA + 40 + len(fields)] = fields
    disk[AREA : AREA + 4] = struct.pack("<I", label._checksum(bytes(disk[AREA + 4 : AREA + 512])))
    return disk


@pytest.mark.serial
def test_any_description_of_a_group_is_read_or_refused(group):
    text, known = text_of(group), []
    assert [volume.name for volume in look(with_text(group, text))][1:] == ["vg0/root", "vg0/home"]
    for seed in SEEDS:
        noise, changed = random.Random(seed), text
        for _change in range(noise.choice((1, 2, 5))):
            place = noise.choice(list(PLACES.finditer(changed)))
            new = str(noise.choice(ABSURD if place[0].isdigit() else WORDS))
            changed = changed[: place.start()] + new + changed[place.end() :]
        step = time.monotonic()
        known.append(look(with_text(group, changed)))
        assert time.monotonic() - step < SECONDS
    told = {str([each.as_dict() for each in volumes or ()]) for volumes in known}
    assert len(told) > 10  # else the changes show nothing


@pytest.mark.parametrize(
    "text",
    [
        "a=1\n" * 20_000,
        "a=[" + "1," * 40_000 + "]",
        'a="' + "x" * MIB,
        'a="' + "\\\\" * MIB,
        "a{" * MIB,
    ],
    ids=["numbers", "list", "open string", "escapes", "depth"],
)
def test_long_descriptions_end(text):
    begin = time.monotonic()
    try:
        parse(text)
    except ValueError:
        pass
    assert time.monotonic() - begin < SECONDS
