# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Free space is what the file systems' own tools say it is."""

from __future__ import annotations

import random
import re

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.scan.deleted import (
    Piece,
    pieces_of,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.scan.free import (
    free_space as free_space_module,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.scan.free.free_space import (
    free_space,
)
from ansible_collections.vdisk.lifecycle.tests.integration.scan.conftest import MIB, mounted


def used(image, kind, folder):
    """Files of many sizes, every third deleted again."""
    rng = random.Random(5)
    with mounted(image, kind, folder / "m") as root:
        for number in range(60):
            (root / f"f{number}").write_bytes(rng.randbytes(rng.randrange(40_000)))
        for number in range(0, 60, 3):
            (root / f"f{number}").unlink()


def blocks(image, kind):
    with RawDevice.open(image) as device:
        found = free_space(device, kind)
    assert found.why_all == ""
    unit = found.block
    free = set()
    for offset, length in found.runs:
        free |= set(range(offset // unit, (offset + length) // unit))
    return free, unit


@pytest.fixture
def make(tmp_path, tool):
    def make(size, *argv):
        image = tmp_path / "image"
        with open(image, "wb") as stream:
            stream.truncate(size * MIB)
        tool(*argv, image)
        return image

    return make


@pytest.mark.parametrize(
    "options",
    [
        ("-t", "ext4"),
        ("-t", "ext2", "-b", "1024"),
        ("-t", "ext4", "-O", "meta_bg,^resize_inode", "-b", "1024", "-g", "1024"),
        ("-t", "ext4", "-O", "bigalloc", "-C", "65536"),
    ],
)
def test_ext(options, make, tool, tmp_path):
    image = make(48, "mke2fs", "-q", *options)
    used(image, options[1], tmp_path)
    free, unit = blocks(image, "ext4")
    text = tool("dumpe2fs", image)
    assert unit == int(re.search(r"Block size:\s+(\d+)", text)[1])
    wanted = set()
    for line in re.findall(r"^  Free blocks: (.*)$", text, re.MULTILINE):
        for part in filter(None, line.split(", ")):
            first, _dash, last = part.strip().partition("-")
            wanted |= set(range(int(first), int(last or first) + 1))
    assert wanted <= free
    # tables in groups that nobody has used, and the rest of a last cluster, count as free
    assert len(free - wanted) < 2000


def test_xfs(make, tool, tmp_path):
    image = make(304, "mkfs.xfs", "-q", "-f")
    used(image, "xfs", tmp_path)
    free, unit = blocks(image, "xfs")
    text = tool("xfs_db", "-r", "-c", "sb 0", "-c", "p agblocks blocksize", image)
    group, size = map(int, re.findall(r"= (\d+)", text))
    assert unit == size
    wanted = set()
    for line in tool("xfs_db", "-r", "-c", "freesp -d", image).splitlines():
        numbers = line.split()
        if len(numbers) == 3 and all(map(str.isdigit, numbers)):
            number, start, length = map(int, numbers)
            wanted |= set(range(number * group + start, number * group + start + length))
    assert free <= wanted
    assert len(wanted - free) <= 64  # what is kept for the trees themselves


def test_ntfs(make, tool, tmp_path):
    image = make(32, "mkfs.ntfs", "-q", "-F", "-f")
    used(image, "ntfs", tmp_path)
    free, _unit = blocks(image, "ntfs")
    count = re.search(r"Free Clusters: (\d+)", tool("ntfsinfo", "-m", "-f", image))[1]
    assert len(free) == int(count)


@pytest.mark.parametrize(("bits", "size"), [("12", 8), ("16", 40), ("32", 80)])
def test_fat(bits, size, make, tool, tmp_path):
    image = make(size, "mkfs.vfat", "-F", bits)
    rng = random.Random(3)
    for number in range(9):
        (tmp_path / "file").write_bytes(rng.randbytes(rng.randrange(90_000)))
        tool("mcopy", "-i", image, tmp_path / "file", f"::f{number}")
    tool("mdel", "-i", image, "::f4")
    free, _unit = blocks(image, "vfat")
    taken, clusters = map(
        int, re.search(r"(\d+)/(\d+) clusters", tool("fsck.vfat", "-n", image)).groups()
    )
    assert len(free) == clusters - taken


@pytest.mark.parametrize("kind", ["ext4", "xfs", "vfat", "exfat", "ntfs", "btrfs", None])
def test_tables_that_make_no_sense_mean_all_of_it(kind):
    rng = random.Random(1)
    for size in (0, 4096, MIB):
        found = free_space(MemoryDevice(rng.randbytes(size)), kind)
        assert found.runs == [(0, size)]
        assert found.why_all


def test_pieces_are_files_without_the_zeros_behind():
    block = 512
    first = b"first".ljust(block, b"\0")
    second = b"x" * block + b"second".ljust(block, b"\0")
    window = Piece(1000, first + second + bytes(block) + first)
    found = list(pieces_of(window, block))
    assert [(piece.offset, piece.data) for piece in found] == [
        (1000, b"first"),
        (1512, b"x" * block + b"second"),
        (1000 + 4 * block, b"first"),
    ]


def test_many_archives_in_a_window_are_not_read_again_and_again():
    """Each to the end of the window would be 64 GiB of them, in memory or to the engine."""
    block = 512
    archive = (b"\x1f\x8b" + b"x" * 300).ljust(block, b"\1")
    window = Piece(0, archive * (8 * MIB // block))
    found = 0
    for number, piece in enumerate(pieces_of(window, block)):
        assert piece.offset == number * block
        assert piece.data.startswith(archive)
        found += len(piece.data)
    assert found <= 20 * len(window.data)


def test_one_archive_goes_to_the_end_of_the_window():
    block = 512
    data = (b"\x1f\x8b" + b"x" * 600 + bytes(600)).ljust(3 * block, b"\0") + b"rest of it" * 100
    assert next(pieces_of(Piece(0, data), block)).data == data


@pytest.mark.parametrize(
    ("runs", "why"),
    [([(8192, 4096), (0, 4096)], "order"), ([(at, 1) for at in range(0, 4 * MIB, 2)], "pieces")],
)
def test_tables_that_would_fill_the_memory_are_not_believed(runs, why, monkeypatch):
    monkeypatch.setitem(free_space_module._READERS, "ext4", lambda _device: (4096, iter(runs)))
    monkeypatch.setattr(free_space_module, "_MOST_RUNS", 1 << 20)
    found = free_space(MemoryDevice(bytes(4 * MIB)), "ext4")
    assert found.runs == [(0, 4 * MIB)]
    assert why in found.why_all


@pytest.mark.parametrize(("at", "value"), [(0x4, b"\xff" * 4), (0xFE, b"\xff\xff")])
def test_an_ext_superblock_that_exaggerates(at, value, make):
    image = make(16, "mke2fs", "-q", "-t", "ext4", "-b", "1024", "-O", "64bit")
    content = bytearray(image.read_bytes())
    content[1024 + at : 1024 + at + len(value)] = value
    found = free_space(MemoryDevice(bytes(content)), "ext4")
    assert found.runs == [(0, 16 * MIB)]
    assert found.why_all
