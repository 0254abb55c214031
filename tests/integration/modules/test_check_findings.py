# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault that vmdk_check promises to find, beside what qemu-img says of the same disk."""

from __future__ import annotations

import os
import struct
import subprocess

import pytest

SECTOR = 512
GD, RGD = 56, 48  # fields of the header


def poke(path, offset, data):
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(data)


def field(path, offset):
    return struct.unpack_from("<Q", path.read_bytes(), offset)[0]


def table(path, directory=GD):
    """Byte of the file where the first table of a directory is."""
    at = field(path, directory) * SECTOR
    return struct.unpack_from("<I", path.read_bytes(), at)[0] * SECTOR


def used(path):
    """(index, sector) of the grains that the first table names."""
    entries = struct.unpack_from("<512I", path.read_bytes(), table(path))
    return [(index, entry) for index, entry in enumerate(entries) if entry]


def put_both(path, index, sector):
    for directory in (GD, RGD):
        poke(path, table(path, directory) + 4 * index, struct.pack("<I", sector))


def lose_entry(path):
    poke(path, table(path) + 4 * used(path)[0][0], bytes(4))


def zero_directory(path):
    poke(path, field(path, GD) * SECTOR, bytes(4))


def lead_directory_away(path):
    poke(path, field(path, GD) * SECTOR, b"\xff\xff\xff\x7f")


def share_a_place(path):
    put_both(path, 500, used(path)[0][1])


def overlap(path):
    put_both(path, 500, used(path)[0][1] + 8)


def lead_beyond_the_end(path):
    put_both(path, used(path)[0][0], 1 << 24)


def mark_unclean(path):
    poke(path, 72, b"\x01")


def change_newlines(path):
    poke(path, 73, b"\n \n\n")


def disagree_about_the_size(path):
    poke(path, 12, struct.pack("<Q", field(path, 12) - 128))


def lose_a_table_twice(path):
    for index, _sector in used(path):
        put_both(path, index, 0)


# damage, kind, severity, repairable, what `qemu-img check` returns (1: it sees it; None: not asked)
FAULTS = [
    (lose_entry, "tables-differ", "error", True, 0),
    (zero_directory, "directory-entry", "error", True, 0),
    (lead_directory_away, "directory-entry", "error", True, None),
    (share_a_place, "duplicate", "error", False, 0),
    (overlap, "duplicate", "error", False, 0),
    (lead_beyond_the_end, "beyond-end", "error", False, 1),
    (mark_unclean, "unclean", "warning", True, 0),
    (change_newlines, "newlines", "error", False, 0),
    (disagree_about_the_size, "size-mismatch", "error", False, 0),
    (lose_a_table_twice, "unused-space", "warning", False, 0),
]


@pytest.mark.parametrize("damage, kind, severity, repairable, by_qemu", FAULTS)
def test_fault_is_found(modules, disk, damage, kind, severity, repairable, by_qemu):
    damage(disk)
    result = modules.vmdk_check(path=disk)
    assert not result["changed"]
    assert not result["healthy"]
    (found,) = [one for one in result["findings"] if one["kind"] == kind]
    assert (found["severity"], found["repairable"]) == (severity, repairable)
    assert found["path"] == str(disk)
    assert found["how"]
    if by_qemu is not None:
        command = ["qemu-img", "check", "-f", "vmdk", str(disk)]
        assert subprocess.run(command, check=False, capture_output=True).returncode == by_qemu


def test_capacity_that_is_no_grain_multiple_is_noted(modules, make_disk, tmp_path):
    modules.vmdk_create(path=tmp_path / "odd.vmdk", size="102400")
    result = modules.vmdk_check(path=tmp_path / "odd.vmdk")
    assert result["healthy"]
    assert [one["kind"] for one in result["findings"]] == ["capacity"]


@pytest.fixture
def child(modules, disk, tmp_path):
    modules.vmdk_clone(src=disk, dest=tmp_path / "child.vmdk", linked=True)
    return tmp_path / "child.vmdk"


def only_finding(modules, path):
    result = modules.vmdk_check(path=path)
    assert not result["healthy"]
    (found,) = result["findings"]
    return found


def test_broken_cid_chain(modules, disk, child):
    poke(disk, disk.read_bytes().index(b"CID=") + 4, b"0badcafe")
    found = only_finding(modules, child)
    assert found["kind"] == "cid-mismatch"
    assert "0badcafe" in found["message"]
    info = ["qemu-img", "map", "-f", "vmdk", str(child)]
    assert subprocess.run(info, check=False, capture_output=True).returncode == 0  # it looks away


def test_missing_link_is_named(modules, disk, child):
    os.rename(disk, disk.with_name("elsewhere.img"))
    found = only_finding(modules, child)
    assert found["kind"] == "missing-link"
    assert disk.name in found["message"]


def test_interrupted_commit_and_what_finishes_it(modules, disk, child, content_by_qemu):
    content = content_by_qemu(child)
    disk.with_name(disk.name + ".vdisk-commit").write_text(child.name)
    found = only_finding(modules, disk)
    assert (found["kind"], found["severity"]) == ("commit", "error")
    assert "vmdk_snapshot" in found["how"]
    modules.vmdk_snapshot(path=disk, child=child, state="absent")
    assert modules.vmdk_check(path=disk)["findings"] == []
    assert content_by_qemu(disk) == content


def test_stale_change_tracking(modules, make_disk):
    path = make_disk(disk_type="monolithicFlat")
    text = path.read_text()
    path.write_text(text.replace("# Extent", 'changeTrackPath="x-ctk.vmdk"\n# Extent', 1))
    found = only_finding(modules, path)
    assert (found["kind"], found["repairable"]) == ("change-tracking", True)
    assert modules.vmdk_check(path=path, repair=True)["healthy"]
    assert path.read_text() == text


def test_extent_of_another_length(modules, make_disk):
    path = make_disk(disk_type="monolithicFlat")
    (flat,) = path.parent.glob("*-flat.vmdk")
    os.truncate(flat, flat.stat().st_size - SECTOR)
    assert only_finding(modules, path)["kind"] == "extent-size"
