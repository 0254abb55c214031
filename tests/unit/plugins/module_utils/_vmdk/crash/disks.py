# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small disks and chains for the crash tests."""

from __future__ import annotations

import struct

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import (
    UNCLEAN_OFFSET,
    SparseHeader,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import new_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.metadata import (
    set_metadata,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.descriptor_file import (
    DescriptorFile,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import (
    create_child,
)

GRAIN = 64 << 10
SIZE = 5 * GRAIN
TYPES = ["monolithicSparse", "twoGbMaxExtentSparse", "monolithicFlat", "twoGbMaxExtentFlat", "vmfs"]
ALL_TYPES = [*TYPES, "streamOptimized"]
SPARSE = ["monolithicSparse", "twoGbMaxExtentSparse"]
DISK, OTHER, BASE, CHILD, LEAF = (
    "disk.vmdk",
    "a-much-longer-name.vmdk",
    "base.vmdk",
    "child.vmdk",
    "leaf.vmdk",
)


def fill(folder, name=DISK, disk_type="monolithicSparse", value=0x11, replace=False):
    """Two grains of `value` between grains of zeros."""
    spec = DiskSpec(SIZE, disk_type, metadata={"uuid": "11 " * 15 + "11"})
    with new_disk(folder / name, spec, replace=replace) as disk:
        disk.write(GRAIN, bytes([value]) * (2 * GRAIN))


def child_of(folder, base=BASE, name=CHILD, disk_type="monolithicSparse", value=0x22):
    """Over data and over nothing, parts of grains, and zeros over data."""
    create_child(folder / base, folder / name, disk_type)
    set_metadata(folder / name, {"uuid": "22 " * 15 + "22"})
    with open_disk(folder / name, writable=True) as disk:
        disk.write(GRAIN + 700, bytes([value]) * 5000)
        disk.zero(2 * GRAIN, 5000)
        disk.write(3 * GRAIN, bytes([value]) * 900)


def chain(folder, base_type="monolithicSparse", child_type="monolithicSparse"):
    fill(folder, BASE, base_type)
    child_of(folder, disk_type=child_type)


def long_chain(folder, base_type="monolithicSparse"):
    chain(folder, base_type)
    child_of(folder, CHILD, LEAF, value=0x33)


def untidy(folder, disk_type="monolithicSparse"):
    """Grains back to front, and a stored grain of zeros."""
    fill(folder, DISK, disk_type)
    with open_disk(folder / DISK, writable=True) as disk:
        disk.write(4 * GRAIN, b"\x44" * GRAIN)
        disk.write(3 * GRAIN, bytes(GRAIN))
        disk.write(0, b"\x55" * GRAIN)
        disk.zero(2 * GRAIN, GRAIN)


def untidy_child(folder):
    fill(folder, BASE)
    child_of(folder, BASE, DISK)
    with open_disk(folder / DISK, writable=True) as disk:
        disk.write(0, b"\x44" * GRAIN)
        disk.write(GRAIN, bytes(GRAIN))


def torn_tables(folder, kept="redundant"):
    """A disk of which one copy of the tables was lost, and that was not closed."""
    fill(folder)
    data = bytearray((folder / DISK).read_bytes())
    header = SparseHeader.parse(data[:512], DISK)
    directory = header.gd_offset if kept == "redundant" else header.rgd_offset
    (table,) = struct.unpack_from("<I", data, directory * 512)
    data[table * 512 : table * 512 + 2048] = bytes(2048)
    struct.pack_into("<I", data, directory * 512, 0)
    data[UNCLEAN_OFFSET] = 1
    (folder / DISK).write_bytes(data)


def stranger(folder):
    """A child whose parent has another content id by now."""
    chain(folder)
    with DescriptorFile(str(folder / BASE), writable=True) as store:
        store.descriptor.set("CID", "12345678")
        store.save()


def tracked(folder):
    """A disk with change tracking, which the first write drops: all lines behind it move."""
    fill(folder)
    with DescriptorFile(str(folder / DISK), writable=True) as store:
        store.descriptor.set("version", "3")
        store.descriptor.set("changeTrackPath", "disk-ctk.vmdk")
        store.descriptor.set("ddb.comment", "c" * 2000)
        store.save()
