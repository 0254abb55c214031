# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of disks as users write them: on a host ~ and $VARIABLES mean something."""

from __future__ import annotations

import os
import uuid


def found_in(lab, file):
    """The folder of that disk."""
    (found,) = [folder for folder, _size, name in lab.files() if name == file]
    return found


def test_a_dollar_in_the_name_of_a_managed_disk_is_a_dollar(lab, modules, monkeypatch):
    monkeypatch.setenv("VDISK_TEST", "elsewhere")
    folder = f"[datastore1] {uuid.uuid4().hex[:12]}$VDISK_TEST"
    path, moved = f"{folder}/a$HOME.vmdk", f"{folder}/~.vmdk"
    assert modules.vmdk_create(path=path, size="4MiB")["disk"]["path"] == path
    assert modules.vmdk_resize(path=path, size="8MiB")["disk"]["path"] == path
    assert modules.vmdk_convert(path=path, disk_type="thick")["disk"]["path"] == path
    assert modules.vmdk_shrink(path=path)["disk"]["path"] == path
    assert modules.vmdk_defragment(path=path)["disk"]["path"] == path
    assert modules.vmdk_rename(src=path, dest=moved)["disk"]["path"] == moved
    assert f"[datastore1] {os.path.basename(found_in(lab, '~.vmdk'))}" == folder


def test_in_the_name_of_a_file_it_is_a_variable(modules, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VDISK_TEST", "data")
    path = "~/$VDISK_TEST.vmdk"
    made = modules.vmdk_create(path=path, size="4MiB")["disk"]["path"]
    assert made == str(tmp_path / "data.vmdk")
    assert modules.vmdk_resize(path=path, size="8MiB")["disk"]["path"] == made
    assert modules.vmdk_convert(path=path, disk_type="monolithicFlat")["disk"]["path"] == made
    assert modules.vmdk_shrink(path=path)["disk"]["path"] == made
    assert modules.vmdk_defragment(path=path)["disk"]["path"] == made
    assert modules.vmdk_snapshot(path=path, child="~/$VDISK_TEST-1.vmdk")["changed"]
    assert modules.vmdk_snapshot(path=path, child="~/$VDISK_TEST-1.vmdk", state="absent")["changed"]
    modules.vmdk_rename(src=path, dest="$HOME/moved.vmdk")
    assert (tmp_path / "moved.vmdk").exists()
