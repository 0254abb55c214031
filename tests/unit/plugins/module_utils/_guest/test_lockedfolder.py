# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the state of what we run is kept."""

from __future__ import annotations

import os

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import MountFailed
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.lockedfolder import (
    run_directory,
)


@pytest.mark.parametrize(
    ("uid", "environment", "expected"),
    [
        (0, {}, "/run/vdisk-lifecycle/exports"),
        (0, {"XDG_RUNTIME_DIR": "/run/user/0"}, "/run/vdisk-lifecycle/exports"),
        (1000, {"XDG_RUNTIME_DIR": "/own"}, "/own/vdisk-lifecycle/exports"),
        (1000, {}, "/run/user/1000/vdisk-lifecycle/exports"),
        (1000, {"VDISK_RUN_DIR": "/named"}, "/named/exports"),
    ],
)
def test_whose_folder(monkeypatch, uid, environment, expected):
    for name in ("VDISK_RUN_DIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert run_directory("exports") == expected


def test_it_is_the_same_from_every_working_directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VDISK_RUN_DIR", "run")
    assert run_directory("mounts") == str(tmp_path / "run" / "mounts")


def planted_by_another(folder):
    folder.mkdir()
    os.chown(folder, 12345, 12345)


def writable_for_all(folder):
    folder.mkdir()
    folder.chmod(0o1777)


def linked_by_another(folder):
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to(folder.parent / "elsewhere")
    os.lchown(folder, 12345, 12345)


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away wants root")
@pytest.mark.parametrize("plant", [planted_by_another, writable_for_all, linked_by_another])
def test_what_others_could_write_is_not_trusted(monkeypatch, tmp_path, plant):
    plant(tmp_path / "run")
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    with pytest.raises(MountFailed, match="where others can write"):
        run_directory("mounts")
