# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines of nbdkit against golden files, and which library goes with which vSphere."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskNotFound,
    MissingTool,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.vddk import library
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.vddk.argv import (
    Place,
    command,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.vddk.library import (
    Vixlib,
    find_vixlib,
    mismatch,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.vddk.transport import (
    MODES,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.target import (
    VCenter,
)

GOLDEN = Path(__file__).parent / "golden"
SNAPSHOT = SimpleNamespace(_moId="snapshot-42")
CASES = {
    "snapshot": ("[ds 1] web 01/web 01.vmdk", SNAPSHOT, VCenter("vc", "backup@vsphere.local", "s")),
    "powered_off": ("[ds1] web01/web01_1.vmdk", None, VCenter("10.0.0.1", "root", "s", port=8443)),
}


@pytest.mark.parametrize("name", CASES)
def test_command_line(name):
    path, snapshot, vcenter = CASES[name]
    disk = SimpleNamespace(vm=SimpleNamespace(_moId="vm-16"), snapshot=snapshot, path=path)
    place = Place("/tmp/x/nbd.sock", "/tmp/x/vddk.conf", 9)
    argv = command("nbdkit", "/opt/vddk", disk, vcenter, "AB:CD", place, MODES)
    assert argv == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("major", "vsphere", "fits"),
    [
        (8, "6.7.0", True),
        (8, "8.0.3", True),
        (8, "9.0.0", True),
        (8, "10.0", False),
        (9, "7.0.3", True),
        (9, "6.7.0", False),
        (7, "8.0.1", True),
        (7, "9.0.0", False),
        (None, "9.0.0", True),
    ],
)
def test_which_library_goes_with_which_vsphere(major, vsphere, fits):
    assert (mismatch(Vixlib("nbdkit", "/opt", major, str(major)), vsphere) is None) is fits


def test_what_is_missing_is_told_in_words(tmp_path, monkeypatch):
    with pytest.raises(DiskNotFound, match="is no folder"):
        find_vixlib(str(tmp_path / "none"))
    (tmp_path / "lib64").mkdir()
    with pytest.raises(DiskNotFound, match=r"no lib64/libvixDiskLib\.so"):
        find_vixlib(str(tmp_path))
    monkeypatch.setattr(library.shutil, "which", lambda program, path: None)
    with pytest.raises(MissingTool, match="apt-get install nbdkit"):
        find_vixlib(str(tmp_path))
