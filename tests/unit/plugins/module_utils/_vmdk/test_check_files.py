# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check finds in descriptors, chains and streams, and beside a disk."""

from __future__ import annotations

import os
import struct
from random import Random

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.check import check_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import (
    SECTOR,
    SparseHeader,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.pokes import (
    GRAIN,
    MIB,
    TWO_TABLES,
    kinds,
    poke,
    put_entry,
    the_one,
)


@pytest.fixture
def disk(make_disk):
    return make_disk("disk.vmdk", "monolithicSparse", 40 * MIB, TWO_TABLES)


@pytest.fixture
def stream(make_disk):
    return make_disk("stream.vmdk", "streamOptimized", 4 * MIB, {0: Random(1).randbytes(4 * GRAIN)})


# Descriptor and extents


def test_descriptor_and_extent_that_disagree_are_found(disk):
    text = disk.read_bytes()
    poke(disk, text.index(b"RW 81920"), b"RW 91920")
    assert the_one(disk, "size-mismatch").severity == "error"


def test_lost_descriptor_does_not_hide_the_tables(disk):
    poke(disk, SECTOR, bytes(20 * SECTOR))
    put_entry(disk, 1, 0)
    assert kinds(disk) == ["descriptor", "tables-differ"]


@pytest.mark.parametrize("by, severity", [(-512, "error"), (512, "warning")])
def test_flat_extent_of_another_length_is_found(make_disk, by, severity):
    path = make_disk("disk.vmdk", "monolithicFlat", MIB)
    os.truncate(path.with_name("disk-flat.vmdk"), MIB + by)
    assert the_one(path, "extent-size").severity == severity


def test_missing_extent_is_named(make_disk, small_split):
    path = make_disk("disk.vmdk", "twoGbMaxExtentSparse", MIB)
    path.with_name("disk-s002.vmdk").unlink()
    assert the_one(path, "missing-extent").path.endswith("disk-s002.vmdk")


def test_extent_outside_the_folder_is_not_opened(tmp_path):
    (tmp_path / "disk.vmdk").write_text(
        'version=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
        'RW 1 FLAT "/etc/hostname" 0\n'
    )
    assert "allow_outside" in the_one(tmp_path / "disk.vmdk", "extent").how


def test_10_blanks_in_the_version_line_are_noted(make_disk):
    path = make_disk("disk.vmdk", "monolithicFlat", MIB)
    path.write_text(path.read_text().replace("version=1", "version = 1", 1))
    assert the_one(path, "spelling").severity == "note"


def test_10_lower_case_keys_are_no_fault(make_disk):
    path = make_disk("disk.vmdk", "monolithicFlat", MIB)
    text = path.read_text()
    path.write_text(text.replace("CID=", "cid=", 1).replace("createType", "createtype"))
    assert check_disk(path) == []


# Chains


@pytest.fixture
def child(tmp_path, make_disk):
    make_disk("base.vmdk", "monolithicSparse", MIB, {0: b"base"})
    create_child(tmp_path / "base.vmdk", tmp_path / "child.vmdk")
    return tmp_path / "child.vmdk"


def test_14_broken_cid_chain_names_both(child):
    base = child.with_name("base.vmdk")
    with open_disk(base) as disk:
        right = disk.descriptor.get("CID")
    poke(base, base.read_bytes().index(b"CID=") + 4, b"0badcafe")
    found = the_one(child, "cid-mismatch")
    assert "0badcafe" in found.message
    assert right in found.message
    assert "repair_cid" in found.how


def test_missing_parent_is_named(child):
    child.with_name("base.vmdk").unlink()
    message = the_one(child, "missing-link").message
    assert "'base.vmdk'" in message
    assert str(child.parent) in message


def test_circular_chain_is_found(tmp_path, child):
    create_child(child, tmp_path / "grandchild.vmdk")
    data = child.read_bytes().replace(b'Hint="base.vmdk"', b'Hint="grandchild.vmdk"')
    child.write_bytes(data[: len(data)])
    with open_disk(tmp_path / "grandchild.vmdk", single_link=True) as disk:
        assert disk.descriptor.parent_cid is not None
    assert "circular-chain" in kinds(tmp_path / "grandchild.vmdk")


def test_damage_of_a_parent_is_found_through_its_child(child):
    base = child.with_name("base.vmdk")
    put_entry(base, 0, 0)
    assert the_one(child, "tables-differ").path == str(base)


# Beside the disk


def add_tracking(path, name="disk-ctk.vmdk"):
    text = path.read_text().replace("version=1", "version=3", 1)
    path.write_text(text.replace("# Extent", f'changeTrackPath="{name}"\n# Extent', 1))


def test_change_tracking_without_its_file_is_found(make_disk):
    path = make_disk("disk.vmdk", "monolithicFlat", MIB)
    add_tracking(path)
    assert the_one(path, "change-tracking").repairable


def test_change_tracking_file_that_is_none_is_found(make_disk):
    path = make_disk("disk.vmdk", "monolithicFlat", MIB)
    add_tracking(path)
    path.with_name("disk-ctk.vmdk").write_bytes(b"")
    assert "no change-tracking" in the_one(path, "change-tracking").message


def test_change_tracking_older_than_the_extents_is_noted(make_disk):
    path = make_disk("disk.vmdk", "monolithicFlat", MIB)
    add_tracking(path)
    tracking = path.with_name("disk-ctk.vmdk")
    tracking.write_bytes(b"\xa2\x72\x19\xf6" + bytes(1020))
    assert check_disk(path) == []
    os.utime(tracking, (1, 1))
    assert the_one(path, "change-tracking").severity == "note"


def test_leftovers_are_noted(disk):
    for name in ("disk.vmdk.vdisk-tmp", "disk-s001.vmdk.vdisk-tmp", "other.vmdk.vdisk-tmp"):
        disk.with_name(name).write_bytes(b"")
    names = {os.path.basename(found.path) for found in check_disk(disk)}
    assert names == {"disk.vmdk.vdisk-tmp", "disk-s001.vmdk.vdisk-tmp"}


def test_commit_that_was_interrupted_is_found_and_what_finishes_it(child):
    base = child.with_name("base.vmdk")
    base.with_name("base.vmdk.vdisk-commit").write_text("child.vmdk")
    for path in (base, child):  # the parent by itself, and below its child
        found = the_one(path, "commit")
        assert (found.severity, found.path, found.repairable) == ("error", str(base), False)
        assert str(child) in found.message
        assert "vmdk_snapshot" in found.how


def test_mark_of_a_commit_whose_child_is_gone_is_warned_about(child):
    base = child.with_name("base.vmdk")
    base.with_name("base.vmdk.vdisk-commit").write_text("child.vmdk")
    child.unlink()
    assert the_one(base, "commit").severity == "warning"


def test_lock_of_vmware_is_found(disk):
    folder = disk.with_name("disk.vmdk.lck")
    folder.mkdir()
    (folder / "M1.lck").write_text("")
    assert kinds(disk) == ["lock"]


# Streams


def test_4_truncated_stream_is_found(stream):
    os.truncate(stream, stream.stat().st_size // 2)
    assert the_one(stream, "footer").severity == "error"


def test_damaged_grain_of_a_stream_is_found(stream):
    poke(stream, 128 * SECTOR + 1000, b"\xff" * 64)
    found = the_one(stream, "bad-grain")
    assert found.offset == 128 * SECTOR
    assert "disk sector 0" in found.message


def table_of(path):
    """Byte of the file where the first table of a stream is, by its footer."""
    data = path.read_bytes()
    footer = SparseHeader.parse(data[-2 * SECTOR : -SECTOR], str(path))
    return struct.unpack_from("<I", data, footer.gd_offset * SECTOR)[0] * SECTOR


def test_table_of_a_stream_that_names_another_grain_is_found(stream):
    table = table_of(stream)
    poke(stream, table, stream.read_bytes()[table + 4 : table + 8])
    assert kinds(stream) == ["bad-grain", "markers"]


def test_grain_that_the_table_of_a_stream_forgot_is_found(stream):
    poke(stream, table_of(stream), bytes(4))
    assert "disk sector 0" in the_one(stream, "markers").message


def test_stream_without_its_end_marker_is_warned_about(stream):
    os.truncate(stream, stream.stat().st_size - SECTOR)
    assert kinds(stream) == ["markers"]
