# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our snapshots are told from everybody else's."""

from __future__ import annotations

import types

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.naming import (
    description,
    maker,
    snapshot_name,
)

HEAD = {"run": "20260101T000000-ab", "host": "proxy", "time": "now", "purpose": "backup"}


def node(name, text):
    return types.SimpleNamespace(name=name, description=text)


def test_ours_tells_who_made_it():
    assert maker(node(snapshot_name(HEAD["run"]), description(HEAD))) == HEAD


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("keep this", description(HEAD)),
        (snapshot_name("another"), description(HEAD)),
        (snapshot_name(HEAD["run"]), ""),
        (snapshot_name(HEAD["run"]), None),
        (snapshot_name(HEAD["run"]), "{}"),
        (snapshot_name(HEAD["run"]), "[1]"),
        (snapshot_name(HEAD["run"]), '"text"'),
        (snapshot_name(HEAD["run"]), description({**HEAD, "run": "other"})),
        ("vdisk-lifecycle", "{"),
        ("nightly", "before the update"),
    ],
)
def test_all_others_are_theirs(name, text):
    assert maker(node(name, text)) is None
