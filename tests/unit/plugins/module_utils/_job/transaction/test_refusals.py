# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a commit refuses, before it changes anything."""

from __future__ import annotations

import errno
import os
import shutil

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    DiskError,
    DiskInUse,
    InvalidRequest,
    NoSpace,
    ReadOnlyDisk,
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.transaction_mark import (
    going_on_with,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.edit_disk import plan_edit
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.requests import EditRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.transaction import (
    ending,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.repair import repair_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact.defragment import (
    defragment,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact.shrink import shrink
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.metadata import (
    check_metadata,
    set_metadata,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.rename import rename_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.commit import commit_child
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.rebase import (
    attach_child,
    rebase_child,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._job.transaction.disks import (  # noqa: E501
    ACCESS,
    begin,
    change,
    changed,
    commit,
    content,
    files_of,
    found,
    raw,
    refused,
    vmdk,
)


def test_disk_in_use(disk):
    change(disk)
    with ACCESS.open(disk):
        refused(disk, DiskInUse, "is in use")
    commit(disk)


def test_mounted_transaction(disk):
    begun = begin(disk)
    with begun.openers(ACCESS)[disk]():
        refused(disk, DiskInUse, "is in use")
        with pytest.raises(DiskInUse, match="another process writes to this overlay"):
            ending.discard(begun.mark)


def test_disk_that_was_changed(disk):
    change(disk)
    path = disk if os.path.getsize(disk) > 2000 else disk.replace(".vmdk", "-flat.vmdk")
    path = path if os.path.exists(path) else disk.replace(".vmdk", "-s001.vmdk")
    with open(path, "r+b") as stream:
        stream.seek(os.path.getsize(path) - 1)
        last = stream.read(1)
        stream.seek(-1, os.SEEK_END)
        stream.write(last)
    refused(disk, CorruptDisk, "was changed under its pending transaction")
    with pytest.raises(CorruptDisk, match="was changed under its pending transaction"):
        begin(disk)
    ending.discard(found(disk).mark)


def test_child_made_since(plain, tmp_path):
    """By somebody else: none of ours is made."""
    change(plain)
    with pytest.raises(InvalidRequest, match="has a pending transaction"):
        create_child(plain, str(tmp_path / "child.vmdk"))
    with going_on_with(found(plain).mark):
        create_child(plain, str(tmp_path / "child.vmdk"))
    refused(plain, InvalidRequest, "cannot write to a disk that has children")


def test_disk_with_children_has_none(plain, tmp_path):
    create_child(plain, str(tmp_path / "child.vmdk"))
    with pytest.raises(InvalidRequest, match="cannot write to a disk that has children"):
        begin(plain)
    assert files_of(tmp_path) == ["child.vmdk", "disk.vmdk"]


def test_disk_with_two_names_has_none(disk, tmp_path):
    """Under the other nobody would know of it."""
    os.link(disk, tmp_path / "other")
    with pytest.raises(InvalidRequest, match="has other names"):
        begin(disk)
    os.unlink(tmp_path / "other")
    assert begin(disk)


@pytest.mark.parametrize(
    "action",
    [
        lambda path: set_metadata(path, {"comment": "x"}),
        lambda path: check_metadata(path, {"comment": "x"}),
        shrink,
        defragment,
        lambda path: rename_disk(path, path.replace("disk", "other")),
        lambda path: commit_child(path.replace("disk", "child")),
        lambda path: attach_child(path.replace("disk", "child"), path, unsafe=True),
    ],
    ids=["metadata", "metadata-check", "shrink", "defragment", "rename", "commit", "attach"],
)
def test_parent_stays_as_the_child_knows_it(plain, tmp_path, action):
    """Else the child's transaction could never be committed, though no content was changed."""
    child, grandchild = str(tmp_path / "child.vmdk"), str(tmp_path / "grandchild.vmdk")
    create_child(plain, child)
    create_child(child, grandchild)
    change(grandchild)
    with pytest.raises(InvalidRequest, match=r"grandchild\.vmdk: has a pending transaction"):
        action(plain)
    commit(grandchild)


def test_unclean_parent_is_not_mended_below_a_transaction(plain, tmp_path):
    with open(plain, "r+b") as stream:
        stream.seek(72)  # uncleanShutdown, TN p.8
        stream.write(b"\1")
    create_child(plain, str(tmp_path / "child.vmdk"))
    change(str(tmp_path / "child.vmdk"))
    assert repair_disk(plain, dry_run=True)
    with pytest.raises(InvalidRequest, match=r"child\.vmdk: has a pending transaction"):
        repair_disk(plain)


def test_disk_with_a_transaction_becomes_no_parent(plain, tmp_path):
    create_child(plain, str(tmp_path / "child.vmdk"))
    shutil.copyfile(plain, tmp_path / "copy.vmdk")
    change(str(tmp_path / "copy.vmdk"))
    for action in (rebase_child, attach_child):
        with pytest.raises(InvalidRequest, match=r"copy\.vmdk: has a pending transaction"):
            action(str(tmp_path / "child.vmdk"), str(tmp_path / "copy.vmdk"))


def test_bytes_read_from_elsewhere_do_not_replace_it(tmp_path, plain):
    """A raw disk is a plain file, as what vmdk_data makes."""
    path = raw(tmp_path)
    change(path)
    with pytest.raises(InvalidRequest, match="has a pending transaction"):
        plan_edit(EditRequest(plain, ACCESS, length=512, dest=path))


def test_stream_has_none(tmp_path):
    path = vmdk(tmp_path / "disk.vmdk", "streamOptimized")
    with pytest.raises(UnsupportedDisk, match="Convert it to monolithicSparse first"):
        begin(path)
    assert files_of(tmp_path) == ["disk.vmdk"]


def test_disk_with_a_part_that_cannot_be_written_has_none(tmp_path):
    path = vmdk(tmp_path / "disk.vmdk", "monolithicFlat")
    text = (tmp_path / "disk.vmdk").read_text().replace("RW 2048", "RDONLY 2048")
    (tmp_path / "disk.vmdk").write_text(text)
    with pytest.raises(ReadOnlyDisk, match="cannot be written"):
        begin(path)
    assert files_of(tmp_path) == ["disk-flat.vmdk", "disk.vmdk"]


def test_disk_that_is_gone(plain):
    begun = change(plain)
    os.rename(plain, plain + ".gone")
    with pytest.raises(DiskError, match="No such file"):
        commit(plain)
    os.rename(plain + ".gone", plain)
    os.unlink(plain)
    ending.discard(begun.mark)


def test_killed_while_it_was_written(plain):
    """Nobody knows what the kernel had not handed over yet."""
    after, begun = changed(plain), begin(plain)
    disk = begun.openers(ACCESS)[plain]()
    disk.write(200_000, b"\x77" * 300)
    disk.flush()
    for file in (disk._file, disk._log, disk._use, disk.base):
        file.close()
    refused(plain, InvalidRequest, "was not closed in order")
    begun.openers(ACCESS)[plain]().close()
    commit(plain)
    assert content(plain) == after


def test_full_file_system(plain, monkeypatch):
    """The guest's file system has lost what it could not write; nobody may commit that."""
    begun = begin(plain)
    disk = begun.openers(ACCESS)[plain]()

    def full(fd, data, offset):
        raise OSError(errno.ENOSPC, "No space left on device")

    keep = os.pwrite

    def only_note(fd, data, offset):
        return keep(fd, data, offset) if fd == disk._use.fileno() else full(fd, data, offset)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", only_note)
        with pytest.raises(NoSpace):
            disk.write(200_000, b"\x77" * 300)
    disk.write(500_000, b"\x77" * 300)
    disk.close()
    refused(plain, InvalidRequest, "writes to this transaction have failed.*state: discarded")
    with pytest.raises(InvalidRequest, match="writes to this transaction have failed"):
        begin(plain)
    ending.discard(begun.mark)


def test_no_room_to_commit(plain, monkeypatch):
    begun = begin(plain)
    with begun.openers(ACCESS)[plain]() as disk:
        disk.write(700_000, b"\x77" * 100_000)
    real = os.statvfs

    def full(path):
        return os.statvfs_result((*real(path)[:4], 1, *real(path)[5:]))

    with monkeypatch.context() as patched:
        patched.setattr(os, "statvfs", full)
        refused(plain, NoSpace, "too full")
    commit(plain)


def test_room_runs_out_while_committing(disk, monkeypatch):
    """It goes on when there is some again; until then nobody reads the disk."""
    after = changed(disk)
    change(disk)
    with monkeypatch.context() as patched:
        patched.setattr(ending, "merge", _full)
        with pytest.raises(NoSpace):
            commit(disk)
    with pytest.raises(InvalidRequest, match="holds a part of its transaction only"):
        content(disk)
    commit(disk)
    assert content(disk) == after


def _full(overlay, disk, _transfer, _progress):
    start = next(iter(overlay.written_runs())).offset
    disk.write(start, read(overlay, start, 12_288))
    raise NoSpace("no space left")
