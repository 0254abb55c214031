# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of points out of the catalog, and the sizes of points."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    RestorePointNotFound,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.pack import (
    pack_key,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.local import (
    LocalStore,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import Source


class Counting(LocalStore):
    def __init__(self, path):
        super().__init__(path)
        self.read = []

    def get(self, key, offset=0, length=None):
        self.read.append(key)
        return super().get(key, offset, length)


def list_counted(helper):
    store = Counting(helper.url)
    found = Repository.from_store(store, helper.passphrase).points()
    return found, [key for key in store.read if key.startswith("backups/")]


def test_each_manifest_is_read_once_on_each_host(either):
    made = [either.back_up(b"%d" % number).point for number in range(3)]
    list_counted(either)
    found, read = list_counted(either)
    assert (found, read) == (made, [])
    newest = either.back_up(b"new").point
    found, read = list_counted(either)
    assert found == [*made, newest] and set(read) <= {newest.key}


def test_a_list_reads_no_maps_and_they_come_when_asked_for(either):
    point = either.back_up(b"data").point
    either.open().points()
    found, read = list_counted(either)
    assert read == []
    assert found[0].disks[0].maps == point.disks[0].maps


def test_a_point_that_was_deleted_is_not_listed(either):
    first, second = (either.back_up(data).point for data in (b"1", b"2"))
    either.open().points()
    (Path(either.url) / first.key).unlink()
    assert either.open().points() == [second]


def test_a_manifest_that_was_written_again_is_read_again(either):
    point = either.back_up(b"1", name="old").point
    either.open().points()
    path = Path(either.url) / point.key
    data = path.read_bytes()
    path.write_bytes(data[:-70] + b"\0" + data[-69:])
    assert "cannot be used" not in str(either.open().points()[0].problem)
    assert either.open().points()[0].problem is not None
    path.write_bytes(data)
    assert either.open().points() == [point]


def test_a_point_that_goes_between_list_and_use_is_told(either):
    either.back_up(b"1")
    repository = either.open()
    point = repository.points()[0]
    (Path(either.url) / point.key).unlink()
    with pytest.raises(RestorePointNotFound, match="was deleted a moment ago"):
        repository.open_disk(point)
    with pytest.raises(RestorePointNotFound, match="was deleted a moment ago"):
        list(point.disks[0].maps)


def test_a_point_that_goes_while_it_is_listed_is_no_problem(either):
    either.back_up(b"1")

    class Racing(LocalStore):
        def list(self, prefix):
            found = list(super().list(prefix))
            if prefix.startswith("backups/"):
                for stored in found:
                    self.delete(stored.key)
            return iter(found)

    assert Repository.from_store(Racing(either.url), either.passphrase).points() == []


def test_summaries_of_another_point_are_not_believed(either, tmp_path):
    import sqlite3

    made = [either.back_up(b"%d" % number).point for number in range(2)]
    either.open().points()
    (path,) = (tmp_path / "cache").glob("*.sqlite")
    with sqlite3.connect(path) as connection:
        ((body,),) = connection.execute("SELECT body FROM points LIMIT 1").fetchall()
        connection.execute("UPDATE points SET body = ?", (body,))
    connection.close()
    assert either.open().points() == made


def expected_sizes(helper, found):
    """Blob by blob, in plain dictionaries."""
    access = helper.open()._access
    used = {}
    for point in found:
        blobs = used.setdefault(point.key, {})
        for disk in point.disks:
            for group, ref in enumerate(disk.maps):
                if ref is None:
                    continue
                for where in (ref.location, *access.load_map(disk, group)):
                    if where is not None:
                        blobs[where.pack, where.offset] = where.length
    owners = {}
    for key, blobs in used.items():
        for blob in blobs:
            owners.setdefault(blob, set()).add(key)
    return {
        key: (
            sum(length for blob, length in blobs.items() if owners[blob] == {key}),
            sum(length for blob, length in blobs.items() if owners[blob] != {key}),
        )
        for key, blobs in used.items()
    }


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    history=st.lists(
        st.tuples(st.sampled_from(["web", "db"]), st.lists(st.integers(0, 5), min_size=1)),
        min_size=1,
        max_size=6,
    )
)
def test_sizes_are_exact(encrypted, helpers, history):
    for stored in list((Path(encrypted.url) / "backups").rglob("*Z-*")):
        stored.unlink()
    pieces = [helpers.content(1000, number) for number in range(5)] + [bytes(1000)]
    for name, numbers in history:
        disk = bytearray(helpers.CHUNK * len(numbers))
        for position, number in enumerate(numbers):
            disk[position * helpers.CHUNK : position * helpers.CHUNK + 1000] = pieces[number]
        encrypted.back_up(disk, Source("disk", name, name))
    for _round in range(2):  # once read, once known
        repository = encrypted.open()
        found = repository.points()
        measured = repository.measure(found)
        assert measured.problems == []
        assert measured.points == expected_sizes(encrypted, found)
        assert measured.total.unique == sum(size.unique for size in measured.points.values())


def test_all_sizes_add_up_to_what_is_stored(either, helpers):
    data = helpers.content(4 * helpers.CHUNK)
    for number in range(4):
        either.back_up(data[number * helpers.CHUNK :])
    repository = either.open()
    found = repository.points()
    total = repository.measure(found).total
    stored = repository.stats()["stored"]
    assert 0 < stored - total.unique - total.shared < 200 * repository.stats()["packs"]


def test_a_damaged_map_is_told_beside_the_sizes(either, helpers):
    point = either.back_up(helpers.content(helpers.CHUNK)).point
    ref = point.disks[0].maps[0]
    (Path(either.url) / pack_key(ref.location.pack)).unlink()
    measured = either.open().measure(either.open().points())
    assert any(ref.location.pack.hex() in problem for problem in measured.problems)
