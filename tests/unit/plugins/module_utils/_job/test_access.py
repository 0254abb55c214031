# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""References that jobs make themselves must mean what they were made for."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    create_repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import (
    DiskSource,
    Source,
)


@pytest.mark.parametrize(
    "name",
    ["web01", "[prod] web", "a/b", "nbd://web", "~root", "$HOME", "we@b", "web.vmdk", "ü #1"],
)
def test_a_pinned_point_is_found_again_whatever_its_source_is_called(tmp_path, monkeypatch, name):
    monkeypatch.setenv("VDISK_CACHE", str(tmp_path / "cache"))
    url = str(tmp_path / "repository")
    repository = create_repository(url, encryption="none", chunk_size=256 << 10)
    for source, data in (("one", b"wanted"), ("two", b"another")):
        disk = DiskSource("disk0", "web", MemoryDevice(data), "", "/srv/web.vmdk")
        repository.back_up([disk], Source("disk", source, name if source == "one" else "other"))
    access = Access(repository=url)
    pinned = access.pin(f"{name}@latest")
    with access.open(pinned) as device:
        assert read(device, 0, device.size) == b"wanted"
