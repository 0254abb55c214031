# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VirtualDiskManager and the datastore browser, by what is in the files."""

from __future__ import annotations

import os
import uuid

import pytest
from pyVmomi import vim, vmodl

from ansible_collections.vdisk.lifecycle.tests.simulator.clients import (
    chain,
    snapshot,
    wait,
)

MIB = 1 << 20


@pytest.fixture
def manager(here):
    return here.content.virtualDiskManager


@pytest.fixture
def dc(here):
    return here.datacenter


@pytest.fixture
def folder(here, dc):
    path = f"[datastore1] {uuid.uuid4().hex}"
    here.content.fileManager.MakeDirectory(path, dc)
    return path


def spec(kind="thin", adapter="lsiLogic", size=4 * MIB):
    return vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
        diskType=kind, adapterType=adapter, capacityKb=size // 1024
    )


def file(here, path, suffix=""):
    datastore, _other, name = path[1:].partition("] ")
    return os.path.join(
        here.vcenter.datastore_dir, datastore, name.removesuffix(".vmdk") + suffix + ".vmdk"
    )


def flat(here, path):
    with open(file(here, path, "-flat"), "rb") as content:
        return content.read()


def fill(here, path, offset, data):
    """As an upload to /folder would."""
    import ssl
    from urllib.request import Request, urlopen

    datastore, _other, name = path[1:].partition("] ")
    content = bytearray(flat(here, path))
    content[offset : offset + len(data)] = data
    name = name.removesuffix(".vmdk") + "-flat.vmdk"
    host = f"https://{here.vcenter.hostname}:{here.vcenter.port}"
    request = Request(
        f"{host}/folder/{name}?dcPath=DC0&dsName={datastore}",
        bytes(content),
        {"Cookie": here.service._stub.cookie.split(";")[0]},
        method="PUT",
    )
    tls = ssl.create_default_context(cafile=here.vcenter.ca_file)
    urlopen(request, context=tls, timeout=30).close()


def found(here, path):
    """What the browser says of a disk."""
    details = vim.host.DatastoreBrowser.FileInfo.Details(
        fileType=True, fileSize=True, modification=True, fileOwner=True
    )
    wanted = vim.host.DatastoreBrowser.SearchSpec(
        matchPattern=[path.rpartition("/")[2]],
        query=[vim.host.DatastoreBrowser.VmDiskQuery()],
        details=details,
    )
    datastore = next(each for each in here.all(vim.Datastore) if f"[{each.name}]" in path)
    result = wait(datastore.browser.SearchDatastore_Task(path.rpartition("/")[0], wanted))
    assert len(result.file) == 1
    return result.file[0]


@pytest.mark.parametrize(
    ("kind", "thin", "space"),
    [("thin", True, 0), ("preallocated", False, 4 * MIB), ("eagerZeroedThick", False, 4 * MIB)],
)
def test_create(here, manager, dc, folder, kind, thin, space):
    path = f"{folder}/a.vmdk"
    wait(manager.CreateVirtualDisk_Task(path, dc, spec(kind)))
    info = found(here, path)
    assert isinstance(info, vim.host.DatastoreBrowser.VmDiskInfo)
    assert (info.capacityKb, info.thin, info.fileSize or 0) == (4096, thin, space)
    assert info.diskType == vim.vm.device.VirtualDisk.FlatVer2BackingInfo
    assert flat(here, path) == bytes(4 * MIB)


def test_create_what_exists(manager, dc, folder):
    wait(manager.CreateVirtualDisk_Task(f"{folder}/a.vmdk", dc, spec()))
    with pytest.raises(vim.fault.FileAlreadyExists):
        wait(manager.CreateVirtualDisk_Task(f"{folder}/a.vmdk", dc, spec()))


def test_create_where_there_is_no_directory(manager, dc):
    with pytest.raises(vim.fault.FileNotFound):
        wait(manager.CreateVirtualDisk_Task("[datastore1] nowhere/a.vmdk", dc, spec()))


@pytest.mark.parametrize("adapter", ["ide", "busLogic", "lsiLogic"])
def test_the_adapter_is_kept(here, manager, dc, folder, adapter):
    wait(manager.CreateVirtualDisk_Task(f"{folder}/a.vmdk", dc, spec(adapter=adapter)))
    with open(file(here, f"{folder}/a.vmdk"), encoding="utf-8") as descriptor:
        assert f'ddb.adapterType = "{adapter.lower()}"' in descriptor.read()


def test_copy_takes_the_content(here, manager, dc, folder):
    source, target = f"{folder}/a.vmdk", f"{folder}/b.vmdk"
    wait(manager.CreateVirtualDisk_Task(source, dc, spec()))
    fill(here, source, 70000, b"content")
    wait(manager.CopyVirtualDisk_Task(source, dc, target, dc, spec("eagerZeroedThick"), False))
    assert flat(here, target) == flat(here, source)
    assert not found(here, target).thin


def test_copy_keeps_the_type(here, manager, dc, folder):
    source, target = f"{folder}/a.vmdk", f"{folder}/b.vmdk"
    wait(manager.CreateVirtualDisk_Task(source, dc, spec("preallocated")))
    wait(manager.CopyVirtualDisk_Task(source, dc, target, dc, None, False))
    assert found(here, target).thin is False


def test_a_copy_has_a_uuid_of_its_own(manager, dc, folder):
    source, target = f"{folder}/a.vmdk", f"{folder}/b.vmdk"
    wait(manager.CreateVirtualDisk_Task(source, dc, spec()))
    wait(manager.CopyVirtualDisk_Task(source, dc, target, dc, None, False))
    uuids = {manager.QueryVirtualDiskUuid(path, dc) for path in (source, target)}
    assert len(uuids) == 2


def test_a_frozen_chain_is_copied_whole(here, manager, dc, folder):
    vm = here.any_machine()
    here.write(vm, 0, b"one")
    snapshot(vm)
    here.write(vm, 100000, b"two")
    content = here.read(vm)
    snapshot(vm)
    wait(manager.CopyVirtualDisk_Task(chain(vm)[1], dc, f"{folder}/b.vmdk", dc, None, False))
    assert flat(here, f"{folder}/b.vmdk") == content


def test_move(here, manager, dc, folder):
    source, target = f"{folder}/a.vmdk", f"{folder}/b.vmdk"
    wait(manager.CreateVirtualDisk_Task(source, dc, spec()))
    fill(here, source, 5, b"content")
    before = manager.QueryVirtualDiskUuid(source, dc)
    wait(manager.MoveVirtualDisk_Task(source, dc, target, dc, False))
    assert flat(here, target)[5:12] == b"content"
    assert manager.QueryVirtualDiskUuid(target, dc) == before
    assert not os.path.exists(file(here, source)) and not os.path.exists(
        file(here, source, "-flat")
    )


def test_delete(here, manager, dc, folder):
    wait(manager.CreateVirtualDisk_Task(f"{folder}/a.vmdk", dc, spec()))
    wait(manager.DeleteVirtualDisk_Task(f"{folder}/a.vmdk", dc))
    assert not os.path.exists(file(here, f"{folder}/a.vmdk", "-flat"))
    with pytest.raises(vim.fault.FileNotFound):
        wait(manager.DeleteVirtualDisk_Task(f"{folder}/a.vmdk", dc))


def test_extend(here, manager, dc, folder):
    path = f"{folder}/a.vmdk"
    wait(manager.CreateVirtualDisk_Task(path, dc, spec()))
    fill(here, path, 5, b"content")
    wait(manager.ExtendVirtualDisk_Task(path, dc, 8192, False))
    assert flat(here, path) == bytes(5) + b"content" + bytes(8 * MIB - 12)
    assert found(here, path).capacityKb == 8192


def test_a_disk_does_not_become_smaller(manager, dc, folder):
    wait(manager.CreateVirtualDisk_Task(f"{folder}/a.vmdk", dc, spec()))
    with pytest.raises(vmodl.fault.InvalidArgument):
        wait(manager.ExtendVirtualDisk_Task(f"{folder}/a.vmdk", dc, 1024, False))


@pytest.mark.parametrize("method", ["InflateVirtualDisk_Task", "EagerZeroVirtualDisk_Task"])
def test_inflate(here, manager, dc, folder, method):
    path = f"{folder}/a.vmdk"
    wait(manager.CreateVirtualDisk_Task(path, dc, spec()))
    fill(here, path, 5, b"content")
    wait(getattr(manager, method)(path, dc))
    info = found(here, path)
    assert (info.thin, info.fileSize) == (False, 4 * MIB)
    assert flat(here, path)[5:12] == b"content"


def test_zero_fill(here, manager, dc, folder):
    path = f"{folder}/a.vmdk"
    wait(manager.CreateVirtualDisk_Task(path, dc, spec()))
    fill(here, path, 5, b"content")
    wait(manager.ZeroFillVirtualDisk_Task(path, dc))
    assert flat(here, path) == bytes(4 * MIB)


def test_shrink_gives_back_zeroed_blocks(here, manager, dc, folder):
    path = f"{folder}/a.vmdk"
    wait(manager.CreateVirtualDisk_Task(path, dc, spec("eagerZeroedThick")))
    wait(manager.CopyVirtualDisk_Task(path, dc, f"{folder}/b.vmdk", dc, spec("thin"), False))
    fill(here, f"{folder}/b.vmdk", 0, b"\1" + bytes(MIB))
    wait(manager.ShrinkVirtualDisk_Task(f"{folder}/b.vmdk", dc, False))
    assert found(here, f"{folder}/b.vmdk").fileSize == 65536
    assert flat(here, f"{folder}/b.vmdk") == b"\1" + bytes(4 * MIB - 1)


def test_defragment(here, manager, dc, folder):
    path = f"{folder}/a.vmdk"
    wait(manager.CreateVirtualDisk_Task(path, dc, spec()))
    fill(here, path, 5, b"content")
    wait(manager.DefragmentVirtualDisk_Task(path, dc))
    assert flat(here, path)[5:12] == b"content"
    assert manager.QueryVirtualDiskFragmentation(path, dc) == 0


def test_geometry(manager, dc, folder):
    wait(manager.CreateVirtualDisk_Task(f"{folder}/a.vmdk", dc, spec(size=64 * MIB)))
    shape = manager.QueryVirtualDiskGeometry(f"{folder}/a.vmdk", dc)
    assert (shape.cylinder, shape.head, shape.sector) == (8, 255, 63)


def test_the_uuid_is_kept_in_the_descriptor(here, manager, dc, folder):
    path, wanted = f"{folder}/a.vmdk", "60 00 C2 93 7b a0 3a 03-9f 22 56 c5 29 93 b7 27"
    wait(manager.CreateVirtualDisk_Task(path, dc, spec()))
    manager.SetVirtualDiskUuid(path, dc, wanted)
    assert manager.QueryVirtualDiskUuid(path, dc).lower() == wanted.lower()
    with open(file(here, path), encoding="utf-8") as descriptor:
        assert wanted.lower() in descriptor.read().lower()


def test_a_uuid_that_is_none(manager, dc, folder):
    wait(manager.CreateVirtualDisk_Task(f"{folder}/a.vmdk", dc, spec()))
    with pytest.raises(vmodl.fault.InvalidArgument):
        manager.SetVirtualDiskUuid(f"{folder}/a.vmdk", dc, "nonsense")


@pytest.mark.parametrize("verb", ["Delete", "Move", "Extend", "Inflate"])
def test_the_disk_of_a_running_machine_is_locked(here, manager, dc, folder, verb):
    path = chain(here.any_machine())[0]
    more = {"Move": (f"{folder}/b.vmdk", dc, False), "Extend": (32768, False)}.get(verb, ())
    with pytest.raises(vim.fault.FileLocked):
        wait(getattr(manager, f"{verb}VirtualDisk_Task")(path, dc, *more))


def test_a_path_that_is_none(manager, dc):
    with pytest.raises(vim.fault.InvalidDatastorePath):
        wait(manager.CreateVirtualDisk_Task("nonsense", dc, spec()))


def test_a_datastore_that_is_not_there(manager, dc):
    with pytest.raises(vim.fault.InvalidDatastore):
        wait(manager.CreateVirtualDisk_Task("[nothing] a.vmdk", dc, spec()))


def test_a_file_that_is_no_disk(here, manager, dc, folder):
    with open(file(here, f"{folder}/a.vmdk"), "w", encoding="utf-8") as nonsense:
        nonsense.write("nonsense")
    with pytest.raises(vim.fault.InvalidDiskFormat):
        wait(manager.DeleteVirtualDisk_Task(f"{folder}/a.vmdk", dc))


def test_a_search_in_sub_folders(here, manager, dc, folder):
    here.content.fileManager.MakeDirectory(f"{folder}/deeper", dc)
    wait(manager.CreateVirtualDisk_Task(f"{folder}/a.vmdk", dc, spec()))
    wait(manager.CreateVirtualDisk_Task(f"{folder}/deeper/b.vmdk", dc, spec()))
    datastore = next(each for each in here.all(vim.Datastore) if each.name == "datastore1")
    wanted = vim.host.DatastoreBrowser.SearchSpec(
        matchPattern=["*.vmdk"], query=[vim.host.DatastoreBrowser.VmDiskQuery()]
    )
    results = wait(datastore.browser.SearchDatastoreSubFolders_Task(folder, wanted))
    assert sorted(each.path for result in results for each in result.file) == ["a.vmdk", "b.vmdk"]
