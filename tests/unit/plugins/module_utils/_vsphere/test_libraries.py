# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""pyVmomi is asked for where a vCenter is, and nowhere else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import MissingLibrary
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.session import (
    open_session,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.target import (
    VCenter,
)

MODULE = "ansible_collections.vdisk.lifecycle.plugins.modules.vmdk_vm_info"


def test_without_it_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyVmomi", None)
    with pytest.raises(MissingLibrary, match="pip install pyvmomi"):
        open_session(VCenter("vc.invalid", "backup", "secret"))


def test_a_module_can_be_imported_without_it():
    code = f"import sys; sys.modules['pyVmomi'] = None; import {MODULE}"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
