# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One transaction over a logical volume that lies on two disks."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.mount_disk import (
    MountJob,
    plan_mounted,
    transact_job,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.transact_disk import (
    plan_committed,
    plan_discarded,
)

pytestmark = [
    pytest.mark.serial,
    pytest.mark.skipif(not shutil.which("vgcreate"), reason="lvm2 is not installed"),
]
MIB = 1 << 20
_QUIET = {**os.environ, "LVM_SUPPRESS_FD_WARNINGS": "1", "LC_ALL": "C"}


def run(*command):
    words = [str(word) for word in command]
    return subprocess.run(
        words, check=True, capture_output=True, text=True, env=_QUIET, timeout=60
    ).stdout


@pytest.fixture
def disks(tmp_path):
    """vg0/root, 40 MiB: most of the first disk and some of the second."""
    paths = [tmp_path / "one.img", tmp_path / "two.img"]
    for path in paths:
        with open(path, "wb") as stream:
            stream.truncate(32 * MIB)
    devices = [run("losetup", "--find", "--show", path).strip() for path in paths]
    try:
        accepted = ",".join(f'"a|^{device}$|"' for device in devices)
        options = ("--driverloaded", "n", "--config", f'devices{{filter=[{accepted},"r|.*|"]}}')
        run("pvcreate", *options, *devices)
        run("vgcreate", *options, "vg0", *devices)
        run("lvcreate", *options, "-an", "-Zn", "-Wn", "-n", "root", "-L", "40M", "vg0")
    finally:
        run("losetup", "--detach", *devices)
    _format(tmp_path, paths)
    return paths


def _format(tmp_path, paths):
    """28 MiB, seven extents of 4 MiB, fit on the first disk; both begin at 1 MiB."""
    image = tmp_path / "content.img"
    with open(image, "wb") as stream:
        stream.truncate(40 * MIB)
    run("mkfs.ext4", "-q", "-E", "nodiscard", image)
    content = image.read_bytes()
    image.unlink()
    for path, part in zip(paths, (content[: 28 * MIB], content[28 * MIB :]), strict=True):
        with open(path, "r+b") as stream:
            stream.seek(MIB)
            stream.write(part)


@pytest.fixture
def job(disks, point):
    def make(*order, **options):
        first, second = (disks[number] for number in order or (0, 1))
        return MountJob(
            str(first), str(point), Access(), disks=(str(second),), volume="vg0/root", **options
        )

    return make


def contents(disks):
    return [path.read_bytes() for path in disks]


def test_committed_to_both(disks, job, point, tmp_path):
    """Afterwards the disks may be named in any order."""
    before, data = contents(disks), os.urandom(25 * MIB)
    plan_mounted(job(transaction=True)).run(False)
    (point / "data").write_bytes(data)
    assert contents(disks) == before
    done = plan_committed(transact_job(job(changes=True))).run(False)
    assert done["changes"]["files"]["added"] == ["/data"]
    assert all(now != then for now, then in zip(contents(disks), before, strict=True))
    plan_mounted(job(1, 0)).run(False)
    assert (point / "data").read_bytes() == data
    session.unmount(str(point))
    assert not [name for name in os.listdir(tmp_path) if ".vdisk" in name]


def test_discarded_by_both(disks, job, point, tmp_path):
    before = contents(disks)
    plan_mounted(job(transaction=True)).run(False)
    (point / "data").write_bytes(os.urandom(25 * MIB))
    session.unmount(str(point))
    both = [str(disk) for disk in disks]
    plan_discarded(transact_job(job(), both[::-1])).run(False)
    assert contents(disks) == before
    assert not [name for name in os.listdir(tmp_path) if ".vdisk" in name]
