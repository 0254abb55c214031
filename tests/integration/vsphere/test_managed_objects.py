# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks whose content vSphere alone can read: redo logs of snapshots, and the objects of vSAN."""

from __future__ import annotations

import os
import uuid

import pytest

MIB = 1 << 20


@pytest.fixture
def folder():
    return f"[datastore1] {uuid.uuid4().hex[:12]}"


@pytest.fixture
def redo_log(lab):
    """What files01 writes to since it has a snapshot."""
    path = lab.new_disk()
    lab.attach(path, "files01")
    lab.snapshot("files01")
    (child,) = [each for each in lab.disks("files01") if path[: -len(".vmdk")] in each]
    return child


def file_of(lab, path):
    datastore, _bracket, name = path[1:].partition("] ")
    return os.path.join(lab.vcenter.datastore_dir, datastore, name)


def write(lab, path, data):
    """As the guest of files01 does."""
    key = next(
        device.key
        for device in lab.vm("files01").config.hardware.device
        if getattr(getattr(device, "backing", None), "fileName", None) == path
    )
    lab.vcenter.guest_write("files01", key, 0, data)


def replace_in_descriptor(lab, path, old, new):
    with open(file_of(lab, path), encoding="utf-8") as stream:
        text = stream.read()
    assert old in text
    with open(file_of(lab, path), "w", encoding="utf-8") as stream:
        stream.write(text.replace(old, new))


def as_object(lab, path):
    """Its descriptor as it is on vSAN; the simulator keeps in mind where the content is."""
    name = os.path.basename(file_of(lab, path))[: -len(".vmdk")] + "-flat.vmdk"
    replace_in_descriptor(lab, path, f'"{name}"', f'"vsan://{uuid.uuid4()}"')


# Copies


def test_a_redo_log_is_copied_once(lab, modules, redo_log, folder):
    write(lab, redo_log, b"since the snapshot")
    wanted = {"src": redo_log, "dest": f"{folder}/copy.vmdk"}
    done = modules.vmdk_clone(**wanted)
    assert "warnings" not in done
    assert len(done["disk"]["chain"]) == 1
    assert not [key for key in done["disk"]["metadata"] if key.startswith("vdisk")]
    with open(file_of(lab, wanted["dest"]).replace(".vmdk", "-flat.vmdk"), "rb") as stream:
        assert stream.read().rstrip(b"\0") == b"since the snapshot"
    assert not modules.vmdk_clone(check_mode=True, **wanted)["changed"]
    assert not modules.vmdk_clone(**wanted)["changed"]


def other_content(lab, modules, path):
    """As after a write to the disk."""
    cid = modules.vmdk_info(path=path)["disk"]["cid"]
    replace_in_descriptor(lab, path, f"\nCID={cid}", "\nCID=0badcafe")


def test_of_a_source_that_was_written_to_it_is_no_copy_any_more(lab, modules, redo_log, folder):
    wanted = {"src": redo_log, "dest": f"{folder}/copy.vmdk"}
    modules.vmdk_clone(**wanted)
    other_content(lab, modules, redo_log)
    refused = modules.fail("vmdk_clone", **wanted)
    assert "nobody can tell whether it is a copy" in refused["msg"]
    assert "force: true" in refused["msg"]
    assert modules.vmdk_clone(**wanted, force=True)["changed"]
    assert not modules.vmdk_clone(**wanted)["changed"]


def test_one_that_was_written_to_is_no_copy_any_more(lab, modules, redo_log, folder):
    wanted = {"src": redo_log, "dest": f"{folder}/copy.vmdk"}
    modules.vmdk_clone(**wanted)
    other_content(lab, modules, wanted["dest"])
    assert "nobody can tell" in modules.fail("vmdk_clone", **wanted)["msg"]


def test_a_copy_of_another_disk_is_told(lab, modules, redo_log, folder):
    dest = f"{folder}/copy.vmdk"
    modules.vmdk_create(path=dest, size=4 * MIB)
    refused = modules.fail("vmdk_clone", src=redo_log, dest=dest)
    assert refused["error"]["kind"] == "DiskExists"


def test_what_cannot_be_noted_is_a_warning(lab, modules, redo_log, folder):
    lab.vcenter.rule("PUT /folder", status=400)
    wanted = {"src": redo_log, "dest": f"{folder}/copy.vmdk"}
    done = modules.vmdk_clone(**wanted)
    assert "could not be noted" in str(done["warnings"])
    assert "nobody can tell" in modules.fail("vmdk_clone", **wanted)["msg"]


def test_an_object_is_copied_once(lab, modules, folder):
    source = lab.new_disk("vsanDatastore")
    as_object(lab, source)
    wanted = {"src": source, "dest": f"{folder}/copy.vmdk"}
    assert modules.vmdk_clone(**wanted)["changed"]
    assert not modules.vmdk_clone(**wanted)["changed"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_what_cannot_be_verified_is_told_beforehand(lab, modules, redo_log, folder, check_mode):
    files = lab.files()
    wanted = {"src": redo_log, "dest": f"{folder}/copy.vmdk", "verify": True}
    refused = modules.fail("vmdk_clone", check_mode=check_mode, **wanted)
    assert "could not be verified: vSphere alone can read the source" in refused["msg"]
    wanted |= {"src": lab.new_disk(), "dest": "[vsanDatastore] copies/copy.vmdk"}
    files = lab.files()
    refused = modules.fail("vmdk_clone", check_mode=check_mode, **wanted)
    assert "vSphere alone can read what is on that datastore" in refused["msg"]
    assert lab.files() == files


def test_nothing_is_sent_to_a_datastore_of_objects(lab, modules, tmp_path):
    raw, files = tmp_path / "a.img", lab.files()
    raw.write_bytes(bytes(MIB))
    refused = modules.fail("vmdk_clone", src=raw, dest="[vsanDatastore] sent/a.vmdk")
    assert "it keeps disks as objects" in refused["msg"]
    assert lab.files() == files


# Folders


@pytest.mark.parametrize("below", ["", "/deep/down"])
def test_folders_of_vsan_are_made(lab, modules, below):
    path = f"[vsanDatastore] {uuid.uuid4().hex[:12]}{below}/data.vmdk"
    lab.vcenter.forget_calls()
    made = modules.vmdk_create(path=path, size="4MiB")["disk"]
    assert made["path"] == path
    assert os.path.exists(file_of(lab, path))
    assert lab.vcenter.calls()["CreateDirectory"] == 1
    other = path.replace("data.vmdk", "more/other.vmdk")
    modules.vmdk_create(path=other, size="4MiB")
    assert os.path.exists(file_of(lab, other))
    moved = f"[vsanDatastore] {uuid.uuid4().hex[:12]}/data.vmdk"
    assert modules.vmdk_rename(src=path, dest=moved)["disk"]["path"] == moved


def test_a_folder_of_vsan_that_is_there_needs_no_privilege(lab, modules):
    folder = f"[vsanDatastore] {uuid.uuid4().hex[:12]}"
    modules.vmdk_create(path=f"{folder}/data.vmdk", size="4MiB")
    lab.vcenter.mode(denied=["Datastore.Config"])
    try:
        for name in ("more.vmdk", "below/more.vmdk"):
            modules.vmdk_create(path=f"{folder}/{name}", size="4MiB")
        refused = modules.fail("vmdk_create", path=f"{folder}x/data.vmdk", size="4MiB")
    finally:
        lab.vcenter.mode(denied=[])
    assert "Datastore.Config" in refused["msg"]
