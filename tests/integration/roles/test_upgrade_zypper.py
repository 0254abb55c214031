# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How patch_window upgrades a SUSE system: a stand-in for zypper, which Debian does not have."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

TASKS = pathlib.Path(__file__).parents[3] / "roles/patch_window/tasks/upgrade_zypper.yml"
# Each run of it ends with the next of these codes. ZYPPER_EXIT_INF_RESTART_NEEDED of zypper(8): it
# has updated itself, and has to be run again for all else.
ITSELF = 103
ZYPPER = """#!/bin/sh
code=$(head -n 1 {codes}) && sed -i 1d {codes}
[ "$code" = 0 ] && echo "Nothing to do."
exit "$code"
"""


@pytest.mark.parametrize(("codes", "state"), [([ITSELF, 0], "changed"), ([ITSELF] * 2, "failed")])
def test_zypper_that_updates_itself_is_run_again(tmp_path, codes, state):
    (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
    zypper = tmp_path / "zypper"
    zypper.write_text(ZYPPER.format(codes=tmp_path / "codes"))
    zypper.chmod(0o755)
    include = {"ansible.builtin.include_tasks": str(TASKS), "vars": {"patch_window_wanted": "all"}}
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [include]}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    ansible = pathlib.Path(sys.executable).with_name("ansible-playbook")
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    ran = subprocess.run(
        [ansible, tmp_path / "play.yml"],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"{state}=1" in ran.stdout
    assert (tmp_path / "codes").read_text() == ""
