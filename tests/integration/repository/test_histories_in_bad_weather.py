# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A random history in a real S3 server, over a network that fails every fiftieth request."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.open import (
    open_store,
)
from ansible_collections.vdisk.lifecycle.tests.integration.repository.faults import (
    Fault,
    sometimes,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._repository.life import (
    history,
    world,
)

QUICK = (Fault.ERROR_500, Fault.ERROR_503, Fault.RESET, Fault.LOST, Fault.TRUNCATED, Fault.SLOW)


@pytest.mark.parametrize("seed", range(1))
def test_every_kept_point_restores(s3_url, proxy, tmp_path, seed):
    proxy.slow = 0.05
    with world.simulation(seed, tmp_path / "cache") as clock:
        there = world.World(open_store(s3_url), seed, clock)
        proxy.plan = sometimes(seed, QUICK, 0.02)
        with there.told():
            history.live(there, 6)
    assert proxy.faults() > 5
