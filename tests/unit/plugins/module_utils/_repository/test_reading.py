# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever knows a disk is told how it was read, and what was not as before."""

from __future__ import annotations

import os

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    create_repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.changes import (
    Changes,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import (
    DiskSource,
    Reading,
    Source,
)

CHUNK = 256 << 10
COUNT = 1200  # chunks: more than one map describes


class Night:
    """Backups of a disk, a file with holes; `readings` is what was told."""

    def __init__(self, repository, path):
        self._repository, self._path = repository, path
        self.readings = []
        path.touch()
        os.truncate(path, COUNT * CHUNK)

    def write(self, *chunks, content=b"new"):
        with self._path.open("r+b") as file:
            for chunk in chunks:
                file.seek(chunk * CHUNK)
                file.write(content + bytes(CHUNK - len(content)))

    def back_up(self, state, *changes, mode="auto", **options):
        def judge(reading):
            self.readings.append(reading)
            return {"judged": state}

        with RawDevice.open(self._path) as device:
            disk = DiskSource(
                "scsi0:0", "Hard disk 1", device, "", "", {"kept": 1},
                changes=changes, change_id=lambda: state, judge=judge, **options,
            )  # fmt: skip
            made = self._repository.back_up([disk], Source("vm", "web", "web01"), mode=mode)
        return made.point.disks[0]


@pytest.fixture
def night(tmp_path, monkeypatch):
    monkeypatch.setenv("VDISK_CACHE_DIR", str(tmp_path / "cache"))
    url = str(tmp_path / "repository")
    made = create_repository(url, encryption="none", chunk_size=CHUNK)
    night = Night(made, tmp_path / "disk.img")
    night.write(0, 5, 1100)
    return night


def runs(*chunks):
    return [(chunk * CHUNK, CHUNK) for chunk in chunks]


def test_the_first_is_compared_with_nothing(night):
    disk = night.back_up("a")
    assert night.readings == [Reading(None, None, distrusted=False)]
    assert disk.facts == {"kept": 1, "judged": "a"}


def test_all_that_differs_is_told_in_any_group(night):
    night.back_up("a")
    night.write(5, 7, content=b"other")
    night.write(1100, content=b"")
    disk = night.back_up("b", doubt="nobody knows why")
    assert night.readings[1] == Reading("a", runs(5, 7, 1100), distrusted=False)
    assert disk.reason.endswith("; nobody knows why")


def test_nothing_differs(night):
    night.back_up("a")
    night.back_up("b")
    assert night.readings[1] == Reading("a", [], distrusted=False)


def test_who_read_only_changes_compared_nothing(night):
    night.back_up("a")
    night.write(5, content=b"other")
    night.back_up("b", Changes("a", lambda: runs(5)))
    assert night.readings[1] == Reading("a", None, distrusted=False)


def test_a_change_that_was_not_listed_is_told(night):
    night.back_up("a")
    night.write(5, 1100, content=b"other")
    disk = night.back_up("b", Changes("a", lambda: runs(5)), self_check=2000)
    assert night.readings[1] == Reading("a", runs(5, 1100), distrusted=True)
    assert disk.reason.startswith("everything was read: ")


def test_mode_full_compares_with_nothing(night):
    night.back_up("a")
    night.back_up("b", mode="full")
    assert night.readings[1].differing is None
