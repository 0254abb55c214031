# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests, as fixtures: import them into a conftest."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

from . import debian


@pytest.fixture(scope="session")
def built_guest() -> pathlib.Path:
    """The Debian guest itself: never to be written to."""
    try:
        return debian.build()
    except debian.GuestTools as error:
        pytest.skip(f"no Debian guest: {error}")


@pytest.fixture
def debian_guest(built_guest: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy that may be written to."""
    copy = tmp_path / "guest.vmdk"
    command = ["cp", "--sparse=always", "--reflink=auto", str(built_guest), str(copy)]
    subprocess.run(command, check=True)
    copy.chmod(0o644)
    return copy
