# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes that a crash cuts off: each sector is old or new, and nothing else has changed."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact.shrink import shrink
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import new_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.crash.judge import (
    Facts,
    Operation,
)

GRAIN = 64 << 10
SIZE = 5 * GRAIN
SECTOR = 512
FILLED = [
    "monolithicSparse",
    "twoGbMaxExtentSparse",
    "monolithicFlat",
    "twoGbMaxExtentFlat",
    "vmfs",
]


def fill(path, disk_type="monolithicSparse", value=0x11):
    """Two grains of `value` between grains of zeros."""
    with new_disk(path, DiskSpec(SIZE, disk_type, metadata={"uuid": "11 " * 16})) as disk:
        disk.write(GRAIN, bytes([value]) * (2 * GRAIN))


def empty_child(folder, disk_type="monolithicSparse"):
    fill(folder / "base.vmdk", "monolithicSparse")
    create_child(folder / "base.vmdk", folder / "disk.vmdk", disk_type)


def used_child(folder):
    """With data, grains marked as zeros (a shrunk child has them), and grains of the parent."""
    empty_child(folder)
    with open_disk(folder / "disk.vmdk", writable=True) as disk:
        disk.write(GRAIN, bytes(GRAIN))
        disk.write(3 * GRAIN, b"\x44" * GRAIN)
    assert shrink(folder / "disk.vmdk")


def without_tables(folder):
    """A disk as VMware makes it on some hosts: entries of 0 in both directories."""
    path = folder / "disk.vmdk"
    with new_disk(path, DiskSpec(SIZE, "monolithicSparse", metadata={"uuid": "11 " * 16})):
        pass
    data = bytearray(path.read_bytes())
    for place in struct.unpack_from("<QQ", data, 48):
        struct.pack_into("<I", data, place * SECTOR, 0)
    path.write_bytes(data)


def cowd(folder):
    """A redo log of ESXi over a flat parent; the table is there, with one grain of it."""
    fill(folder / "base.vmdk", "vmfs")
    with open_disk(folder / "base.vmdk") as base:
        cid = base.descriptor.cid
    body = bytearray(SECTOR * (4 + 1 + 32 + 8))
    struct.pack_into(
        "<4sIIIIIII", body, 0, b"COWD", 1, 3, SIZE // SECTOR, 8, 4, 1, len(body) // 512
    )
    struct.pack_into("<I", body, 4 * SECTOR, 5)
    struct.pack_into("<I", body, 5 * SECTOR + 4 * 20, 37)
    body[37 * SECTOR :] = b"\x33" * 4096
    (folder / "disk-delta.vmdk").write_bytes(body)
    (folder / "disk.vmdk").write_text(
        f"# Disk DescriptorFile\nversion=1\nCID=0badcafe\nparentCID={cid:08x}\n"
        'createType="vmfsSparse"\nparentFileNameHint="base.vmdk"\n'
        f'RW {SIZE // SECTOR} VMFSSPARSE "disk-delta.vmdk"\n#DDB\n'
    )


def cowd_without_table(folder):
    cowd(folder)
    path = folder / "disk-delta.vmdk"
    body = bytearray(path.read_bytes()[: 5 * SECTOR])
    struct.pack_into("<I", body, 28, 5)
    struct.pack_into("<I", body, 4 * SECTOR, 0)
    path.write_bytes(body)


def write(start, end, value=0x22):
    def run(folder):
        with open_disk(folder / "disk.vmdk", writable=True) as disk:
            disk.write(start, bytes([value]) * (end - start))

    return run


def zero(start, end):
    def run(folder):
        with open_disk(folder / "disk.vmdk", writable=True) as disk:
            disk.zero(start, end - start)

    return run


def twice(folder):
    """Two jobs of one opening, made durable in between."""
    with open_disk(folder / "disk.vmdk", writable=True) as disk:
        disk.write(3 * GRAIN + 700, b"\x22" * 5000)
        disk.flush()
        disk.write(0, b"\x22" * 700)
        disk.zero(GRAIN + 512, GRAIN)


PLACES = {
    "stored": (GRAIN + 1024, GRAIN + 5000),
    "new": (3 * GRAIN, 4 * GRAIN + 700),
    "both": (2 * GRAIN + 512, 4 * GRAIN - 1000),
}
CASES = {
    f"{name}-{disk_type}": (lambda folder, kind=disk_type: fill(folder / "disk.vmdk", kind), place)
    for disk_type in FILLED
    for name, place in PLACES.items()
    if name == "both" or disk_type == "monolithicSparse"
} | {
    "no-table": (without_tables, (GRAIN + 100, 2 * GRAIN + 100)),
    "zeroed-grain-of-a-child": (used_child, (GRAIN + 512, GRAIN + 9000)),
    "child": (used_child, (2 * GRAIN - 5000, 4 * GRAIN + 5000)),
    "empty-child": (empty_child, (GRAIN + 700, 2 * GRAIN + 700)),
    "split-child": (
        lambda folder: empty_child(folder, "twoGbMaxExtentSparse"),
        (2 * GRAIN - 700, 4 * GRAIN),
    ),
    "cowd": (cowd, (19 * 4096, 21 * 4096 + 700)),
    "cowd-no-table": (cowd_without_table, (19 * 4096, 21 * 4096 + 700)),
}


def sector_by_sector(before, after, found):
    """Each byte of the disk is old or new; every other disk is as it was."""
    old, new, now = before["disk.vmdk"], after["disk.vmdk"], found["disk.vmdk"]
    if not isinstance(now, Facts) or now._replace(content=b"") != new._replace(content=b""):
        return False
    others = {name: facts for name, facts in found.items() if name != "disk.vmdk"}
    if others != {name: facts for name, facts in before.items() if name != "disk.vmdk"}:
        return False
    pairs = (
        (
            now.content[place : place + SECTOR],
            old.content[place:][:SECTOR],
            new.content[place:][:SECTOR],
        )
        for place in range(0, SIZE, SECTOR)
    )
    return len(now.content) == SIZE and all(one in (a, b) for one, a, b in pairs)


def operation(prepare, run):
    return Operation(
        prepare=prepare,
        run=run,
        disks=("disk.vmdk", "base.vmdk"),
        accepts=sector_by_sector,
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("change", [write, zero])
def test_cut_off(each_crash, case, change):
    prepare, (start, end) = CASES[case]
    each_crash(operation(prepare, change(start, end)))


@pytest.mark.parametrize("prepare", [used_child, lambda folder: fill(folder / "disk.vmdk")])
def test_several_writes_cut_off(each_crash, prepare):
    each_crash(operation(prepare, twice))


def test_write_that_was_not_closed_is_told_by_a_flag(tmp_path):
    fill(tmp_path / "disk.vmdk")
    with open_disk(tmp_path / "disk.vmdk", writable=True) as disk:
        disk.write(0, b"x")
        crashed = tmp_path / "crashed.vmdk"
        crashed.write_bytes((tmp_path / "disk.vmdk").read_bytes())
    with open_disk(crashed) as disk:
        assert disk.flags == [f"{crashed}: was not closed after the last write"]
