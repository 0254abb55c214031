# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the restore point that a user means."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    AmbiguousRestorePoint,
    RepositoryDamaged,
    RestorePointNotFound,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.manifest import (
    PointDisk,
    RestorePoint,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.read.points import (
    find_point,
)


def point(day, source="web", source_name="web01", name=None, problem=None, tail="00000001"):
    point_id = f"202611{day:02}T020000Z-{tail}"
    disks = [
        PointDisk("disk0", None, "l", "", "", 0, "full", "", 0, 0, b"", [], {}),
        PointDisk("scsi0:1", None, "l", "", "", 0, "full", "", 0, 0, b"", [], {}),
    ]
    return RestorePoint(
        id=point_id,
        name=name or point_id,
        exact=f"2026-11-{day:02}T02:00:00.000000Z",
        source_kind="disk",
        source_id=source,
        source_name=source_name,
        source_facts={},
        disks=[] if problem else disks,
        stored=0,
        repository="/srv/repository",
        id_hash="blake3",
        problem=problem,
    )


POINTS = [
    point(1),
    point(2, name="before the upgrade"),
    point(2, "db", "db01", tail="00000002"),
    point(3, "db", "db01 (old)", name="nightly", tail="00000003"),
    point(4, name="nightly"),
]


@pytest.mark.parametrize(
    ("reference", "position"),
    [
        ("web01@latest", 4),
        ("web@latest", 4),
        ("db01@latest", 3),  # renamed since: still the same source
        ("web01@nightly", 4),
        ("web01@before the upgrade", 1),
        ("web01@20261101T020000Z-00000001", 0),
        ("web01@2026-11-02T02:00:00Z", 1),
        ("20261102T020000Z-00000002", 2),
        ("before the upgrade", 1),
    ],
)
def test_a_reference_names_one_point(reference, position):
    assert find_point(POINTS, reference) == (POINTS[position], None)


def test_a_disk_can_be_named():
    assert find_point(POINTS, "web01@latest#scsi0:1") == (POINTS[4], "scsi0:1")


def test_a_bare_point_can_have_a_disk():
    assert find_point(POINTS, "before the upgrade#disk0") == (POINTS[1], "disk0")


def test_a_source_name_may_hold_the_signs_of_the_grammar():
    odd = point(5, "odd", "a@b#c")
    assert find_point([*POINTS, odd], "a@b#c@latest") == (odd, None)


def test_an_unknown_disk_is_told_with_those_there_are():
    with pytest.raises(RestorePointNotFound, match="disk0, scsi0:1"):
        find_point(POINTS, "web01@latest#disk7")


@pytest.mark.parametrize(
    "reference", ["mail@latest", "web01@noon", "latest", "web01", "web01@", "", "@latest"]
)
def test_what_names_no_point_is_told(reference):
    with pytest.raises(RestorePointNotFound, match="no restore point answers to"):
        find_point(POINTS, reference)


def test_the_points_of_the_source_are_listed_newest_first():
    with pytest.raises(RestorePointNotFound) as caught:
        find_point(POINTS, "web01@noon")
    text = str(caught.value)
    assert text.index(POINTS[4].id) < text.index(POINTS[1].id) < text.index(POINTS[0].id)
    assert POINTS[2].id not in text


def test_only_the_newest_few_are_listed():
    many = [point(day) for day in range(1, 29)]
    with pytest.raises(RestorePointNotFound, match="and 23 older"):
        find_point(many, "web01@noon")


def test_an_empty_repository_says_so():
    with pytest.raises(RestorePointNotFound, match="no restore point at all"):
        find_point([], "web01@latest")


def test_a_bare_name_of_two_points_is_ambiguous():
    with pytest.raises(AmbiguousRestorePoint) as caught:
        find_point(POINTS, "nightly")
    assert POINTS[3].id in str(caught.value) and POINTS[4].id in str(caught.value)


def test_latest_of_two_sources_of_one_name_is_ambiguous():
    twin = point(6, "web-clone", "web01")
    with pytest.raises(AmbiguousRestorePoint) as caught:
        find_point([*POINTS, twin], "web01@latest")
    assert twin.id in str(caught.value) and POINTS[4].id in str(caught.value)


def test_latest_is_never_silently_an_older_one():
    broken = point(7, source_name="", problem="its signature does not fit")
    with pytest.raises(RepositoryDamaged) as caught:
        find_point([*POINTS, broken], "web01@latest")
    assert "its signature does not fit" in str(caught.value)
    assert POINTS[4].id in str(caught.value)
