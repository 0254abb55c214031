# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the disk engine share."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.files import File
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents import layout
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life import grow
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import new_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.stream.writer import (
    StreamWriter,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.made_streams import (
    CAPACITY,
    GRAINS,
    Image,
    open_stream,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.new_streams import (
    DESCRIPTOR,
)

_CLONE = Path(__file__).resolve().parents[5]


@pytest.fixture(scope="session")
def corpus():
    """(folder, manifest by file name)."""
    folder = Path(os.environ.get("VDISK_CORPUS", _CLONE.parent / "shared" / "corpus"))
    manifest = folder / "manifest.tsv"
    if not manifest.exists():
        pytest.skip("no corpus of disks; set VDISK_CORPUS")
    with manifest.open(encoding="utf-8") as stream:
        return folder, {row["file"]: row for row in csv.DictReader(stream, delimiter="\t")}


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch):
    """Waiting for the disk proves nothing here; test_order_of_writes looks at the flushes."""
    monkeypatch.setattr(os, "fsync", lambda _fd: None)


@pytest.fixture
def qemu_img():
    """Run qemu-img; its output."""
    if shutil.which("qemu-img") is None:
        pytest.skip("no qemu-img")

    def run(*words):
        done = subprocess.run(
            ["qemu-img", *map(str, words)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def qemu_io():
    """Run commands of qemu-io on an image."""
    if shutil.which("qemu-io") is None:
        pytest.skip("no qemu-io")

    def run(path, *commands):
        words = [word for command in commands for word in ("-c", command)]
        done = subprocess.run(
            ["qemu-io", "-f", "vmdk", *words, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def small_split(monkeypatch):
    """Split disks of 192 KiB each, so that a small disk has many extents."""
    sectors = 3 * 128
    monkeypatch.setattr(layout, "SPLIT_SECTORS", sectors)
    monkeypatch.setattr(grow, "SPLIT_SECTORS", sectors)
    return sectors


@pytest.fixture
def make_disk(tmp_path):
    """Make a disk with some content: make_disk(name, type, size, {offset: bytes}) -> path."""

    def make(name, disk_type, size, content=None, **spec):
        path = tmp_path / name
        with new_disk(path, DiskSpec(size, disk_type, **spec)) as device:
            for offset, data in sorted((content or {}).items()):
                device.write(offset, data)
        return path

    return make


@pytest.fixture
def content_of():
    """The whole content of a disk."""

    def whole(path, **options):
        with open_disk(path, **options) as disk:
            return bytes(read(disk, 0, disk.size))

    return whole


@pytest.fixture
def opened(tmp_path):
    """A function: bytes of a file -> the StreamExtent in it."""
    path = str(tmp_path / "disk.vmdk")
    devices = []

    def open_bytes(data, **options):
        Path(path).write_bytes(data)
        devices.append(open_stream(path, **options))
        return devices[-1]

    yield open_bytes
    for device in devices:
        device.close()


@pytest.fixture
def path(tmp_path):
    """Where `writer` writes."""
    return tmp_path / "new.vmdk"


@pytest.fixture
def writer(path):
    """A function: size in bytes -> a StreamWriter."""
    writers = []

    def make(size, descriptor=DESCRIPTOR, **options):
        writers.append(StreamWriter(File.create(path), size // 512, descriptor, **options))
        return writers[-1]

    yield make
    for made in writers:
        made.close()


@pytest.fixture
def image():
    """A stream to be laid out."""
    return Image(CAPACITY, GRAINS)
