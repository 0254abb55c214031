# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Larger disks: the old end is as it was, and behind it there is nothing but zeros."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import (
    SparseHeader,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import (
    DiskSpec,
    Parent,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import (
    create_disk,
    new_disk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.grow import grow_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.commit import commit_child
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child
from ansible_collections.vdisk.lifecycle.tests.examples import examples

SECTOR = 512
MIB = 1 << 20
IN_PLACE = [
    "monolithicSparse",
    "twoGbMaxExtentSparse",
    "monolithicFlat",
    "twoGbMaxExtentFlat",
    "vmfs",
]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("grow"), st.integers(1, 400), st.just(0), st.just(0)),
        st.tuples(
            st.sampled_from(["write", "zero"]),
            st.floats(0, 1),
            st.integers(1, 200_000),
            st.integers(1, 255),
        ),
    ),
    max_size=8,
)


def scribble(path):
    """What foreign writers leave in the rest of the last grain, and behind a flat extent."""
    for file in path.parent.glob(f"{path.stem}*"):
        if file.suffix == ".vmdk" and file.read_bytes()[:1] != b"#":
            with open(file, "r+b") as stream:
                header = stream.read(SECTOR)
                if header[:4] != b"KDMV" and file.stem.endswith("flat"):
                    stream.seek(0, 2)
                    stream.write(b"secret" * 100)


@pytest.mark.usefixtures("small_split")
@pytest.mark.parametrize("disk_type", IN_PLACE)
@given(sectors=st.integers(1, 700), steps=STEPS)
@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_growth_between_any_writes(tmp_path_factory, qemu_img, disk_type, sectors, steps):
    path = tmp_path_factory.mktemp("grow") / "disk.vmdk"
    create_disk(path, DiskSpec(sectors * SECTOR, disk_type))
    model = bytearray(sectors * SECTOR)
    for name, where, length, value in steps:
        if name == "grow":
            scribble(path)
            model += bytes(where * SECTOR)
            assert grow_disk(path, len(model))
        else:
            offset = min(int(where * len(model)), len(model) - 1)
            data = bytes([value if name == "write" else 0]) * min(length, len(model) - offset)
            with open_disk(path, writable=True) as disk:
                if name == "write":
                    disk.write(offset, data)
                else:
                    disk.zero(offset, len(data))
            model[offset : offset + len(data)] = data
    with open_disk(path) as disk:
        assert read(disk, 0, disk.size) == model
        assert disk.flags == []
    raw = path.with_suffix(".raw")
    qemu_img("convert", "-f", "vmdk", "-O", "raw", path, raw)
    assert raw.read_bytes() == model


def set_entries(path, header, copies, grain, sector):
    """In some copies of the only table."""
    for directory in copies:
        with open(path, "r+b") as stream:
            stream.seek(getattr(header, directory) * SECTOR)
            (table,) = struct.unpack("<I", stream.read(4))
            stream.seek(table * SECTOR + 4 * grain)
            stream.write(struct.pack("<I", sector))


@pytest.mark.parametrize("copies", [("gd_offset", "rgd_offset"), ("gd_offset",), ("rgd_offset",)])
def test_entry_behind_the_end_never_shows(make_disk, content_of, copies):
    """Some images have more grains than their capacity (LY, corruption scenarios)."""
    path = make_disk("disk.vmdk", "monolithicSparse", MIB, {0: b"secret"})
    header = SparseHeader.parse(path.read_bytes()[:SECTOR], "disk")
    end = -(-path.stat().st_size // SECTOR)
    with open(path, "ab") as stream:
        stream.truncate(end * SECTOR)
        stream.write(b"ghost" * 13107)
        stream.truncate((end + 128) * SECTOR)
    set_entries(path, header, copies, 20, end)
    assert grow_disk(path, 40 * MIB)
    assert content_of(path) == b"secret".ljust(40 * MIB, b"\0")


def test_extent_that_is_longer_than_its_line_never_shows_the_rest(make_disk, content_of):
    path = make_disk("disk.vmdk", "twoGbMaxExtentSparse", MIB, {0: b"shown", MIB // 2: b"ghost"})
    text = path.read_text()
    assert "RW 2048 SPARSE" in text
    path.write_text(text.replace("RW 2048 SPARSE", "RW 900 SPARSE"))
    assert content_of(path) == b"shown".ljust(900 * SECTOR, b"\0")
    grow_disk(path, 2 * MIB)
    assert content_of(path) == b"shown".ljust(2 * MIB, b"\0")


def piece_by_qemu(qemu_img, path, offset, length):
    raw = path.with_suffix(".piece")
    place = [f"skip={offset // SECTOR}", f"count={(offset + length) // SECTOR}"]
    qemu_img("dd", "-f", "vmdk", "-O", "raw", "bs=512", *place, f"if={path}", f"of={raw}")
    return raw.read_bytes()


@pytest.mark.parametrize("disk_type", ["monolithicFlat", "vmfs"])
def test_flat_disk_beyond_2_tib(make_disk, qemu_img, disk_type):
    path = make_disk("disk.vmdk", disk_type, MIB, {0: b"first", MIB - 4: b"last"})
    size = 3 << 40
    assert grow_disk(path, size)
    with open_disk(path, writable=True) as disk:
        disk.write(size - 512, b"E" * 512)
    assert piece_by_qemu(qemu_img, path, 0, 512)[:5] == b"first"
    assert piece_by_qemu(qemu_img, path, MIB - 512, 1024) == b"last".rjust(512, b"\0") + bytes(512)
    assert piece_by_qemu(qemu_img, path, size - 1024, 1024) == bytes(512) + b"E" * 512


def test_split_disk_gets_extents_of_vmwares_size(make_disk, qemu_img, tmp_path):
    """2047 MiB each, the last one what is left (TN p.4)."""
    path = make_disk("disk.vmdk", "twoGbMaxExtentSparse", MIB, {0: b"first"})
    grow_disk(path, 5 << 30)
    with open_disk(path, writable=True) as disk:
        disk.write((2047 << 20) - 256, b"B" * 512)
        disk.write((5 << 30) - 512, b"E" * 512)
    lines = [line.split()[1] for line in path.read_text().splitlines() if line.startswith("RW")]
    assert lines == ["4192256", "4192256", str((5 << 21) - 2 * 4192256)]
    assert len(list(tmp_path.glob("disk-s*.vmdk"))) == 3
    found = piece_by_qemu(qemu_img, path, (2047 << 20) - 512, 1024)
    assert found == bytes(256) + b"B" * 512 + bytes(256)
    assert piece_by_qemu(qemu_img, path, (5 << 30) - 512, 512) == b"E" * 512


# A parent that grows because a larger child is committed into it


def larger_child(parent, name, size, content):
    with open_disk(parent) as disk:
        spec = DiskSpec(size, "monolithicSparse", parent=Parent(disk.descriptor.cid, parent.name))
    path = parent.parent / name
    with new_disk(path, spec):
        pass
    with open_disk(path, writable=True) as device:
        for offset, data in content.items():
            device.write(offset, data)
    return path


@pytest.mark.parametrize("disk_type", IN_PLACE)
@pytest.mark.parametrize("sectors", [128, 200, 700])
def test_larger_child_is_committed(make_disk, content_of, qemu_img, disk_type, sectors):
    base = make_disk("base.vmdk", disk_type, sectors * SECTOR, {0: b"\x11" * sectors * SECTOR})
    child = larger_child(base, "child.vmdk", 2 * MIB, {MIB + 700: b"far", 100: b"near"})
    model = bytearray(b"\x11" * sectors * SECTOR).ljust(2 * MIB, b"\0")
    model[100:104], model[MIB + 700 : MIB + 703] = b"near", b"far"
    assert content_of(child) == model
    commit_child(child)
    assert content_of(base) == model
    raw = base.with_suffix(".raw")
    qemu_img("convert", "-f", "vmdk", "-O", "raw", base, raw)
    assert raw.read_bytes() == model


def test_link_in_the_middle_grows_over_a_shorter_parent(make_disk, content_of):
    """Its last grain was a short one that it inherits; behind it the parent has nothing."""
    base = make_disk("base.vmdk", "vmfs", 200 * SECTOR, {0: b"\x11" * 200 * SECTOR})
    middle = base.parent / "middle.vmdk"
    create_child(base, middle)
    with open_disk(middle, writable=True) as disk:
        disk.write(150 * SECTOR, b"middle")
    child = larger_child(middle, "child.vmdk", 2 * MIB, {MIB: b"far"})
    model = bytearray(b"\x11" * 200 * SECTOR).ljust(2 * MIB, b"\0")
    model[150 * SECTOR : 150 * SECTOR + 6], model[MIB : MIB + 3] = b"middle", b"far"
    assert content_of(child) == model
    commit_child(child)
    assert content_of(middle) == model
