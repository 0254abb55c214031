# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a machine is not shown is not taken for what it has not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    AccessDenied,
    VSphereFault,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine import readable

VM = SimpleNamespace(_moId="vm-1")


@pytest.fixture
def shown(monkeypatch):
    facts = {"name": "web01", "runtime.connectionState": "connected"}
    monkeypatch.setattr(readable, "properties", lambda _session, _vm, _paths: facts)
    return facts


def test_what_is_missing_is_not_there(shown):
    assert "snapshot" not in readable.readable_properties(None, VM, ("snapshot",))


def test_nothing_may_be_read(shown):
    shown.clear()
    with pytest.raises(AccessDenied, match=r"vm-1: .*System\.Read"):
        readable.readable_properties(None, VM, ("snapshot",))


@pytest.mark.parametrize("state", ["disconnected", "inaccessible", "invalid", "orphaned"])
def test_nothing_is_known_just_now(shown, state):
    shown["runtime.connectionState"] = state
    with pytest.raises(VSphereFault, match=f"web01: .* found {state}"):
        readable.readable_properties(None, VM, ("snapshot",))
