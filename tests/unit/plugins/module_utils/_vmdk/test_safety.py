# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planted beside a disk, or in it, does no harm."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from array import array

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    DiskExists,
    DiskInUse,
    InvalidRequest,
    NotADisk,
    ReadOnlyDisk,
    UnsafePath,
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.repair import repair_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.descriptor import (
    Descriptor,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import (
    ZEROED_GRAINS,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.sparse_guard import (
    table_runs,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import create_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.grow import grow_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.remove import (
    finish_pending,
    remove_disk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening import chain
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.family import (
    children_of,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.pokes import (
    GRAIN,
    MIB,
    get_entry,
    header_of,
    put_entry,
    put_header,
)

STRANGER = 4711
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to others")


@pytest.fixture
def disk(make_disk):
    return make_disk("disk.vmdk", "monolithicFlat", MIB, {0: b"data"})


def _plant(disk, **plan):
    path = disk.with_name(disk.name + ".vdisk-journal")
    path.write_text(json.dumps(plan))
    path.chmod(0o644)
    return path


# Journals


@needs_root
def test_journal_of_a_stranger_does_nothing(disk, tmp_path):
    (tmp_path / "precious.vmdk").write_text("precious")
    os.chown(_plant(disk, removed=["precious.vmdk"]), STRANGER, STRANGER)
    with pytest.raises(UnsafePath, match=r"disk\.vmdk\.vdisk-journal.*anybody"):
        open_disk(disk)
    assert (tmp_path / "precious.vmdk").exists()


@needs_root
@pytest.mark.parametrize("use", [open_disk, repair_disk])
def test_journal_beside_a_link_does_nothing_where_the_link_leads(disk, make_disk, tmp_path, use):
    victim = make_disk("victim.vmdk", "monolithicSparse", MIB)
    folder = tmp_path / "stranger"
    folder.mkdir()
    os.chown(folder, STRANGER, STRANGER)
    create_child(disk, tmp_path / "child.vmdk")
    child = (tmp_path / "child.vmdk").rename(folder / "child.vmdk")
    link = folder / disk.name
    link.symlink_to(disk)
    os.chown(_plant(link, removed=[victim.name]), STRANGER, STRANGER)
    result = use(child, allow_outside=[str(tmp_path)])
    if use is open_disk:
        result.close()
    assert victim.exists()


def test_journal_of_a_parent_behind_a_link_is_finished(disk, tmp_path):
    folder = tmp_path / "children"
    folder.mkdir()
    create_child(disk, tmp_path / "child.vmdk")
    child = (tmp_path / "child.vmdk").rename(folder / "child.vmdk")
    (folder / disk.name).symlink_to(disk)
    journal = _plant(disk, removed=["disk-s099.vmdk"])
    open_disk(child, allow_outside=[str(tmp_path)]).close()
    assert not journal.exists()


def test_journal_that_others_can_write_does_nothing(disk, tmp_path):
    (tmp_path / "precious.vmdk").write_text("precious")
    _plant(disk, removed=["precious.vmdk"]).chmod(0o666)
    with pytest.raises(UnsafePath, match="0666"):
        open_disk(disk)
    assert (tmp_path / "precious.vmdk").exists()


def test_journal_that_is_a_pipe_does_not_hang(disk):
    os.mkfifo(f"{disk}.vdisk-journal", 0o600)
    with pytest.raises(UnsafePath):
        open_disk(disk)


def test_journal_that_is_a_link_is_not_followed(disk, tmp_path):
    (tmp_path / "elsewhere").write_text('{"removed": ["disk.vmdk"]}')
    os.symlink(tmp_path / "elsewhere", f"{disk}.vdisk-journal")
    with pytest.raises(UnsafePath):
        open_disk(disk)
    assert disk.exists()


@pytest.mark.parametrize("name", ["passwd", "sub/x.vmdk", "..", "/etc/passwd", "disk2-flat.img"])
def test_journal_names_only_files_of_disks_beside_it(disk, name):
    _plant(disk, removed=[name])
    with pytest.raises(UnsafePath, match="journal names"):
        open_disk(disk)


def test_temporary_of_a_journal_is_no_link(disk, tmp_path):
    (tmp_path / "secret").write_text("secret")
    os.symlink(tmp_path / "secret", f"{disk}.vdisk-tmp")
    _plant(disk, finished=["disk.vmdk"])
    with pytest.raises(UnsafePath, match="no plain file"):
        open_disk(disk)
    assert not disk.is_symlink()


@pytest.mark.parametrize("text", ["[" * 200_000, " " * (17 << 20)], ids=["deep", "long"])
def test_monstrous_journal_is_told(disk, text):
    path = _plant(disk)
    path.write_text(text)
    with pytest.raises(CorruptDisk, match="journal"):
        open_disk(disk)


def test_journals_that_lead_to_each_other_do_not_hang(disk, make_disk):
    other = make_disk("other.vmdk", "vmfs", MIB)
    _plant(disk, see=["other.vmdk"])
    _plant(other, see=["disk.vmdk"])
    with pytest.raises(CorruptDisk, match="each other"):
        open_disk(disk)


def test_what_waits_on_a_read_only_file_system_is_told(disk, monkeypatch):
    _plant(disk, removed=["disk-old.vmdk"])

    def refuse(*_words, **_options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(ReadOnlyDisk, match=r"remove disk-old\.vmdk"):
        open_disk(disk)


# Removing and replacing


def test_disk_whose_extent_is_locked_stays(disk, tmp_path):
    with open(tmp_path / "disk-flat.vmdk", "rb") as loop:
        fcntl.flock(loop, fcntl.LOCK_SH)
        with pytest.raises(DiskInUse):
            remove_disk(disk, force=True)
        with pytest.raises(DiskInUse):
            create_disk(disk, DiskSpec(MIB, "monolithicSparse"), replace=True)
    assert disk.exists() and (tmp_path / "disk-flat.vmdk").exists()


@pytest.mark.parametrize("kind", ["FLAT", "SPARSE"])
def test_victim_named_by_a_descriptor_stays(disk, tmp_path, kind):
    (tmp_path / "precious").write_bytes(b"x" * MIB)
    disk.write_text(disk.read_text().replace('FLAT "disk-flat.vmdk" 0', f'{kind} "precious"'))
    with pytest.raises(InvalidRequest, match="precious"):
        remove_disk(disk)
    with pytest.raises(InvalidRequest, match="precious"):
        create_disk(disk, DiskSpec(MIB, "monolithicSparse"), replace=True)
    assert (tmp_path / "precious").exists()
    remove_disk(disk, force=True)
    assert not (tmp_path / "precious").exists()


def test_whole_disk_named_as_an_extent_stays(disk, make_disk):
    victim = make_disk("disk-000001.vmdk", "monolithicSparse", MIB)
    disk.write_text(disk.read_text().replace("disk-flat.vmdk", victim.name))
    with pytest.raises(InvalidRequest, match="does not look like"):
        remove_disk(disk)
    assert victim.exists()


def test_extents_of_a_copied_descriptor_stay(disk, tmp_path):
    (tmp_path / "copy.vmdk").write_bytes(disk.read_bytes())
    with pytest.raises(InvalidRequest, match=r"copy\.vmdk"):
        remove_disk(disk)
    with pytest.raises(InvalidRequest, match=r"copy\.vmdk"):
        create_disk(disk, DiskSpec(MIB, "monolithicFlat"), replace=True)
    remove_disk(disk, force=True)
    assert os.listdir(tmp_path) == ["copy.vmdk"]


def test_removal_that_was_killed_is_finished(disk, tmp_path):
    _plant(disk, removed=["disk-flat.vmdk", "disk.vmdk"])
    assert finish_pending(disk)
    assert os.listdir(tmp_path) == []


def test_removal_is_finished_without_a_descriptor(disk, tmp_path):
    _plant(disk, removed=["disk.vmdk", "disk-flat.vmdk"])
    disk.unlink()
    (tmp_path / "disk-s007.vmdk.vdisk-tmp").touch()
    assert finish_pending(disk)
    assert os.listdir(tmp_path) == []


def test_full_file_system_does_not_keep_a_disk(disk, tmp_path, monkeypatch):
    def refuse(*_words):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)
    remove_disk(disk)
    assert os.listdir(tmp_path) == []


def test_leftovers_are_swept_unless_somebody_holds_them(tmp_path):
    for name in ("disk-s009.vmdk", "disk.vmdk.vdisk-journal", "disk-f001.vmdk"):
        (tmp_path / f"{name}.vdisk-tmp").touch()
    with open(tmp_path / "disk-f001.vmdk.vdisk-tmp", "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        create_disk(tmp_path / "disk.vmdk", DiskSpec(MIB, "monolithicSparse"))
    assert sorted(os.listdir(tmp_path)) == ["disk-f001.vmdk.vdisk-tmp", "disk.vmdk"]


# Sparse extents


@pytest.mark.parametrize("sector", [1, 5, 21, 25, 28])
def test_grain_in_the_metadata_is_neither_read_nor_written(make_disk, sector):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB, {0: b"a" * GRAIN})
    put_entry(path, 0, sector, both=True)
    before = path.read_bytes()
    with open_disk(path) as disk, pytest.raises(CorruptDisk):
        read(disk, 0, 512)
    disk = open_disk(path, writable=True)
    with pytest.raises(CorruptDisk):
        disk.write(0, b"x" * 512)
    disk.close()
    assert path.read_bytes()[21 * 512 :] == before[21 * 512 :]


@pytest.mark.parametrize("shift", [0, 1, -127])
def test_shared_grain_is_not_written(make_disk, shift):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB, {0: b"a" * (4 * GRAIN)})
    put_entry(path, 3, get_entry(path, 1) + shift, both=True)
    disk = open_disk(path, writable=True)
    with pytest.raises(CorruptDisk, match=r"grains \d and \d lie in the same place.*vmdk_check"):
        disk.write(0, b"x")
    disk.close()


@pytest.mark.parametrize("hole", [0, 1])
def test_shared_grain_one_step_behind_a_hole_is_not_written(make_disk, hole):
    """The entries 0 and 128, or 1 and 129, look like neighbours in the file, and are none."""
    path = make_disk("disk.vmdk", "monolithicSparse", MIB, {0: b"a" * (4 * GRAIN)})
    put_header(path, version=2, flags=header_of(path).flags | ZEROED_GRAINS)
    for grain, sector in enumerate((hole, hole + 128, hole + 128)):
        put_entry(path, grain, sector, both=True)
    disk = open_disk(path, writable=True)
    with pytest.raises(CorruptDisk, match=r"grains \d and \d lie in the same place"):
        disk.write(8 * GRAIN, b"x")
    disk.close()


def test_table_one_step_behind_a_missing_one_is_metadata():
    assert list(table_runs(array("I", [0, 4, 8, 0]), 4)) == [(4, 12)]


# Descriptors


@pytest.mark.parametrize("key", ["a b", "a=b", 'a"b', "a\nb", "", "é"])
def test_impossible_key_is_refused(key):
    with pytest.raises(InvalidRequest):
        Descriptor(b'createType="vmfs"\nRW 1 VMFS "x"\n').set(key, "value")


def test_key_in_another_case_is_the_same_key(tmp_path):
    path = tmp_path / "disk.vmdk"
    create_disk(path, DiskSpec(MIB, "monolithicFlat", metadata={"ADAPTERTYPE": "ide"}))
    assert path.read_text().lower().count("adaptertype") == 1


@pytest.mark.parametrize("name", ['a"b.vmdk', "a\nb.vmdk"])
def test_name_that_no_descriptor_holds_is_refused(tmp_path, name):
    with pytest.raises(InvalidRequest, match="name"):
        create_disk(tmp_path / name, DiskSpec(MIB, "monolithicFlat"))
    assert os.listdir(tmp_path) == []


@needs_root
@pytest.mark.parametrize("change", ["replace", "write", "grow"])
def test_owner_and_mode_stay(make_disk, small_split, change):
    path = make_disk("disk.vmdk", "twoGbMaxExtentFlat", MIB)
    for file in path.parent.iterdir():
        os.chown(file, STRANGER, STRANGER + 1)
        file.chmod(0o640)
    if change == "replace":
        create_disk(path, DiskSpec(2 * MIB, "twoGbMaxExtentFlat"), replace=True)
    elif change == "grow":
        grow_disk(path, 3 * MIB)
    else:
        with open_disk(path, writable=True) as disk:
            disk.write(0, b"x")
    found = {(s.st_uid, s.st_gid, s.st_mode & 0o777) for s in map(os.stat, path.parent.iterdir())}
    assert found == {(STRANGER, STRANGER + 1, 0o640)}


def test_children_of_a_hard_link_are_found(make_disk, tmp_path):
    base = make_disk("base.vmdk", "monolithicSparse", MIB)
    os.link(base, tmp_path / "alias.vmdk")
    create_child(tmp_path / "alias.vmdk", tmp_path / "child.vmdk")
    assert children_of(str(base)) == [str(tmp_path / "child.vmdk")]
    with pytest.raises(InvalidRequest, match=r"child\.vmdk"):
        remove_disk(base)


def test_impossible_size_is_refused(tmp_path):
    path = tmp_path / "disk.vmdk"
    path.write_text('CID=1\nparentCID=ffffffff\ncreateType="custom"\nRW 9999999999999999999 ZERO\n')
    with pytest.raises(CorruptDisk, match="size"):
        open_disk(path)


def test_long_chain_reads_and_a_longer_one_is_refused(make_disk, tmp_path):
    below = make_disk("0.vmdk", "monolithicSparse", MIB, {0: b"base"})
    for number in range(1, chain.MAX_LINKS):
        child = tmp_path / f"{number}.vmdk"
        create_child(below, child, "twoGbMaxExtentSparse")
        below = child
    with open_disk(below) as disk:
        assert read(disk, 0, 4) == b"base"
        assert len(list(disk.extents())) == 2
    with open_disk(below, single_link=True) as leaf:
        descriptor = leaf.descriptor
        descriptor.set("parentCID", descriptor.get("CID"))
        descriptor.set("parentFileNameHint", below.name)
        (tmp_path / "more.vmdk").write_bytes(descriptor.to_bytes())
    with pytest.raises(UnsupportedDisk, match="links"):
        open_disk(tmp_path / "more.vmdk")


# Pipes


def test_pipe_is_no_disk_and_no_extent(disk, tmp_path):
    os.mkfifo(tmp_path / "pipe.vmdk")
    with pytest.raises(NotADisk):
        open_disk(tmp_path / "pipe.vmdk")
    (tmp_path / "disk-flat.vmdk").unlink()
    os.mkfifo(tmp_path / "disk-flat.vmdk")
    with pytest.raises(NotADisk):
        open_disk(disk)


def test_pipe_in_the_way_of_a_new_disk(tmp_path):
    os.mkfifo(tmp_path / "disk.vmdk.vdisk-tmp")
    with pytest.raises(DiskExists):
        create_disk(tmp_path / "disk.vmdk", DiskSpec(MIB, "monolithicSparse"))
