# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that read only what is said to have changed, and do not believe it blindly."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskIOError,
    InvalidRequest,
    RepositoryDamaged,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import map as maps
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write import (
    changes as writing,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.changes import (
    Changes,
    ChunkSet,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.damage import (
    quarantine,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import Source

CHUNK = 256 << 10
GROUP = maps.GROUP * CHUNK


class Watched(MemoryDevice):
    """Sparse where asked, and knows what was read of it."""

    def __init__(self, data):
        super().__init__(data)
        self.reads = []

    def readinto(self, offset, buffer):
        self.reads.append((offset, buffer.nbytes))
        super().readinto(offset, buffer)


@pytest.fixture
def go(encrypted, helpers):
    """go(data, extents=None, since=…): a backup of the state "2" that follows state "1"."""
    numbers = itertools.count(1)

    def run(data, *extents, since=None, known=True, self_check=0, state=None, **options):
        device = data if isinstance(data, MemoryDevice) else Watched(data)
        changes = (Changes(since, lambda: extents),) if since else ()
        disk = dataclasses.replace(
            helpers.disk(device),
            changes=changes,
            change_id=(lambda: state or f"state {next(numbers)}") if known else None,
            self_check=self_check,
        )
        return encrypted.open().back_up([disk], helpers.WEB, **options)

    run.restore = encrypted.restore
    run.open = encrypted.open
    return run


@pytest.fixture
def data(helpers):
    """Ten chunks: noise, but the fourth and the last half."""
    return bytearray(
        helpers.content(3 * CHUNK) + bytes(CHUNK) + helpers.content(5 * CHUNK + CHUNK // 2, 1)
    )


def test_only_what_changed_is_read(go, data):
    first = go(data).point
    data[2 * CHUNK + 7] ^= 1
    device = Watched(data)
    made = go(device, (2 * CHUNK + 7, 1), since="state 1")
    disk = made.point.disks[0]
    assert (disk.method, disk.reason) == ("changed", f"what changed since {first.id}")
    assert device.reads == [(2 * CHUNK, CHUNK)]
    assert (disk.bytes_read, disk.bytes_new) == (CHUNK, CHUNK)
    assert go.restore(made.point.id) == data


def test_the_root_is_that_of_a_full_backup(go, data):
    go(data)
    data[2 * CHUNK + 7] ^= 1
    quick = go(data, (2 * CHUNK, CHUNK), since="state 1").point
    whole = go(data, mode="full").point
    assert quick.disks[0].root == whole.disks[0].root


def test_nothing_changed_reads_nothing_and_takes_all_maps_over(go, data):
    first = go(data).point
    device = Watched(data)
    made = go(device, since="state 1")
    assert device.reads == []
    assert made.point.disks[0].maps == first.disks[0].maps
    assert made.point.stored == 0
    assert made.transfer.bytes_total == len(data)
    assert go.restore(made.point.id) == data


def test_nothing_changed_makes_no_point_where_none_is_needed(go, data):
    first = go(data).point
    made = go(data, since="state 1", unchanged_ok=True)
    assert (made.created, made.point.id) == (False, first.id)


def test_a_change_back_to_zeros(go, data):
    go(data)
    data[CHUNK : 2 * CHUNK] = bytes(CHUNK)
    made = go(data, (CHUNK, CHUNK), since="state 1")
    assert go.restore(made.point.id) == data


def test_everything_becomes_zeros(go, data):
    go(data)
    zeros = bytes(len(data))
    made = go(zeros, (0, len(data)), since="state 1")
    assert made.point.disks[0].maps == [None]
    assert go.restore(made.point.id) == zeros


@pytest.mark.parametrize(
    "extents",
    [
        pytest.param([(5 * CHUNK - 3, 6), (0, 1), (4 * CHUNK, 10)], id="any order, over a border"),
        pytest.param([(0, 10**6), (5, 3), (5, 3)], id="overlapping"),
        pytest.param([(9 * CHUNK, CHUNK // 2)], id="the short last chunk"),
        pytest.param([(CHUNK, 0)], id="empty"),
    ],
)
def test_extents_of_any_kind(go, data, extents):
    go(data)
    for offset, length in extents:
        for position in range(offset, min(offset + length, len(data)), 4099):
            data[position] ^= 0xFF
    made = go(data, *extents, since="state 1")
    assert made.point.disks[0].method == "changed"
    assert go.restore(made.point.id) == data


@pytest.mark.parametrize("extent", [(-1, 5), (0, 10**9), (10**9, 1), (5, -1)])
def test_extents_outside_of_the_disk_are_not_believed(go, data, extent):
    go(data)
    data[0] ^= 1
    made = go(data, extent, since="state 1")
    disk = made.point.disks[0]
    assert disk.method == "incremental"
    assert "outside of the disk" in disk.reason
    assert "outside of the disk" in made.warnings[0]
    assert go.restore(made.point.id) == data


def test_changes_that_cannot_be_asked_for_are_a_full_read(go, encrypted, helpers, data):
    go(data)
    data[0] ^= 1

    def broken():
        raise DiskIOError("the host does not answer")

    disk = dataclasses.replace(helpers.disk(data), changes=(Changes("state 1", broken),))
    made = encrypted.open().back_up([disk], helpers.WEB)
    assert "the host does not answer" in made.point.disks[0].reason
    assert encrypted.restore(made.point.id) == data


def test_a_state_that_no_point_knows_is_compared_and_says_so(go, data):
    first = go(data).point
    data[0] ^= 1
    disk = go(data, since="state 99").point.disks[0]
    assert disk.method == "incremental"
    assert disk.reason == f"compared with {first.id}; no point knows what changed since"


def test_another_size_is_not_the_same_state(go, data, helpers):
    go(data)
    data += helpers.content(CHUNK, 9)
    made = go(data, since="state 1")
    assert made.point.disks[0].method == "full"
    assert go.restore(made.point.id) == data


def test_mode_full_reads_everything(go, data):
    go(data)
    data[5 * CHUNK] ^= 1
    made = go(data, since="state 1", mode="full")
    assert made.point.disks[0].method == "full"
    assert go.restore(made.point.id) == data


def test_incremental_is_possible_on_the_point_of_another_source(go, encrypted, helpers, data):
    base = go(data).point
    data[0] ^= 1
    disk = dataclasses.replace(
        helpers.disk(data), changes=(Changes("state 1", lambda: [(0, 1)]),), self_check=0
    )
    clone = Source("disk", "a-clone", "clone01")
    with pytest.raises(InvalidRequest):
        encrypted.open().back_up([helpers.disk(data)], clone, mode="incremental")
    encrypted.open().check_backup([disk], clone, name=None, mode="incremental")
    made = encrypted.open().back_up([disk], clone, mode="incremental")
    assert base.id in made.point.disks[0].reason
    assert made.point.disks[0].bytes_read == CHUNK
    assert encrypted.restore("clone01@latest") == data


def test_of_several_states_the_first_that_is_known_counts(go, encrypted, helpers, data):
    go(data)
    data[0] ^= 1
    go(data, (0, 1), since="state 1")
    data[CHUNK] ^= 1
    device = Watched(data)
    changes = (
        Changes("state 3", lambda: pytest.fail("nobody knows this state")),
        Changes("state 2", lambda: [(CHUNK, 1)]),
        Changes("state 1", lambda: pytest.fail("there is a nearer one")),
    )
    disk = dataclasses.replace(helpers.disk(device), changes=changes, self_check=0)
    made = encrypted.open().back_up([disk], helpers.WEB)
    assert device.reads == [(CHUNK, CHUNK)]
    assert encrypted.restore(made.point.id) == data


# Sets of chunks

RUNS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=8)


@given(RUNS, RUNS)
def test_chunk_sets_are_sets(first, second):
    one = ChunkSet([range(a, a + n) for a, n in first if n])
    two = ChunkSet([range(a, a + n) for a, n in second if n])
    plain, other = ({x for run in runs.runs for x in run} for runs in (one, two))
    assert plain == {x for a, n in first for x in range(a, a + n)}
    assert {x for run in one.without(two).runs for x in run} == plain - other
    assert all(a.stop < b.start for a, b in itertools.pairwise(one.runs))


# Several groups, and damage


@pytest.fixture
def small_groups(monkeypatch):
    """Groups of three chunks, in all that the writer and the reader do."""
    prefix = maps.__name__.partition("._repository.")[0] + "._repository."
    for name, module in list(sys.modules.items()):
        if name.startswith(prefix) and getattr(module, "GROUP", None) == 1024:
            monkeypatch.setattr(module, "GROUP", 3)


def test_small_groups_are_small(small_groups, go, data):
    assert writing.GROUP == 3
    assert len(go(data).point.disks[0].maps) == 4


def test_untouched_groups_keep_their_maps(small_groups, go, data):
    first = go(data).point.disks[0]
    data[4 * CHUNK] ^= 1
    second = go(data, (4 * CHUNK, 1), since="state 1").point
    same = [old == new for old, new in zip(first.maps, second.disks[0].maps, strict=True)]
    assert same == [True, False, True, True]
    assert go.restore(second.id) == data


def test_a_group_that_lost_its_pack_is_read_although_unchanged(
    small_groups, go, encrypted, helpers, data
):
    first = go(data).point.disks[0]
    data[0] ^= 1
    go(data, (0, 1), since="state 1")  # so that the first group needs another pack, too
    lost = encrypted.open()._access.load_map(first, 2).entry(0).pack.hex()
    Path(encrypted.url, "packs", lost[:2], lost).unlink()
    device = Watched(data)
    made = go(device, since="state 2")
    assert made.point.disks[0].method == "changed"
    assert made.point.disks[0].bytes_new > 0
    assert go.restore(made.point.id) == data


def test_a_quarantined_group_is_read_although_unchanged(small_groups, go, encrypted, data):
    first = go(data).point.disks[0]
    data[0] ^= 1
    go(data, (0, 1), since="state 1")
    access = encrypted.open()._access
    bad = access.load_map(first, 2).entry(0).pack
    quarantine(access, [bad], "2026-11-22T02:00:00Z")
    device = Watched(data)
    made = go(device, since="state 2")
    assert made.point.disks[0].method == "changed"
    assert made.point.disks[0].bytes_new > 0
    maps_of = encrypted.open()._access.load_map
    packs = {
        entry.pack
        for group in range(4)
        for entry in maps_of(made.point.disks[0], group)
        if entry is not None
    }
    assert bad not in packs
    assert go.restore(made.point.id) == data


def test_a_damaged_map_of_the_base_costs_reading_its_group_only(
    small_groups, go, encrypted, data, monkeypatch
):
    go(data)
    data[4 * CHUNK] ^= 1
    kind = type(encrypted.open()._access)
    load = kind.load_map

    def refuse(self, disk, group):
        if group == 1:
            raise RepositoryDamaged("flipped")
        return load(self, disk, group)

    monkeypatch.setattr(kind, "load_map", refuse)
    device = Watched(data)
    made = go(device, (4 * CHUNK, 1), since="state 1")
    monkeypatch.setattr(kind, "load_map", load)
    assert {offset // CHUNK for offset, _length in device.reads} == {3, 4, 5}
    assert go.restore(made.point.id) == data


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(
    rounds=st.lists(
        st.lists(
            st.tuples(st.integers(0, 9 * CHUNK), st.integers(1, 2 * CHUNK), st.integers(0, 2)),
            max_size=4,
        ),
        min_size=1,
        max_size=4,
    ),
    slack=st.integers(0, 3),
)
def test_any_history_restores_to_its_model(helpers, rounds, slack):
    """Random changes, listed with some slack, self-check on: what is restored is the model."""
    folder = tempfile.mkdtemp()
    try:
        history(helpers.Helper(f"{folder}/repository", "none"), helpers, rounds, slack)
    finally:
        shutil.rmtree(folder)


def history(helper, helpers, rounds, slack):
    model = bytearray(helpers.content(9 * CHUNK + CHUNK // 2, 5))
    helper.create()
    made = {}
    for number, changes in enumerate([[], *rounds]):
        listed = []
        for offset, length, fill in changes:
            end = min(offset + length, len(model))
            model[offset:end] = bytes([fill]) * (end - offset)
            listed.append((max(0, offset - slack), end - max(0, offset - slack)))
        disk = dataclasses.replace(
            helpers.disk(bytes(model)),
            changes=(Changes(f"s{number - 1}", lambda listed=listed: reversed(listed)),),
            change_id=lambda number=number: f"s{number}",
        )
        result = helper.open().back_up([disk], helpers.WEB)
        assert result.warnings == ()
        assert result.point.disks[0].method == ("changed" if number else "full")
        made[result.point.id] = bytes(model)
    for point_id, content in made.items():
        assert helper.restore(point_id) == content
