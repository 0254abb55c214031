# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_share: a restore point is an NFS datastore, and what machines write there is theirs."""

from __future__ import annotations

import json
import os
import shutil
import signal

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.command import find
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.mountinfo import mounts
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.processes import Process
from ansible_collections.vdisk.lifecycle.tests.integration.share.nfs import library, mounted
from ansible_collections.vdisk.lifecycle.tests.ports import free_port

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="NFS-Ganesha wants root"),
    pytest.mark.skipif(not find("ganesha.nfsd"), reason="nfs-ganesha is not installed"),
    pytest.mark.skipif(library() is None, reason="libnfs13 is not installed"),
]
SIZE = 40 << 20


@pytest.fixture
def share(tmp_path, modules, repository, make_disk, monkeypatch):
    """The options of vmdk_share for a point of a disk, and the disk."""
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    disk = make_disk()
    modules.vmdk_backup(path=disk, name="first", **repository)
    options = {
        "path": "web01@latest",
        "folder": tmp_path / "instant",
        "clients": ["127.0.0.1"],
        "address": "127.0.0.1",
        "port": free_port(),
        **repository,
    }
    yield options
    modules.vmdk_share(folder=tmp_path / "instant", state="discarded")
    assert not (tmp_path / "instant").exists()
    assert not list((tmp_path / "run/exports").glob("*"))
    assert not [mount.point for mount in mounts() if mount.point.startswith(str(tmp_path))]


def download(share, name, folder):
    with mounted(share["port"]) as client:
        (folder / name).write_bytes(client.read(name, 0, SIZE + 1))


def test_a_hypervisor_finds_the_disk_that_was_backed_up(share, modules, tmp_path, content_by_qemu):
    shared = modules.vmdk_share(**share)["share"]
    (tmp_path / "seen").mkdir()
    assert shared["disks"] == [{"name": "disk0", "file": "web01.vmdk", "size": SIZE}]
    for name in ("web01.vmdk", "web01-flat.vmdk"):
        download(share, name, tmp_path / "seen")
    assert content_by_qemu(tmp_path / "seen/web01.vmdk") == content_by_qemu(tmp_path / "web01.vmdk")
    facts = modules.vmdk_info(path=tmp_path / "seen/web01.vmdk")["disk"]
    assert facts["uuid"] == modules.vmdk_info(path=tmp_path / "web01.vmdk")["disk"]["uuid"]


def test_a_second_run_changes_nothing(share, modules):
    assert modules.vmdk_share(**share)["changed"]
    again = modules.vmdk_share(**share)
    assert not again["changed"]
    assert again["share"]["port"] == share["port"]


def test_check_mode_makes_nothing(share, modules, tmp_path, digest_of_tree):
    before = digest_of_tree(tmp_path)
    foreseen = modules.vmdk_share(check_mode=True, **share)
    assert foreseen["changed"]
    assert digest_of_tree(tmp_path) == before
    assert foreseen["share"] == modules.vmdk_share(**share)["share"]


def test_what_was_written_is_there_after_a_stop(share, modules):
    modules.vmdk_share(**share)
    with mounted(share["port"]) as client:
        client.write("web01-flat.vmdk", 12_345, b"a machine wrote this")
        client.create("web01.vmx")
    stop = {"folder": share["folder"], "state": "stopped"}
    assert modules.vmdk_share(**stop)["changed"]
    assert not modules.vmdk_share(**stop)["changed"]
    modules.vmdk_share(**share)
    with mounted(share["port"]) as client:
        assert client.read("web01-flat.vmdk", 12_345, 20) == b"a machine wrote this"
        assert client.read("web01.vmx", 0, 1) == b""


def test_the_restore_point_stays_as_it_was(share, modules, tmp_path, content_by_qemu):
    modules.vmdk_share(**share)
    with mounted(share["port"]) as client:
        client.write("web01-flat.vmdk", 0, bytes(range(256)) * 16)
    repository = {key: share[key] for key in ("repository", "passphrase")}
    modules.vmdk_restore(restore_point="web01@first", dest=tmp_path / "restored.vmdk", **repository)
    assert content_by_qemu(tmp_path / "restored.vmdk") == content_by_qemu(tmp_path / "web01.vmdk")


def test_writes_to_one_point_are_never_shown_over_another(share, modules, make_disk):
    modules.vmdk_share(**share)
    modules.vmdk_share(folder=share["folder"], state="stopped")
    repository = {key: share[key] for key in ("repository", "passphrase")}
    other = make_disk("db01.vmdk", seed=2)
    modules.vmdk_backup(path=other, **repository)
    failed = modules.fail("vmdk_share", **{**share, "path": "db01@latest"})
    assert "belongs to another restore point" in failed["msg"]


@pytest.mark.parametrize("state", ["started", "discarded"])
def test_a_folder_with_other_things_is_let_be(share, modules, tmp_path, state):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter").write_text("to Anna")
    failed = modules.fail("vmdk_share", **{**share, "folder": tmp_path / "mine", "state": state})
    assert "has other things in it" in failed["msg"]
    assert (tmp_path / "mine/letter").read_text() == "to Anna"


def test_a_disk_that_is_no_restore_point_is_refused(share, modules, tmp_path):
    failed = modules.fail("vmdk_share", **{**share, "path": tmp_path / "web01.vmdk"})
    assert "only disks in restore points" in failed["msg"]


@pytest.mark.parametrize("state", ["stopped", "discarded"])
def test_of_a_share_that_was_killed_nothing_is_left(share, modules, tmp_path, state):
    modules.vmdk_share(**share)
    (journal,) = (tmp_path / "run").rglob("state.json")
    server = Process(*json.loads(journal.read_bytes())["server"])
    server.send(signal.SIGKILL)
    assert server.wait(20)
    assert modules.vmdk_share(folder=share["folder"], state=state)["changed"]
    assert not list((tmp_path / "run/exports").glob("*"))


def test_an_empty_folder_is_not_deleted_where_nothing_was_shared(share, modules, tmp_path):
    (tmp_path / "empty").mkdir()
    assert not modules.vmdk_share(folder=tmp_path / "empty", state="discarded")["changed"]
    assert (tmp_path / "empty").is_dir()


def test_a_folder_behind_a_link_is_discarded_as_well(share, modules, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "instant")
    modules.vmdk_share(**share)
    modules.vmdk_share(folder=tmp_path / "link", state="discarded")
    assert not (tmp_path / "instant").exists()


@pytest.mark.parametrize("clients", [[], ["*"], ["10.0.0.1, *"], ["esx*.example.com"], ["@group"]])
def test_only_addresses_and_networks_are_let_in(share, modules, clients):
    failed = modules.fail("vmdk_share", **{**share, "clients": clients}, check_mode=True)
    assert "address" in failed["msg"]


@pytest.mark.parametrize("where", [{"address": "localhost"}, {"port": 0}, {"port": 70000}])
def test_where_nobody_can_listen_is_said_before(share, modules, where):
    failed = modules.fail("vmdk_share", **{**share, **where}, check_mode=True)
    assert "address" in failed["msg"] or "port" in failed["msg"]


@pytest.mark.parametrize("mode, owner", [(0o777, 0), (0o700, 65534)])
def test_a_folder_of_other_users_is_refused(share, modules, tmp_path, mode, owner):
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, owner, -1)
    folder.chmod(mode)
    failed = modules.fail("vmdk_share", **{**share, "folder": folder}, check_mode=True)
    assert "other users" in failed["msg"]


@pytest.mark.parametrize("left", [[], [".vdisk-share.vdisk-tmp"], [".vdisk-share"]])
def test_a_start_that_was_killed_is_repeated(share, modules, tmp_path, left):
    """Whatever it had made by then."""
    modules.vmdk_share(**share)
    reference = (tmp_path / "instant/.vdisk-share").read_bytes()
    modules.vmdk_share(folder=share["folder"], state="discarded")
    (tmp_path / "instant").mkdir()
    for name in left:
        (tmp_path / "instant" / name).write_bytes(reference)
    assert modules.vmdk_share(**share)["changed"]
    assert (tmp_path / "instant/files/web01.vmdk").stat().st_size


def test_a_discarding_that_was_killed_is_repeated(share, modules, tmp_path):
    modules.vmdk_share(**share)
    modules.vmdk_share(folder=share["folder"], state="stopped")
    for name in ("overlays", "files"):  # in whatever order: the mark goes last
        shutil.rmtree(tmp_path / "instant" / name)
    assert modules.vmdk_share(folder=share["folder"], state="discarded")["changed"]
    assert not (tmp_path / "instant").exists()
