# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images laid down by the book, without the engine: who reads them right, and who is known not to.

What an image holds is known from how it was laid down, so a peer that is wrong needs no other to
judge it. No test asks a peer to stay wrong.
"""

from __future__ import annotations

import random

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.handmade import (
    ZEROED,
    Part,
    lay_down,
    numbered,
    sparse,
    text,
)

GRAINS = (8, 16, 32, 64, 128, 256, 2048)
PEERS = ("qemu", "7zip", "libvmdk")


def stored(sectors, grain, *, step=2, seed=1, zeroed=()):
    """Some grains in no order, the last one among them."""
    chooser, last = random.Random(seed), (sectors - 1) // grain
    numbers = [*range(0, last, step), last]
    chooser.shuffle(numbers)
    grains = {number: numbered(grain, number * grain) for number in numbers}
    return {**grains, **dict.fromkeys(zeroed, ZEROED)}


def part(sectors, grain=128, kind="sparse", **options):
    grains = {key: options.pop(key) for key in ("step", "seed", "zeroed") if key in options}
    return Part(
        kind,
        sectors,
        grain,
        zeroed="zeroed" in grains,
        grains=stored(sectors, grain, **grains),
        **options,
    )


def whole_disk(folder, one):
    """Descriptor and extent in one file."""
    path = folder / "disk.vmdk"
    line = f'RW {one.sectors} SPARSE "disk.vmdk"'
    path.write_bytes(sparse(one, text("monolithicSparse", [line]).encode()))
    return path, one.content(b"")


def split(*parts):
    def lay(folder):
        laid = lay_down(folder, "disk", parts)
        return laid.path, laid.content

    return lay


def child(base, *parts):
    def lay(folder):
        parent = lay_down(folder, "base", base, cid="12345678")
        above = ("12345678", "base.vmdk")
        laid = lay_down(folder, "disk", parts, parent=above, below=bytes(parent.content))
        return laid.path, laid.content

    return lay


def with_line_ends_of_windows(lay):
    def converted(folder):
        path, content = lay(folder)
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        return path, content

    return converted


def with_a_placeholder(lay):
    """As VirtualBox writes it."""

    def converted(folder):
        path, content = lay(folder)
        lines = path.read_text().replace("\n\n# The Disk", "\nNOACCESS 0 ZERO \n\n# The Disk")
        path.write_text(lines)
        return path, content

    return converted


def one(*arguments, **options):
    return lambda folder: whole_disk(folder, part(*arguments, **options))


ODD = 3 * 2048 + 77
FULL = part(1280, step=1)
IMAGES = {
    **{f"grain-{grain}": one(ODD, grain) for grain in GRAINS},
    **{f"grain-{grain}-split": split(part(ODD, grain)) for grain in GRAINS},
    "two-tables": one(512 * 8 + 5, 8),
    "one-sector": one(1),
    "not-redundant": one(ODD, redundant=False),
    "no-tables-where-nothing-is": one(40 * 512 * 8, 8, step=3000, tables=False),
    "zeroed-grains": one(ODD, 16, zeroed=(1, 5, 7)),
    "even-extents": split(part(384), part(640), part(384)),
    "odd-extents": split(part(200), part(333), part(131)),
    "mixed-grains": split(part(256, 8), part(384, 128), part(77, 16)),
    "cowd": split(part(ODD, 1, "cowd")),
    "cowd-grain-16": split(part(ODD, 16, "cowd")),
    "flat-with-offsets": split(Part("shared", 100), Part("shared", 77), Part("flat", 33)),
    "zero-extent": split(part(256), Part("zero", 128), part(256, seed=2)),
    "read-only-extent": split(Part("flat", 64), Part("rdonly", 77), Part("flat", 33)),
    "line-ends-of-windows": with_line_ends_of_windows(split(part(ODD))),
    "placeholder": with_a_placeholder(split(part(ODD))),
    "child": child([FULL], part(1280, step=3)),
    "child-of-other-extents": child([FULL], part(384, step=2), part(896, step=3)),
    "child-of-odd-extents": child([FULL], part(333, step=2), part(947, step=3)),
    "child-zeroed": child([FULL], part(1280, 16, step=7, zeroed=(1, 5, 64))),
    "child-without-tables": child([FULL], part(1280, 8, step=600, tables=False)),
    "child-that-is-longer": child([FULL], part(1280 + 300, 16, step=3)),
    "child-that-is-cowd": child([FULL], part(1280, 1, "cowd", step=9)),
    "child-over-flat": child([Part("flat", 1280)], part(1280, step=3)),
    "child-over-cowd": child([part(1280, 1, "cowd")], part(1280, step=3)),
}

SMALL_GRAIN = "refuses grains of 8 sectors, the smallest that VirtualBox and we take"
BEHIND = "reads a short last grain to its end, so that what follows lies in a wrong place"
AS_BYTES = "takes the offset of a FLAT extent for bytes; it is sectors (TN p.4)"
ENTRY_OF_1 = "shows sector 1 of the file where an entry of 1 means zeros (TN p.9)"
NO_CUSTOM = "knows no disks that are put together of several kinds"
NO_PARENTS = "refuses children"
KNOWN_WRONG = {
    "libvmdk": {
        "grain-8": SMALL_GRAIN,
        "grain-8-split": SMALL_GRAIN,
        "two-tables": SMALL_GRAIN,
        "no-tables-where-nothing-is": SMALL_GRAIN,
        "mixed-grains": SMALL_GRAIN,
        "child-without-tables": SMALL_GRAIN,
        "zeroed-grains": ENTRY_OF_1,
        "odd-extents": BEHIND,
        "flat-with-offsets": AS_BYTES,
        "zero-extent": NO_CUSTOM,
        "read-only-extent": NO_CUSTOM,
        "child-of-odd-extents": BEHIND,
        "child-over-flat": AS_BYTES,
        "child-zeroed": ENTRY_OF_1,
        "child-that-is-longer": "refuses to read beyond the end of the parent",
        "placeholder": "looks for the file of an extent that has none",
    },
    "qemu": {
        "odd-extents": BEHIND,
        "child-of-odd-extents": BEHIND,
        "zero-extent": NO_CUSTOM,
        "read-only-extent": NO_CUSTOM,
    },
    "7zip": {
        "cowd": "refuses redo logs of ESXi",
        "cowd-grain-16": "refuses redo logs of ESXi",
        "zero-extent": "stops at an extent without a file",
        **dict.fromkeys((name for name in IMAGES if name.startswith("child")), NO_PARENTS),
    },
}


def pairs():
    """Every image and every peer that reads it right."""
    return [(peer, image) for image in IMAGES for peer in PEERS if image not in KNOWN_WRONG[peer]]


@pytest.mark.parametrize("image", IMAGES)
def test_we_read_what_is_stored(image, tmp_path):
    path, content = IMAGES[image](tmp_path)
    with open_disk(path) as disk:
        assert read(disk, 0, disk.size) == content
        for run in disk.extents():
            if run.kind is Kind.ZERO:
                assert not any(content[run.offset : run.end])


@pytest.mark.parametrize(("peer", "image"), pairs(), ids=lambda value: value)
def test_peer_agrees(peer, image, tmp_path, read_by):
    path, content = IMAGES[image](tmp_path)
    parent = tmp_path / "base.vmdk"
    assert read_by(peer, path, parent if parent.exists() else None) == content
