# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules tell that take long only now and then."""

# pylint: disable=unused-import
from __future__ import annotations

import json
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.tests.integration.modules.conftest import (  # noqa: F401
    disk,
    make_disk,
    modules,
    repository,
    shelf,
    zygote,
)

MIB = 1 << 20


@pytest.fixture
def told(tmp_path, monkeypatch):
    """told(): what the last module said last of its progress."""
    file = tmp_path / "progress.json"
    monkeypatch.setenv("VDISK_PROGRESS_FILE", str(file))

    def read():
        facts = json.loads(file.read_text(encoding="utf-8"))
        return facts["label"], facts["done"], facts["total"]

    return read


def test_digest(modules, disk, told):  # noqa: F811
    modules.vmdk_info(path=disk)
    assert told() == ("", 0, 0)
    modules.vmdk_info(path=disk, digest=True)
    assert told() == ("web01.vmdk", 40 * MIB, 40 * MIB)


def test_compaction(modules, disk, repository, tmp_path, told):  # noqa: F811
    modules.vmdk_backup(path=disk, name="first", **repository)
    (tmp_path / "zeros").write_bytes(bytes(33 * MIB))
    modules.vmdk_data(path=disk, offset=0, src=tmp_path / "zeros")
    modules.vmdk_backup(path=disk, name="second", **repository)
    made = modules.vmdk_prune(keep_last=1, compact=90, grace="0s", **repository)
    label, done, total = told()
    assert label == "compact packs"
    assert 0 < done == total <= made["compacted"]["bytes_written"]


def test_commit(modules, tmp_path, told):  # noqa: F811
    path, place = tmp_path / "web01.img", tmp_path / "mounted"
    subprocess.run(["mkfs.ext4", "-q", path, "8M"], check=True, capture_output=True)
    modules.vmdk_mount(path=path, mount_point=place, read_only=False, transaction=True)
    (place / "file").write_bytes(b"x" * MIB)
    made = modules.vmdk_mount(mount_point=place, state="committed")
    written = made["transfer"]["bytes_total"]
    assert told() == ("web01.img", written, written)


def test_what_vsphere_makes_and_grows(modules, shared_vcenter, tmp_path, monkeypatch, told):  # noqa: F811
    for name, value in shared_vcenter.environment().items():
        monkeypatch.setenv(name, value)
    path = f"[datastore1] {tmp_path.name}/new.vmdk"
    modules.vmdk_create(path=path, size="4MiB", disk_type="eagerZeroedThick")
    assert told() == ("new.vmdk", 4 * MIB, 4 * MIB)
    modules.vmdk_resize(path=path, size="6MiB")
    assert told() == ("new.vmdk", 6 * MIB, 6 * MIB)
    modules.vmdk_create(path=path, state="absent")
