# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever order backups and prunes come in: no committed point is harmed, nothing is left over.

VDISK_PAIRS=1 tries every pair of switching points (an hour); otherwise it is every 97th, and other
ones each time. A build, where they are the same each time, tries every 193rd.
"""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskInUse
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import pack
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune import lease
from ansible_collections.vdisk.lifecycle.tests.examples import examples, some

BUILD = bool(os.environ.get("VDISK_CI"))
STRIDE = int(os.environ.get("VDISK_PAIRS", "193" if BUILD else "97"))
FIRST = 0 if BUILD else random.randrange(STRIDE)


@pytest.fixture
def orphans(play, actors):
    """A point of web with a, b, c; packs with d, e and a map that nothing refers to."""
    base = play()
    base.alone(actors.Backup("abc"))
    base.alone(actors.Backup("de", "old"))
    base.alone(actors.Prune(drop=names(base, "old"), collect=False))
    base.committed = {key: text for key, text in base.committed.items() if "old" not in key}
    return base


@pytest.fixture
def condemned(play, orphans, actors):
    """The same, and the packs that nothing refers to are condemned."""
    base = play(orphans)
    base.alone(actors.Prune())
    assert any(key.startswith("tomb/") for key in base.world.objects)
    return base


@pytest.fixture
def history(play, actors):
    """Three points of web, two of which a rule will drop."""
    base = play()
    for text in ("abc", "bcd", "cde"):
        base.alone(actors.Backup(text))
    return base


@pytest.fixture
def sparse(play, actors, monkeypatch):
    """Packs of three chunks, two of which are needed by nobody."""
    monkeypatch.setattr(pack, "LARGEST", 1 << 20)
    base = play()
    base.alone(actors.Backup("abc"))
    base.alone(actors.Backup("ade"))
    base.alone(actors.Backup("dfg", "db"))
    base.alone(actors.Prune(drop=names(base, "web")[:1], collect=False))
    base.committed.pop(min(key for key in base.committed if "web" in key))
    return base


def names(base, source):
    return sorted(key.split("/")[2] for key in base.committed if key.split("/")[1] == source)


def pairs(first, second):
    """Every STRIDE-th pair of switching points."""
    return [
        (one, two)
        for one in range(first + 1)
        for two in range(1, second + 1)
        if (one + 8 * two) % STRIDE == FIRST
    ]


def explore(play, base, one, two, *, dropped=(), may_fail=()):
    """one up to here, two up to there, one to its end, two to its end; and the other way round."""
    of_one, of_two = play(base).alone(one), play(base).alone(two)
    for begins, follows, points in (
        ("one", "two", pairs(of_one, of_two)),
        ("two", "one", pairs(of_two, of_one)),
    ):
        for here, there in points:
            segments = [(begins, here), (follows, there), (begins, None), (follows, None)]
            run = play(base).run(segments, one=one, two=two)
            for name, error in run.errors.items():
                assert name in may_fail, (segments, error)
                assert isinstance(error, DiskInUse), (segments, error)
            try:
                run.check(dropped=dropped)
            except Exception as error:
                raise AssertionError(f"{segments}: {error}") from error


def test_a_backup_that_uses_packs_nobody_needs(play, orphans, actors):
    explore(play, orphans, actors.Backup("adx"), actors.Prune(3))


def test_a_backup_that_would_use_condemned_packs(play, condemned, actors):
    explore(play, condemned, actors.Backup("adx"), actors.Prune(2))


def test_a_backup_beside_a_prune_that_drops_what_it_uses(play, history, actors):
    prune = actors.Prune(3, rules=actors.Rules(last=1))
    explore(play, history, actors.Backup("abx", "db"), prune, dropped=set(history.committed))


def test_a_backup_of_the_very_source_that_is_pruned(play, history, actors):
    prune = actors.Prune(3, rules=actors.Rules(last=1))
    dropped = set(history.committed)
    explore(play, history, actors.Backup("abx"), prune, dropped=dropped)


def test_two_prunes(play, history, actors):
    one = actors.Prune(2, rules=actors.Rules(last=1))
    two = actors.Prune(2, rules=actors.Rules(last=2))
    explore(play, history, one, two, dropped=set(history.committed), may_fail=("one", "two"))


def test_a_backup_beside_compaction(play, sparse, actors):
    explore(play, sparse, actors.Backup("acx", "db"), actors.Prune(3, compact=60))


def test_compaction_beside_a_prune_that_drops(play, sparse, actors):
    one = actors.Prune(2, compact=60)
    two = actors.Prune(2, drop=names(sparse, "db"))
    dropped = {key for key in sparse.committed if "db" in key}
    explore(play, sparse, one, two, dropped=dropped, may_fail=("one", "two"))


class Holder:
    """Has the lease for a few operations, and counts who else has."""

    def __init__(self, holders):
        self.holders = holders

    def run(self, opened):
        store = opened._access.store
        with lease.Lease(store):
            for _time in range(3):
                store.step(lambda: self.holders.add(self))
                assert self.holders == {self}
            store.step(lambda: self.holders.discard(self))


def test_no_two_have_the_lease(play, actors):
    base = play()
    length = base.alone(Holder(set()))
    refused = 0
    for here in range(length + 1):
        for there in range(1, length + 1):
            holders = set()
            segments = [("one", here), ("two", there), ("one", None), ("two", None)]
            run = play(base).run(segments, one=Holder(holders), two=Holder(holders))
            for error in run.errors.values():
                assert isinstance(error, DiskInUse), (segments, error)
                refused += 1
    assert refused > length


def test_compaction_gives_back_space(play, sparse, actors):
    def stored(run):
        objects = run.world.objects.items()
        return sum(len(data) for key, (data, _version) in objects if key.startswith("packs/"))

    plain, compacted = play(sparse), play(sparse)
    plain.alone(actors.Prune(3))
    compacted.alone(actors.Prune(3, compact=60))
    assert stored(compacted) < stored(plain) - (256 << 10)
    compacted.check()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", ["condemned", "drop", "compact"])
def test_a_prune_killed_at_every_operation(play, request, actors, kind, after):
    fixture = {"condemned": "condemned", "drop": "history", "compact": "sparse"}[kind]
    base = request.getfixturevalue(fixture)
    prune = {
        "condemned": actors.Prune(2),
        "drop": actors.Prune(3, rules=actors.Rules(last=1)),
        "compact": actors.Prune(3, compact=60),
    }[kind]
    for operation in some(range(1, play(base).alone(prune) + 1)):
        run = play(base)
        run.alone(prune, kill=operation, after=after)
        assert isinstance(run.errors["alone"], actors.Killed)
        run.alone(actors.Backup("adx", "db"))
        run.check(dropped=set(base.committed) if kind == "drop" else ())


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_killed_backup_is_collected(play, orphans, actors, after):
    backup = actors.Backup("adx")
    for operation in range(1, play(orphans).alone(backup) + 1):
        run = play(orphans)
        run.alone(backup, kill=operation, after=after)
        run.check()


def test_a_backup_that_is_taken_for_dead(play, orphans, actors):
    """At any moment, while collections run at any later one: it fails, or what it made is good."""
    backup, prune = actors.Backup("adx"), actors.Prune(3)
    length = play(orphans).alone(backup)
    failed = 0
    for here in range(2, length + 1):
        for expired in range(2, here + 1):
            if (here + 8 * expired) % STRIDE != FIRST and here != expired:
                continue
            run = play(orphans)
            options = {"one": {"expire": expired}}
            run.run([("one", here), ("two", None)], options, one=backup, two=prune)
            error = run.errors.get("one")
            assert error is None or isinstance(error, DiskInUse), error
            failed += error is not None
            run.check()
    assert failed > 10


def test_compaction_that_is_taken_for_dead(play, sparse, actors):
    compaction, prune = actors.Prune(1, compact=60), actors.Prune(3)
    for here in range(2, play(sparse).alone(compaction) + 1):
        run = play(sparse)
        options = {"one": {"expire": here}}
        run.run([("one", here), ("two", None)], options, one=compaction, two=prune)
        assert set(run.errors) <= {"one"}
        run.check()


@pytest.mark.parametrize("kind", ["condemned", "history", "sparse"])
def test_any_order_of_four(play, request, actors, kind):
    base = request.getfixturevalue(kind)
    crew = {
        "one": actors.Backup("adx"),
        "two": actors.Prune(2, rules=actors.Rules(last=2)),
        "three": actors.Backup("bde", "db"),
        "four": actors.Prune(2, compact=60 if kind == "sparse" else 0, drop=("nobody",)),
    }
    segment = st.tuples(st.sampled_from(sorted(crew)), st.integers(1, 30))
    kills = st.fixed_dictionaries({}, optional={name: st.integers(1, 60) for name in crew})

    @settings(max_examples=examples(60), suppress_health_check=list(HealthCheck))
    @given(st.lists(segment, max_size=12), kills)
    def holds(segments, kills):
        run = play(base)
        options = {name: {"kill": operation} for name, operation in kills.items()}
        run.run(segments, options, **crew)
        for error in run.errors.values():
            assert isinstance(error, (DiskInUse, actors.Killed)), error
        run.check(dropped=set(base.committed) | set(run.committed))

    holds()
