# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup reads, stores, reuses and says about it."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskExists,
    InvalidRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import Source


@pytest.fixture
def data(helpers):
    """Five chunks: three of noise, one of zeros, half a one of noise."""
    chunk = helpers.CHUNK
    return bytearray(helpers.content(3 * chunk) + bytes(chunk) + helpers.content(chunk // 2, 1))


def test_the_first_backup_is_full_and_says_why(either, data):
    disk = either.back_up(data).point.disks[0]
    assert (disk.method, disk.reason) == ("full", "no earlier restore point of this disk")


def test_the_first_backup_counts_everything(either, helpers, data):
    transfer = either.back_up(data).transfer
    assert (transfer.bytes_total, transfer.bytes_read) == (len(data), len(data))
    assert (transfer.bytes_zero, transfer.bytes_reused) == (helpers.CHUNK, 0)
    assert transfer.bytes_written > len(data) - helpers.CHUNK  # noise does not shrink


def test_the_second_backup_stores_only_what_changed(either, helpers, data):
    first = either.back_up(data).point
    data[helpers.CHUNK + 5] ^= 1
    result = either.back_up(data)
    disk = result.point.disks[0]
    assert (disk.method, disk.reason) == ("incremental", f"compared with {first.id}")
    assert (disk.bytes_read, disk.bytes_new) == (len(data), helpers.CHUNK)
    assert result.transfer.bytes_reused == len(data) - 2 * helpers.CHUNK
    assert helpers.CHUNK < result.point.stored < helpers.CHUNK + 2000


def test_equal_chunks_of_one_disk_are_stored_once(either, helpers):
    result = either.back_up(helpers.content(helpers.CHUNK) * 20)
    assert result.point.disks[0].bytes_new == helpers.CHUNK
    assert result.transfer.bytes_reused == 19 * helpers.CHUNK


def test_another_source_with_the_same_content_stores_nothing_new(either, data):
    either.back_up(data)
    point = either.back_up(data, Source("disk", "other", "db01")).point
    assert point.disks[0].bytes_new == 0
    assert point.disks[0].method == "full"
    assert either.restore("db01@latest") == data


def test_an_unchanged_map_is_taken_over(either, data):
    first = either.back_up(data).point
    second = either.back_up(data).point
    assert second.disks[0].maps == first.disks[0].maps
    assert second.stored == 0


def test_full_does_not_take_maps_over_but_stores_no_chunk_again(either, data):
    first = either.back_up(data).point
    second = either.back_up(data, mode="full").point
    assert (second.disks[0].method, second.disks[0].reason) == ("full", "asked for")
    assert second.disks[0].bytes_new == 0
    assert second.disks[0].maps != first.disks[0].maps
    assert either.restore(second.id) == data


def test_a_grown_disk_is_full_and_says_why(either, helpers, data):
    before = len(data)
    either.back_up(data)
    data += helpers.content(helpers.CHUNK, 9)
    disk = either.back_up(data).point.disks[0]
    assert disk.method == "full"
    assert disk.reason == f"its size changed from {before} to {len(data)} bytes"
    assert either.restore("web01@latest") == data


def test_incremental_without_an_earlier_point_is_refused(either, data):
    with pytest.raises(InvalidRequest, match="no earlier restore point"):
        either.back_up(data, mode="incremental")


def test_an_unknown_mode_is_refused(either, data):
    with pytest.raises(InvalidRequest, match="quick"):
        either.back_up(data, mode="quick")


def test_unchanged_makes_no_point_where_that_is_fine(either, data, snapshot):
    first = either.back_up(data).point
    before = snapshot(either.url)
    result = either.back_up(data, unchanged_ok=True)
    assert (result.created, result.point.id) == (False, first.id)
    assert snapshot(either.url) == before


def test_a_change_makes_a_point_though_unchanged_would_be_fine(either, data):
    either.back_up(data)
    data[0] ^= 1
    assert either.back_up(data, unchanged_ok=True).created


def test_going_back_to_an_older_content_makes_a_point(either, data):
    either.back_up(data)
    either.back_up(bytes(len(data)))
    result = either.back_up(data, unchanged_ok=True)
    assert result.created and result.point.disks[0].bytes_new == 0


def test_same_as_tells_equal_from_changed(either, helpers, data):
    point = either.back_up(data).point
    repository = either.open()
    assert repository.same_as(point, [helpers.disk(data)])
    data[-1] ^= 1
    assert not repository.same_as(point, [helpers.disk(data)])


def test_same_as_writes_nothing(either, helpers, data, snapshot):
    point = either.back_up(data).point
    before = snapshot(either.url)
    either.open().same_as(point, [helpers.disk(data)])
    assert snapshot(either.url) == before


def test_same_as_tells_another_set_of_disks(either, helpers, data):
    point = either.back_up(data).point
    two = [helpers.disk(data), helpers.disk(data, "disk1")]
    assert not either.open().same_as(point, two)


def test_several_disks_make_one_point(either, helpers, data):
    other = helpers.content(len(data), 7)
    disks = [helpers.disk(data, "scsi0:0"), helpers.disk(other, "scsi0:1")]
    point = either.open().back_up(disks, helpers.WEB).point
    assert either.restore(f"{point.id}#scsi0:0") == data
    assert either.restore(f"{point.id}#scsi0:1") == other


def test_disks_need_different_names(either, helpers, data):
    with pytest.raises(InvalidRequest, match="different names"):
        either.open().back_up([helpers.disk(data), helpers.disk(data)], helpers.WEB)


def test_a_name_is_taken_once_for_each_source(either, data):
    either.back_up(data, name="before the upgrade")
    with pytest.raises(DiskExists, match="before the upgrade"):
        either.back_up(data, name="before the upgrade")
    either.back_up(data, Source("disk", "other", "db01"), name="before the upgrade")


def test_a_name_taken_while_the_backup_ran_is_refused(either, helpers, data):
    class Meddler:
        def start(self, label, total):
            either.back_up(data, name="nightly")

        def advance(self, count): ...

        def finish(self): ...

    with pytest.raises(DiskExists, match="nightly"):
        either.back_up(data, name="nightly", progress=Meddler())
    assert len(either.open().points()) == 1


@pytest.mark.parametrize("name", ["latest", "", "a@b", "a#b", "a/b", "a\nb", "x" * 201])
def test_names_that_no_reference_could_name_are_refused(either, data, name):
    with pytest.raises(InvalidRequest, match="cannot be the name"):
        either.back_up(data, name=name)


@pytest.mark.parametrize("source_id", ["", "..", "../x", "a/b", ".hidden", "x" * 129])
def test_source_ids_that_are_no_folder_name_are_refused(either, data, source_id):
    with pytest.raises(InvalidRequest, match="id of a source"):
        either.back_up(data, Source("disk", source_id, "web01"))


def test_progress_ends_at_the_size_of_the_disk(either, data):
    class Watcher:
        done = 0

        def start(self, label, total):
            assert (label, total) == ("disk0.vmdk", len(data))

        def advance(self, count):
            self.done += count

        def finish(self):
            assert self.done == len(data)
            self.done = -1

    watcher = Watcher()
    either.back_up(data, progress=watcher)
    assert watcher.done == -1


def test_a_missing_pack_is_stored_again_by_the_next_backup(either, data, tmp_path):
    either.back_up(data)
    for pack in sorted((tmp_path / "repository" / "packs").rglob("*")):
        if pack.is_file():
            pack.unlink()
    assert either.back_up(data, unchanged_ok=True).created
    assert either.restore("web01@latest") == data


def test_a_point_as_modules_return_it(either, helpers, data):
    point = either.back_up(data, name="first").point
    assert point.as_dict() == {
        "id": point.id,
        "name": "first",
        "created": f"{point.id[:4]}-{point.id[4:6]}-{point.id[6:11]}:{point.id[11:13]}:"
        f"{point.id[13:15]}Z",
        "source": {"kind": "disk", "id": helpers.WEB.id, "name": "web01"},
        "disks": [
            {
                "key": None,
                "name": "disk0",
                "label": "disk0.vmdk",
                "size": len(data),
                "method": "full",
                "reason": "no earlier restore point of this disk",
                "bytes_read": len(data),
                "bytes_new": len(data) - helpers.CHUNK,
                "digest_id": point.digest_id(point.disks[0]),
            }
        ],
        "size": len(data),
        "added": point.stored,
        "seconds": point.seconds,
        "repository": either.url,
    }


def test_what_is_listed_is_what_was_made(either, data):
    point = either.back_up(data, name="first").point
    assert either.open().points() == [point]


def test_stats_count_what_is_there(either, data, tmp_path):
    either.back_up(data)
    either.back_up(data, Source("disk", "other", "db01"))
    packs = [path for path in (tmp_path / "repository/packs").rglob("*") if path.is_file()]
    assert either.open().stats() == {
        "points": 2,
        "damaged_points": 0,
        "sources": 2,
        "packs": len(packs),
        "stored": sum(path.stat().st_size for path in packs),
        "logical": 2 * len(data),
    }


def test_packs_hold_64_mib_at_most(either, helpers, tmp_path):
    either.back_up(helpers.content(70 << 20))
    sizes = [p.stat().st_size for p in (tmp_path / "repository/packs").rglob("*") if p.is_file()]
    assert len(sizes) == 3  # two of chunks, one of maps
    assert (64 << 20) - helpers.CHUNK - 20_000 < max(sizes) <= 64 << 20
