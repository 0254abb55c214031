# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings for all tests."""

from __future__ import annotations

import collections
import os
import typing as t

import pytest
from hypothesis import settings

from ansible_collections.vdisk.lifecycle.tests.examples import day, shares

# A busy machine is no reason to fail.
settings.register_profile("vdisk", deadline=None, print_blob=True)
# New examples are for developers; a build judges a change, so it takes the same ones each time.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("VDISK_CI") else "vdisk")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a test of many cases, a build takes today's share, if it is not marked `whole`."""
    names = [item.nodeid.partition("[")[0] for item in items]
    cases, seen = collections.Counter(names), collections.Counter[str]()
    taken, left = [], []
    for name, item in zip(names, items, strict=True):
        parts = 1 if item.get_closest_marker("whole") else shares(cases[name])
        today = (seen[name] + (day() or 0)) % parts == 0
        (taken if today else left).append(item)
        seen[name] += 1
    items[:] = taken
    config.hook.pytest_deselected(items=left)


@pytest.fixture(scope="session", autouse=True)
def catalogs_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[None]:
    """What tests learn about repositories shall not stay with the developer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VDISK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
