# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of every kind that a transaction can be of."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._job.transaction.disks import (  # noqa: E501
    TYPES,
    raw,
    vmdk,
)


@pytest.fixture(autouse=True)
def host_state(tmp_path, monkeypatch):
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture(params=[*TYPES, "raw"])
def disk(request, tmp_path):
    if request.param == "raw":
        return raw(tmp_path)
    return vmdk(tmp_path / "disk.vmdk", request.param)


@pytest.fixture
def plain(tmp_path):
    return vmdk(tmp_path / "disk.vmdk")
