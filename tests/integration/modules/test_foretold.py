# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a job from its disk is told by check mode already, and in the same words."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import typing as t
from base64 import b64encode
from random import Random

import pytest

MIB = 1 << 20


class Call(t.NamedTuple):
    """A change to a disk. `needs`: the files that must be free; names stand for files of `vm`."""

    module: str
    arguments: dict[str, t.Any]
    needs: tuple[str, ...] = ("web01.vmdk",)


WEB = {"path": "web01.vmdk"}
FLAT = {"path": "flat.vmdk"}
CHILD = {"path": "base.vmdk", "child": "base-000001.vmdk"}
BOTH = ("base-000001.vmdk", "base.vmdk")
SMALL_FLAT = ("flat.vmdk", "flat-flat.vmdk")
CALLS = {
    "create, grow": Call("vmdk_create", {**WEB, "size": "8MiB"}),
    "create, grow flat": Call("vmdk_create", {**FLAT, "size": "8MiB"}, SMALL_FLAT),
    "create, metadata": Call("vmdk_create", {**WEB, "metadata": {"comment": "mine"}}),
    "create, absent": Call("vmdk_create", {**WEB, "state": "absent"}),
    "create, absent flat": Call("vmdk_create", {**FLAT, "state": "absent"}, SMALL_FLAT),
    "convert": Call("vmdk_convert", {**WEB, "disk_type": "monolithicFlat"}),
    "convert flat": Call("vmdk_convert", {**FLAT, "disk_type": "monolithicSparse"}, SMALL_FLAT),
    "resize": Call("vmdk_resize", {**WEB, "size": "8MiB"}),
    "resize flat": Call("vmdk_resize", {**FLAT, "size": "8MiB"}, SMALL_FLAT),
    "defragment": Call("vmdk_defragment", WEB),
    "shrink": Call("vmdk_shrink", WEB),
    "shrink flat": Call("vmdk_shrink", FLAT, SMALL_FLAT),
    "rename": Call("vmdk_rename", {"src": "web01.vmdk", "dest": "web02.vmdk"}),
    "rename flat": Call("vmdk_rename", {"src": "flat.vmdk", "dest": "flat2.vmdk"}, SMALL_FLAT),
    "move": Call("vmdk_rename", {"src": "web01.vmdk", "dest": "other/web01.vmdk"}),
    "snapshot, absent": Call("vmdk_snapshot", {**CHILD, "state": "absent"}, BOTH),
    "snapshot, reverted": Call("vmdk_snapshot", {**CHILD, "state": "reverted"}, BOTH[:1]),
    "snapshot, rebased": Call(
        "vmdk_snapshot", {**CHILD, "state": "rebased", "parent": "same.vmdk"}, BOTH[:1]
    ),
    "snapshot, attached": Call(
        "vmdk_snapshot",
        {"path": "found.vmdk", "child": "lost.vmdk", "state": "attached"},
        ("lost.vmdk",),
    ),
    "data": Call("vmdk_data", {**WEB, "content": "other"}),
    "data, flat": Call("vmdk_data", {**FLAT, "content": "other"}, SMALL_FLAT),
    "data, metadata": Call("vmdk_data", {**WEB, "metadata": {"comment": "mine"}}),
    "check, repair": Call("vmdk_check", {"path": "dirty.vmdk", "repair": True}, ("dirty.vmdk",)),
    "check, salvage": Call(
        "vmdk_check",
        {"path": "dirty.vmdk", "salvage_to": "flat.vmdk", "force": True},
        SMALL_FLAT,
    ),
    "clone over": Call("vmdk_clone", {"src": "flat.vmdk", "dest": "web01.vmdk", "force": True}),
    "clone over raw": Call(
        "vmdk_clone", {"src": "flat.vmdk", "dest": "raw.img", "force": True}, ("raw.img",)
    ),
}


@pytest.fixture
def vm(modules, tmp_path, tmp_path_factory):
    """A folder of small disks with something to do for each call; made once, then copied."""
    pattern = tmp_path_factory.getbasetemp() / "pattern-of-foretold"
    if not pattern.exists():
        pattern.mkdir()
        _make_disks(modules, pattern)
    folder = tmp_path / "vm"
    shutil.copytree(pattern, folder)
    return folder


def _make_disks(modules, folder):
    random = Random(1)
    for name, disk_type in (("web01", "monolithicSparse"), ("flat", "monolithicFlat")):
        path = folder / f"{name}.vmdk"
        modules.vmdk_create(path=path, size="4MiB", disk_type=disk_type)
        for offset in (2 * MIB, MIB, 0):  # backwards, so that the grains are out of order
            _write(modules, path, offset, random.randbytes(MIB // 2))
        _write(modules, path, MIB, bytes(MIB // 2))
    (folder / "raw.img").write_bytes(bytes(4 * MIB))
    (folder / "other").mkdir()
    dirty = folder / "dirty.vmdk"
    shutil.copy(folder / "web01.vmdk", dirty)
    with open(dirty, "r+b") as file:
        file.seek(72)
        file.write(b"\1")  # uncleanShutdown
    _make_family(modules, folder, random)


def _make_family(modules, folder, random):
    base = folder / "base.vmdk"
    modules.vmdk_create(path=base, size="8MiB")
    shutil.copy(base, folder / "same.vmdk")
    shutil.copy(base, folder / "moved.vmdk")
    modules.vmdk_snapshot(path=base, child=folder / "base-000001.vmdk")
    _write(modules, folder / "base-000001.vmdk", 0, random.randbytes(6 * MIB))
    modules.vmdk_snapshot(path=folder / "moved.vmdk", child=folder / "lost.vmdk")
    (folder / "moved.vmdk").rename(folder / "found.vmdk")


def _write(modules, path, offset, data):
    modules.vmdk_data(path=path, offset=str(offset), content_base64=b64encode(data).decode())


def _both(modules, vm, call, digest_of_tree):
    """(what check mode said, what the real run said); check mode has touched nothing."""
    named = {
        key: vm / value
        if key in ("path", "child", "src", "dest", "parent", "salvage_to")
        else value
        for key, value in call.arguments.items()
    }
    before = digest_of_tree(vm)
    foretold = modules.attempt(call.module, check_mode=True, **named)
    assert digest_of_tree(vm) == before
    return foretold, modules.attempt(call.module, **named), before


def _refused(modules, vm, call, digest_of_tree, kind=None):
    foretold, done, before = _both(modules, vm, call, digest_of_tree)
    assert done.get("failed"), done
    assert foretold.get("failed"), f"check mode let pass: {done['msg']}"
    assert "Traceback" not in done["msg"]
    assert foretold["error"]["kind"] == done["error"]["kind"], (foretold, done)
    assert kind is None or done["error"]["kind"] == kind, done
    assert _contents(digest_of_tree(vm)) == _contents(before)


def _contents(tree):
    return [(path, mode, size, content) for path, mode, size, _time, content in tree]


def _flock(path, kind):
    held = os.open(path, os.O_RDWR)
    fcntl.flock(held, kind)
    return held


@pytest.mark.parametrize("name", CALLS)
def test_free_disk(modules, vm, digest_of_tree, name):
    foretold, done, _before = _both(modules, vm, CALLS[name], digest_of_tree)
    assert not done.get("failed"), done
    assert done["changed"] and foretold["changed"], (foretold, done)


WITH_FILES = [(name, file) for name, call in CALLS.items() for file in call.needs]


@pytest.mark.parametrize("name, file", WITH_FILES)
def test_somebody_reads_it(modules, vm, digest_of_tree, name, file):
    held = _flock(vm / file, fcntl.LOCK_SH)
    try:
        _refused(modules, vm, CALLS[name], digest_of_tree, "DiskInUse")
    finally:
        os.close(held)


@pytest.mark.parametrize("name, file", WITH_FILES)
def test_somebody_writes_to_it(modules, vm, digest_of_tree, name, file):
    held = _flock(vm / file, fcntl.LOCK_EX)
    try:
        _refused(modules, vm, CALLS[name], digest_of_tree, "DiskInUse")
    finally:
        os.close(held)


VMWARE = [(n, f) for n, f in WITH_FILES if not f.endswith(("-flat.vmdk", ".img"))]


@pytest.mark.parametrize("name, file", VMWARE)
def test_vmware_has_it_open(modules, vm, digest_of_tree, name, file):
    lock = vm / f"{file}.lck"
    lock.mkdir()
    (lock / "M12345.lck").write_bytes(b"")
    _refused(modules, vm, CALLS[name], digest_of_tree, "DiskInUse")


@pytest.mark.parametrize("name", CALLS)
def test_file_system_is_read_only(modules, vm, digest_of_tree, name):
    command = ["mount", "-o", "bind", str(vm), str(vm)]
    subprocess.run(command, check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(vm)], check=True)
        _refused(modules, vm, CALLS[name], digest_of_tree, "ReadOnlyDisk")
    finally:
        subprocess.run(["umount", "-l", str(vm)], check=True)


# The others change nothing that a child inherits, or take the children along.
WITH_CHILDREN = [
    *("create, grow", "create, grow flat", "create, absent", "create, absent flat", "convert"),
    *("convert flat", "resize", "resize flat", "snapshot, reverted", "snapshot, rebased", "data"),
    *("data, flat", "check, salvage", "clone over"),
]


@pytest.mark.parametrize("name", WITH_CHILDREN)
def test_it_has_children(modules, vm, digest_of_tree, name):
    call = CALLS[name]
    modules.vmdk_snapshot(path=vm / call.needs[0], child=vm / "grandchild.vmdk")
    _refused(modules, vm, call, digest_of_tree)


# What these write is known only when it is read (zeros are not stored): the real run finds out.
NOT_MEASURED = ("convert flat", "check, salvage", "clone over raw", "data", "data, flat")


@pytest.mark.parametrize("name", CALLS)
def test_file_system_is_full(modules, vm, tmp_path, digest_of_tree, name):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "small", str(small)], check=True)
    try:
        shutil.copytree(vm, small / "vm")
        used = subprocess.check_output(["du", "-sk", str(small)], text=True).split()[0]
        size = f"size={int(used) + 64}k"
        subprocess.run(["mount", "-o", f"remount,{size}", str(small)], check=True)
        foretold, done, before = _both(modules, small / "vm", CALLS[name], digest_of_tree)
        assert not foretold.get("failed") or done.get("failed"), foretold
        if done.get("failed"):
            assert done["error"]["kind"] == "NoSpace", done
            assert foretold.get("failed") or name in NOT_MEASURED, done
            assert _contents(digest_of_tree(small / "vm")) == _contents(before)
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
