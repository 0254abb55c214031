# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks of roles' READMEs run as they are printed, on a machine as their reader has one."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.tests.integration.modules.test_examples import (
    PASSPHRASE,
    first_playbook_of,
    run,
)

BACKUP = {"vdisk.lifecycle.vmdk_backup": {"vm": "files01", "repository": "/srv/backup"}}


@pytest.mark.one_a_build
@pytest.mark.parametrize("role", ["repository", "restore_vm"])
def test_playbook_of(role, tmp_path, start_vcenter, monkeypatch):
    before = []
    if role == "restore_vm":
        before = [BACKUP]
        for name, value in start_vcenter().environment().items():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path / "jobs"))
    (play,) = first_playbook_of(f"roles/{role}/README.md")
    play.pop("become")
    run([{**play, **surroundings(tmp_path), "pre_tasks": before}], tmp_path)


def surroundings(tmp_path):
    """What a play of a test has besides."""
    variables = {
        "vault_backup_passphrase": PASSPHRASE,
        "repository_state_dir": str(tmp_path / "state"),
    }
    return {"hosts": "localhost", "gather_facts": False, "vars": variables}
