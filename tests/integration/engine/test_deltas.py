# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redo logs over disks of every kind that can be read."""

from __future__ import annotations

import shutil

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.compare import digest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    InvalidRequest,
    ReadOnlyDisk,
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.commit import commit_child
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.handmade import (
    SECTOR,
    Part,
    lay_down,
    numbered,
)

MIB = 1 << 20
PATCHES = {4096 + 7: b"patch" * 999, 300_000: bytes(200_000), MIB - 5: b"at the end of a MiB"}


def patch(child):
    with open_disk(child, writable=True) as disk:
        for offset, data in PATCHES.items():
            if data.strip(b"\0"):
                disk.write(offset, data)
            else:
                disk.zero(offset, len(data))


def patched(content):
    for offset, data in PATCHES.items():
        content[offset : offset + len(data)] = data
    return content


@pytest.mark.parametrize("kind", ["monolithicSparse", "twoGbMaxExtentSparse"])
@pytest.mark.parametrize(
    "image",
    [
        "vmdk-rs/monolithicSparse.vmdk",
        "vmdk-rs/streamOptimized.vmdk",
        "vmdk-rs/twoGbMaxExtentSparse.vmdk",
        "vmdk-rs/vmfs_thick.vmdk",
        "dfvfs/ext2.vmdk",
        "cot/blank.vmdk",
    ],
)
def test_over_a_disk_of_another_program(image, kind, corpus, to_raw, tmp_path):
    source = corpus / image
    for file in source.parent.glob(f"{source.stem}*"):
        shutil.copy(file, tmp_path)
    base, child = tmp_path / source.name, tmp_path / "child.vmdk"
    with open_disk(base) as disk:
        before, head = digest(disk), read(disk, 0, 2 * MIB)
    create_child(base, child, kind)
    with open_disk(child) as disk:
        assert digest(disk) == before
    patch(child)
    with open_disk(child) as disk:
        assert read(disk, 0, 2 * MIB) == patched(head)
    found = to_raw(child, tmp_path / "found.raw")
    with found.open("rb") as file:
        assert file.read(2 * MIB) == head
    with open_disk(base) as disk:
        assert digest(disk) == before


MIXTURES = {
    "custom": [Part("flat", 700), Part("zero", 900), Part("rdonly", 800), Part("shared", 1700)],
    "cowd": [Part("cowd", 4100, 1, grains={n: numbered(1, n) for n in range(0, 4100, 7)})],
    "flat": [Part("flat", 1001), Part("flat", 3099)],
    "no-tables": [Part("sparse", 4100, 8, tables=False, grains={511: numbered(8, 4088)})],
}


@pytest.mark.parametrize("kind", ["monolithicSparse", "twoGbMaxExtentSparse"])
@pytest.mark.parametrize("mixture", MIXTURES)
def test_over_a_disk_that_is_put_together(mixture, kind, tmp_path):
    base = lay_down(tmp_path, "base", MIXTURES[mixture])
    create_child(base.path, tmp_path / "child.vmdk", kind)
    patch(tmp_path / "child.vmdk")
    with open_disk(tmp_path / "child.vmdk") as disk:
        assert read(disk, 0, disk.size) == patched(bytearray(base.content))
    with open_disk(base.path) as disk:
        assert read(disk, 0, disk.size) == base.content


def test_commit_into_what_cannot_be_written_changes_nothing(tmp_path):
    base = lay_down(tmp_path, "base", MIXTURES["custom"])
    create_child(base.path, tmp_path / "child.vmdk")
    patch(tmp_path / "child.vmdk")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ReadOnlyDisk):
        commit_child(tmp_path / "child.vmdk")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_commit_into_a_stream_changes_nothing(corpus, tmp_path):
    shutil.copy(corpus / "vmdk-rs" / "streamOptimized.vmdk", tmp_path / "base.vmdk")
    create_child(tmp_path / "base.vmdk", tmp_path / "child.vmdk")
    patch(tmp_path / "child.vmdk")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UnsupportedDisk):
        commit_child(tmp_path / "child.vmdk")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_longer_child_goes_into_a_grown_parent(tmp_path, to_raw):
    base = lay_down(tmp_path, "base", [Part("sparse", 4000, grains={0: numbered(128)})])
    part = Part("sparse", 5000, 16, grains={200: numbered(16, 3200), 310: numbered(16, 4960)})
    child = lay_down(
        tmp_path, "child", [part], parent=("0badcafe", "base.vmdk"), below=bytes(base.content)
    )
    commit_child(child.path)
    with open_disk(base.path) as disk:
        assert disk.size == 5000 * SECTOR
        assert read(disk, 0, disk.size) == child.content
    assert to_raw(base.path, tmp_path / "raw").read_bytes() == child.content


def test_commit_that_would_show_more_of_the_disk_below_is_refused(tmp_path):
    """A parent that is shorter than its own parent hides the rest of it, until it is grown."""
    base = lay_down(tmp_path, "base", [Part("flat", 1000)], cid="00000001")
    middle = lay_down(
        tmp_path,
        "middle",
        [Part("sparse", 500, 8)],
        cid="00000002",
        parent=("00000001", "base.vmdk"),
        below=bytes(base.content),
    )
    part = Part("sparse", 900, 8, grains={0: numbered(8)})
    child = lay_down(
        tmp_path, "child", [part], parent=("00000002", "middle.vmdk"), below=bytes(middle.content)
    )
    with pytest.raises(InvalidRequest, match="shorter than the disk below"):
        commit_child(child.path)
    with open_disk(child.path) as disk:
        assert read(disk, 0, disk.size) == child.content
    assert not any(child.content[500 * SECTOR :])
