# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Examples that need a vCenter run as they are printed, where the environment names one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ansible_collections.vdisk.lifecycle.tests.integration.modules.test_examples import examples

ANSIBLE = Path(sys.executable).with_name("ansible-playbook")


@pytest.mark.parametrize("module", ["vmdk_attach", "vmdk_power_on", "vmdk_vm_info"])
def test_examples_of(module, trusted, tmp_path):
    book = tmp_path / "play.yml"
    play = {"hosts": "localhost", "gather_facts": False, "tasks": examples(module)}
    book.write_text(yaml.safe_dump([play], sort_keys=False))
    done = subprocess.run(
        [str(ANSIBLE), "-i", "localhost,", "-c", "local", str(book)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "ANSIBLE_PYTHON_INTERPRETER": sys.executable, "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert trusted.password not in done.stdout + done.stderr
