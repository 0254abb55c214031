# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run drops, holds and gives back, and what it says of it before."""

from __future__ import annotations

import dataclasses
import datetime
import shutil
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskInUse,
    InvalidRequest,
    RepositoryDamaged,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import (
    manifest,
    pack,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.quarantine import (
    Quarantine,
    encode,
    quarantine_key,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.tomb import (
    Tomb,
    encode_tomb,
    packs_key,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune import (
    compact,
    lease,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune import (
    prune as prune_module,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.prune import (
    PruneRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.retention import (
    Rules,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.read.avoid import (
    packs_to_avoid,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.retain import (
    Retention,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import Source

LAST = Rules(last=1)


@pytest.fixture
def three(either, helpers, monkeypatch):
    """Three points; each changes one of three chunks. A pack for each chunk."""
    monkeypatch.setattr(pack, "LARGEST", helpers.CHUNK + 4000)
    either.disks = {}
    chunks = [helpers.content(helpers.CHUNK, number) for number in range(5)]
    for number in range(3):
        data = b"".join(chunks[number : number + 3])
        point = either.back_up(data, name=f"n{number}").point
        either.disks[point.id] = data
    return either


def prune(helper, **request):
    """The forecast must be what then happens, and look like it."""
    request = PruneRequest(**{"grace": 0, **request})
    foretold = helper.open().prune(request).forecast()
    done = helper.open().prune(request).run()
    assert foretold.decision.dropped == done.decision.dropped
    assert foretold.changes == done.changes
    if done.survey is not None:
        assert foretold.survey.as_dict() == done.survey.as_dict()
    return done


def ids(helper):
    return [point.id for point in helper.open().points()]


def files(helper, folder):
    return [path for path in (Path(helper.url) / folder).rglob("*") if path.is_file()]


def test_space_comes_back_in_the_second_run_and_the_third_does_nothing(three):
    packs = len(files(three, "packs"))
    first = prune(three, rules=LAST)
    assert len(ids(three)) == 1
    assert len(files(three, "packs")) == packs
    second = prune(three, rules=LAST)
    assert len(second.survey.delete) == len(first.survey.new) > 0
    assert len(files(three, "packs")) == 4  # three chunks and a map
    assert not prune(three, rules=LAST).changes
    assert files(three, "tomb") == files(three, "locks") == files(three, "sessions") == []
    assert three.restore("web01@n2") == three.disks[ids(three)[0]]


def test_what_a_running_backup_may_have_written_is_not_condemned(three):
    """It would be stored a second time by all that come after."""
    (first, *_rest) = three.open().points()
    three.open()._access.store.delete(first.key)
    session = three.open()._access.store.begin_session()
    done = prune(three, drop=("web01@n1",))
    assert len(done.survey.new) > 0
    assert "while nobody writes" in done.survey.waiting[0]
    assert not prune(three).survey.new
    session.end()
    assert prune(three).survey.new


def test_the_grace_is_waited_for_without_a_change(three):
    day = {"rules": LAST, "grace": 86400}
    prune(three, **day)
    again = prune(three, **day)
    assert not again.changes
    assert "until 20" in again.survey.waiting[0]


def test_a_tomb_of_a_clock_that_ran_ahead_does_not_wait_for_years(three):
    access = three.open()._access
    prune(three, rules=LAST)
    for path in files(three, "tomb"):
        path.unlink()
    names = frozenset(pack.pack_name(stored.key) for stored in access.store.list("packs/"))
    tomb = Tomb("0" * 32, "2036-11-23T00:00:00Z", names)
    access.store.put(packs_key(tomb.id), encode_tomb(tomb, access.config, access.subkeys))
    prune(three, rules=LAST)
    assert prune(three, rules=LAST).survey.delete
    assert three.restore("web01@n2") == three.disks[ids(three)[0]]


def test_without_a_rule_nothing_is_dropped(three):
    assert not prune(three).changes
    assert len(ids(three)) == 3


def test_rules_of_one_source_leave_the_others(three, helpers):
    for name in ("one", "two"):
        three.back_up(b"x", Source("disk", "db-id", "db01"), name=name, mode="full")
    done = prune(three, rules=LAST, source="db01")
    assert {verdict.point.source_name for verdict in done.decision.verdicts} == {"db01"}
    assert len(three.open().points("db01")) == 1
    assert len(three.open().points("web01")) == 3


def test_a_held_point_stays_until_it_is_released(three):
    held = prune(three, rules=LAST, hold=("web01@n0",), hold_reason="audit 2026")
    reasons = {v.point.name: v.reasons for v in held.decision.verdicts if v.keep}
    assert reasons == {"n0": ("held: audit 2026",), "n2": ("last 1 of 1",)}
    again = prune(three, rules=LAST, hold=("web01@n0",), hold_reason="another")
    assert not again.decision.hold
    with pytest.raises(InvalidRequest, match="audit 2026"):
        prune(three, drop=("web01@n0",))
    prune(three, rules=LAST, release=("web01@n0",))
    assert [point.name for point in three.open().points()] == ["n2"]
    assert not prune(three, release=("web01@n0",)).decision.release
    assert files(three, "holds") == []


def test_a_hold_that_cannot_be_read_lets_nothing_go(three):
    prune(three, hold=("web01@n0",))
    (path,) = files(three, "holds")
    path.write_bytes(b"x")
    with pytest.raises(RepositoryDamaged, match="nothing is dropped"):
        prune(three, rules=LAST)
    assert len(ids(three)) == 3
    prune(three, release=(path.name,))
    prune(three, rules=LAST)
    assert len(ids(three)) == 1


def test_a_point_is_dropped_by_name_once(three):
    prune(three, drop=("web01@n1",))
    assert [point.name for point in three.open().points()] == ["n0", "n2"]
    assert not prune(three, drop=("web01@n1",)).decision.dropped


def test_latest_cannot_be_dropped_since_it_is_another_one_each_time(three):
    with pytest.raises(InvalidRequest, match="latest"):
        prune(three, drop=("web01@latest",))


def test_the_last_point_goes_only_by_name(three):
    prune(three, rules=LAST, drop=tuple(ids(three)))
    assert ids(three) == []
    prune(three)
    assert files(three, "packs") == []


def test_a_manifest_that_cannot_be_read_stops_the_collection_until_it_is_dropped(three):
    (first, *_rest) = ids(three)
    path = Path(three.url) / "backups" / "5f3d0a9e-web" / first
    path.write_bytes(b"")
    done = prune(three, rules=LAST)
    assert first in done.survey.problems[0]
    assert not done.survey.new
    again = prune(three, rules=LAST)
    assert not again.changes
    prune(three, drop=(first,))
    assert prune(three).survey.delete


def test_a_map_that_cannot_be_read_stops_the_collection(three, monkeypatch, tmp_path):
    point = three.open().points()[0]
    ref = point.disks[0].maps[0]
    (Path(three.url) / pack.pack_key(ref.location.pack)).unlink()
    monkeypatch.setenv("VDISK_CACHE", str(tmp_path / "another"))  # this host has never seen it
    done = prune(three, drop=("web01@n2",))
    assert not done.survey.new
    assert f"web01@{point.id}" in done.survey.problems[0]
    assert not prune(three).changes


def test_a_tomb_that_cannot_be_read_is_made_anew(three):
    prune(three, rules=LAST)
    for path in files(three, "tomb"):
        path.write_bytes(b"x")
    assert packs_to_avoid(three.open()._access).everything
    prune(three, rules=LAST)
    assert not packs_to_avoid(three.open()._access).everything
    assert prune(three, rules=LAST).survey.delete
    assert not prune(three, rules=LAST).changes


def test_a_second_prune_at_the_same_time_is_refused(three):
    store = three.open()._access.store
    with lease.Lease(store), pytest.raises(DiskInUse, match="another vmdk_prune"):
        three.open().prune(PruneRequest(rules=LAST)).run()
    assert len(ids(three)) == 3
    prune(three, rules=LAST)


def test_a_flag_that_was_left_behind_does_not_matter(three):
    store = three.open()._access.store
    store.put(lease.FLAGS + "0" * 32, b"")
    prune(three, rules=LAST)
    assert files(three, "locks") == []


def test_a_retained_point_cannot_be_dropped(three):
    repository = three.open()
    access = repository._access
    point = repository.points()[0]
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    until = f"{later:%Y-%m-%dT%H:%M:%SZ}"
    full = manifest.decode(
        point.key, access.store.get(point.key), access.config, access.subkeys, three.url
    )
    kept = dataclasses.replace(full, retain_until=until)
    access.store.put(point.key, manifest.encode(kept, access.config, access.subkeys))
    done = prune(three, rules=LAST)
    assert f"retained until {until}" in done.decision.verdicts[0].reasons
    with pytest.raises(InvalidRequest, match="retained until"):
        prune(three, drop=(point.id,))
    assert prune(three, rules=LAST, compact=90).compacted.points == 0
    assert three.restore(point.id) == three.disks[point.id]


def quarantine(helper, name):
    access = helper.open()._access
    document = Quarantine(name, "test", "2026-11-23T00:00:00Z", ())
    data = encode(document, access.config, access.subkeys)
    access.store.put(quarantine_key(name), data)


def test_the_quarantine_of_a_pack_that_is_gone_and_not_needed_goes_too(three):
    quarantine(three, bytes(32))
    assert prune(three).survey.stale
    assert files(three, "quarantine") == []


def test_a_copy_elsewhere_of_what_a_damaged_pack_held_is_not_collected(three):
    """The first point is read from the pack of the second, which is dropped."""
    repository = three.open()
    point = repository.points()[0]
    chunk = repository._access.load_map(point.disks[0], 0).entry(0)
    path = Path(three.url) / pack.pack_key(chunk.pack)
    data = bytearray(path.read_bytes())
    data[chunk.offset] ^= 1
    path.write_bytes(data)
    quarantine(three, chunk.pack)
    healed = three.back_up(three.disks[point.id], name="healed").point
    prune(three, drop=(healed.id,))
    prune(three)
    prune(three)
    assert three.restore(point.id) == three.disks[point.id]
    prune(three, drop=(point.id,))
    prune(three)
    assert not prune(three).changes
    assert files(three, "quarantine") == []


def test_compaction_moves_what_is_needed_and_nothing_is_changed_twice(either, helpers):
    chunks = [helpers.content(helpers.CHUNK, number) for number in range(6)]
    either.back_up(b"".join(chunks), name="old")
    data = chunks[0] + bytes(helpers.CHUNK) + chunks[5][:1000]
    either.back_up(data, name="new")
    size = sum(path.stat().st_size for path in files(either, "packs"))
    prune(either, rules=LAST, compact=50)
    done = prune(either, rules=LAST, compact=50)
    assert done.compacted.packs == 0
    assert not prune(either, rules=LAST, compact=50).changes
    assert sum(path.stat().st_size for path in files(either, "packs")) < size / 3
    assert either.restore("web01@new") == data
    assert either.back_up(data, unchanged_ok=True).created is False


def test_compaction_leaves_packs_of_held_points(either, helpers):
    chunks = [helpers.content(helpers.CHUNK, number) for number in range(4)]
    either.back_up(b"".join(chunks), name="old")
    either.back_up(chunks[0], name="new")
    before = {path.name for path in files(either, "packs")}
    done = prune(either, drop=("web01@old",), hold=("web01@new",), compact=60)
    assert done.compacted.packs == 0
    assert {path.name for path in files(either, "packs")} == before


def test_compaction_leaves_a_retained_point_that_comes_meanwhile(either, helpers, monkeypatch):
    chunks = [helpers.content(helpers.CHUNK, number) for number in range(4)]
    either.back_up(b"".join(chunks), name="old")
    either.back_up(chunks[0], name="new")
    come = []

    def find_sparse(*arguments):
        found = compact.find_sparse(*arguments)
        point = either.back_up(chunks[0], name="retained", retain=Retention(86400)).point
        come.append(((Path(either.url) / point.key).read_bytes(), point))
        return found

    request = PruneRequest(drop=("web01@old",), compact=60, grace=0)
    with monkeypatch.context() as patched:
        patched.setattr(prune_module, "find_sparse", find_sparse)
        assert either.open().prune(request).run().compacted.points == 1
    ((before, point),) = come
    assert (Path(either.url) / point.key).read_bytes() == before
    for _run in range(2):
        prune(either)
    assert either.restore("web01@retained") == either.restore("web01@new") == chunks[0]


def test_what_compaction_moved_does_not_count_as_locked(either, helpers):
    chunks = [helpers.content(helpers.CHUNK, number) for number in range(4)]
    either.back_up(b"".join(chunks), name="old")
    access = either.open()._access
    point = either.back_up(chunks[0], name="new").point
    locked = dataclasses.replace(
        point, retain_until="2026-01-02T00:00:00Z", locked_until="2999-01-01T00:00:00Z"
    )
    access.store.put(point.key, manifest.encode(locked, access.config, access.subkeys))
    assert prune(either, drop=("web01@old",), compact=60).compacted.points == 1
    (found,) = either.open().points()
    assert found.locked_until is None
    assert found.retain_until == "2026-01-02T00:00:00Z"


def test_the_copy_of_a_damaged_map_is_not_collected(either, helpers, monkeypatch, tmp_path):
    """Nobody has put the pack of that map into quarantine yet."""
    data = helpers.content(2 * helpers.CHUNK)
    first = either.back_up(data, name="first").point
    ref = first.disks[0].maps[0]
    either.back_up(data, name="second", mode="full")
    path = Path(either.url) / pack.pack_key(ref.location.pack)
    damaged = bytearray(path.read_bytes())
    damaged[ref.location.offset + 3] ^= 1
    path.write_bytes(damaged)
    monkeypatch.setenv("VDISK_CACHE", str(tmp_path / "another host"))
    for _run in range(3):
        prune(either, drop=("web01@second",))
    assert either.restore("web01@first") == data


def test_compaction_does_not_copy_damage(either, helpers):
    chunks = [helpers.content(helpers.CHUNK, number) for number in range(4)]
    either.back_up(b"".join(chunks), name="old")
    point = either.back_up(chunks[0], name="new").point
    access = either.open()._access
    chunk = access.load_map(point.disks[0], 0).entry(0)
    path = Path(either.url) / pack.pack_key(chunk.pack)
    data = bytearray(path.read_bytes())
    data[chunk.offset + 5] ^= 1
    path.write_bytes(data)
    copy = Path(either.url).with_name("copy")
    shutil.copytree(Path(either.url) / "backups", copy)
    request = PruneRequest(drop=("web01@old",), compact=60)
    with pytest.raises(RepositoryDamaged, match=chunk.pack.hex()):
        either.open().prune(request).run()
    kept = Path(either.url) / point.key
    assert kept.read_bytes() == (copy / point.key.partition("/")[2]).read_bytes()
