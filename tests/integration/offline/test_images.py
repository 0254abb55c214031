# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks as hosts: vmdk_images, through ansible-inventory."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job import list_disks
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access

FAILING = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1"}
PROGRAM = os.path.join(os.path.dirname(sys.executable), "ansible-inventory")


@pytest.fixture
def inventory(tmp_path):
    """inventory(text) -> (variables by host, hosts by group, warnings)"""

    def run(text, before=None, **environment):
        path = tmp_path / "some.vmdk_images.yml"
        earlier = [] if before is None else ["-i", before]
        path.write_text(f"plugin: vdisk.lifecycle.vmdk_images\n{text}")
        done = subprocess.run(
            [PROGRAM, *earlier, "-i", path, "--list", "--export"],
            env={**os.environ, "VDISK_RUN_DIR": str(tmp_path / "run"), **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        groups = json.loads(done.stdout.replace('"__ansible_unsafe"', '"text"'))
        variables = {name: _plain(each) for name, each in groups["_meta"]["hostvars"].items()}
        hosts = {name: sorted(each.get("hosts", [])) for name, each in groups.items()}
        return variables, hosts, " ".join(done.stderr.split())

    return run


def _plain(value):
    if isinstance(value, dict):
        return value["text"] if set(value) == {"text"} else {k: _plain(v) for k, v in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


@pytest.fixture
def folder(tmp_path, make_system_disk):
    """A flat disk with a system, an empty sparse one, one with a child, and a broken one."""
    folder = tmp_path / "vm"
    folder.mkdir()
    make_system_disk(folder / "web01.vmdk", "monolithicFlat")
    _qemu("create", "-f", "vmdk", folder / "empty.vmdk", "8M")
    _qemu("create", "-f", "vmdk", folder / "base.vmdk", "8M")
    backing = ["-b", folder / "base.vmdk", "-F", "vmdk"]
    _qemu("create", "-f", "vmdk", *backing, folder / "child.vmdk")
    (folder / "broken.vmdk").write_bytes(b"no disk at all")
    return folder


@pytest.fixture
def make_system_disk(tmp_path, system):
    def make(path, subformat):
        root = tmp_path / "files"
        shutil.copytree(system, root, symlinks=True)
        (root / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\nNAME="{{ 1 + 1 }}"\n')
        raw = tmp_path / "system.img"
        command = ["mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root, raw, "16M"]
        subprocess.run(command, check=True)
        _qemu("convert", "-O", "vmdk", "-o", f"subformat={subformat}", raw, path)

    return make


def _qemu(*arguments):
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not installed")
    command = ["qemu-img", arguments[0], "-q", *map(str, arguments[1:])]
    subprocess.run(command, check=True)


def _digests(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_disks_are_hosts_and_broken_ones_warnings(inventory, folder):
    variables, hosts, warnings = inventory(
        f"paths: ['{folder}/*.vmdk']\nmount_root: /mnt/x\n"
        "keyed_groups:\n"
        "  - {key: vmdk_file_systems, prefix: fs}\n"
        "  - {key: vmdk_disk_type, prefix: type}\n"
        "groups: {small: vmdk_size < 2 ** 24}\n"
        "compose: {twice: vmdk_size * 2}\n"
    )
    assert sorted(variables) == ["child", "empty", "web01"]
    assert hosts["fs_ext4"] == ["web01"]
    assert hosts["type_monolithicSparse"] == ["child", "empty"]
    assert hosts["small"] == ["child", "empty"]
    web = variables["web01"]
    assert web["ansible_connection"] == "vdisk.lifecycle.vmdk_root"
    assert (web["ansible_host"], web["ansible_remote_tmp"]) == ("/mnt/x/web01", "/tmp")
    assert (web["vmdk_path"], web["vmdk_size"]) == (str(folder / "web01.vmdk"), 16 << 20)
    assert (web["vmdk_labels"], web["twice"]) == (["root"], 32 << 20)
    assert "broken.vmdk" in warnings
    assert "flat" not in warnings


def test_how_the_user_reaches_a_host_stays(inventory, folder, tmp_path):
    theirs = tmp_path / "hosts.ini"
    theirs.write_text("empty ansible_host=/srv/mine vmdk_path=old\nchild\n")
    variables, _hosts, _warnings = inventory(f"paths: ['{folder}/*.vmdk']\n", before=theirs)
    assert variables["empty"]["ansible_host"] == "/srv/mine"
    assert variables["empty"]["ansible_connection"] == "vdisk.lifecycle.vmdk_root"
    assert variables["empty"]["vmdk_path"] == str(folder / "empty.vmdk")
    assert variables["child"]["ansible_host"] == "/mnt/child"


def test_system_on_a_disk_is_told_and_nothing_written(inventory, folder):
    before = _digests(folder)
    variables, hosts, warnings = inventory(
        f"paths: ['{folder}/*.vmdk']\nfacts: true\n"
        "keyed_groups: [{key: \"vmdk_guest.id | default('unknown', true)\", prefix: os}]\n"
    )
    assert hosts["os_debian"] == ["web01"]
    assert hosts["os_unknown"] == ["child", "empty"]
    guest = variables["web01"]["vmdk_guest"]
    assert (guest["version"], guest["hostname"]) == ("12", "web01")
    assert guest["name"] == "{{ 1 + 1 }}"  # what an image says is no template of ours
    assert "packages" not in guest
    assert "empty: nobody can tell" in warnings
    assert _digests(folder) == before


def test_disks_of_one_name_are_told_apart(inventory, folder, tmp_path):
    (tmp_path / "other").mkdir()
    shutil.copy(folder / "empty.vmdk", tmp_path / "other")
    variables, _hosts, _warnings = inventory(f"paths: ['{tmp_path}/**/empty.vmdk']\n")
    assert len(variables) == 2
    assert len({each["ansible_host"] for each in variables.values()}) == 2


def test_name_of_a_folder_hides_no_disk(inventory, folder, tmp_path):
    for place in ("x_y", "x/y"):
        (tmp_path / place).mkdir(parents=True)
        shutil.copy(folder / "empty.vmdk", tmp_path / place)
    variables, _hosts, warnings = inventory(f"paths: ['{tmp_path}/x*/**/empty.vmdk']\n")
    assert len(variables) == 1
    assert f"{tmp_path}/x_y/empty.vmdk: it is no host" in warnings


def test_disk_is_never_the_controller(inventory, folder):
    (folder / "empty.vmdk").rename(folder / "localhost.vmdk")
    variables, _hosts, _warnings = inventory(f"paths: ['{folder}/localhost.vmdk']\n")
    assert sorted(variables) == [str(folder / "localhost.vmdk").strip("/").replace("/", "_")]


def test_file_name_is_no_pattern_of_hosts(inventory, folder):
    (folder / "empty.vmdk").rename(folder / "app[1:3] all\n.vmdk")
    variables, _hosts, _warnings = inventory(f"paths: ['{folder}/app*']\n")
    assert sorted(variables) == ["app_1_3__all_"]


def test_links_out_of_a_folder_are_no_disks(inventory, folder, tmp_path):
    (tmp_path / "outside.img").write_bytes(bytes(1 << 20))
    (folder / "link.vmdk").symlink_to(tmp_path / "outside.img")
    (folder / "latest.vmdk").symlink_to("empty.vmdk")
    variables, _hosts, warnings = inventory(f"paths: ['{folder}/l*.vmdk']\n")
    assert sorted(variables) == ["empty"]
    assert "link out of its folder" in warnings


def test_files_and_points_are_not_mixed(inventory, folder):
    with pytest.raises(subprocess.CalledProcessError) as failed:
        inventory(f"paths: ['{folder}/*.vmdk']\nrepository: /srv/backup\n", **FAILING)
    assert "paths and repository need a file each" in failed.value.stderr


def test_cache_is_used_until_it_is_flushed(inventory, folder, tmp_path):
    text = f"paths: ['{folder}/empty.vmdk']\ncache: true\ncache_plugin: ansible.builtin.jsonfile\n"
    text += f"cache_connection: {tmp_path}/kept\n"
    assert sorted(inventory(text)[0]) == ["empty"]
    (folder / "empty.vmdk").unlink()
    assert sorted(inventory(text)[0]) == ["empty"]


@pytest.mark.parametrize(
    ("name", "expected"), [("[prod] web/1", "_prod__web_1"), ("../..", "_.."), ("..", "_")]
)
def test_name_of_a_machine_is_no_path(name, expected):
    assert list_disks._host_name(name) == expected


def test_nothing_to_look_at_is_told(tmp_path):
    told = []
    pattern = f"{tmp_path}/*.vmdk"
    found = list_disks.disks_in_files([pattern], Access(), told.append)
    assert (found, told) == ({}, [f"{pattern}: no file has a name like that"])
