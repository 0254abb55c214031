# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulator for all tests of a file, seen by a plain client, and machines that nobody has had."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.tests.simulator.clients import client


@pytest.fixture(scope="module")
def here():
    """The plain client."""
    with client("--vms", "60") as found:
        yield found


@pytest.fixture
def vm(here):
    """Running, with one empty disk of 16 MiB."""
    return here.any_machine()
