# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""COWD files made byte by byte, without the engine."""

from __future__ import annotations

import os
import struct

SECTOR = 512
ENTRIES = 4096  # of one table


def cowd(capacity, grains, *, grain=1, entries=None, order=None):
    """A COWD file by the book (TN p.10-11): {grain: content, or 1 for a table entry of 1}.

    Tables stand right before the first grain that they describe.
    """
    entries = entries or -(-capacity // (ENTRIES * grain))
    directory = [0] * entries
    gd_sectors = -(-4 * entries // SECTOR)
    body = bytearray(SECTOR * (4 + gd_sectors))
    for number in order or sorted(grains):
        table, place = divmod(number, ENTRIES)
        if directory[table] == 0:
            directory[table] = len(body) // SECTOR
            body += bytes(4 * ENTRIES)
        entry = grains[number]
        if entry != 1:
            content, entry = entry, len(body) // SECTOR
            body += content.ljust(grain * SECTOR, b"\0")
        struct.pack_into("<I", body, directory[table] * SECTOR + 4 * place, entry)
    free = len(body) // SECTOR
    struct.pack_into("<4sIIIIIII", body, 0, b"COWD", 1, 3, capacity, grain, 4, entries, free)
    struct.pack_into(f"<{entries}I", body, 4 * SECTOR, *directory)
    return body


def descriptor(capacity, name="d-delta.vmdk", parent=None, cid="0badcafe"):
    text = f"# Disk DescriptorFile\nversion=1\nCID={cid}\nparentCID={parent or 'ffffffff'}\n"
    text += 'createType="vmfsSparse"\n'
    if parent:
        text += 'parentFileNameHint="base.vmdk"\n'
    return text + f'# Extent description\nRW {capacity} VMFSSPARSE "{name}"\n#DDB\n'


def lay_down(folder, capacity, grains, **options):
    parent = options.pop("parent", None)
    (folder / "d-delta.vmdk").write_bytes(cowd(capacity, grains, **options))
    (folder / "d.vmdk").write_text(descriptor(capacity, parent=parent))
    return folder / "d.vmdk"


def base_of(folder, content):
    (folder / "base-flat.vmdk").write_bytes(content)
    (folder / "base.vmdk").write_text(
        "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
        f'createType="vmfs"\nRW {len(content) // SECTOR} VMFS "base-flat.vmdk"\n'
    )
    return "12345678"


def by_qemu(qemu_img, path):
    raw = path.with_suffix(".raw")
    qemu_img("convert", "-O", "raw", path, raw)
    return raw.read_bytes()


def patch(path, offset, layout, *values):
    with open(path, "r+b") as stream:
        stream.seek(offset)
        stream.write(struct.pack(layout, *values))


def unpacked(path, offset, layout="<I"):
    return struct.unpack_from(layout, path.read_bytes(), offset)[0]


# 40 MiB with grains of 8 sectors: 3 tables, the middle one not there
GRAINS = {
    0: b"a" * 4096,
    1: b"b" * 4096,
    77: os.urandom(4096),
    4095: b"c" * 4096,
    9999: b"d" * 4096,
}
CAPACITY = 81920
