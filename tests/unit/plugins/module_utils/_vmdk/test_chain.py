# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening disks: chains, containment, locks, and what is told about what is no disk."""

from __future__ import annotations

import os

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    ChainMismatch,
    CorruptDisk,
    DiskNotFound,
    InvalidRequest,
    NotADisk,
    OutOfRange,
    ReadOnlyDisk,
    TruncatedDisk,
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.grow import grow_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.info import describe
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child

MIB = 1 << 20


def _text(extents, create_type="monolithicFlat", more=""):
    return f'version=1\nCID=1\nparentCID=ffffffff\ncreateType="{create_type}"\n{more}{extents}\n'


# What is no disk


@pytest.mark.parametrize(
    "content, what",
    [
        (b"", "an empty file"),
        (bytes(4096), "zeros"),
        (b"QFI\xfb" + bytes(600), "a qcow2 image"),
        (b"\x1f\x8b" + bytes(600), "a gzip file"),
        (bytes(510) + b"\x55\xaa", "a raw disk with a boot sector"),
        (b"hello world, I am text", "the bytes 68 65 6c 6c 6f 20 77 6f"),
    ],
)
def test_what_a_file_is_instead(tmp_path, content, what):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(NotADisk) as caught:
        open_disk(tmp_path / "x")
    assert caught.value.found == what


@pytest.mark.parametrize(
    "magic, what",
    [
        (b"COWD", "COWD"),
        (b"\xbe\xba\xfe\xca\0\0\0\0", "seSparse"),
        (b"\xa2\x72\x19\xf6", "changed-block"),
    ],
)
def test_extent_of_another_kind_is_named(tmp_path, magic, what):
    (tmp_path / "x.vmdk").write_bytes(magic + bytes(4096))
    with pytest.raises(UnsupportedDisk, match=what):
        open_disk(tmp_path / "x.vmdk")


def test_missing_file(tmp_path):
    with pytest.raises(DiskNotFound, match=r"none\.vmdk"):
        open_disk(tmp_path / "none.vmdk")


def test_directory(tmp_path):
    with pytest.raises(NotADisk):
        open_disk(tmp_path)


def test_pipe_does_not_wait(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotADisk, match="plain file"):
        open_disk(tmp_path / "pipe")


def test_member_of_a_split_disk_is_told(make_disk, tmp_path):
    make_disk("disk.vmdk", "twoGbMaxExtentSparse", MIB)
    with pytest.raises(NotADisk, match="one extent of a disk of several files"):
        open_disk(tmp_path / "disk-s001.vmdk")


@pytest.mark.parametrize(
    "text, what",
    [
        (_text('RW 8 VSANSPARSE "x"', "vsanSparse"), "vSAN"),
        (_text('RW 8 FLAT "x" 0', more='encryptionKeys="vmware:key/list"\n'), "encrypted"),
        (_text('RW 8 ODD "x"'), "unknown kind"),
        (_text('RW 8 FLAT "x" 0').replace("version=1", "version=4"), "unknown version"),
    ],
)
def test_unsupported_disk_is_named(tmp_path, text, what):
    (tmp_path / "x.vmdk").write_text(text)
    with pytest.raises(UnsupportedDisk, match=what):
        open_disk(tmp_path / "x.vmdk")


def test_descriptor_without_extents(tmp_path):
    (tmp_path / "x.vmdk").write_text(_text(""))
    with pytest.raises(CorruptDisk, match="not complete"):
        open_disk(tmp_path / "x.vmdk")


def test_missing_extent_is_named(make_disk, tmp_path):
    path = make_disk("disk.vmdk", "monolithicFlat", MIB)
    (tmp_path / "disk-flat.vmdk").unlink()
    with pytest.raises(DiskNotFound, match=r"disk-flat\.vmdk: is missing"):
        open_disk(path)


def test_capacity_that_disagrees(make_disk):
    path = make_disk("disk.vmdk", "twoGbMaxExtentSparse", MIB)
    path.write_text(path.read_text().replace("RW 2048 ", "RW 4096 "))
    with pytest.raises(CorruptDisk, match=r"2048 sectors.*4096 sectors"):
        open_disk(path)


def test_cut_extent_is_told(make_disk, tmp_path):
    path = make_disk("disk.vmdk", "twoGbMaxExtentSparse", MIB)
    os.truncate(tmp_path / "disk-s001.vmdk", 512)
    with pytest.raises(TruncatedDisk, match="disk-s001"):
        open_disk(path)


# What is one


def test_renamed_monolithic_disk_is_its_own_extent(make_disk, tmp_path, content_of):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB, {0: b"mine"})
    make_disk("other.vmdk", "monolithicSparse", MIB, {0: b"other"})
    path.rename(tmp_path / "renamed.vmdk")
    (tmp_path / "other.vmdk").rename(path)
    assert content_of(tmp_path / "renamed.vmdk")[:4] == b"mine"


def test_offset_of_a_flat_extent_is_in_sectors(tmp_path, content_of):
    (tmp_path / "data").write_bytes(b"\x11" * 1024 + b"\x22" * 512)
    (tmp_path / "x.vmdk").write_text(_text('RW 1 FLAT "data" 2'))
    assert content_of(tmp_path / "x.vmdk") == b"\x22" * 512


def test_link_to_a_disk_is_followed(make_disk, tmp_path, content_of):
    path = make_disk("disk.vmdk", "monolithicFlat", MIB, {0: b"data"})
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "link.vmdk").symlink_to(path)
    assert content_of(folder / "link.vmdk")[:4] == b"data"


def test_write_to_a_disk_open_for_reading(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB)
    with open_disk(path) as disk, pytest.raises(ReadOnlyDisk):
        disk.write(0, b"x")


def test_access_beyond_the_end(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB)
    with open_disk(path, writable=True) as disk, pytest.raises(OutOfRange):
        disk.write(MIB - 1, b"xx")


def test_stream_is_not_opened_for_writing(make_disk):
    path = make_disk("disk.vmdk", "streamOptimized", MIB)
    with pytest.raises(UnsupportedDisk, match="vmdk_convert"):
        open_disk(path, writable=True)


@pytest.mark.parametrize("disk_type", ["monolithicSparse", "monolithicFlat"])
def test_first_write_changes_the_content_id(make_disk, disk_type):
    path = make_disk("disk.vmdk", disk_type, MIB)
    with open_disk(path, writable=True) as disk:
        before = disk.descriptor.cid
        disk.write(0, b"x")
    with open_disk(path) as disk:
        assert disk.descriptor.cid != before
        assert disk.descriptor.get("ddb.longContentID").endswith(f"{disk.descriptor.cid:08x}")


def test_opening_for_writing_alone_changes_nothing(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB)
    before = path.read_bytes()
    open_disk(path, writable=True).close()
    assert path.read_bytes() == before


def test_write_drops_change_tracking(make_disk):
    path = make_disk("disk.vmdk", "monolithicFlat", MIB)
    text = path.read_text().replace("version=1", "version=3")
    path.write_text(text.replace("createType", 'changeTrackPath="disk-ctk.vmdk"\ncreateType'))
    with open_disk(path, writable=True) as disk:
        disk.write(0, b"x")
    with open_disk(path) as disk:
        assert disk.descriptor.get("changeTrackPath") is None
        assert disk.descriptor.get("version") == "1"


def test_replaced_descriptor_keeps_its_mode(make_disk):
    path = make_disk("disk.vmdk", "monolithicFlat", MIB)
    path.chmod(0o640)
    with open_disk(path, writable=True) as disk:
        disk.write(0, b"x")
    assert path.stat().st_mode & 0o777 == 0o640


# Chains


def _chain(make_disk, tmp_path):
    base = make_disk("base.vmdk", "monolithicSparse", MIB, {0: b"base", 1000: b"base"})
    create_child(base, tmp_path / "middle.vmdk")
    with open_disk(tmp_path / "middle.vmdk", writable=True) as disk:
        disk.write(1000, b"middle")
    create_child(tmp_path / "middle.vmdk", tmp_path / "leaf.vmdk", "twoGbMaxExtentSparse")
    return tmp_path / "leaf.vmdk"


def test_chain_reads_through_all_links(make_disk, tmp_path, content_of):
    content = content_of(_chain(make_disk, tmp_path))
    assert (content[:4], content[1000:1006]) == (b"base", b"middle")


def test_links_are_leaf_first(make_disk, tmp_path):
    with open_disk(_chain(make_disk, tmp_path)) as disk:
        names = [os.path.basename(link.path) for link in disk.links]
    assert names == ["leaf.vmdk", "middle.vmdk", "base.vmdk"]


def test_files_are_those_of_the_leaf(make_disk, tmp_path):
    with open_disk(_chain(make_disk, tmp_path)) as disk:
        assert disk.files() == [str(tmp_path / "leaf.vmdk"), str(tmp_path / "leaf-s001.vmdk")]


def test_extents_of_a_chain_are_resolved(make_disk, tmp_path):
    with open_disk(_chain(make_disk, tmp_path)) as disk:
        assert [(run.offset, run.kind) for run in disk.extents()] == [
            (0, Kind.DATA),
            (65536, Kind.ZERO),
        ]


def test_parent_that_was_written_to_is_told(make_disk, tmp_path):
    leaf = _chain(make_disk, tmp_path)
    (tmp_path / "middle.vmdk").rename(tmp_path / "away")  # so that nobody knows of the child
    with open_disk(tmp_path / "base.vmdk", writable=True) as disk:
        disk.write(0, b"x")
    (tmp_path / "away").rename(tmp_path / "middle.vmdk")
    with pytest.raises(ChainMismatch, match=r"middle\.vmdk: its parent .*base\.vmdk has been"):
        open_disk(leaf)


def test_parent_is_not_opened_for_writing(make_disk, tmp_path):
    _chain(make_disk, tmp_path)
    with pytest.raises(InvalidRequest, match=r"write to a disk that has children.*leaf\.vmdk"):
        open_disk(tmp_path / "middle.vmdk", writable=True)


def test_circle_is_told(make_disk, tmp_path):
    leaf = _chain(make_disk, tmp_path)
    middle = tmp_path / "middle.vmdk"
    middle.write_bytes(middle.read_bytes().replace(b'"base.vmdk"', b'"leaf.vmdk"'))
    with pytest.raises(ChainMismatch, match="circle"):
        open_disk(leaf)


def test_parent_is_found_beside_the_child_when_the_hint_is_stale(make_disk, tmp_path, content_of):
    base = make_disk("base.vmdk", "monolithicSparse", MIB, {0: b"base"})
    child = tmp_path / "child.vmdk"
    create_child(base, child, "twoGbMaxExtentSparse")
    child.write_text(child.read_text().replace('"base.vmdk"', r'"C:\VMs\old\base.vmdk"'))
    assert content_of(child)[:4] == b"base"


def test_link_alone_is_not_written(make_disk, tmp_path):
    leaf = _chain(make_disk, tmp_path)
    with pytest.raises(InvalidRequest, match="parent"):
        open_disk(leaf, writable=True, single_link=True)


def test_child_longer_than_its_parent_ends_in_zeros(make_disk, tmp_path):
    base = make_disk("base.vmdk", "monolithicFlat", MIB, {MIB - 4: b"last"})
    child = tmp_path / "child.vmdk"
    create_child(base, child, "twoGbMaxExtentSparse")
    shorter = base.read_text().replace("RW 2048 ", "RW 2000 ")
    base.write_text(shorter)
    with open_disk(child) as disk:
        assert read(disk, 2000 * 512, 48 * 512) == bytes(48 * 512)


# What is told


def test_describe(make_disk, tmp_path):
    path = make_disk(
        "disk.vmdk", "monolithicFlat", 3 * MIB, {0: b"x"}, hw_version=14, metadata={"comment": "c"}
    )
    with open_disk(path) as disk:
        facts = describe(disk)
        cid = f"{disk.descriptor.cid:08x}"
    metadata, uuid = facts.pop("metadata"), facts.pop("uuid")
    allocated = facts.pop("allocated")
    assert facts == {
        "path": str(path),
        "disk_type": "monolithicFlat",
        "size": 3 * MIB,
        "adapter_type": "lsilogic",
        "hw_version": 14,
        "cid": cid,
        "parent_cid": "ffffffff",
        "encoding": "UTF-8",
        "geometry": {"cylinders": 3, "heads": 64, "sectors": 32},
        "extents": [
            {
                "kind": "FLAT",
                "access": "RW",
                "sectors": 6144,
                "path": str(tmp_path / "disk-flat.vmdk"),
                "offset": 0,
            }
        ],
        "chain": [str(path)],
        "flags": [],
    }
    assert (metadata["comment"], metadata["uuid"]) == ("c", uuid)
    assert 0 < allocated < MIB


def test_grown_capacity_that_the_descriptor_does_not_know_yet_is_hidden(make_disk, content_of):
    path = make_disk("disk.vmdk", "twoGbMaxExtentSparse", MIB, {0: b"x"})
    text = path.read_text()
    grow_disk(path, 50 * MIB)
    path.write_text(text)  # as if the job had been killed before the descriptor
    assert content_of(path) == b"x" + bytes(MIB - 1)
