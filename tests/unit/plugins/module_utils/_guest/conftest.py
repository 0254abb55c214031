# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makers of images that are not ours: the partitioning tools and mkfs programs of the system."""

import os
import shutil
import subprocess

import pytest

_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


@pytest.fixture(scope="session")
def tool():
    """Run a program of the system; the test is skipped where it is not installed."""

    def run(*argv, text=None):
        program = shutil.which(argv[0], path=_PATH)
        if program is None:
            pytest.skip(f"{argv[0]} is not installed")
        arguments = [program, *map(str, argv[1:])]
        done = subprocess.run(arguments, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def image(tmp_path):
    """A new sparse file of so many bytes."""

    def make(size, name="disk.img"):
        path = tmp_path / name
        with open(path, "wb") as stream:
            stream.truncate(size)
        return path

    return make
