# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of the documentation runs as it is printed, on a machine as its reader has one."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
# those that need a vCenter have a place of their own: ../vsphere/test_examples.py
VSPHERE = {"vmdk_attach", "vmdk_power_on", "vmdk_vm_info"}
ALL = {path.stem for path in (ROOT / "plugins" / "modules").glob("vmdk_*.py")}
MODULES = sorted(ALL - VSPHERE)
PASSPHRASE = "correct horse battery staple"
# What must have been done before examples that need a vCenter.
FIRST = {
    "vmdk_restore": [
        {"vdisk.lifecycle.vmdk_backup": {"vm": "files01", "repository": "/srv/backup"}}
    ]
}
ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
ROOM = Path(__file__).with_name("example_room.sh")  # /srv and /mnt of its own for each test
OWN_MOUNTS = Path(__file__).parent.with_name("own_mounts.sh")


def examples(module):
    tree = ast.parse((ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "EXAMPLES":
            return yaml.safe_load(ast.literal_eval(node.value))
    raise AssertionError(f"{module} has no examples")


def first_playbook_of(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    return yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])


def run(plays, tmp_path, *without):
    """Run plays in a private room that holds what examples speak of, except `without`."""
    pattern = tmp_path.parent / "example-room"  # made once, then copied
    book = tmp_path / "play.yml"
    book.write_text(yaml.safe_dump(plays, sort_keys=False))
    room = [str(OWN_MOUNTS), "bash", str(ROOM), str(pattern)]
    command = [str(ANSIBLE), "-i", "localhost,hypervisors,", "-c", "local", str(book)]
    done = subprocess.run(
        [*room, *without, "--", *command],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={
            **os.environ,
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "LC_ALL": "C.UTF-8",
            "VDISK_PASSPHRASE": PASSPHRASE,
            "VDISK_RUN_DIR": str(tmp_path / "run"),
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", MODULES)
def test_examples_of(module, tmp_path):
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"vault_backup_passphrase": PASSPHRASE},
        "tasks": [task for task in examples(module) if not is_managed(task)],
    }
    # what an example makes must not be there before
    without = {"vmdk_repository": ["backup"], "vmdk_restore": ["export/web01.vmdk"]}.get(module, [])
    run([play], tmp_path, *without)


def is_managed(task):
    """Whether it is about a disk, or a machine, of vSphere."""
    if any(name.startswith("vdisk.lifecycle.vmdk_window") for name in task):
        return False  # these connect to nothing
    options = (each for each in task.values() if isinstance(each, dict))
    named = any(name in str(task) for name in ("[datastore1]", "files01"))
    return named or any("vm" in each for each in options)


def has_managed(module):
    return any(map(is_managed, examples(module)))


@pytest.mark.parametrize("module", [each for each in MODULES if has_managed(each)])
def test_managed_examples_of(module, tmp_path, modules, start_vcenter, monkeypatch):
    for name, value in start_vcenter().environment().items():
        monkeypatch.setenv(name, value)
    modules.vmdk_create(path="[datastore1] archive/golden.vmdk", size="8MiB", disk_type="thick")
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path / "jobs"))
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"vault_backup_passphrase": PASSPHRASE},
        "tasks": [*FIRST.get(module, ()), *filter(is_managed, examples(module))],
    }
    run([play], tmp_path)


def test_playbook_of_the_readme(tmp_path):
    plays = first_playbook_of("README.md")
    for play in plays:
        play["gather_facts"] = False
        play["vars"] = {"vault_backup_passphrase": PASSPHRASE}
    run(plays, tmp_path, "backup")


def test_playbook_of_vm_backups(tmp_path, start_vcenter, monkeypatch):
    for name, value in start_vcenter().environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path / "jobs"))
    plays = first_playbook_of("docs/vm-backup.md")
    for play in plays:
        play["gather_facts"] = False
    run(plays, tmp_path, "backup")
