# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host remembers of a repository's sizes, and when it must not believe it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskIOError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.pack import (
    pack_key,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.read import sizes


@pytest.fixture
def measured(either, monkeypatch):
    """measured() -> (sizes, whether they were counted anew)."""
    counted = []
    count = sizes._Meter.measure

    def counting(meter, points):
        counted.append(len(points))
        return count(meter, points)

    def measure():
        counted.clear()
        repository = either.open()
        found = repository.measure(repository.points())
        return found, bool(counted)

    monkeypatch.setattr(sizes._Meter, "measure", counting)
    return measure


@pytest.fixture
def database(tmp_path):
    """The file in which this host remembers."""
    return lambda: next((tmp_path / "cache").glob("*.sqlite"))


def test_they_are_remembered_until_a_point_comes_or_goes(either, helpers, measured):
    point = either.back_up(helpers.content(3 * helpers.CHUNK)).point
    first, counted = measured()
    assert counted
    assert measured() == (first, False)
    other = either.back_up(helpers.content(3 * helpers.CHUNK, 7)).point
    both, counted = measured()
    assert counted and set(both.points) == {point.key, other.key}
    Path(either.url, other.key).unlink()
    assert measured() == (first, True)


def test_a_manifest_that_was_written_anew_is_measured_anew(either, helpers, measured):
    path = Path(either.url, either.back_up(helpers.content(helpers.CHUNK)).point.key)
    first, counted = measured()
    assert counted
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    assert measured() == (first, True)


def test_what_was_measured_with_problems_is_not_remembered(either, helpers, measured):
    point = either.back_up(helpers.content(helpers.CHUNK)).point
    pack = Path(either.url, pack_key(point.disks[0].maps[0].location.pack))
    data = pack.read_bytes()
    pack.unlink()
    assert measured()[0].problems
    pack.write_bytes(data)
    found, counted = measured()
    assert counted and not found.problems


def test_a_result_that_somebody_changed_is_not_believed(either, helpers, measured, database):
    either.back_up(helpers.content(helpers.CHUNK))
    first, counted = measured()
    assert counted
    with contextlib.closing(sqlite3.connect(database(), isolation_level=None)) as connection:
        ((body,),) = connection.execute("SELECT body FROM results").fetchall()
        changed = body[:-1] + bytes([body[-1] ^ 1])
        connection.execute("UPDATE results SET body = ?", (changed,))
    assert measured() == (first, True)


def test_a_newer_way_of_counting_is_not_answered_by_an_older_one(
    either, helpers, measured, monkeypatch
):
    either.back_up(helpers.content(helpers.CHUNK))
    first, counted = measured()
    assert counted
    monkeypatch.setattr(sizes, "_COUNTING", sizes._COUNTING + 1)
    assert measured() == (first, True)


@pytest.mark.parametrize("failing", [1, 2], ids=["when it is added", "when it is taken away"])
def test_a_map_that_can_be_read_only_sometimes_spoils_no_other_point(
    either, helpers, monkeypatch, failing
):
    """Points share one disk, so each is counted on from the one before."""
    points = []
    for night in range(2):
        changing = helpers.content(2 * helpers.CHUNK) + helpers.content(helpers.CHUNK, night + 1)
        disks = [helpers.disk(helpers.content(helpers.CHUNK, "same"), "disk0")]
        disks.append(helpers.disk(changing, "disk1"))
        points.append(either.open().back_up(disks, helpers.WEB).point)
    first, second = points
    expected = either.open().measure(points)
    other = second.disks[1].maps[0].location
    unsteady = first.disks[1].maps[0].location
    asked = []
    blobs_needed = sizes.blobs_needed

    def sometimes(access, maps):
        for place, body in blobs_needed(access, maps):
            asked.append(place)
            if place == unsteady and asked.count(place) == failing:
                body = DiskIOError("not now")
            yield place, body

    monkeypatch.setattr(sizes, "blobs_needed", sometimes)
    monkeypatch.setattr(sizes, "load_result", lambda *_arguments: None)
    found = either.open().measure(points)
    assert found.problems and other in asked
    assert found.points[second.key] == expected.points[second.key]
