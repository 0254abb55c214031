# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks that have no job template run in AWX, too: with extra variables that somebody types."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from .definitions import PROJECT, TEMPLATES
from .jobs import inventory_of, run, secrets_in, typed

PASSPHRASE = "a passphrase that nobody sees"
# Each with its variables; {here} is the folder of the test.
SMALL = {
    "disk_maintenance": {"disk_maintenance_disks": ["{here}/data.vmdk"]},
    "recover": {
        "recover_disk": "{here}/data.vmdk",
        "recover_saved": "{here}/saved.vmdk",
        "recover_dest": "{here}/files",
        "recover_mount_point": "{here}/mounted",
    },
    "restore_files": {
        "restore_files_path": "data@latest",
        "restore_files_repository": "{here}/repository",
        "restore_files_passphrase": PASSPHRASE,
        "restore_files_dest": "{here}/files",
        "restore_files_mount_root": "{here}/mounted",
        "restore_files_safe_mode": "false",
    },
    "scan_disk": {
        "scan_disk_disks": ["{here}/data.vmdk"],
        "scan_disk_antivirus": False,
        "scan_disk_mount_root": "{here}/mounted",
    },
}
ELSEWHERE = {
    "configure_awx": "test_configure_awx.py",
    "known_target": "all others begin with it; test_a_target_that_is_not_there_is_no_success",
    "demo": "takes a minute and a half: make demo",
    "vsphere_role": "wants community.vmware; its lists are tested in vsphere/test_role.py",
}


@pytest.fixture
def here(tmp_path, modules):
    """A folder with a small disk, and a repository that has it."""
    (tmp_path / "content").mkdir()
    (tmp_path / "content/hello.txt").write_text("hello\n")
    command = ["mkfs.ext4", "-q", "-L", "data", "-d", str(tmp_path / "content")]
    subprocess.run([*command, str(tmp_path / "data.img"), "16M"], check=True)
    modules.vmdk_clone(
        src=tmp_path / "data.img",
        dest=tmp_path / "data.vmdk",
        disk_type="monolithicSparse",
    )
    modules.vmdk_repository(url=str(tmp_path / "repository"), passphrase=PASSPHRASE)
    modules.vmdk_backup(
        path=tmp_path / "data.img",
        repository=str(tmp_path / "repository"),
        passphrase=PASSPHRASE,
    )
    return tmp_path


def placed(value, here):
    if isinstance(value, list):
        return [placed(each, here) for each in value]
    return value.replace("{here}", str(here)) if isinstance(value, str) else value


@pytest.mark.serial
@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/loop-control").exists() or not Path("/dev/fuse").exists(),
    reason="needs root, loop devices and FUSE",
)
@pytest.mark.one_a_build  # each is a whole Ansible, and tested elsewhere
@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_playbook_on_a_small_disk(name, here):
    variables = {key: placed(value, here) for key, value in SMALL[name].items()}
    environment = {"VDISK_RUN_DIR": str(here / "run")}
    inventory = inventory_of("proxy1")
    variables["target"] = "proxy1"
    job = run(here / "job", f"playbooks/{name}.yml", typed(variables), inventory, environment)
    assert job.status == "successful", job.output
    assert secrets_in(job, PASSPHRASE) == []
    if name in ("recover", "restore_files"):
        assert (here / "files/hello.txt").read_text() == "hello\n"


@pytest.mark.parametrize(
    ("target", "words", "told"),
    [
        ("prxoy1", "", "target is prxoy1: "),
        ("", "", "target is empty: "),
        ("proxy1", "--limit proxy2", "--limit proxy2 leaves out the target, proxy1"),
    ],
)
def test_a_target_that_is_not_there_is_no_success(tmp_path, target, words, told):
    """Not a job that does nothing, and is green."""
    inventory, given = inventory_of("proxy1", "proxy2"), typed({"target": target})
    job = run(tmp_path, "playbooks/repository.yml", given, inventory, {}, words=words)
    assert job.status == "failed"
    assert told in job.output


def test_every_playbook_that_has_a_target_looks_whether_it_is_there():
    for path in (PROJECT / "playbooks").glob("*.yml"):
        first = yaml.safe_load(path.read_text())[0]
        if path.stem not in ELSEWHERE:
            assert first.get("ansible.builtin.import_playbook") == "known_target.yml", path


def test_every_playbook_is_run_by_a_test():
    there = {path.stem for path in (PROJECT / "playbooks").glob("*.yml")}
    templates = {Path(template["playbook"]).stem for template in TEMPLATES.values()}
    assert there == templates | set(SMALL) | set(ELSEWHERE)
