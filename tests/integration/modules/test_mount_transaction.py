# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_mount's transactions as a user has them, and what every other module does meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.progress import Silent
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.transaction import (
    ending,
    pending,
)

pytestmark = pytest.mark.serial
MIB = 1 << 20


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch, modules):
    """Own folders for what is mounted, and for the marks of devices; nothing is left mounted."""
    if os.geteuid() != 0 or not os.path.exists("/dev/loop-control"):
        pytest.skip("needs root and loop devices")
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path / "state"))
    yield
    modules.vmdk_mount(mount_point=tmp_path / "mnt", state="unmounted")
    with open("/proc/mounts", encoding="utf-8") as stream:
        assert str(tmp_path) not in stream.read()


@pytest.fixture
def disk(tmp_path, modules):
    """A VMDK with an ext4 of 24 MiB and no partitions."""
    raw = tmp_path / "guest.raw"
    with open(raw, "wb") as stream:
        stream.truncate(24 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-L", "root", raw], check=True)
    modules.vmdk_clone(src=raw, dest=tmp_path / "web01.vmdk", disk_type="monolithicSparse")
    raw.unlink()
    return tmp_path / "web01.vmdk"


@pytest.fixture
def point(tmp_path):
    return tmp_path / "mnt"


def digest(modules, disk):
    return modules.vmdk_info(path=disk, digest=True)["disk"]["digest"]


def test_from_mount_to_commit(modules, disk, point):
    wanted = {"path": disk, "mount_point": point, "transaction": True}
    foretold = modules.vmdk_mount(check_mode=True, **wanted)
    assert foretold["changed"]
    assert foretold["mount"]["transaction"]["state"] == "pending"
    assert os.listdir(disk.parent).count("web01.vmdk.vdisk-overlay") == 0
    mounted = modules.vmdk_mount(**wanted)
    assert mounted["mount"]["transaction"]["overlay"] == f"{disk}.vdisk-overlay"
    assert not mounted["mount"]["read_only"]
    (point / "greeting").write_text("hello\n")
    again = modules.vmdk_mount(changes=True, **wanted)
    assert not again["changed"]
    assert again["changes"]["files"]["added"] == ["/greeting"]
    foretold = modules.vmdk_mount(check_mode=True, mount_point=point, state="committed")
    committed = modules.vmdk_mount(mount_point=point, state="committed")
    assert foretold["diff"] == committed["diff"]
    assert committed["diff"]["after"]["changes"]["files"]["added"] == ["/greeting"]
    assert committed["transaction"]["state"] == "committed"
    assert not modules.vmdk_mount(path=disk, mount_point=point, state="committed")["changed"]
    modules.vmdk_mount(path=disk, mount_point=point)
    assert (point / "greeting").read_text() == "hello\n"


def test_pending_and_discarded(modules, disk, point):
    before = digest(modules, disk)
    modules.vmdk_mount(path=disk, mount_point=point, transaction=True)
    (point / "greeting").write_text("hello\n")
    modules.vmdk_mount(mount_point=point, state="unmounted")
    info = modules.vmdk_info(path=disk, digest=True)["disk"]
    assert info["digest"] == before
    assert "a transaction is pending" in " ".join(info["flags"])
    modules.vmdk_mount(path=disk, mount_point=point)
    assert not (point / "greeting").exists()
    modules.vmdk_mount(mount_point=point, state="unmounted")
    discarded = modules.vmdk_mount(path=disk, mount_point=point, state="discarded")
    assert discarded["transaction"]["state"] == "discarded"
    assert digest(modules, disk) == before
    assert not [name for name in os.listdir(disk.parent) if ".vdisk" in name]


def test_others_while_it_is_pending(modules, disk, point, tmp_path):
    """Who reads has the disk as it was; who would change it is told what to do."""
    begin(disk)
    before = digest(modules, disk)
    other = tmp_path / "other.vmdk"
    for name, arguments in [
        ("vmdk_rename", {"src": disk, "dest": other}),
        ("vmdk_resize", {"path": disk, "size": "48MiB"}),
        ("vmdk_create", {"path": disk, "size": "48MiB"}),
        ("vmdk_create", {"path": disk, "state": "absent"}),
        ("vmdk_create", {"path": disk, "state": "absent", "force": True}),
        ("vmdk_convert", {"path": disk, "disk_type": "monolithicFlat"}),
        ("vmdk_shrink", {"path": disk, "trim": True}),
        ("vmdk_data", {"path": disk, "offset": 0, "content": "x"}),
        ("vmdk_data", {"path": disk, "metadata": {"comment": "x"}}),
        ("vmdk_mount", {"path": disk, "mount_point": point, "read_only": False}),
        ("vmdk_snapshot", {"path": disk, "child": other}),
        ("vmdk_clone", {"src": disk, "dest": other, "linked": True}),
    ]:
        failed = modules.fail(name, **arguments)
        assert "has a pending transaction" in failed["msg"], name
        assert "state: committed" in failed["msg"], name
    assert digest(modules, disk) == before
    failed = modules.fail("vmdk_mount", path=disk, mount_point=point, state="committed",
                          check_mode=True, changes=True, volume="none")  # fmt: skip
    assert "none" in failed["msg"]
    modules.vmdk_clone(src=disk, dest=other)
    assert digest(modules, other) == before
    failed = modules.fail("vmdk_clone", src=other, dest=disk, disk_type="vmfs", force=True)
    assert "has a pending transaction" in failed["msg"]


def test_nothing_is_put_over_it_while_it_is_pending(modules, disk, tmp_path, repository):
    """Nor over a raw file; and a backup has it as it was."""
    data = tmp_path / "data.img"
    data.write_bytes(bytes(24 * MIB))
    modules.vmdk_backup(path=data, name="data", **repository)
    begin(disk)
    begin(data)
    modules.vmdk_backup(path=disk, name="web01", **repository)
    copy = tmp_path / "copy.vmdk"
    modules.vmdk_restore(restore_point="web01@latest", dest=copy, **repository)
    assert digest(modules, copy) == digest(modules, disk)
    point = {"restore_point": "data@latest", "force": True, **repository}
    for name, arguments in [
        ("vmdk_restore", {"dest": disk, **point}),
        ("vmdk_restore", {"dest": disk, "delta": True, **point}),
        ("vmdk_clone", {"src": disk, "dest": data, "force": True}),
        ("vmdk_data", {"path": disk, "length": 512, "dest": data}),
        ("vmdk_check", {"path": disk, "salvage_to": data, "force": True}),
        ("vmdk_export", {"path": data, "socket": tmp_path / "socket", "read_only": False}),
    ]:
        for check_mode in (True, False):
            failed = modules.fail(name, check_mode=check_mode, **arguments)
            assert "has a pending transaction" in failed["msg"], (name, failed["msg"])


def begin(*disks):
    """A transaction that writes something over the first disk's end."""
    begun = pending.begin(Access(), [str(disk) for disk in disks], None)
    for opener in begun.openers(Access()).values():
        with opener() as opened:
            opened.write(opened.size - 5000, b"\x77" * 5000)
    return begun


class Killer(Silent):
    def advance(self, _count):
        os.kill(os.getpid(), signal.SIGKILL)


def killed_commit(begun):
    child = os.fork()
    if child == 0:
        ending.commit(Access(), begun, Killer())
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def test_check_mode_tells_what_keeps_it_from_ending(modules, disk, point, tmp_path):
    """It is mounted, where the user did not say; and a write of it has failed."""
    (tmp_path / "elsewhere").mkdir()
    modules.vmdk_mount(path=disk, mount_point=point, transaction=True)
    for check_mode in (True, False):
        for state in ("discarded", "committed"):
            wanted = {"path": disk, "mount_point": tmp_path / "elsewhere", "state": state}
            failed = modules.fail("vmdk_mount", check_mode=check_mode, **wanted)
            assert "is in use" in failed["msg"] or "writes to this overlay" in failed["msg"]
    with open(f"{disk}.vdisk-overlay.use", "r+b") as stream:
        stream.write(b"failed no space left\n")
    for check_mode in (True, False):
        wanted = {"mount_point": point, "state": "committed"}
        failed = modules.fail("vmdk_mount", check_mode=check_mode, **wanted)
        assert "writes to this transaction have failed" in failed["msg"]
    assert point.is_mount()
    modules.vmdk_mount(mount_point=point, state="discarded")


def test_diff_that_cannot_be_told_is_no_reason_to_fail(modules, disk, point):
    begin(disk)
    wanted = {"path": disk, "mount_point": point, "state": "committed", "volume": "none"}
    told = modules.vmdk_mount(**wanted)  # all of them are run in diff mode
    assert "cannot be told" in str(told["warnings"])
    assert told["transaction"]["state"] == "committed"


def test_commit_of_two_disks_that_was_cut_off(modules, disk, point, tmp_path):
    """Nobody reads either; the next mount finishes it for both, whichever it is of."""
    data = tmp_path / "data.img"
    data.write_bytes(bytes(MIB))
    killed_commit(begin(disk, data))
    for name, arguments in [
        ("vmdk_info", {"path": disk}),
        ("vmdk_info", {"path": data}),
        ("vmdk_clone", {"src": data, "dest": tmp_path / "other.img"}),
        ("vmdk_check", {"path": disk, "repair": True}),
        ("vmdk_check", {"path": disk, "salvage_to": tmp_path / "other.vmdk"}),
        ("vmdk_data", {"path": data, "offset": 0, "content": "x"}),
        ("vmdk_mount", {"path": disk, "mount_point": point, "state": "discarded"}),
    ]:
        for check_mode in (True, False):
            failed = modules.fail(name, check_mode=check_mode, **arguments)
            assert "state: committed" in failed["msg"], (name, failed["msg"])
    findings = modules.vmdk_check(path=disk)["findings"]
    assert [one["severity"] for one in findings if one["kind"] == "transaction"] == ["error"]
    wanted = {"path": disk, "mount_point": point}
    assert modules.vmdk_mount(check_mode=True, **wanted)["changed"]
    assert modules.vmdk_mount(**wanted)["changed"]
    assert data.read_bytes()[-5000:] == b"\x77" * 5000
    with Access().open(str(disk)) as opened:
        found = bytearray(5000)
        opened.readinto(opened.size - 5000, memoryview(found))
    assert found == b"\x77" * 5000
    left = {name for name in os.listdir(tmp_path) if ".vdisk" in name}
    assert left == set()


def test_commit_that_was_cut_off_is_committed(modules, disk, point):
    killed_commit(begin(disk))
    wanted = {"path": disk, "mount_point": point, "state": "committed"}
    assert modules.vmdk_mount(check_mode=True, **wanted)["changed"]
    assert modules.vmdk_mount(**wanted)["changed"]
    assert not modules.vmdk_mount(**wanted)["changed"]


def test_mount_that_fails_leaves_no_transaction(modules, disk, point, tmp_path):
    """And one that was there already stays."""
    with Access().open(str(disk), writable=True) as opened:
        opened.zero(8192, MIB)  # the group descriptors
    for is_new in (True, False):
        if not is_new:
            pending.begin(Access(), [str(disk)], None)
        modules.fail("vmdk_mount", path=disk, mount_point=point, transaction=True)
        left = [name for name in os.listdir(tmp_path) if ".vdisk" in name]
        assert bool(left) is not is_new


def test_committing_what_has_no_transaction(modules, disk, point):
    modules.vmdk_mount(path=disk, mount_point=point)
    failed = modules.fail("vmdk_mount", mount_point=point, state="committed")
    assert "has no transaction" in failed["msg"]
    assert (point / "lost+found").exists()
