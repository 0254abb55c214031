# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks in files, to which vSphere is nothing."""

from __future__ import annotations

import json
import subprocess
import sys

MODULES = "ansible_collections.vdisk.lifecycle.plugins.modules"


def test_disks_in_files_need_no_library_and_no_network(tmp_path):
    """What a hosted call imports, in a process of its own."""
    for module, arguments in {
        "vmdk_create": {"path": str(tmp_path / "a.vmdk"), "size": "1MiB"},
        "vmdk_resize": {"path": str(tmp_path / "a.vmdk"), "size": "2MiB"},
        "vmdk_info": {"path": str(tmp_path / "a.vmdk"), "digest": True},
        "vmdk_clone": {"src": str(tmp_path / "a.vmdk"), "dest": str(tmp_path / "b.vmdk")},
        "vmdk_convert": {"path": str(tmp_path / "b.vmdk"), "disk_type": "monolithicFlat"},
        "vmdk_shrink": {"path": str(tmp_path / "a.vmdk")},
        "vmdk_defragment": {"path": str(tmp_path / "a.vmdk")},
        "vmdk_data": {"path": str(tmp_path / "a.vmdk"), "length": 512},
        "vmdk_rename": {"src": str(tmp_path / "a.vmdk"), "dest": str(tmp_path / "c.vmdk")},
    }.items():
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", f"{MODULES}.{module}"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert json.loads(done.stdout)["changed"] is not None, done.stdout
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        unwanted = {"pyVmomi", "http.client", "ssl"}
        assert not imported & unwanted, module
        assert not {name for name in imported if "_job.managed." in name}, module
