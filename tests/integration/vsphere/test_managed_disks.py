# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs on managed disks against a simulated vCenter, which other eyes than ours look at."""

from __future__ import annotations

import hashlib
import os
import uuid

import pytest
from pyVmomi import vim

MIB = 1 << 20
RUNNING, OFF = "[datastore1] web01/web01.vmdk", "[datastore1] files01/files01.vmdk"


@pytest.fixture
def folder():
    """A folder that is not there yet, below a datastore."""
    return f"[datastore1] {uuid.uuid4().hex[:12]}"


@pytest.fixture
def disk(folder, modules, lab):
    """A thin disk of 8 MiB that is nobody's."""
    modules.vmdk_create(path=f"{folder}/data.vmdk", size="8MiB")
    return f"{folder}/data.vmdk"


def seen(lab, path):
    """(capacity in bytes, thin, fileSize) as vSphere itself shows a disk; None: there is none."""
    folder, _slash, name = path.rpartition("/")
    kind = vim.host.DatastoreBrowser
    details = kind.VmDiskQuery.Details(capacityKb=True, thin=True)
    spec = kind.SearchSpec(
        matchPattern=[name],
        query=[kind.VmDiskQuery(details=details)],
        details=kind.FileInfo.Details(
            fileType=True, fileSize=True, modification=False, fileOwner=False
        ),
    )
    datastore = next(each for each in lab.datacenter.datastore if f"[{each.name}]" in path)
    try:
        found = lab.wait(datastore.browser.SearchDatastore_Task(folder, spec)).file
    except vim.fault.FileNotFound:
        return None
    if not found:
        return None
    # vcsim leaves out a fileSize of 0
    return found[0].capacityKb * 1024, found[0].thin, found[0].fileSize or 0


def content(lab, path):
    datastore, _bracket, name = path[1:].partition("] ")
    file = os.path.join(lab.vcenter.datastore_dir, datastore, name[: -len(".vmdk")] + "-flat.vmdk")
    with open(file, "rb") as stream:
        return stream.read()


def write(lab, path, data, offset=0):
    """As a machine would have done that had the disk attached, and has let go of it."""
    lab.attach(path)
    key = next(
        device.key
        for device in lab.vm("web01").config.hardware.device
        if isinstance(device, vim.vm.device.VirtualDisk) and device.backing.fileName == path
    )
    lab.vcenter.guest_write("web01", key, offset, data)
    lab.detach(path)


@pytest.mark.parametrize("disk_type", ["thin", "thick", "eagerZeroedThick"])
def test_a_disk_is_created_once(lab, modules, folder, disk_type):
    path = f"{folder}/data.vmdk"
    wanted = {"path": path, "size": "8MiB", "disk_type": disk_type}
    foretold = modules.vmdk_create(check_mode=True, **wanted)
    assert foretold["changed"]
    assert seen(lab, path) is None
    done = modules.vmdk_create(**wanted)
    assert done["changed"]
    assert foretold["disk"] == {key: done["disk"][key] for key in foretold["disk"]}
    assert foretold["diff"] == done["diff"]
    assert done["disk"]["disk_type"] == disk_type
    thin = disk_type == "thin"
    assert seen(lab, path) == (8 * MIB, thin, 0 if thin else 8 * MIB)
    assert (done["disk"]["allocated"] or 0) == (0 if thin else 8 * MIB)
    again = modules.vmdk_create(**wanted)
    assert not again["changed"]
    assert again["disk"] == done["disk"]


def test_a_disk_grows_and_is_never_cut(lab, modules, disk):
    assert modules.vmdk_create(check_mode=True, path=disk, size="12MiB")["changed"]
    assert seen(lab, disk)[0] == 8 * MIB
    grown = modules.vmdk_create(path=disk, size="12MiB")
    assert (grown["diff"]["before"]["size"], grown["disk"]["size"]) == (8 * MIB, 12 * MIB)
    assert seen(lab, disk)[0] == 12 * MIB
    assert not modules.vmdk_create(path=disk, size="12MiB")["changed"]
    assert "never cut" in modules.fail("vmdk_create", path=disk, size="8MiB")["msg"]


def test_a_grown_disk_stays_eagerly_zeroed(lab, modules, folder):
    path, wanted = f"{folder}/data.vmdk", {"disk_type": "eagerZeroedThick"}
    modules.vmdk_create(path=path, size="4MiB", **wanted)
    grown = modules.vmdk_create(path=path, size="8MiB", **wanted)["disk"]
    assert (grown["disk_type"], grown["allocated"]) == ("eagerZeroedThick", 8 * MIB)


def test_a_disk_is_deleted_with_its_extents(lab, modules, disk):
    extent = disk.replace(".vmdk", "-flat.vmdk")
    foretold = modules.vmdk_create(check_mode=True, path=disk, state="absent")
    assert foretold["removed"] == [disk, extent]
    assert [each["path"] for each in modules.vmdk_info(path=disk)["disk"]["extents"]] == [extent]
    assert seen(lab, disk) is not None
    assert modules.vmdk_create(path=disk, state="absent")["removed"] == [disk, extent]
    assert seen(lab, disk) is None
    again = modules.vmdk_create(path=disk, state="absent")
    assert (again["changed"], again["removed"]) == (False, [])


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("vmdk_create", {"state": "absent", "force": True}),
        ("vmdk_create", {"size": "1GiB"}),
        ("vmdk_resize", {"size": "1GiB"}),
        ("vmdk_convert", {"disk_type": "thick"}),
        ("vmdk_data", {"uuid": "6000C29b0d3e63a19c4c1e7a1a4bac82"}),
    ],
)
@pytest.mark.parametrize(("vm", "path"), [("web01", RUNNING), ("files01", OFF)])
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_disk_of_a_machine_stays_as_it_is(lab, modules, module, options, vm, path, check_mode):
    files = lab.files()
    refused = modules.fail(module, check_mode=check_mode, path=path, **options)
    assert refused["error"]["kind"] == "DiskInUse"
    assert f"the virtual machine {vm} has it attached at scsi0:0" in refused["msg"]
    assert lab.files() == files


def test_a_disk_that_only_a_snapshot_needs_stays(lab, modules, disk):
    lab.attach(disk, "files01")
    lab.snapshot("files01", "before the update")
    refused = modules.fail("vmdk_create", path=disk, state="absent")["msg"]
    assert "files01" in refused
    assert seen(lab, disk) is not None


def test_a_parent_that_no_machine_knows_stays(lab, modules, disk):
    child = disk.replace("data.vmdk", "data-000001.vmdk")
    datastore, _bracket, name = child[1:].partition("] ")
    file = os.path.join(lab.vcenter.datastore_dir, datastore, name)
    with open(file, "w") as stream:
        stream.write(
            "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=12345678\n"
            'createType="seSparse"\nparentFileNameHint="data.vmdk"\n'
            'RW 16384 SESPARSE "data-000001-sesparse.vmdk"\n'
        )
    with open(file.replace(".vmdk", "-sesparse.vmdk"), "wb") as stream:
        stream.truncate(8 * MIB)
    for options in ({"state": "absent"}, {"size": "16MiB"}):
        refused = modules.fail("vmdk_create", path=disk, **options)
        assert refused["error"]["found"] == child
    assert modules.vmdk_info(path=child)["disk"]["chain"] == [child, disk]
    assert "stands on another disk" in modules.fail("vmdk_info", path=child, digest=True)["msg"]


def test_a_disk_is_resized_once(lab, modules, disk):
    foretold = modules.vmdk_resize(check_mode=True, path=disk, size="16MiB")
    assert (foretold["changed"], seen(lab, disk)[0]) == (True, 8 * MIB)
    done = modules.vmdk_resize(path=disk, size="16MiB")
    assert done["diff"] == foretold["diff"] == {
        "before": {"size": 8 * MIB}, "after": {"size": 16 * MIB},
    }  # fmt: skip
    assert (done["disk"]["size"], seen(lab, disk)[0]) == (16 * MIB, 16 * MIB)
    assert not modules.vmdk_resize(path=disk, size="16MiB")["changed"]
    refused = modules.fail("vmdk_resize", path=disk, size="32MiB", grow_partition="true")["msg"]
    assert "growpart" in refused
    assert seen(lab, disk)[0] == 16 * MIB


@pytest.mark.parametrize("first", ["thin", "thick", "eagerZeroedThick"])
@pytest.mark.parametrize("then", ["thin", "thick", "eagerZeroedThick"])
def test_a_disk_changes_its_type_and_nothing_else(lab, modules, folder, first, then):
    path = f"{folder}/data.vmdk"
    before = modules.vmdk_create(path=path, size="4MiB", disk_type=first)["disk"]
    data = os.urandom(MIB)
    write(lab, path, data, MIB)
    foretold = modules.vmdk_convert(check_mode=True, path=path, disk_type=then)
    done = modules.vmdk_convert(path=path, disk_type=then)
    assert done["changed"] == foretold["changed"] == (first != then)
    assert done["disk"]["disk_type"] == then
    assert done["disk"]["uuid"] == before["uuid"]
    assert seen(lab, path)[1] == (then == "thin")
    assert content(lab, path) == bytes(MIB) + data + bytes(2 * MIB)
    assert not modules.vmdk_convert(path=path, disk_type=then)["changed"]
    assert {name for *_rest, name in lab.files() if "vdisk-" in name} == set()


def test_where_vcenter_cannot_copy_into_another_type_the_disk_is_zeroed(lab, modules, disk):
    """Its descriptor is not touched, and so the type cannot be told later on."""
    lab.vcenter.rule("CopyVirtualDisk_Task", fault="NotSupported", times=1)
    lab.vcenter.forget_calls()
    done = modules.vmdk_convert(path=disk, disk_type="eagerZeroedThick")
    assert done["disk"]["disk_type"] == "thick"
    assert "counts as thick" in str(done["warnings"])
    assert lab.vcenter.calls()["InflateVirtualDisk_Task"] == 1
    assert "PUT /folder" not in lab.vcenter.calls()
    assert seen(lab, disk)[2] == 8 * MIB


@pytest.mark.parametrize("module", ["vmdk_data", "vmdk_create"])
def test_with_another_uuid_an_eagerly_zeroed_disk_counts_as_thick(lab, modules, folder, module):
    path = f"{folder}/data.vmdk"
    modules.vmdk_create(path=path, size="4MiB", disk_type="eagerZeroedThick")
    lab.vcenter.forget_calls()
    wanted = {"path": path, "metadata": {"uuid": "6000C29b0d3e63a19c4c1e7a1a4bac82"}}
    foretold = modules.run(module, check_mode=True, **wanted)
    done = modules.run(module, **wanted)
    assert foretold["disk"]["disk_type"] == done["disk"]["disk_type"] == "thick"
    uuids = {each["disk"]["metadata"]["uuid"].lower() for each in (foretold, done)}
    assert uuids == {"60 00 c2 9b 0d 3e 63 a1-9c 4c 1e 7a 1a 4b ac 82"}
    assert foretold["warnings"] == done["warnings"]
    assert "PUT /folder" not in lab.vcenter.calls()


def test_what_cannot_be_noted_is_a_warning(lab, modules, folder):
    lab.vcenter.rule("PUT /folder", status=400)
    wanted = {"path": f"{folder}/data.vmdk", "disk_type": "eagerZeroedThick"}
    done = modules.vmdk_create(size="4MiB", **wanted)
    assert "could not be noted" in str(done["warnings"])
    assert done["disk"]["disk_type"] == "thick"


def test_where_vcenter_cannot_change_the_type_it_says_what_to_do(lab, modules, disk):
    lab.vcenter.rule("CopyVirtualDisk_Task", fault="NotSupported", times=1)
    refused = modules.fail("vmdk_convert", path=disk, disk_type="thick")["msg"]
    assert "Name the ESXi host itself as hostname" in refused
    assert seen(lab, disk)[1]


def test_a_disk_moves_to_another_datastore(lab, modules, disk):
    dest = disk.replace("[datastore1] ", "[nfs1] new/")
    before = modules.vmdk_info(path=disk)["disk"]
    foretold = modules.vmdk_rename(check_mode=True, src=disk, dest=dest)
    assert (foretold["changed"], seen(lab, disk) is not None) == (True, True)
    done = modules.vmdk_rename(src=disk, dest=dest)
    assert (done["disk"]["path"], done["disk"]["uuid"]) == (dest, before["uuid"])
    assert foretold["disk"]["chain"] == done["disk"]["chain"] == [dest]
    assert (seen(lab, disk), seen(lab, dest)[0]) == (None, 8 * MIB)
    assert not modules.vmdk_rename(src=disk, dest=dest)["changed"]


def test_nothing_is_overwritten_by_a_rename(lab, modules, disk):
    other = disk.replace("data.vmdk", "other.vmdk")
    modules.vmdk_create(path=other, size="4MiB")
    refused = modules.fail("vmdk_rename", src=disk, dest=other)
    assert refused["error"]["kind"] == "DiskExists"
    assert "vmdk_clone" in modules.fail("vmdk_rename", src=disk, dest="/tmp/x.vmdk")["msg"]
    gone = disk.replace("data.vmdk", "gone.vmdk")
    missing = modules.fail("vmdk_rename", src=gone, dest=gone.replace("gone.vmdk", "new.vmdk"))
    assert missing["error"]["kind"] == "DiskNotFound"
    assert "files01 has it attached" in modules.fail("vmdk_rename", src=OFF, dest=gone)["msg"]


def test_a_thin_disk_gives_back_zeros(lab, modules, disk):
    write(lab, disk, b"x" * MIB)
    write(lab, disk, bytes(2 * MIB), MIB)
    assert seen(lab, disk)[2] == 3 * MIB
    assert modules.vmdk_shrink(check_mode=True, path=disk)["changed"]
    assert seen(lab, disk)[2] == 3 * MIB
    done = modules.vmdk_shrink(path=disk)
    assert (done["changed"], done["freed"], done["disk"]["allocated"]) == (True, 2 * MIB, MIB)
    assert content(lab, disk) == b"x" * MIB + bytes(7 * MIB)
    assert not modules.vmdk_shrink(check_mode=True, path=disk)["changed"]
    again = modules.vmdk_shrink(path=disk)
    assert (again["changed"], again["freed"]) == (False, 0)


def test_a_server_that_cannot_shrink_says_so_once(lab, modules, disk):
    lab.vcenter.rule("ShrinkVirtualDisk_Task", fault="NotSupported", times=1)
    refused = modules.fail("vmdk_shrink", path=disk)
    assert refused["error"]["kind"] == "UnsupportedDisk"
    assert "does not shrink disks on its datastores" in refused["msg"]
    assert "running" in modules.fail("vmdk_shrink", path=RUNNING)["msg"]


def test_plain_disks_are_always_in_order(lab, modules, disk):
    assert not modules.vmdk_defragment(check_mode=True, path=disk)["changed"]
    done = modules.vmdk_defragment(path=disk)
    assert not done["changed"]
    assert set(done["fragmentation"]) == {"before", "after"}


def test_a_server_that_cannot_defragment_says_so_once(lab, modules):
    lab.snapshot("files01")
    top = next(path for path in lab.disks("files01"))
    lab.vcenter.rule("QueryVirtualDiskFragmentation", fault="NotSupported", times=1)
    refused = modules.fail("vmdk_defragment", path=top)
    assert "does not defragment disks on its datastores" in refused["msg"]


def test_the_uuid_is_set_once(lab, modules, disk):
    wanted = "6000C29b-0d3e-63a1-9c4c-1e7a1a4bac82"
    assert modules.vmdk_data(check_mode=True, path=disk, uuid=wanted)["changed"]
    done = modules.vmdk_data(path=disk, uuid=wanted)
    assert lab.uuid_of(disk) == wanted.replace("-", "").lower()
    assert done["disk"]["metadata"]["uuid"] == done["disk"]["uuid"]
    assert not modules.vmdk_data(path=disk, uuid=wanted)["changed"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metadata": {"comment": "x"}}, "only the uuid can be set, found comment"),
        ({"adapter_type": "ide"}, "only the uuid can be set, found adapterType"),
        ({"remove_metadata": ["toolsVersion"]}, "toolsVersion (to remove)"),
        ({"content": "x"}, "cannot be changed in place"),
    ],
)
def test_what_cannot_be_written_is_told(modules, disk, options, said):
    assert said in modules.fail("vmdk_data", path=disk, **options)["msg"]


def test_bytes_are_read(lab, modules, disk, tmp_path):
    write(lab, disk, b"golden image 7", 1536)
    assert modules.vmdk_data(path=disk, offset=1536, length=14)["content"] == "golden image 7"
    file = tmp_path / "copy"
    assert modules.vmdk_data(path=disk, length="1MiB", dest=file)["changed"]
    assert file.read_bytes() == content(lab, disk)[:MIB]
    assert not modules.vmdk_data(path=disk, length="1MiB", dest=file)["changed"]


def test_info_tells_who_uses_a_disk(lab, modules):
    found = modules.vmdk_info(path=RUNNING)["disk"]
    assert found["users"] == [{
        "name": "web01", "moref": lab.vm("web01")._moId,
        "how": "has it attached at scsi0:0", "runs": True,
    }]  # fmt: skip
    assert found["uuid"].replace(" ", "").replace("-", "").lower() == lab.uuid_of(RUNNING)
    assert (found["size"], found["chain"], found["disk_type"]) == (64 * MIB, [RUNNING], "thin")
    refused = modules.fail("vmdk_info", path=RUNNING, digest=True)
    assert "the virtual machine web01 is running" in refused["msg"]


def test_info_reads_what_is_in_a_disk_of_a_machine_that_is_off(lab, modules):
    found = modules.vmdk_info(path=OFF, digest=True, partitions=True)["disk"]
    assert found["digest"] == f"sha256:{hashlib.sha256(content(lab, OFF)).hexdigest()}"
    assert found["partitions"][0]["label"] == "files01-0"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"disk_type": "monolithicSparse"}, "one of thin, thick, eagerZeroedThick"),
        ({"hw_version": 13}, "the host's choice"),
        ({"adapter_type": "legacyESX"}, "legacyESX"),
        ({"metadata": {"comment": "x"}}, "only the uuid"),
        ({"size": 512}, "a multiple of 1 KiB"),
        ({"size": None}, "say its size"),
        ({"path": "[nowhere] a/b.vmdk"}, "found datastore1, nfs1, vsanDatastore"),
        ({"path": "[datastore1] a/../b.vmdk"}, ".."),
        ({"path": "[datastore1] a/b.vdisk-new-0badcafe.vmdk"}, "only a job gives"),
        ({"datacenter": "elsewhere"}, "there is no datacenter elsewhere"),
        ({"password": "not-that-one"}, "wrong user name or password"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_done(lab, modules, folder, options, said):
    files = lab.files()
    wanted = {"path": f"{folder}/data.vmdk", "size": "8MiB", **options}
    wanted = {key: value for key, value in wanted.items() if value is not None}
    assert said in modules.fail("vmdk_create", **wanted)["msg"]
    assert lab.files() == files


def test_another_type_or_controller_is_not_what_is_there(modules, disk):
    refused = modules.fail("vmdk_create", path=disk, size="8MiB", disk_type="thick")
    assert refused["error"]["kind"] == "DiskExists"
    assert "vmdk_convert" in refused["msg"]
    assert "cannot be changed" in modules.fail("vmdk_create", path=disk, adapter_type="ide")["msg"]


def test_the_datacenter_may_be_named(modules, disk):
    assert not modules.vmdk_create(path=disk, size="8MiB", datacenter="DC0")["changed"]
