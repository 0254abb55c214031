# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks: ours, and those of VMware."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskInUse,
    DiskNotFound,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk

MIB = 1 << 20


def test_writer_keeps_readers_away(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB)
    with open_disk(path, writable=True), pytest.raises(DiskInUse, match=f"process {os.getpid()}"):
        open_disk(path)


def test_reader_keeps_writers_away(make_disk):
    path = make_disk("disk.vmdk", "monolithicFlat", MIB)
    with open_disk(path), pytest.raises(DiskInUse):
        open_disk(path, writable=True)


def test_readers_share(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB)
    with open_disk(path), open_disk(path) as disk:
        assert disk.size == MIB


def test_lock_outlives_the_replacing_of_the_descriptor(make_disk):
    path = make_disk("disk.vmdk", "monolithicFlat", MIB)
    with open_disk(path, writable=True) as disk:
        disk.write(0, b"x")
        with pytest.raises(DiskInUse):
            open_disk(path)


def test_lock_is_gone_after_an_error(make_disk, tmp_path):
    path = make_disk("disk.vmdk", "monolithicFlat", MIB)
    (tmp_path / "disk-flat.vmdk").rename(tmp_path / "away")
    with pytest.raises(DiskNotFound):
        open_disk(path, writable=True)
    (tmp_path / "away").rename(tmp_path / "disk-flat.vmdk")
    open_disk(path, writable=True).close()


def test_vmwares_lock_refuses_writers(make_disk, tmp_path):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB)
    (tmp_path / "disk.vmdk.lck").mkdir()
    (tmp_path / "disk.vmdk.lck" / "M12345.lck").touch()
    with pytest.raises(DiskInUse, match="VMware"):
        open_disk(path, writable=True)


def test_vmwares_lock_is_a_flag_for_readers(make_disk, tmp_path):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB)
    (tmp_path / "disk.vmdk.lck").mkdir()
    (tmp_path / "disk.vmdk.lck" / "M12345.lck").touch()
    with open_disk(path) as disk:
        assert "VMware" in disk.flags[0]


def test_disk_of_another_process_is_told(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB)
    script = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print();"
        "sys.stdout.flush(); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        with pytest.raises(DiskInUse, match=rf"process {other.pid} \(python"):
            open_disk(path)
        other.stdin.close()


def test_process_that_has_ended_is_not_told_as_the_holder(make_disk):
    """A lock stays with its children."""
    path = make_disk("disk.vmdk", "monolithicSparse", MIB)
    script = (
        "import fcntl, os, subprocess, sys; fd = os.open(sys.argv[1], os.O_RDONLY);"
        "fcntl.flock(fd, fcntl.LOCK_EX); subprocess.Popen(['cat'], pass_fds=[fd], stdout=2)"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as taker:
        assert taker.wait() == 0
        with pytest.raises(DiskInUse, match=f"a child of process {taker.pid}, which has"):
            open_disk(path)
