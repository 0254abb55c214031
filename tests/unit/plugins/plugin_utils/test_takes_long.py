# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tasks are run in the background, to show how far they are."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest


@pytest.mark.parametrize(
    ("module", "options", "long"),
    [
        ("vmdk_backup", {}, True),
        ("vmdk_prune", {}, True),
        ("vmdk_create", {"path": "/srv/vm/web01.vmdk"}, False),
        ("vmdk_create", {"path": "[datastore1] web01/web01.vmdk"}, True),
        ("vmdk_resize", {"path": "[datastore1] web01/web01.vmdk"}, True),
        ("vmdk_resize", {}, False),  # that it is missing, the module tells
        ("vmdk_info", {"path": "/srv/vm/web01.vmdk"}, False),
        ("vmdk_info", {"digest": "yes"}, True),
        ("vmdk_mount", {"mount_point": "/mnt/web01"}, False),
        ("vmdk_mount", {"state": "committed"}, True),
        ("vmdk_mount", {"state": "discarded"}, False),
    ],
)
def test_takes_long(module, options, long):
    plugin = importlib.import_module(f"ansible_collections.vdisk.lifecycle.plugins.action.{module}")
    action = SimpleNamespace(_task=SimpleNamespace(args=options))
    assert plugin.ActionModule.takes_long(action) == long
