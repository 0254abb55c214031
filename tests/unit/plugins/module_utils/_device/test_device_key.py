# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block devices are known by what lasts, and by their partitions."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import (
    device_key,
    transaction_mark,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.transaction_mark import (
    COMMITTING,
    PENDING,
    Mark,
    Member,
)


@pytest.fixture
def devices(tmp_path, monkeypatch):
    """sysfs with a disk that has two partitions, and one of which nothing is known."""
    numbers = {"/dev/a": "8:0", "/dev/a1": "8:1", "/dev/a2": "8:2", "/dev/b": "8:16"}
    folder = tmp_path / "sys"
    folder.mkdir()
    for path, place in [("a", "a"), ("a1", "a/a1"), ("a2", "a/a2"), ("b", "b")]:
        number = numbers[f"/dev/{path}"]
        (tmp_path / place).mkdir()
        (tmp_path / place / "dev").write_text(number + "\n")
        (folder / number).symlink_to(tmp_path / place)
        if path[1:]:
            (tmp_path / place / "partition").write_text(path[1:] + "\n")
    (tmp_path / "a" / "device").mkdir()
    (tmp_path / "a" / "device" / "wwid").write_text("naa.6000c29\n")
    monkeypatch.setattr(device_key, "_DEVICES", str(folder))
    monkeypatch.setattr(device_key, "_number", numbers.get)
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path / "state"))


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/dev/a", "device/wwid naa.6000c29"),
        ("/dev/a2", "device/wwid naa.6000c29 partition 2"),
        ("/dev/b", "8:16"),
        ("/srv/disk.img", None),
    ],
)
def test_key(devices, path, key):
    assert device_key.device_key(path) == key


def _mark(path, state):
    place = transaction_mark.place_of(path)
    member = Member(path, "/overlay", "owner identity", path, place)
    return Mark(place, "id", "2026-11-23T17:00:00Z", state, (member,))


@pytest.mark.parametrize(
    ("marked", "other"), [("/dev/a", "/dev/a1"), ("/dev/a2", "/dev/a"), ("/dev/a", "/dev/a")]
)
def test_part_of_a_device_with_a_transaction(devices, marked, other):
    _mark(marked, PENDING).save()
    transaction_mark.refuse_reading(other)
    with pytest.raises(InvalidRequest, match="has a pending transaction"):
        transaction_mark.refuse_writing(other)
    _mark(marked, COMMITTING).save()
    with pytest.raises(InvalidRequest, match="holds a part of its transaction only"):
        transaction_mark.refuse_reading(other)


@pytest.mark.parametrize(("marked", "other"), [("/dev/a1", "/dev/a2"), ("/dev/a", "/dev/b")])
def test_neighbour_of_a_device_with_a_transaction(devices, marked, other):
    _mark(marked, COMMITTING).save()
    transaction_mark.refuse_writing(other)
