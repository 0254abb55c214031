# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads and uploads that must not be taken for whole, or for one state of a disk."""

from __future__ import annotations

import dataclasses
import os
import uuid

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskInUse,
    TruncatedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.progress import Silent
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job import inspect_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.backup_disk import (
    BackupRequest,
    plan_backup,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.copy_disk import plan_copy
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.edit_disk import plan_edit
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.requests import (
    CopyRequest,
    EditRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks.folder import (
    DatastoreFiles,
)

MIB = 1 << 20


@pytest.fixture
def dest():
    return f"[datastore1] {uuid.uuid4().hex[:12]}/copy.vmdk"


class Meanwhile(Silent):
    """Somebody does something while a job is at work."""

    def __init__(self, act):
        self._act = act

    def start(self, label, total):
        self._act()


def written_to(lab, path):
    """As after a first write: the content id is another one."""
    file = os.path.join(lab.vcenter.datastore_dir, *path[1:].split("] "))
    with open(file, encoding="utf-8") as stream:
        lines = stream.read().splitlines(keepends=True)
    with open(file, "w", encoding="utf-8") as stream:
        stream.writelines("CID=0badcafe\n" if line.startswith("CID=") else line for line in lines)


@pytest.mark.parametrize("name", ["copy.vmdk", "copy.img"])
def test_what_was_written_to_while_it_was_read_is_no_copy(lab, access, tmp_path, name):
    path, target = lab.new_disk(), tmp_path / name
    progress = Meanwhile(lambda: written_to(lab, path))
    plan = plan_copy(CopyRequest(path, str(target), access, progress=progress))
    with pytest.raises(DiskInUse, match="while it was read"):
        plan.run(check_mode=False)
    assert os.listdir(tmp_path) == []


def test_nor_are_its_bytes_a_file(lab, access, tmp_path):
    path, dest = lab.new_disk(), tmp_path / "bytes"
    progress = Meanwhile(lambda: written_to(lab, path))
    plan = plan_edit(EditRequest(path, access, length=MIB, dest=str(dest), progress=progress))
    with pytest.raises(DiskInUse, match="while it was read"):
        plan.run(check_mode=False)
    assert os.listdir(tmp_path) == []


def test_nor_is_it_backed_up(lab, access, tmp_path, modules):
    path, url = lab.new_disk(), str(tmp_path / "backups")
    modules.vmdk_repository(url=url, passphrase="only for this test")
    opened = dataclasses.replace(access, repository=url, passphrase="only for this test")
    progress = Meanwhile(lambda: written_to(lab, path))
    with pytest.raises(DiskInUse, match="while it was read"):
        plan_backup(BackupRequest(path=path, access=opened, progress=progress)).run(
            check_mode=False
        )
    assert list(opened.open_repository().points()) == []


def test_nor_has_it_a_digest(lab, access, monkeypatch):
    path = lab.new_disk()
    monkeypatch.setattr(inspect_disk, "digest", lambda _disk, **_how: written_to(lab, path))
    with access.open(path) as disk, pytest.raises(DiskInUse, match="while it was read"):
        inspect_disk.inspect(disk, with_digest=True)


@pytest.mark.parametrize("disk_type", ["thick", "thin"])
def test_an_upload_that_the_server_cut_short_is_no_disk(
    lab, access, dest, tmp_path, monkeypatch, disk_type
):
    raw, put = tmp_path / "a.img", DatastoreFiles.put
    raw.write_bytes(os.urandom(MIB))

    def cut(self, place, size, chunks):
        whole = b"".join(chunks())
        put(self, place, MIB // 2, lambda: (whole[: MIB // 2],))

    monkeypatch.setattr(DatastoreFiles, "put", cut)
    files = lab.files()
    with pytest.raises(TruncatedDisk):
        plan_copy(CopyRequest(str(raw), dest, access, disk_type=disk_type)).run(check_mode=False)
    assert lab.files() == files


def test_a_server_that_does_not_tell_sizes_is_believed(lab, modules, dest, tmp_path):
    raw = tmp_path / "a.img"
    raw.write_bytes(os.urandom(MIB))
    lab.vcenter.mode(ranges=False)
    try:
        assert modules.vmdk_clone(src=raw, dest=dest)["changed"]
    finally:
        lab.vcenter.mode(ranges=True)


@pytest.fixture
def backup(modules, tmp_path):
    """Makes one of a disk whose descriptor says that uuid; returns how to clone from it."""

    def make(uuid):
        path, url = tmp_path / "old.vmdk", tmp_path / "backups"
        modules.vmdk_create(path=path, size="1MiB", disk_type="monolithicFlat")
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if not line.startswith("ddb.uuid")]
        path.write_text("\n".join([*kept, f'ddb.uuid = "{uuid}"', ""]), encoding="utf-8")
        opened = {"repository": url, "passphrase": "only for this test"}
        modules.vmdk_repository(url=url, passphrase=opened["passphrase"])
        modules.vmdk_backup(path=path, name="first", **opened)
        return {"src": "old@first", **opened}

    return make


def test_a_restored_disk_is_the_same_as_it_was(lab, modules, dest, backup):
    modules.vmdk_clone(dest=dest, **backup("60 00 C2 9b 0d 3e 63 a1-9c 4c 1e 7a 1a 4b ac 82"))
    assert lab.uuid_of(dest) == "6000c29b0d3e63a19c4c1e7a1a4bac82"


def test_a_recorded_uuid_that_is_none_is_told_before_anything_is_sent(lab, modules, dest, backup):
    source, files = backup("none of its business"), lab.files()
    lab.vcenter.forget_calls()
    refused = modules.fail("vmdk_clone", dest=dest, **source)
    assert "is not a uuid" in refused["msg"]
    assert lab.files() == files
    assert "CreateVirtualDisk_Task" not in lab.vcenter.calls()
