# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which points stay: against a model that is as plain as the documentation."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.manifest import (
    RestorePoint,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.retention import (
    Rules,
    judge,
)

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.timezone.utc)
FORM = "%Y-%m-%dT%H:%M:%S.%fZ"
BUCKETS = {
    "hourly": lambda time: time.strftime("%Y%m%d%H"),
    "daily": lambda time: time.date(),
    "weekly": lambda time: time.date() - datetime.timedelta(days=time.weekday()),
    "monthly": lambda time: (time.year, time.month),
    "yearly": lambda time: time.year,
}


def point(number, time, source="web", clock=None, **facts):
    exact = time.strftime(FORM)
    return RestorePoint(
        id=f"{time:%Y%m%dT%H%M%SZ}-{number:08x}",
        name=f"n{number}",
        exact=exact,
        source_kind="disk",
        source_id=source,
        source_name=source,
        source_facts={},
        disks=[],
        stored=0,
        repository="memory",
        id_hash="blake3",
        own_clock=clock.strftime(FORM) if clock else None,
        **facts,
    )


ages = st.one_of(st.integers(0, 3 * 86400), st.integers(0, 800 * 86400))
histories = st.lists(st.tuples(ages, st.sampled_from("ab")), max_size=30).map(
    lambda items: [
        point(number, NOW - datetime.timedelta(seconds=age), source)
        for number, (age, source) in enumerate(sorted(items, reverse=True))
    ]
)
counts = st.integers(0, 5)
rules = st.builds(
    Rules,
    **dict.fromkeys(("last", "hourly", "daily", "weekly", "monthly", "yearly"), counts),
    within=st.sampled_from((0, 3600, 86400, 30 * 86400)),
)


def model(points, rules):
    """Keys that stay, of one source; the newest is last."""
    if not any(dataclasses.astuple(rules)):
        return {point.key for point in points}
    kept = set()
    times = {
        point.key: datetime.datetime.strptime(point.exact, FORM).replace(
            tzinfo=datetime.timezone.utc
        )
        for point in points
    }
    if rules.last:
        kept |= {point.key for point in points[-rules.last :]}
    for name, bucket in BUCKETS.items():
        newest = {}
        for point in points:
            newest[bucket(times[point.key])] = point.key
        count = getattr(rules, name)
        kept |= {newest[label] for label in sorted(newest)[-count:]} if count else set()
    if rules.within and points:
        limit = times[points[-1].key] - datetime.timedelta(seconds=rules.within)
        kept |= {point.key for point in points if times[point.key] >= limit}
    return kept or {point.key for point in points[-1:]}


@given(histories, rules)
def test_as_the_model(points, rules):
    verdicts = judge(points, rules, NOW, held={})
    assert [verdict.point for verdict in verdicts] == points
    assert all(verdict.reasons for verdict in verdicts)
    expected = set()
    for source in "ab":
        expected |= model([point for point in points if point.source_id == source], rules)
    assert {verdict.point.key for verdict in verdicts if verdict.keep} == expected


@given(histories, rules, rules)
def test_more_rules_never_keep_less(points, one, two):
    both = Rules(*map(max, dataclasses.astuple(one), dataclasses.astuple(two)))
    if not one.drop_anything or not two.drop_anything:
        return

    def kept(rules):
        return {v.point.key for v in judge(points, rules, NOW, held={}) if v.keep}

    assert kept(both) >= kept(one) | kept(two)


@given(histories, rules)
def test_twice_is_once(points, rules):
    """What is left is not thinned again by the same rules."""
    left = [v.point for v in judge(points, rules, NOW, held={}) if v.keep]
    assert all(verdict.keep for verdict in judge(left, rules, NOW, held={}))


@given(histories, rules, st.integers(1, 3))
def test_never_more_than_asked(points, rules, wanted):
    only = Rules(daily=wanted)
    for source in "ab":
        own = [point for point in points if point.source_id == source]
        assert sum(verdict.keep for verdict in judge(own, only, NOW, held={})) <= wanted


def days(*numbers):
    return [point(n, NOW - datetime.timedelta(days=day)) for n, day in enumerate(numbers)]


def test_reasons_in_words():
    points = days(40, 2, 1, 0)
    verdicts = judge(points, Rules(last=1, daily=2), NOW, held={points[0].key: "audit 2026"})
    assert [(verdict.keep, verdict.reasons) for verdict in verdicts] == [
        (True, ("held: audit 2026",)),
        (False, ("not among the last 1", "daily 2026-11-21 is not among the newest 2")),
        (True, ("daily 2026-11-22",)),
        (True, ("last 1 of 1", "daily 2026-11-23")),
    ]


def test_a_point_that_cannot_be_read_is_kept_and_told():
    bad = dataclasses.replace(days(400)[0], problem="its signature does not fit")
    verdict = judge([bad, *days(1)], Rules(last=1), NOW, held={})[0]
    assert (verdict.keep, verdict.reasons) == (
        True,
        ("cannot be read: its signature does not fit",),
    )


def test_the_newest_readable_one_stays_although_one_that_cannot_be_read_is_newer():
    good, bad = days(3, 1)
    bad = dataclasses.replace(bad, problem="damaged")
    dropped = frozenset([good.key])
    assert [v.keep for v in judge([good, bad], Rules(last=0, hourly=1), NOW, held={})] == [
        True,
        True,
    ]
    assert [v.keep for v in judge([good, bad], Rules(last=1), NOW, held={}, drop=dropped)] == [
        False,
        True,
    ]


def test_held_and_retained_points_stay_though_named():
    points = days(3, 2, 1)
    points[1] = dataclasses.replace(points[1], retain_until="2026-11-24T00:00:00Z")
    points[2] = dataclasses.replace(points[2], retain_until="2026-11-22T00:00:00Z")
    every = frozenset(point.key for point in points)
    verdicts = judge(points, Rules(last=1), NOW, held={points[0].key: "why"}, drop=every)
    assert [verdict.keep for verdict in verdicts] == [True, True, False]


def test_a_clock_that_ran_ahead_makes_no_other_point_old():
    """All points after it are made in its future, but say what the clock said."""
    ahead = NOW + datetime.timedelta(days=365)
    points = [point(1, NOW - datetime.timedelta(days=3)), point(2, ahead)]
    for number in (3, 4):
        exact = ahead + datetime.timedelta(microseconds=number)
        points.append(point(number, exact, clock=NOW - datetime.timedelta(days=5 - number)))
    assert all(verdict.keep for verdict in judge(points, Rules(daily=4), NOW, held={}))
    assert all(verdict.keep for verdict in judge(points, Rules(within=3 * 86400), NOW, held={}))


@given(histories, rules, st.integers(1, 4000))
def test_a_clock_that_is_behind_drops_nothing_that_a_right_one_keeps(points, rules, days_behind):
    """As that of a proxy which lost its battery: all points seem to be of the future."""
    kept = [v.keep for v in judge(points, rules, NOW, held={})]
    behind = NOW - datetime.timedelta(days=days_behind)
    still = [v.keep for v in judge(points, rules, behind, held={})]
    assert all(after for before, after in zip(kept, still, strict=True) if before)


def test_age_counts_from_the_newest_point():
    points = days(100, 95, 80)
    assert [v.keep for v in judge(points, Rules(within=16 * 86400), NOW, held={})] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("name", ["hourly", "daily", "weekly", "monthly", "yearly"])
def test_borders_are_those_of_utc(name):
    border = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)  # a Monday
    points = [point(1, border - datetime.timedelta(microseconds=1)), point(2, border)]
    assert all(v.keep for v in judge(points, Rules(**{name: 2}), NOW, held={}))
    later = [point(1, border), point(2, border + datetime.timedelta(minutes=59))]
    assert [v.keep for v in judge(later, Rules(**{name: 2}), NOW, held={})] == [False, True]
