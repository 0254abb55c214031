# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sixteen disks of many kinds, mounted, written, read and unmounted by as many processes."""

from __future__ import annotations

import functools
import multiprocessing
import os
import pathlib
import shutil
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session

pytestmark = pytest.mark.serial
MIB = 1 << 20
LVM = {**os.environ, "LVM_SUPPRESS_FD_WARNINGS": "1", "LC_ALL": "C"}


def run(*command, text=None):
    words = [str(word) for word in command]
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=True, env=LVM)
    return done.stdout.strip()


def blank(path, mib):
    with open(path, "wb") as stream:
        stream.truncate(mib * MIB)
    return path


@pytest.fixture
def tree(tmp_path):
    """A guest with a /boot of its own."""
    folder = tmp_path / "tree"
    (folder / "etc").mkdir(parents=True)
    (folder / "boot").mkdir()
    (folder / "etc/fstab").write_text(
        "LABEL=root / ext4 defaults 0 1\nLABEL=boot /boot ext4 defaults 0 2\n"
    )
    return folder


def bare(folder, _tree, kind):
    path = blank(folder / "disk.img", {"ext4": 16, "xfs": 300, "btrfs": 110}[kind])
    command = [f"mkfs.{kind}", *(["-L", "root"] if kind != "ext4" else ["-q", "-L", "root"]), path]
    try:
        run(*command)
    except subprocess.CalledProcessError:  # btrfs stumbles over loop devices that others let go
        run(*command)
    return [path]


def whole_guest(folder, tree):
    """A table with a root and a /boot."""
    path = blank(folder / "disk.img", 48)
    run(
        *["sfdisk", "--quiet", "--label", "gpt"],
        path,
        text="start=2048, size=16M\nstart=36864, size=16M\n",
    )
    run("mke2fs", "-q", "-t", "ext4", "-L", "boot", "-E", f"offset={MIB}", path, "16M")
    run(
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-L",
        "root",
        "-d",
        tree,
        "-E",
        f"offset={18 * MIB}",
        path,
        "16M",
    )
    return [path]


def spread(folder, _tree):
    """A logical volume whose first half is on another disk than its second."""
    if not shutil.which("vgcreate"):
        pytest.skip("lvm2 is not installed")
    paths = [blank(folder / name, 20) for name in ("disk.img", "second.img")]
    devices = [run("losetup", "--find", "--show", path) for path in paths]
    try:
        names = ",".join(f'"a|^{device}$|"' for device in devices)
        settings = f'devices{{filter=[{names},"r|.*|"]}} global{{locking_dir="{folder}/lock"}}'
        options = ["--driverloaded", "n", "--config", settings]
        run("pvcreate", *options, *devices)
        run("vgcreate", *options, "vg0", *devices)
        run("lvcreate", *options, *["-an", "-Zn", "-Wn", "-n", "root", "-l", "8", "vg0"])
    finally:
        run("losetup", "--detach", *devices)
    format_spread(paths)
    return paths


def format_spread(paths):
    """Through our own reader of LVM, whose truth test_lvm.py shows."""
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.discover import (
        find_volumes,
    )

    disks = [RawDevice.open(str(path), writable=True) for path in paths]
    volume = next(each for each in find_volumes(disks) if each.name == "vg0/root")
    device = volume.open(disks)
    image = blank(paths[0].with_name("root.img"), volume.size // MIB)
    run("mkfs.ext4", "-q", "-L", "root", image)
    device.write(0, image.read_bytes())
    device.flush()
    for disk in disks:
        disk.close()
    image.unlink()


MAKERS = [
    *[functools.partial(bare, kind="ext4")] * 6,
    *[functools.partial(bare, kind="xfs")] * 2,
    *[functools.partial(bare, kind="btrfs")] * 2,
    *[whole_guest] * 3,
    *[spread] * 3,
]


def request_for(number, paths, point, maker):
    """Every other one goes through a daemon of ours, where both ways are possible."""
    if number % 2:
        sources = [session.FlatFile(str(path), 0, os.path.getsize(path)) for path in paths]
    else:
        sources = [functools.partial(RawDevice.open, str(path), writable=True) for path in paths]
    return session.MountRequest(
        sources[0],
        str(paths[0]),
        str(point),
        volume="vg0/root" if maker is spread else None,
        read_only=False,
        further=tuple(sources[1:]),
        paths=tuple(map(str, paths)),
        layout="guest" if maker is whole_guest else "volume",
    )


def use(request):
    """Twice, so that the second time shows what the first has left; a process of its own."""
    state = session.mount(request)
    point = pathlib.Path(request.mount_point)
    for part in state.parts:
        (pathlib.Path(part["mount_point"]) / "mark").write_text(request.reference)
    session.unmount(str(point))
    state = session.mount(request)
    found = [(pathlib.Path(part["mount_point"]) / "mark").read_text() for part in state.parts]
    session.unmount(str(point))
    return found


def test_sixteen_disks_in_parallel(tmp_path, tree, leftovers):
    requests = []
    (tmp_path / "mnt").mkdir()
    for number, maker in enumerate(MAKERS):
        folder = tmp_path / f"machine{number}"
        folder.mkdir()
        paths = maker(folder, tree)
        requests.append(request_for(number, paths, tmp_path / "mnt" / str(number), maker))
    context = multiprocessing.get_context("fork")
    with context.Pool(len(requests)) as pool:
        found = pool.map(use, requests, chunksize=1)
    volumes = [2 if request.layout == "guest" else 1 for request in requests]
    assert found == [[request.reference] * n for request, n in zip(requests, volumes, strict=True)]
    assert leftovers() == []
    assert os.listdir(tmp_path / "mnt") == []
