# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_create: create, grow, set, delete."""

from __future__ import annotations

import hashlib
import json
import subprocess

import pytest

TYPES = ["monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "vmfs"]


def qemu_size(path):
    told = subprocess.run(
        ["qemu-img", "info", "--output=json", "-f", "vmdk", str(path)],
        check=True,
        capture_output=True,
    )
    return json.loads(told.stdout)["virtual-size"]


@pytest.mark.parametrize("disk_type", TYPES)
def test_created_disk_is_read_by_qemu_and_a_second_run_changes_nothing(
    modules, tmp_path, disk_type
):
    path = tmp_path / "disk.vmdk"
    first = modules.vmdk_create(path=path, size="5GiB", disk_type=disk_type)
    assert first["changed"]
    assert first["disk"]["disk_type"] == disk_type
    assert qemu_size(path) == 5 << 30
    again = modules.vmdk_create(path=path, size="5GiB", disk_type=disk_type)
    assert not again["changed"]
    assert again["disk"] == first["disk"]


@pytest.mark.parametrize("disk_type", TYPES)
def test_grown_disk_keeps_its_content(modules, tmp_path, make_disk, disk_type):
    path = make_disk("disk.vmdk", disk_type)
    before = modules.vmdk_info(path=path, digest=True)["disk"]
    grown = modules.vmdk_create(path=path, size="3GiB")
    assert grown["changed"]
    assert not modules.vmdk_create(path=path, size="3GiB")["changed"]
    raw = tmp_path / "grown.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(path), str(raw)], check=True)
    assert raw.stat().st_size == 3 << 30
    with open(raw, "rb") as stream:
        start = hashlib.sha256(stream.read(before["size"])).hexdigest()
        assert not any(iter(lambda: stream.read(1 << 20).strip(b"\0"), b""))
    assert f"sha256:{start}" == before["digest"]


def test_smaller_size_is_an_error_even_with_force(modules, disk, digest_of_tree, tmp_path):
    before = digest_of_tree(tmp_path)
    for force in (False, True):
        failed = modules.fail("vmdk_create", path=disk, size="1MiB", force=force)
        assert failed["error"]["kind"] == "InvalidRequest"
        assert "never cut" in failed["msg"]
        assert "41943040 bytes" in failed["msg"]
    assert digest_of_tree(tmp_path) == before


def test_other_type_is_an_error_that_names_the_way_out(modules, disk):
    failed = modules.fail("vmdk_create", path=disk, size="40MiB", disk_type="vmfs")
    assert "vmdk_convert" in failed["msg"]


def test_data_base_entries_are_set_once(modules, disk):
    wanted = {"path": disk, "adapter_type": "ide", "metadata": {"comment": "golden"}}
    digest = modules.vmdk_info(path=disk, digest=True)["disk"]["digest"]
    first = modules.vmdk_create(**wanted)
    assert first["changed"]
    assert first["disk"]["adapter_type"] == "ide"
    assert first["disk"]["metadata"]["comment"] == "golden"
    assert not modules.vmdk_create(**wanted)["changed"]
    assert modules.vmdk_info(path=disk, digest=True)["disk"]["digest"] == digest


@pytest.mark.parametrize("disk_type", TYPES)
def test_absent_removes_every_file(modules, tmp_path, disk_type):
    path = tmp_path / "disk.vmdk"
    modules.vmdk_create(path=path, size="5GiB", disk_type=disk_type)
    (tmp_path / "disk-notes.txt").write_text("mine")
    files = sorted(str(entry) for entry in tmp_path.iterdir() if entry.suffix == ".vmdk")
    gone = modules.vmdk_create(path=path, state="absent")
    assert gone["changed"]
    assert sorted(gone["removed"]) == files
    assert [entry.name for entry in tmp_path.iterdir()] == ["disk-notes.txt"]
    assert not modules.vmdk_create(path=path, state="absent")["changed"]


def test_a_parent_is_not_deleted_under_its_child(modules, disk, tmp_path):
    modules.vmdk_clone(src=disk, dest=tmp_path / "child.vmdk", linked=True)
    failed = modules.fail("vmdk_create", path=disk, state="absent")
    assert "child.vmdk" in failed["msg"]
    assert disk.exists()


def test_missing_size_is_told(modules, tmp_path):
    assert "size" in modules.fail("vmdk_create", path=tmp_path / "new.vmdk")["msg"]


@pytest.mark.parametrize("size", ["ten", "-5MiB", "1000", "0", "1.3333B"])
def test_impossible_sizes(modules, tmp_path, size):
    modules.fail("vmdk_create", path=tmp_path / "new.vmdk", size=size)
    assert list(tmp_path.iterdir()) == []


def test_something_else_is_replaced_with_force_only(modules, tmp_path):
    path = tmp_path / "disk.vmdk"
    path.write_text("my shopping list, long enough to be no descriptor")
    failed = modules.fail("vmdk_create", path=path, size="10MiB")
    assert failed["error"]["kind"] == "NotADisk"
    assert path.read_text().startswith("my shopping list")
    assert modules.vmdk_create(path=path, size="10MiB", force=True)["changed"]
    assert qemu_size(path) == 10 << 20


def test_no_space_leaves_nothing(modules, tmp_path, small_file_system):
    failed = modules.fail(
        "vmdk_create", path=small_file_system / "big.vmdk", size="2TiB", disk_type="monolithicFlat"
    )
    assert failed["error"]["kind"] in ("NoSpace", "DiskIOError")
    assert list(small_file_system.iterdir()) == []


def test_metadata_keys_match_in_any_case(modules, disk, tmp_path, digest_of_tree):
    before = digest_of_tree(tmp_path)
    wanted = {"ADAPTERTYPE": "lsilogic", "ddb.VirtualHWVersion": "10"}
    assert not modules.vmdk_create(path=disk, metadata=wanted)["changed"]
    assert digest_of_tree(tmp_path) == before
    assert modules.vmdk_create(path=disk, metadata={"AdapterType": "ide"})["changed"]
    found = modules.vmdk_info(path=disk)["disk"]
    assert found["adapter_type"] == "ide"
    assert [key for key in found["metadata"] if key.lower() == "adaptertype"] == ["adapterType"]
