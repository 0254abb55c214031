# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slow disks, restore points, and the collection awx.awx."""

# pylint: disable=unused-import
from __future__ import annotations

import pytest

# sector(word): a disk that starts, and says a word
from ansible_collections.vdisk.lifecycle.tests.integration.boot.conftest import (  # noqa: F401
    sector,
)

# modules.vmdk_backup(…), in a process of its own
from ansible_collections.vdisk.lifecycle.tests.integration.modules.conftest import (  # noqa: F401
    modules,
    zygote,
)

# start("nbdkit", …)
from ansible_collections.vdisk.lifecycle.tests.integration.nbd.conftest import (  # noqa: F401
    start,
)

from . import awx_collection


@pytest.fixture(scope="session")
def awx_awx():
    """The folder of collections in which awx.awx is."""
    try:
        return awx_collection.folder()
    except awx_collection.CannotBeHad as reason:
        pytest.skip(f"awx.awx is not to be had: {reason}")
