# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows as they run: proxies that take longer, or shorter, than was thought, fail and die."""

from __future__ import annotations

import heapq
import json
import os
import random
import threading
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.running import (
    give_back,
    open_window,
    run_of,
    take,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.turns import Course

HOSTS, STORES, PROXIES = ("esx1", "esx2"), ("ds1", "ds2", "ds3"), ("p1", "p2", "p3")
DEADLINE = 1000.0


@st.composite
def plans(draw):
    rows = [
        {
            "name": f"vm{number}",
            "moref": f"vm-{number}",
            "host": draw(st.sampled_from((*HOSTS, ""))),
            "datastores": sorted(draw(st.sets(st.sampled_from(STORES), max_size=2))),
            "proxies": sorted(draw(st.sets(st.sampled_from(PROXIES), min_size=1))),
            "seconds": draw(st.integers(1, 400)),
            "never": draw(st.booleans()),
        }
        for number in range(draw(st.integers(0, 10)))
    ]
    cut = draw(st.integers(0, len(rows)))
    count = st.integers(0, 3)
    return {
        "deadline": "1970-01-01T00:16:40Z",
        "slots": rows[:cut],
        "left": rows[cut:],
        "limits": {
            "host": draw(count),
            "datastore": draw(count),
            "repository": draw(count),
            "hosts": draw(st.dictionaries(st.sampled_from(HOSTS), st.integers(1, 2))),
            "datastores": draw(st.dictionaries(st.sampled_from(STORES), st.integers(1, 2))),
            "proxies": {name: draw(st.integers(1, 2)) for name in PROXIES},
        },
    }


def run(plan, dice):
    """A whole window, event by event, as Course sees it. Backups take what they like, some fail."""
    events, now, going = [{"event": "open", "plan": plan}], 0.0, []
    while True:
        for proxy in dice.sample(PROXIES, len(PROXIES)):
            while (turn := Course(events).turn(proxy, now, 2)) is not None:
                assert now + turn.machine["seconds"] <= DEADLINE
                moref = turn.machine["moref"]
                events.append({"event": "start", "at": now, "moref": moref, "proxy": proxy})
                end = now + turn.machine["seconds"] * dice.choice((0.1, 0.9, 1.0, 3.0))
                heapq.heappush(going, (end, moref, proxy))
                require_limits(plan, [(m, p) for _end, m, p in going])
        if not going:
            assert all(Course(events).is_over(proxy, now, 2) for proxy in PROXIES)
            return events
        now, moref, proxy = heapq.heappop(going)
        kind = dice.choice(("end", "end", "end", "lost"))
        ok = kind == "end" and dice.random() < 0.8
        events.append({"event": kind, "at": now, "moref": moref, "proxy": proxy, "ok": ok})


def require_limits(plan, running):
    rows = {each["moref"]: each for each in (*plan["slots"], *plan["left"])}
    limits, now = plan["limits"], Counter()
    for moref, proxy in running:
        assert proxy in rows[moref]["proxies"] and not (
            rows[moref]["never"] and rows[moref] in plan["left"]
        )
        now.update([("proxies", proxy), ("hosts", rows[moref]["host"]), ("repository", "")])
        now.update(("datastores", name) for name in rows[moref]["datastores"])
    for (kind, name), count in now.items():
        if (kind, name) == ("hosts", ""):
            continue
        if kind == "repository":
            most = limits["repository"]
        else:
            most = limits[kind].get(name, limits.get(kind.removesuffix("s"), 0))
        assert most == 0 or count <= most, (kind, name)


@given(plans(), st.randoms(use_true_random=False))
def test_limits_hold_and_nothing_is_tried_too_often(plan, dice):
    events = run(plan, dice)
    starts = Counter(event["moref"] for event in events if event["event"] == "start")
    assert all(count <= 2 for count in starts.values())
    good = {event["moref"] for event in events if event.get("ok")}
    assert all(starts[moref] >= 1 for moref in good)


def plan_of(*rows, **limits):
    none = {"host": 0, "datastore": 0, "repository": 0, "hosts": {}, "datastores": {}}
    proxies = {"proxies": {"p1": 2, "p2": 2}}
    return {
        "deadline": "2126-01-01T00:00:00Z",
        "slots": [
            {"name": name, "moref": name, "host": "esx1", "datastores": ["ds1"], "seconds": 1}
            | {"proxies": ["p1", "p2"]}
            for name in rows
        ],
        "left": [],
        "limits": {**none, **proxies, **limits},
    }


def test_whose_turn_it_is_among_ten_thousand_is_known_at_once():
    plan = plan_of(*(f"vm{number}" for number in range(10_000)), host=1)
    events = [{"event": "open", "plan": plan}, {"event": "start", "moref": "vm0", "proxy": "p1"}]
    begun = time.process_time()
    assert Course(events).turn("p2", 0, 2) is None
    assert time.process_time() - begun < 2


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "windows" / "night.log")


def turn(path, proxy="p1", patience=0.0):
    found = take(path, proxy, 2, patience)
    return found["turn"]["moref"] if found["turn"] else found["over"]


def test_a_night(path):
    plan = plan_of("a", "b", repository=1)
    assert run_of(path, plan) is None
    open_window(path, plan, 0)
    assert run_of(path, plan) == 1
    assert turn(path) == "a"
    assert turn(path, "p2") is False  # nothing now, but something later
    give_back(path, "p1", "a", 5, {"ok": True, "seconds": 5})
    assert turn(path, "p2") == "b"
    assert turn(path) is False  # it may fail at p2
    give_back(path, "p2", "b", 9, {"ok": True})
    assert turn(path) is True and turn(path, "p2") is True


def test_what_failed_is_tried_last_and_elsewhere(path):
    open_window(path, plan_of("a", "b"), 0)
    assert turn(path) == "a"
    give_back(path, "p1", "a", 1, {"ok": False, "message": "no room"})
    assert turn(path) == "b"
    give_back(path, "p1", "b", 2, {"ok": True})
    assert turn(path) is True
    assert turn(path, "p2") == "a"
    give_back(path, "p2", "a", 3, {"ok": False})
    assert turn(path, "p2") is True


def test_a_window_that_is_opened_again_goes_on(path):
    """As after a crash of the controller: what ran then runs no more, and has another try."""
    plan = plan_of("a", host=1)
    open_window(path, plan, 0)
    assert turn(path) == "a"
    assert turn(path, "p2") is False
    assert run_of(path, plan) is None
    open_window(path, plan, 1)
    assert turn(path, "p2") == "a"


def test_who_worked_for_a_run_that_was_killed_has_no_more_turns(path):
    """Its proxies do not know of its end: one of them waits for a turn."""
    plan = plan_of("a", "b", repository=1)
    open_window(path, plan, 0)
    assert turn(path) == "a"
    found = []
    waiting = threading.Thread(target=lambda: found.append(take(path, "p2", 2, 30)))
    waiting.start()
    time.sleep(0.2)
    assert open_window(path, plan, 1) == 2
    waiting.join()
    assert found == [{"turn": None, "over": True}]
    assert take(path, "p2", 2, 0, run=1) == {"turn": None, "over": True}
    give_back(path, "p1", "a", 2, {"ok": True}, run=1)  # it was lost before
    assert take(path, "p2", 2, 0, run=2)["turn"]["moref"] == "b"
    assert run_of(path, plan) is None


def test_nobody_waits_for_a_proxy_that_is_silent_when_it_is_opened_again(path):
    plan = plan_of("a")
    open_window(path, plan, 0)
    assert turn(path) == "a"
    open_window(path, plan, 1, ["p2"])
    assert run_of(path, plan, ["p2"]) == 2 and run_of(path, plan) is None
    assert turn(path) == "a"


def test_another_plan_needs_another_log(path):
    open_window(path, plan_of("a"), 0)
    with pytest.raises(InvalidRequest, match="that of another window"):
        open_window(path, plan_of("b"), 0)


def test_only_who_has_the_turn_can_give_it_back(path):
    open_window(path, plan_of("a"), 0)
    assert turn(path) == "a"
    with pytest.raises(InvalidRequest, match="p2 has no turn with a"):
        give_back(path, "p2", "a", 1, {"ok": True})


def test_a_window_must_be_open(path):
    with pytest.raises(InvalidRequest, match="was not opened"):
        turn(path)


def test_a_line_that_was_torn_is_no_matter(path):
    open_window(path, plan_of("a", "b", repository=1), 0)
    with open(path, "a") as log:
        log.write('{"event": "start", "moref": "a", "pro')
    assert turn(path) == "a"
    assert turn(path) is False


def test_waiting_ends_when_there_is_room(path):
    open_window(path, plan_of("a", "b", repository=1), 0)
    assert turn(path) == "a"
    timer = threading.Timer(0.6, give_back, (path, "p1", "a", 1, {"ok": True}))
    timer.start()
    assert turn(path, "p2", patience=30) == "b"
    timer.join()


def test_many_at_once_take_each_machine_once(path):
    names = [f"vm{number}" for number in range(40)]
    open_window(path, plan_of(*names, repository=3, proxies={"p1": 9, "p2": 9}), 0)
    taken = []

    def work(proxy):
        while isinstance(name := turn(path, proxy, patience=20), str):
            taken.append(name)
            give_back(path, proxy, name, 1, {"ok": True})

    threads = [
        threading.Thread(target=work, args=(random.choice(("p1", "p2")),)) for _n in "abcdef"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(names)
    running, most = 0, 0
    with open(path) as log:
        for event in map(json.loads, filter(str.strip, log)):
            running += {"start": 1, "end": -1}.get(event["event"], 0)
            most = max(most, running)
    assert most <= 3
    assert os.stat(path).st_mode & 0o777 == 0o600
