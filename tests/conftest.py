# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings for all tests."""

from __future__ import annotations

import os
import typing as t

import pytest
from hypothesis import settings

# A busy machine is no reason to fail.
settings.register_profile("vdisk", deadline=None, print_blob=True)
# New examples are for developers; a build judges a change, so it takes the same ones each time.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("VDISK_CI") else "vdisk")


@pytest.fixture(scope="session", autouse=True)
def catalogs_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[None]:
    """What tests learn about repositories shall not stay with the developer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VDISK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
