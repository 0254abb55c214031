# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_clone and vmdk_convert: content judged by qemu-img."""

from __future__ import annotations

import itertools
import subprocess

import pytest

TYPES = [
    "monolithicSparse",
    "monolithicFlat",
    "twoGbMaxExtentSparse",
    "twoGbMaxExtentFlat",
    "vmfs",
    "streamOptimized",
]


@pytest.mark.parametrize(("source_type", "dest_type"), itertools.product(TYPES, TYPES))
def test_any_type_to_any_type(
    modules, make_disk, tmp_path, content_by_qemu, source_type, dest_type
):
    source = make_disk("source.vmdk", source_type)
    arguments = {"src": source, "dest": tmp_path / "copy.vmdk", "disk_type": dest_type}
    first = modules.vmdk_clone(**arguments)
    assert first["changed"]
    assert first["disk"]["disk_type"] == dest_type
    assert first["transfer"]["bytes_total"] == 40 << 20
    assert content_by_qemu(tmp_path / "copy.vmdk") == content_by_qemu(source)
    again = modules.vmdk_clone(**arguments)
    assert not again["changed"]


def test_to_raw_and_back(modules, disk, tmp_path, digest_of_file, content_by_qemu):
    modules.vmdk_clone(src=disk, dest=tmp_path / "disk.img", verify=True)
    assert digest_of_file(tmp_path / "disk.img") == content_by_qemu(disk)
    assert not modules.vmdk_clone(src=disk, dest=tmp_path / "disk.img")["changed"]


def test_a_different_disk_is_replaced_with_force_only(modules, make_disk, content_by_qemu):
    source, dest = make_disk("a.vmdk", seed=1), make_disk("b.vmdk", seed=2)
    before = content_by_qemu(dest)
    failed = modules.fail("vmdk_clone", src=source, dest=dest)
    assert failed["error"]["kind"] == "DiskExists"
    assert "from byte" in failed["msg"]
    assert content_by_qemu(dest) == before
    assert modules.vmdk_clone(src=source, dest=dest, force=True)["changed"]
    assert content_by_qemu(dest) == content_by_qemu(source)


def test_a_disk_is_never_copied_over_itself(modules, disk):
    failed = modules.fail("vmdk_clone", src=disk, dest=disk, force=True)
    assert "itself" in failed["msg"]


def test_linked_clone_shows_its_parent_and_stores_little(modules, disk, tmp_path, content_by_qemu):
    child = tmp_path / "child.vmdk"
    first = modules.vmdk_clone(src=disk, dest=child, linked=True)
    assert first["changed"]
    assert first["disk"]["chain"] == [str(child), str(disk)]
    assert first["disk"]["parent_cid"] == modules.vmdk_info(path=disk)["disk"]["cid"]
    assert child.stat().st_blocks * 512 < 1 << 20
    assert content_by_qemu(child) == content_by_qemu(disk)
    assert not modules.vmdk_clone(src=disk, dest=child, linked=True)["changed"]


def test_linked_clone_of_a_disk_elsewhere_needs_permission(modules, disk, tmp_path):
    (tmp_path / "other").mkdir()
    child = tmp_path / "other" / "child.vmdk"
    failed = modules.fail("vmdk_clone", src=disk, dest=child, linked=True)
    assert "allow_outside" in failed["msg"]
    assert not child.exists()
    allowed = {"src": disk, "dest": child, "linked": True, "allow_outside": [str(tmp_path)]}
    assert modules.vmdk_clone(**allowed)["changed"]
    assert not modules.vmdk_clone(**allowed)["changed"]


def test_copy_to_a_block_device(modules, disk, tmp_path, content_by_qemu, digest_of_file):
    backing = tmp_path / "device.raw"
    backing.write_bytes(b"\xee" * (40 << 20))
    told = subprocess.run(
        ["losetup", "-f", "--show", str(backing)], check=True, capture_output=True, text=True
    )
    device = told.stdout.strip()
    try:
        failed = modules.fail("vmdk_clone", src=disk, dest=device)
        assert "force" in failed["msg"]
        assert modules.vmdk_clone(src=disk, dest=device, force=True)["changed"]
        assert not modules.vmdk_clone(src=disk, dest=device)["changed"]
    finally:
        subprocess.run(["losetup", "-d", device], check=True)
    assert digest_of_file(backing) == content_by_qemu(disk)


@pytest.mark.parametrize(("source_type", "dest_type"), itertools.permutations(TYPES, 2))
def test_convert_in_place(modules, make_disk, tmp_path, content_by_qemu, source_type, dest_type):
    path = make_disk("disk.vmdk", source_type)
    before = modules.vmdk_info(path=path)["disk"]
    content = content_by_qemu(path)
    first = modules.vmdk_convert(path=path, disk_type=dest_type)
    assert first["changed"]
    assert content_by_qemu(path) == content
    after = first["disk"]
    assert (after["disk_type"], after["uuid"]) == (dest_type, before["uuid"])
    assert after["metadata"]["adapterType"] == before["metadata"]["adapterType"]
    named = {"disk.vmdk", *(extent["path"].rpartition("/")[2] for extent in after["extents"])}
    assert {entry.name for entry in tmp_path.iterdir()} == named
    assert not modules.vmdk_convert(path=path, disk_type=dest_type)["changed"]


def test_compression_level_makes_a_difference(modules, make_disk):
    sizes = {}
    for level in (0, 9):
        path = make_disk(f"level{level}.vmdk")
        modules.vmdk_convert(path=path, disk_type="streamOptimized", compression_level=level)
        sizes[level] = path.stat().st_size
    assert sizes[9] < sizes[0]


def test_a_parent_is_not_converted_under_its_child(modules, disk, tmp_path):
    modules.vmdk_clone(src=disk, dest=tmp_path / "child.vmdk", linked=True)
    failed = modules.fail("vmdk_convert", path=disk, disk_type="vmfs")
    assert "child.vmdk" in failed["msg"]
