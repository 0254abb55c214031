# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings for all tests."""

from __future__ import annotations

import collections
import os
import typing as t

import pytest
from hypothesis import settings

from ansible_collections.vdisk.lifecycle.tests.examples import share, shares

# A busy machine is no reason to fail.
settings.register_profile("vdisk", deadline=None, print_blob=True)
# New examples are for developers; a build judges a change, so it takes the same ones each time.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("VDISK_CI") else "vdisk")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What a build takes: its share of a test of many cases, unless that is marked `whole`, and one
    of those tests of a file that are marked `one_a_build`."""
    number = share()
    if number is None:
        return
    groups = [_group_of(item) for item in items]
    sizes, seen = collections.Counter(groups), collections.Counter[str]()
    taken, left = [], []
    for group, item in zip(groups, items, strict=True):
        chosen = (seen[group] + number) % _shares_of(item, sizes[group]) == 0
        (taken if chosen else left).append(item)
        seen[group] += 1
    items[:] = taken
    config.hook.pytest_deselected(items=left)


def _group_of(item: pytest.Item) -> str:
    one_a_build = item.get_closest_marker("one_a_build")
    return f"{item.path} one a build" if one_a_build else item.nodeid.partition("[")[0]


def _shares_of(item: pytest.Item, cases: int) -> int:
    """Into how many shares those that belong together are divided."""
    if item.get_closest_marker("whole"):
        return 1
    return cases if item.get_closest_marker("one_a_build") else shares(cases)


@pytest.fixture(scope="session", autouse=True)
def catalogs_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[None]:
    """What tests learn about repositories shall not stay with the developer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VDISK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
