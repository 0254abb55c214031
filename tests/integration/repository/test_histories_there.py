# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random histories in a directory and in a real S3 server: every kept point restores.

Those of the unit tests are longer and more; these show that the stores keep what is built on.
VDISK_HISTORIES=100:20 lives through twenty other ones.
"""

from __future__ import annotations

import os
import weakref

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.files import remove_if_there
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.local import (
    LocalStore,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.open import (
    open_store,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._repository.life import (
    history,
    world,
)

FIRST, _, COUNT = os.environ.get("VDISK_HISTORIES", "0:3").partition(":")


@pytest.fixture(autouse=True)
def uploads_of_the_dead_are_swept(monkeypatch):
    """Who is killed here is no process, so no kernel drops the locks of his uploads."""
    make = LocalStore.upload

    def upload(store):
        made = make(store)
        weakref.finalize(made, remove_if_there, made._path)
        return made

    monkeypatch.setattr(LocalStore, "upload", upload)


@pytest.mark.parametrize("seed", range(int(FIRST), int(FIRST) + int(COUNT)))
def test_every_kept_point_restores(any_store_url, tmp_path, seed):
    with world.simulation(seed, tmp_path / "cache") as clock:
        there = world.World(open_store(any_store_url), seed, clock)
        try:
            history.live(there, 10)
        finally:
            print(*there.story, sep="\n")
