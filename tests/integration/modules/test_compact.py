# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_defragment and vmdk_shrink: the same content, as qemu-img reads it, in smaller files."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

MIB = 1 << 20
GRAIN = 64 << 10
SPARSE = ["monolithicSparse", "twoGbMaxExtentSparse"]
FLAT = ["monolithicFlat", "twoGbMaxExtentFlat", "vmfs"]


def run(*command, **options):
    words = [str(word) for word in command]
    return subprocess.run(words, check=True, capture_output=True, text=True, **options).stdout


def qemu_write(path, *commands):
    """Write with qemu, which puts new grains at the end of the file, in the order of writing."""
    words = [word for command in commands for word in ("-c", command)]
    run("qemu-io", "-f", "vmdk", *words, path)


@pytest.fixture
def untidy(tmp_path):
    """untidy(disk_type): a disk by qemu with 30 grains written back to front, 10 of them zeros."""

    def make(disk_type="monolithicSparse", name="web01.vmdk"):
        path = tmp_path / name
        run("qemu-img", "create", "-q", "-f", "vmdk", "-o", f"subformat={disk_type}", path, "64M")
        places = [(n * 5 * GRAIN, n + 1) for n in reversed(range(30))]
        qemu_write(path, *(f"write -P {value} {at} 64k" for at, value in places))
        qemu_write(path, *(f"write -P 0 {at} 64k" for at, value in places if value % 3 == 0))
        return path

    return make


def descriptor_of(path):
    """The text, whether in a file of its own or embedded."""
    data = path.read_bytes()
    text = data[512 : 512 + 20 * 512] if data.startswith(b"KDMV") else data
    return text.split(b"\0")[0]


def fragments_by_qemu(path):
    """Runs that lie behind each other in the file, as qemu-img sees them."""
    table = json.loads(run("qemu-img", "map", "--output=json", "-f", "vmdk", path))
    places = [(m["offset"], m["offset"] + m["length"]) for m in table if "offset" in m]
    return sum(
        1
        for number, (start, _end) in enumerate(places)
        if number == 0 or places[number - 1][1] != start
    )


@pytest.mark.parametrize("disk_type", SPARSE)
def test_defragment(modules, untidy, content_by_qemu, disk_type, space):
    path = untidy(disk_type)
    content, text, size = content_by_qemu(path), descriptor_of(path), space(path)[0]
    result = modules.vmdk_defragment(path=path)
    assert result["changed"]
    assert result["fragmentation"]["before"]["fragments"] == 30
    assert result["fragmentation"]["after"]["fragments"] == 1
    assert result["fragmentation"]["after"]["grains"] == 30
    assert content_by_qemu(path) == content
    assert descriptor_of(path) == text
    assert fragments_by_qemu(path) == 1
    assert space(path)[0] <= size
    assert "No errors" in run("qemu-img", "check", "-f", "vmdk", path)
    assert not modules.vmdk_defragment(path=path)["changed"]


@pytest.mark.parametrize("disk_type", SPARSE)
def test_shrink(modules, untidy, content_by_qemu, disk_type, space):
    path = untidy(disk_type)
    content, text, size = content_by_qemu(path), descriptor_of(path), space(path)[0]
    result = modules.vmdk_shrink(path=path)
    assert result["changed"]
    assert result["freed"] == size - space(path)[0] >= 10 * GRAIN
    assert content_by_qemu(path) == content
    assert descriptor_of(path) == text
    assert fragments_by_qemu(path) == 1
    assert "No errors" in run("qemu-img", "check", "-f", "vmdk", path)
    again = modules.vmdk_shrink(path=path)
    assert not again["changed"]
    assert again["freed"] == 0
    assert not modules.vmdk_defragment(path=path)["changed"]


@pytest.mark.parametrize("disk_type", FLAT)
def test_shrink_makes_holes_in_flat_disks(modules, make_disk, content_by_qemu, disk_type, space):
    path = make_disk(disk_type=disk_type)
    flat = max(path.parent.glob("web01*.vmdk"), key=lambda file: file.stat().st_size)
    whole = flat.read_bytes()
    flat.write_bytes(whole)  # zeros and all
    content, before = content_by_qemu(path), space(path)
    result = modules.vmdk_shrink(path=path)
    assert result["changed"]
    after = space(path)
    assert after[0] == before[0]
    assert result["freed"] == before[1] - after[1] > 20 * MIB
    assert content_by_qemu(path) == content
    assert not modules.vmdk_shrink(path=path)["changed"]
    assert not modules.vmdk_shrink(path=path, check_mode=True)["changed"]


def test_shrink_gives_back_what_is_reserved(modules, tmp_path, space):
    path = tmp_path / "new.vmdk"
    modules.vmdk_create(path=path, size="32MiB", disk_type="monolithicFlat")
    assert space(path)[1] >= 32 * MIB
    assert modules.vmdk_shrink(path=path)["changed"]
    assert space(path)[1] < MIB
    assert not modules.vmdk_shrink(path=path)["changed"]


@pytest.mark.parametrize("disk_type", [*FLAT, "streamOptimized"])
def test_nothing_to_defragment(modules, make_disk, disk_type):
    assert not modules.vmdk_defragment(path=make_disk(disk_type=disk_type))["changed"]


def test_nothing_to_shrink_in_a_stream(modules, make_disk):
    assert not modules.vmdk_shrink(path=make_disk(disk_type="streamOptimized"))["changed"]


def test_a_disk_just_cloned_is_as_tidy_as_can_be(modules, disk):
    assert not modules.vmdk_defragment(path=disk)["changed"]
    assert not modules.vmdk_shrink(path=disk)["changed"]


@pytest.mark.parametrize("module", ["vmdk_defragment", "vmdk_shrink"])
def test_check_mode_changes_nothing_and_tells_the_truth(
    modules, untidy, digest_of_tree, tmp_path, module
):
    path = untidy()
    before = digest_of_tree(tmp_path)
    foretold = modules.run(module, check_mode=True, path=path)
    assert foretold["changed"]
    assert digest_of_tree(tmp_path) == before
    done = modules.run(module, path=path)
    assert done["changed"]
    for key in ("freed", "fragmentation"):
        assert foretold.get(key) == done.get(key)
    assert not modules.run(module, check_mode=True, path=path)["changed"]


@pytest.fixture
def family(modules, untidy, tmp_path):
    """(parent, child) where the child has zeros over data of its parent."""
    base, child = untidy(name="base.vmdk"), tmp_path / "child.vmdk"
    modules.vmdk_clone(src=base, dest=child, linked=True)
    qemu_write(child, "write -P 200 5M 64k", "write -P 0 0 2M", "write -P 201 1M 64k")
    return base, child


@pytest.mark.parametrize("module", ["vmdk_defragment", "vmdk_shrink"])
def test_child_never_shows_its_parent(modules, family, content_by_qemu, module):
    base, child = family
    content, parent, size = content_by_qemu(child), base.read_bytes(), child.stat().st_size
    assert modules.run(module, path=child)["changed"]
    assert content_by_qemu(child) == content
    assert child.stat().st_size < size or module == "vmdk_defragment"
    assert base.read_bytes() == parent
    assert not modules.run(module, path=child)["changed"]


@pytest.mark.parametrize("module", ["vmdk_defragment", "vmdk_shrink"])
def test_parent_may_be_compacted_under_its_child(modules, family, content_by_qemu, module):
    base, child = family
    content = content_by_qemu(child)
    assert modules.run(module, path=base)["changed"]
    assert content_by_qemu(child) == content


def test_all_links(modules, family, content_by_qemu):
    base, child = family
    content = content_by_qemu(child)
    result = modules.vmdk_defragment(path=child, links="all")
    assert result["changed"]
    assert result["fragmentation"]["after"]["fragments"] == 2
    assert fragments_by_qemu(base) == 1
    assert content_by_qemu(child) == content
    assert not modules.vmdk_defragment(path=child, links="all")["changed"]


def test_owner_and_rights_stay(modules, untidy):
    path = untidy()
    os.chmod(path, 0o640)
    os.chown(path, 1234, 5678)
    modules.vmdk_defragment(path=path)
    status = path.stat()
    assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o640, 1234, 5678)


def test_space_is_checked_before_anything_is_written(modules, small_file_system, tmp_path):
    path = small_file_system / "web01.vmdk"
    run("qemu-img", "create", "-q", "-f", "vmdk", path, "64M")
    qemu_write(path, *(f"write -P 7 {n * GRAIN} 64k" for n in reversed(range(40))))
    before = path.read_bytes()
    failed = modules.fail("vmdk_defragment", path=path)
    assert failed["error"]["kind"] == "NoSpace"
    assert "bytes free" in failed["msg"]
    assert path.read_bytes() == before
    assert [file.name for file in small_file_system.iterdir()] == ["web01.vmdk"]


@pytest.mark.parametrize("module", ["vmdk_defragment", "vmdk_shrink"])
def test_killed_at_any_moment(modules, untidy, content_by_qemu, module, kill_after):
    path = untidy("twoGbMaxExtentSparse")
    content = content_by_qemu(path)
    for moment in range(6):
        kill_after(0.12 + 0.03 * moment, module, path=str(path))
        assert content_by_qemu(path) == content
    modules.run(module, path=path)
    assert content_by_qemu(path) == content
    assert not modules.run(module, path=path)["changed"]
    assert not list(path.parent.glob("*.vdisk-*"))
