# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_clone to, from and between managed disks, and what becomes of jobs that are killed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from random import Random

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    TransportUnavailable,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access

MIB = 1 << 20
SIZE = 24 * MIB
OFF, RUNNING = "[datastore1] files01/files01.vmdk", "[datastore1] web01/web01.vmdk"
MODULES = "ansible_collections.vdisk.lifecycle.plugins.modules"


@pytest.fixture
def folder():
    return f"[datastore1] {uuid.uuid4().hex[:12]}"


@pytest.fixture
def hosted(tmp_path, modules):
    """A sparse VMDK with data here and there."""
    raw, path = tmp_path / "source.img", tmp_path / "source.vmdk"
    raw.write_bytes(sample())
    modules.vmdk_clone(src=raw, dest=path)
    return path


def sample(seed=1):
    random = Random(seed)
    data = bytearray(SIZE)
    for _number in range(12):
        start, length = random.randrange(SIZE - 300_000), random.randrange(300_000)
        data[start : start + length] = random.randbytes(length)
    return bytes(data)


def file_of(lab, path):
    datastore, _bracket, name = path[1:].partition("] ")
    return os.path.join(lab.vcenter.datastore_dir, datastore, name)


def content(lab, path):
    with open(file_of(lab, path).replace(".vmdk", "-flat.vmdk"), "rb") as stream:
        return stream.read()


def content_by_qemu(path, tmp_path):
    raw = tmp_path / "by-qemu.raw"
    command = ["qemu-img", "convert", "-f", "vmdk", "-O", "raw", str(path), str(raw)]
    subprocess.run(command, check=True, capture_output=True)
    return raw.read_bytes()


def aside(lab):
    """Disks that are there for as long as a job runs."""
    return sorted(name for *_rest, name in lab.files() if ".vdisk-" in name)


@pytest.mark.parametrize("disk_type", [None, "thin", "thick", "eagerZeroedThick"])
def test_upload(lab, modules, hosted, folder, disk_type):
    wanted = {"src": hosted, "dest": f"{folder}/copy.vmdk"}
    wanted |= {"disk_type": disk_type} if disk_type else {}
    files = lab.files()
    foretold = modules.vmdk_clone(check_mode=True, **wanted)
    assert foretold["changed"]
    assert lab.files() == files
    done = modules.vmdk_clone(**wanted, verify=True)
    assert done["changed"]
    assert foretold["disk"] == {key: done["disk"][key] for key in foretold["disk"]}
    assert done["disk"]["disk_type"] == disk_type or disk_type is None
    assert content(lab, wanted["dest"]) == sample()
    assert aside(lab) == []
    assert (done["transfer"]["transport"], done["transfer"]["bytes_read"]) == ("datastore", SIZE)
    assert not modules.vmdk_clone(**wanted)["changed"]


def test_upload_of_a_raw_file_that_ends_within_a_kibibyte(lab, modules, folder, tmp_path):
    raw, data = tmp_path / "odd.img", os.urandom(MIB + 513)
    raw.write_bytes(data)
    done = modules.vmdk_clone(src=raw, dest=f"{folder}/odd.vmdk", verify=True)
    assert done["disk"]["size"] == MIB + 1024
    assert content(lab, f"{folder}/odd.vmdk") == data + bytes(511)
    assert not modules.vmdk_clone(src=raw, dest=f"{folder}/odd.vmdk")["changed"]


@pytest.mark.parametrize("disk_type", [None, "monolithicFlat", "streamOptimized"])
def test_download(lab, modules, tmp_path, disk_type):
    wanted = {"src": OFF, "dest": tmp_path / "files01.vmdk"}
    wanted |= {"disk_type": disk_type} if disk_type else {}
    assert modules.vmdk_clone(check_mode=True, **wanted)["changed"]
    done = modules.vmdk_clone(**wanted, verify=True)
    assert done["disk"]["disk_type"] == (disk_type or "monolithicSparse")
    assert done["transfer"]["transport"] == "datastore"
    assert content_by_qemu(wanted["dest"], tmp_path) == content(lab, OFF)
    assert not modules.vmdk_clone(**wanted)["changed"]


def test_download_as_a_raw_file(lab, modules, tmp_path):
    modules.vmdk_clone(src=OFF, dest=tmp_path / "files01.img")
    assert (tmp_path / "files01.img").read_bytes() == content(lab, OFF)


def test_vsphere_copies_within_itself(lab, modules, folder):
    dest = f"{folder.replace('datastore1', 'nfs1')}/copy.vmdk"
    lab.vcenter.forget_calls()
    done = modules.vmdk_clone(src=OFF, dest=dest)
    assert lab.vcenter.calls()["CopyVirtualDisk_Task"] == 1
    assert (done["transfer"]["transport"], done["transfer"]["bytes_read"]) == ("vsphere", 0)
    assert done["disk"]["disk_type"] == "thin"
    assert content(lab, dest) == content(lab, OFF)
    assert done["disk"]["uuid"] != modules.vmdk_info(path=OFF)["disk"]["uuid"]
    assert not modules.vmdk_clone(src=OFF, dest=dest)["changed"]


def test_a_disk_that_differs_is_replaced_only_by_force(lab, modules, hosted, folder):
    dest = f"{folder}/copy.vmdk"
    modules.vmdk_clone(src=OFF, dest=dest)
    before = lab.files()
    assert "is there already, and has" in modules.fail("vmdk_clone", src=hosted, dest=dest)["msg"]
    assert modules.vmdk_clone(check_mode=True, src=hosted, dest=dest, force=True)["changed"]
    assert lab.files() == before
    modules.vmdk_clone(src=hosted, dest=dest, force=True)
    assert content(lab, dest) == sample()
    assert aside(lab) == []


def test_one_byte_is_a_difference(lab, modules, hosted, folder):
    dest = f"{folder}/copy.vmdk"
    modules.vmdk_clone(src=hosted, dest=dest)
    with open(file_of(lab, dest).replace(".vmdk", "-flat.vmdk"), "r+b") as stream:
        stream.seek(SIZE - 1)
        stream.write(b"x")
    said = modules.fail("vmdk_clone", src=hosted, dest=dest)["msg"]
    assert f"differs from the source from byte {SIZE - 1} on" in said


@pytest.mark.parametrize("check_mode", [True, False])
def test_what_a_running_machine_has_is_not_copied(lab, modules, tmp_path, folder, check_mode):
    for dest in (tmp_path / "web01.vmdk", f"{folder}/web01.vmdk"):
        refused = modules.fail("vmdk_clone", check_mode=check_mode, src=RUNNING, dest=dest)
        assert "the virtual machine web01 is running" in refused["msg"]


def test_a_disk_of_a_machine_is_not_replaced(lab, modules, hosted):
    before = lab.files()
    refused = modules.fail("vmdk_clone", src=hosted, dest=OFF, force=True)
    assert "files01 has it attached" in refused["msg"]
    assert lab.files() == before
    assert "the source itself" in modules.fail("vmdk_clone", src=OFF, dest=OFF)["msg"]


def test_a_type_for_another_place_is_refused(lab, modules, hosted, folder, tmp_path):
    for dest, disk_type in ((f"{folder}/x.vmdk", "vmfs"), (tmp_path / "x.vmdk", "thin")):
        refused = modules.fail("vmdk_clone", src=hosted, dest=dest, disk_type=disk_type)
        assert refused["error"]["kind"] == "InvalidRequest"
        assert disk_type in refused["msg"]


# Bad weather


def test_reading_goes_on_when_the_session_ends_and_connections_drop(lab, modules, tmp_path):
    lab.vcenter.rule("GET /folder", nth=3, expire_session=True)
    lab.vcenter.rule("GET /folder", nth=9, drop=True)
    lab.vcenter.rule("GET /folder", nth=15, drop=True, times=2)
    modules.vmdk_clone(src=OFF, dest=tmp_path / "files01.img")
    assert (tmp_path / "files01.img").read_bytes() == content(lab, OFF)


@pytest.mark.parametrize("trouble", [{"drop": True}, {"expire_session": True}, {"status": 503}])
def test_an_upload_is_sent_again(lab, modules, hosted, folder, trouble):
    lab.vcenter.rule("PUT /folder", nth=1, **trouble)
    modules.vmdk_clone(src=hosted, dest=f"{folder}/copy.vmdk")
    assert content(lab, f"{folder}/copy.vmdk") == sample()


def test_a_module_that_knows_no_vcenter_says_so():
    with pytest.raises(TransportUnavailable, match="no managed disk is opened here"):
        Access().open(OFF)


def test_a_server_without_ranges_is_not_trusted(lab, modules, tmp_path):
    lab.vcenter.mode(ranges=False)
    try:
        refused = modules.fail("vmdk_info", path=OFF, digest=True)
    finally:
        lab.vcenter.mode(ranges=True)
    assert refused["error"]["kind"] == "TransportUnavailable"
    assert "does not send parts of a file" in refused["msg"]


def test_a_copy_that_went_wrong_is_deleted_again(lab, modules, hosted, folder):
    """The old disk is untouched, whatever vSphere refuses on the way."""
    dest = f"{folder}/copy.vmdk"
    modules.vmdk_create(path=dest, size="8MiB")
    before = lab.files()
    lab.vcenter.rule("CopyVirtualDisk_Task", fault="NoDiskSpace", times=1)
    wanted = {"src": hosted, "dest": dest, "disk_type": "thin", "force": True}
    assert modules.fail("vmdk_clone", **wanted)["error"]["kind"] == "NoSpace"
    assert lab.files() == before


def test_a_move_that_fails_leaves_the_old_disk_in_its_place(lab, modules, folder):
    path = f"{folder}/data.vmdk"
    modules.vmdk_clone(src=OFF, dest=path)
    data = content(lab, path)
    lab.vcenter.rule("MoveVirtualDisk_Task", nth=2, fault="NoDiskSpace", times=1)
    failed = modules.fail("vmdk_convert", path=path, disk_type="thick")
    assert failed["error"]["kind"] == "NoSpace"
    assert content(lab, path) == data
    assert aside(lab) == []


def test_the_password_is_in_no_result_and_no_address(lab, modules, tmp_path):
    done = modules.vmdk_clone(src=OFF, dest=tmp_path / "files01.img")
    assert lab.vcenter.password not in json.dumps(done)


# Killed jobs


def start(module, **arguments):
    process = subprocess.Popen(
        [sys.executable, "-m", f"{MODULES}.{module}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    process.stdin.close()
    return process


@pytest.mark.parametrize(
    ("method", "nth"),
    [
        ("CopyVirtualDisk_Task", 1),  # the new one is being made
        ("SetVirtualDiskUuid", 1),
        ("MoveVirtualDisk_Task", 1),  # the old one is to step aside
        ("MoveVirtualDisk_Task", 2),  # the new one is to take its place
        ("DeleteVirtualDisk_Task", 1),  # the old one is to go
    ],
)
def test_a_conversion_that_was_killed_is_finished(lab, modules, folder, method, nth):
    path = f"{folder}/data.vmdk"
    modules.vmdk_clone(src=OFF, dest=path)
    data, before = content(lab, path), modules.vmdk_info(path=path)["disk"]
    lab.vcenter.rule(method, nth=nth, delay=2)
    lab.vcenter.forget_calls()
    process = start("vmdk_convert", path=path, disk_type="thick")
    try:
        wait_for(lambda: lab.vcenter.calls().get(method, 0) >= nth)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    lab.vcenter.wait_until_idle()
    lab.vcenter.clear_rules()

    there = [name for *_rest, name in lab.files() if re.match(r"data.*-flat\.vmdk$", name)]
    names = [f"{folder}/{name.replace('-flat', '')}" for name in there]
    assert data in [content(lab, name) for name in names if os.path.exists(file_of(lab, name))]
    wanted = {"path": path, "disk_type": "thick"}
    assert modules.vmdk_convert(check_mode=True, **wanted)["changed"] or aside(lab) == []
    done = modules.vmdk_convert(**wanted)["disk"]
    assert (done["disk_type"], done["uuid"]) == ("thick", before["uuid"])
    assert content(lab, path) == data
    assert aside(lab) == []
    assert not modules.vmdk_convert(**wanted)["changed"]


def test_what_a_killed_job_has_left_goes_with_the_disk(lab, modules, folder):
    path = f"{folder}/data.vmdk"
    modules.vmdk_create(path=path, size="4MiB")
    for mark in ("new", "sent"):
        other = f"{folder}/other.vmdk"
        modules.vmdk_create(path=other, size="4MiB")
        lab.move(other, f"{folder}/data.vdisk-{mark}-0badcafe.vmdk")
    done = modules.vmdk_create(path=path, state="absent")
    assert f"{folder}/data.vdisk-sent-0badcafe.vmdk" in done["removed"]
    assert os.listdir(os.path.dirname(file_of(lab, path))) == []


@pytest.fixture
def three(lab, modules, folder):
    """A stranger's disk in place of a half replaced one."""
    for name in ("data.vdisk-old", "data.vdisk-new-0badcafe", "data"):
        modules.vmdk_create(path=f"{folder}/other.vmdk", size="4MiB")
        lab.move(f"{folder}/other.vmdk", f"{folder}/{name}.vmdk")
    return f"{folder}/data.vmdk"


def test_a_strangers_disk_in_place_of_a_half_replaced_one_costs_nothing(lab, modules, three):
    before = sorted(os.listdir(os.path.dirname(file_of(lab, three))))
    for module, wanted in (
        ("vmdk_convert", {"disk_type": "thick"}),
        ("vmdk_resize", {"size": "8MiB"}),
    ):
        refused = modules.fail(module, path=three, **wanted)["msg"]
        assert "somebody else put one here as well" in refused
    assert sorted(os.listdir(os.path.dirname(file_of(lab, three)))) == before


def test_all_three_are_deleted_where_that_is_asked_for(lab, modules, three):
    done = modules.vmdk_create(path=three, state="absent")
    old = three.replace(".vmdk", ".vdisk-old.vmdk")
    assert {three, old, three.replace(".vmdk", ".vdisk-new-0badcafe.vmdk")} <= {*done["removed"]}
    assert os.listdir(os.path.dirname(file_of(lab, three))) == []
    assert not modules.vmdk_create(path=three, state="absent")["changed"]


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# The same tasks, here and there


def play(modules, base, other):
    """A life of a disk; what each task returned."""
    disk, moved, clone = f"{base}/a.vmdk", f"{base}/b.vmdk", f"{other}/c.vmdk"
    return [
        ("create", modules.vmdk_create(path=disk, size="8MiB")),
        ("create again", modules.vmdk_create(path=disk, size="8MiB")),
        ("create, check", modules.vmdk_create(check_mode=True, path=disk, size="9MiB")),
        ("grow", modules.vmdk_create(path=disk, size="9MiB")),
        ("resize, check", modules.vmdk_resize(check_mode=True, path=disk, size="10MiB")),
        ("resize", modules.vmdk_resize(path=disk, size="10MiB")),
        ("uuid", modules.vmdk_data(path=disk, uuid="6000C29b0d3e63a19c4c1e7a1a4bac82")),
        ("read", modules.vmdk_data(path=disk, length=512)),
        ("rename", modules.vmdk_rename(src=disk, dest=moved)),
        ("rename again", modules.vmdk_rename(src=disk, dest=moved)),
        ("info", modules.vmdk_info(path=moved, digest=True, partitions=True)),
        ("clone", modules.vmdk_clone(src=moved, dest=clone)),
        ("clone again", modules.vmdk_clone(src=moved, dest=clone)),
        ("shrink", modules.vmdk_shrink(path=moved)),
        ("defragment", modules.vmdk_defragment(path=moved)),
        ("delete", modules.vmdk_create(path=moved, state="absent")),
        ("delete again", modules.vmdk_create(path=moved, state="absent")),
        ("delete, check", modules.vmdk_create(check_mode=True, path=clone, state="absent")),
    ]


def shape(result):
    """Names of all values, and whether anything changed."""
    keys = {key: set(value) for key, value in result.items() if isinstance(value, dict)}
    keys.get("disk", set()).discard("users")  # only vSphere knows machines
    keys.pop("invocation", None)
    return result["changed"], set(result), keys


def test_the_same_tasks_return_the_same_shape(lab, modules, folder, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    here = play(modules, tmp_path / "one", tmp_path / "two")
    there = play(modules, f"{folder}/one", f"{folder}/two")
    for (task, ours), (_task, theirs) in zip(here, there, strict=True):
        assert shape(ours) == shape(theirs), task
    digests = {dict(each)["info"]["disk"]["digest"] for each in (here, there)}
    assert digests == {f"sha256:{hashlib.sha256(bytes(10 * MIB)).hexdigest()}"}
