# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of backup windows, held against its rules, and against the best plans there are."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.model import (
    Limits,
    Machine,
    Window,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.planner import plan_window
from ansible_collections.vdisk.lifecycle.tests.examples import examples

DAY = 86400.0
HOSTS, STORES, PROXIES = ("esx1", "esx2", "esx3"), ("ds1", "ds2", "ds3"), ("p1", "p2", "p3")


@st.composite
def machines(draw, most=12):
    return [
        Machine(
            name=f"vm{number}",
            seconds=float(draw(st.integers(1, 400))),
            host=draw(st.sampled_from(HOSTS)),
            datastores=tuple(draw(st.sets(st.sampled_from(STORES), min_size=1, max_size=2))),
            proxies=draw(st.frozensets(st.sampled_from(PROXIES), max_size=2)),
            last=draw(st.none() | st.floats(-9 * DAY, -1.0)),
            missed=draw(st.integers(0, 2)),
        )
        for number in range(draw(st.integers(0, most)))
    ]


limits = st.builds(
    Limits,
    host=st.integers(0, 2),
    datastore=st.integers(0, 2),
    repository=st.integers(0, 4),
    hosts=st.dictionaries(st.sampled_from(HOSTS), st.integers(1, 3), max_size=1),
    datastores=st.dictionaries(st.sampled_from(STORES), st.integers(1, 3), max_size=1),
)
proxies = st.dictionaries(st.sampled_from(PROXIES), st.integers(0, 3))


def most_at_once(slots):
    """(kind, name) → how many run at the same time at most."""
    most = Counter()
    for moment in {slot.start for slot in slots}:
        now = Counter()
        for slot in slots:
            if slot.start <= moment < slot.end:
                now.update([("repository", ""), ("proxy", slot.proxy), ("host", slot.machine.host)])
                now.update(("datastore", name) for name in slot.machine.datastores)
        most |= now
    return most


@given(machines(), proxies, limits, st.floats(0, 900))
def test_no_limit_is_exceeded_and_nothing_begins_that_cannot_end(fleet, streams, limit, length):
    window = Window(0.0, length)
    plan = plan_window(fleet, streams, limit, window)
    planned = [slot.machine for slot in plan.slots]
    assert sorted([*planned, *(left.machine for left in plan.left)]) == sorted(fleet)
    assert all(slot.start >= 0 and slot.end <= length for slot in plan.slots)
    assert all(not m.proxies or s.proxy in m.proxies for s in plan.slots for m in [s.machine])
    most = most_at_once(plan.slots)
    for (kind, name), number in most.items():
        allowed = {
            "repository": limit.repository,
            "proxy": streams.get(name, 0),
            "host": limit.of_host(name),
            "datastore": limit.of_datastore(name),
        }[kind]
        assert number <= (allowed or len(fleet) if kind != "proxy" else allowed)


@given(machines(), proxies, limits, st.floats(0, 900))
def test_the_same_input_gives_the_same_plan(fleet, streams, limit, length):
    once, again = (plan_window(fleet, streams, limit, Window(0.0, length)) for _turn in range(2))
    assert once == again


@settings(max_examples=examples(12))
@given(machines(most=9), limits)
def test_nobody_starves(fleet, limit):
    """Night after night in a window that is far too short, everybody has his turn."""
    length = 400.0
    fleet = [each._replace(proxies=frozenset(), missed=0) for each in fleet]
    waiting = {each.name: 0 for each in fleet}
    for night in range(4 * len(fleet)):
        begin = night * DAY
        plan = plan_window(fleet, {"p1": 1}, limit, Window(begin, begin + length))
        left = {each.machine.name for each in plan.left}
        waiting = {name: nights + 1 if name in left else 0 for name, nights in waiting.items()}
        fleet = [
            each._replace(missed=each.missed + 1)
            if each.name in left
            else each._replace(missed=0, last=begin)
            for each in fleet
        ]
        assert max(waiting.values(), default=0) <= len(fleet)


def best_end(fleet, streams, limit):
    """Of all schedules: some order, each put where it fits earliest, is the best one."""
    return min(end_of(order, streams, limit) for order in itertools.permutations(fleet))


def end_of(order, streams, limit):
    slots = []
    for machine in order:
        start, proxy = min(
            (moment, name)
            for moment in {0.0, *(slot[2] for slot in slots)}
            for name in (machine.proxies or streams)
            if streams.get(name) and fits(machine, name, moment, slots, streams, limit)
        )
        slots.append((machine, start, start + machine.seconds, proxy))
    return max(slot[2] for slot in slots)


def fits(machine, proxy, start, slots, streams, limit):
    end = start + machine.seconds
    beside = [slot for slot in slots if slot[1] < end and start < slot[2]]
    for moment in {start, *(slot[1] for slot in beside if slot[1] >= start)}:
        now = [slot for slot in beside if slot[1] <= moment < slot[2]]
        users = [
            (limit.repository, len(now)),
            (streams[proxy], sum(slot[3] == proxy for slot in now)),
            (limit.of_host(machine.host), sum(slot[0].host == machine.host for slot in now)),
            *(
                (limit.of_datastore(name), sum(name in slot[0].datastores for slot in now))
                for name in machine.datastores
            ),
        ]
        if any(most and used >= most for most, used in users):
            return False
    return True


@pytest.mark.parametrize("seed", range(examples(40)))
def test_small_windows_are_near_the_best(seed):
    dice = random.Random(seed)
    fleet = [
        Machine(
            f"vm{number}",
            float(dice.randint(1, 100)),
            dice.choice(HOSTS),
            tuple(dice.sample(STORES, dice.randint(1, 2))),
            last=-dice.random() * 2 * DAY,
        )
        for number in range(dice.randint(3, 6))
    ]
    streams = {"p1": dice.randint(1, 2), "p2": 1}
    limit = Limits(host=dice.randint(1, 2), datastore=dice.randint(1, 2), repository=3)
    plan = plan_window(fleet, streams, limit, Window(0.0, 1e6))
    assert plan.left == ()
    assert plan.end <= 1.2 * best_end(fleet, streams, limit)


def test_ten_thousand_machines_take_seconds():
    dice = random.Random(7)
    fleet = [
        Machine(
            f"vm{number}",
            dice.expovariate(1 / 300) + 20,
            f"esx{dice.randrange(200)}",
            (f"ds{dice.randrange(300)}",),
            last=-dice.random() * 2 * DAY,
        )
        for number in range(10_000)
    ]
    streams = {f"proxy{number}": 8 for number in range(40)}
    begun = time.process_time()
    plan = plan_window(fleet, streams, Limits(4, 4, 300), Window(0.0, 8 * 3600.0))
    assert time.process_time() - begun < 20  # 1 on an idle machine
    assert len(plan.slots) + len(plan.left) == 10_000
