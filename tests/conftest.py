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
    """What a build takes: today's share of a test of many cases, unless it is marked `whole`, and
    today's one of those tests of a file that are marked `one_a_day`."""
    number = day()
    if number is None:
        return
    groups = [_group_of(item) for item in items]
    sizes, seen = collections.Counter(groups), collections.Counter[str]()
    taken, left = [], []
    for group, item in zip(groups, items, strict=True):
        today = (seen[group] + number) % _days_of(item, sizes[group]) == 0
        (taken if today else left).append(item)
        seen[group] += 1
    items[:] = taken
    config.hook.pytest_deselected(items=left)


def _group_of(item: pytest.Item) -> str:
    one_a_day = item.get_closest_marker("one_a_day")
    return f"{item.path} one a day" if one_a_day else item.nodeid.partition("[")[0]


def _days_of(item: pytest.Item, cases: int) -> int:
    """After how many days all that belong together were taken."""
    if item.get_closest_marker("whole"):
        return 1
    return cases if item.get_closest_marker("one_a_day") else shares(cases)


@pytest.fixture(scope="session", autouse=True)
def catalogs_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[None]:
    """What tests learn about repositories shall not stay with the developer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VDISK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
