# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that start at once: one sector that speaks; and a guest that really boots."""

import contextlib
import functools
import glob
import os
import pathlib
import shutil

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.boot import trial
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.boot.run import Proof
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.boot_disk import (
    BootJob,
    plan_boot,
)
from ansible_collections.vdisk.lifecycle.tests.guests import tiny

MIB = 1 << 20
SAYS = b"VDISK64"


def pytest_collection_modifyitems(items):
    if shutil.which("qemu-system-x86_64") and shutil.which("setpriv"):
        return
    for item in items:
        if item.path.is_relative_to(pathlib.Path(__file__).parent):
            item.add_marker(pytest.mark.skip(reason="needs qemu-system-x86"))


@pytest.fixture
def sector(tmp_path):
    """A raw disk whose first sector goes to 64 bits and says a word of seven letters."""

    def make(word=SAYS, name="sector.img", code=None):
        path = tmp_path / name
        code = code or trial._SECTOR.replace(SAYS, word)
        with open(path, "wb") as stream:
            stream.write(code.ljust(510, b"\0") + b"\x55\xaa")
            stream.truncate(4 * MIB)
        return path

    return make


@pytest.fixture
def guest(tmp_path):
    """The tiny guest, with a script of its own."""

    def make(script=tiny.PROMPT, **options):
        lack = tiny.missing(options.get("firmware", "bios"))
        if lack:
            pytest.skip(lack)
        return tiny.build(tmp_path / "guest.img", script=script, **options)

    return make


@pytest.fixture
def boot():
    """The `boot` value of the module's result; fails are told, not raised."""

    def run(*paths, marker="VDISK64", seconds=300, wait_for=("marker", "agent"), **options):
        proof = Proof(wait_for, marker, seconds)
        options = {"access": Access(), "accelerator": "tcg", **options}
        job = BootJob(tuple(map(str, paths)), proof=proof, must_come_up=False, **options)
        result = plan_boot(job).run(False)
        assert result["changed"] is False
        return {**result["boot"], "warnings": result["warnings"]}

    return run


def _machines(folder):
    """Processes of machines whose output is a file there: others' tests run machines beside us."""
    found = []
    for path in map(pathlib.Path, glob.glob("/proc/[0-9]*")):
        with contextlib.suppress(OSError):  # it has ended
            ours = os.readlink(path / "fd/1").startswith(f"{folder}/")
            if ours and b"/qemu-system-" in (path / "cmdline").read_bytes().partition(b"\0")[0]:
                found.append(int(path.name))
    return found


@pytest.fixture(autouse=True)
def machines(tmp_path, monkeypatch):
    """Lists the processes that run a machine of this test, which leaves none, and no files."""
    folder = tmp_path / "temporary"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield functools.partial(_machines, folder)
    assert _machines(folder) == []
    assert os.listdir(folder) == []
