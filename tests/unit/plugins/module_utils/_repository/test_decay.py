# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage that decays changes bytes and nothing else, so this host takes its catalog for true."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskIOError,
    RepositoryDamaged,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.prune import (
    PruneRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.retention import (
    Rules,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store import local
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.local import (
    LocalStore,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.protocol import (
    Stored,
)


def flip(path, _monkeypatch):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def cannot_be_read(path, monkeypatch):
    get = LocalStore.get

    def broken(self, key, *range_of):
        if self.path(key) == str(path):
            raise DiskIOError("cannot read it: Input/output error", path=key)
        return get(self, key, *range_of)

    monkeypatch.setattr(LocalStore, "get", broken)


@pytest.fixture(params=[flip, cannot_be_read])
def decay(request, either, monkeypatch):
    """Harms the manifest of a point that this host knows as a good one."""

    def stored(key, status):
        return Stored(key, status.st_size, "as before")

    monkeypatch.setattr(local, "_stored", stored)

    def harm(point):
        assert all(known.problem is None for known in either.open().points())
        request.param(Path(either.url) / point.key, monkeypatch)
        assert all(known.problem is None for known in either.open().points())

    return harm


def test_the_next_backup_does_without_that_point(either, helpers, decay):
    data = helpers.content(3 * helpers.CHUNK)
    decay(either.back_up(data).point)
    made = either.back_up(data, unchanged_ok=True)
    assert made.created
    assert either.restore(made.point.id) == data


def test_the_next_backup_begins_with_the_point_before(either, helpers, decay):
    data = helpers.content(3 * helpers.CHUNK)
    first = either.back_up(data).point
    decay(either.back_up(data[::-1]).point)
    made = either.back_up(data).point
    assert first.id in made.disks[0].reason
    assert either.restore(made.id) == data


def test_who_met_it_remembers_it(either, helpers, decay):
    point = either.back_up(helpers.content(helpers.CHUNK)).point
    decay(point)
    with pytest.raises((RepositoryDamaged, DiskIOError)):
        either.restore(point.id)
    (listed,) = either.open().points()
    assert listed.problem


def test_it_can_be_dropped_by_rule(either, helpers, decay):
    data = helpers.content(3 * helpers.CHUNK)
    old = either.back_up(data).point
    new = either.back_up(data[::-1]).point
    decay(old)
    either.open().prune(PruneRequest(rules=Rules(last=1))).run()
    assert [point.id for point in either.open().points()] == [new.id]
    assert either.restore(new.id) == data[::-1]
