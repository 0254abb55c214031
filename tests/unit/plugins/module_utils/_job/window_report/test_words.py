# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report says in words: to managers, and to those who have to do something."""

from __future__ import annotations

import json

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.report import words
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.report.build import (
    ReportWish,
    make_report,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.report.document import (
    document_of,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.report.earlier import (
    read_earlier,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._job.window_report import (
    nights,
)

DAY = 86400


def row(moref="vm-1", **more):
    known = {"name": "web01", "moref": moref, "host": "esx1", "datastores": ["fast"]}
    return {**known, "proxies": ["p1", "p2"], "seconds": 600, **more}


def slot(moref="vm-1", **more):
    times = {"start": "2026-11-23T22:00:00Z", "end": "2026-11-23T22:10:00Z"}
    return row(moref, proxy="p1", **times, **more)


def plan(slots=(), left=()):
    times = {"start": "2026-11-23T22:00:00Z", "deadline": "2026-11-24T05:00:00Z"}
    return {**times, "slots": list(slots), "left": list(left), "limits": {"proxies": {"p1": 1}}}


def report(made, *events, **wish):
    """Events: (kind, minute, moref, proxy, outcome)."""
    told = [{"event": "open", "at": nights.START, "plan": made}]
    for kind, minute, moref, proxy, *outcome in events:
        at = nights.START + 60 * minute
        told.append({"event": kind, "at": at, "moref": moref, "proxy": proxy, **dict(*outcome)})
    return document_of(make_report(ReportWish(told, **wish)))


def point(moref, age, **source):
    """Made so many seconds before the window began."""
    kind = {"kind": "vm", "moref": moref, **source}
    return {"source": kind, "created": nights.to_text(nights.START - age)}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (59.6, "1 min"),
        (250, "4 min 10 s"),
        (720, "12 min"),
        (3599, "1 h"),
        (6400, "1 h 47 min"),
        (47 * 3600, "47 h"),
        (2 * DAY + 3 * 3600, "2 d 3 h"),
    ],
)
def test_durations(seconds, told):
    assert words.duration(seconds) == told


def test_only_all_of_it_is_100_percent():
    told = [words.share(part, 1000) for part in (0, 1, 25, 500, 999, 1000)]
    assert told == ["0 %", "0.1 %", "2.5 %", "50 %", "99 %", "100 %"]


def test_a_window_may_end_on_another_day():
    night = words.period(nights.START, nights.START + 7 * 3600)
    assert night == "Mon 23 Nov 2026, 22:00 to Tue 24 Nov 2026, 05:00"
    assert words.period(nights.START, nights.START + 3600).endswith("22:00 to 23:00")


@pytest.mark.parametrize(
    ("tries", "steps"),
    [
        ((("p1", "end"), ("p2", "end")), "It failed at p1 and p2: look at the machine"),
        ((("p1", "end"),), "Only p1 tried it: there was no time for another proxy."),
        ((("p1", "lost"),), "See whether p1 is up."),
        ((("p1", "gone"), ("p2", "gone")), "See whether p1 and p2 are up."),
    ],
)
def test_who_failed_is_told_what_to_do(tries, steps):
    events = []
    for number, (proxy, how) in enumerate(tries):
        events.append(("start", 2 * number, "vm-1", proxy))
        kind, told = ("lost", {}) if how == "lost" else ("end", {"gone": how == "gone"})
        outcome = {"ok": False, "message": "it broke.", **told}
        events.append((kind, 2 * number + 1, "vm-1", proxy, outcome))
    made = report(plan([slot()]), *events, points=[point("vm-1", 20 * 3600)])
    assert made["status"] == "failed"
    assert made["headline"] == "The one machine is not backed up; 1 failed."
    assert steps in made["text"]
    assert ".." not in made["text"]
    assert "within its RPO until 24 Nov, 02:00" in made["text"]


def test_who_is_overdue_or_has_nothing_is_told_first():
    old = report(plan([], [row(missed=2)]), points=[point("vm-1", 2 * DAY)])
    assert "is 2 d old, its RPO is 24 h. Back it up by hand today." in old["text"]
    assert "It leads the next window, at place 1 of 1. 2 windows in a row" in old["text"]
    none = report(plan([], [row(never=True, proxies=[], missed=1)]))
    assert "It has no restore point at all." in none["text"]
    assert "Let a proxy reach fast: no window has room for it" in none["text"]
    assert (old["missed"], old["status"]) == ({"vm-1": 2}, "incomplete")


def test_who_was_planned_and_had_no_turn_leads_too():
    made = report(
        plan([slot(), slot("vm-2")]),
        ("start", 0, "vm-1", "p1"),
        ("end", 415, "vm-1", "p1", {"ok": True}),
    )
    assert made["missed"] == {"vm-2": 1}
    assert "others took longer than expected" in made["machines"][1]["message"]
    early = report(plan([slot()]))
    assert early["machines"][0]["message"] == "the window ended before its turn came"


def test_who_had_a_turn_after_all_is_not_missed():
    ended = ("end", 5, "vm-1", "p1", {"ok": True})
    made = report(plan([], [row(missed=3)]), ("start", 0, "vm-1", "p1"), ended)
    assert (made["missed"], made["status"]) == ({}, "ok")
    assert made["headline"] == "The one machine is backed up."


def test_a_point_counts_by_the_uuid_of_its_machine():
    vms = [{"name": "web01", "moref": "vm-1", "instance_uuid": "u1", "disks": []}]
    points = [
        point("vm-1", 3600, instance_uuid="another"),  # had its id before
        point("vm-9", 7200, instance_uuid="u1"),
        {**point("vm-1", 60), "problem": "cannot be read"},
        {**point("vm-1", 60), "source": {"kind": "disk", "name": "web01"}},
    ]
    made = report(plan([slot()]), vms=vms, points=points)
    assert made["machines"][0]["newest"] == "2026-11-23T20:00:00Z"


def test_skipped_ones_are_told_and_only_selected_ones_measured():
    vms = [{"name": name, "moref": name, "disks": []} for name in ("a", "b")]
    skipped = [{"name": "a", "moref": "a", "reason": "no tools"}]
    skipped.append({"name": "t", "moref": "t", "reason": "excluded"})
    made = report(plan([slot()]), vms=vms, skipped=skipped)
    told = {
        each["name"]: each["message"] for each in made["machines"] if each["state"] == "skipped"
    }
    assert told == {"a": "no tools", "b": "it is not in the plan", "t": "excluded"}
    assert (made["totals"]["selected"], made["totals"]["measured"]) == (4, 3)


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        ({"verify": {"ok": True, "findings": []}}, "ok", "."),
        ({"verify": {"ok": False}}, "failed", "did not pass its verification"),
        ({"verify": {"failed": True, "msg": "gone"}}, "failed", "did not pass its verification"),
        ({"verify": {"skipped": True}, "prune": {"skipped": True}}, "ok", "."),
        ({"prune": {"kept": [1, 2], "dropped": [], "changed": True}}, "ok", "."),
        ({"prune": {"failed": True, "msg": "gone"}}, "incomplete", "pruning failed"),
    ],
)
def test_what_came_afterwards_counts(options, status, told):
    done = (("start", 0, "vm-1", "p1"), ("end", 1, "vm-1", "p1", {"ok": True}))
    made = report(plan([slot()]), *done, **options)
    assert made["status"] == status
    assert told in made["headline"]


def test_earlier_windows_make_the_trend_and_remember_points(tmp_path):
    first = report(
        plan([slot()]), ("start", 0, "vm-1", "p1"), ("end", 1, "vm-1", "p1", {"ok": True})
    )
    texts = {"good": json.dumps(first), "torn": json.dumps(first)[:-9], "other": "[1]", "old": "{}"}
    texts["odd"] = texts["good"].replace('"newest": "2026', '"newest": "late 2026')
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    paths = [str(tmp_path / name) for name in ("missing", *texts, "good")]
    earlier = read_earlier(paths, str(tmp_path / "own"))
    assert [each["totals"] for each in earlier] == [first["totals"]]
    assert earlier[0].keys() == {"title", "start", "status", "totals", "machines"}
    assert read_earlier(paths, str(tmp_path / "good")) == []
    again = report(plan([slot()]), earlier=earlier)
    assert len(again["trend"]) == 1  # it is the same night
    later = plan([slot()])
    later |= {"start": "2026-11-24T22:00:00Z", "deadline": "2026-11-25T05:00:00Z"}
    made = report(later, earlier=earlier)
    assert [each["done"] for each in made["trend"]] == [1, 0]
    assert made["machines"][0]["newest"] == "2026-11-23T22:00:00Z"


def test_a_proxy_that_stored_it_elsewhere_has_not_done_it():
    ended = ("end", 1, "vm-1", "p1", {"ok": True, "point": "new"})
    points = [{**point("vm-1", 3600), "id": "old"}]
    made = report(plan([slot()]), ("start", 0, "vm-1", "p1"), ended, points=points)
    assert made["status"] == made["machines"][0]["state"] == "failed"
    assert "its restore point is not in the repository" in made["machines"][0]["message"]
    assert "See whether p1 has another repository under the same path." in made["text"]
    assert made["machines"][0]["newest"] == "2026-11-23T21:00:00Z"
    points = [{**point("vm-1", -5), "id": "new"}]
    made = report(plan([slot()]), ("start", 0, "vm-1", "p1"), ended, points=points)
    assert (made["status"], made["machines"][0]["message"]) == ("ok", "")


def test_what_is_gone_or_of_another_vcenter_protects_nobody():
    """Earlier reports saw it; what they saw is for the days that were."""
    ended = ("end", 1, "vm-1", "p1", {"ok": True})
    seen = [report(plan([slot()]), ("start", 0, "vm-1", "p1"), ended)]
    later = {"start": "2026-11-24T20:00:00Z", "deadline": "2026-11-24T22:00:00Z"}

    def newest(points, **more):
        made = report({**plan([slot(**more)]), **later}, points=points, earlier=seen)
        return made["machines"][0]["newest"], made["totals"]["within_rpo"]

    assert newest([]) == (None, 0)
    assert newest([point("vm-1", DAY)]) == ("2026-11-22T22:00:00Z", 0)
    assert newest([point("vm-1", -60)]) == ("2026-11-23T22:01:00Z", 1)
    assert newest([], name="db01") == newest(None, name="db01") == (None, 0)
    # Where nobody could list them, what was known before counts.
    assert newest(None) == ("2026-11-23T22:00:00Z", 1)
    assert newest(None, age=3600) == ("2026-11-24T19:00:00Z", 1)


def test_thirty_windows_are_enough():
    first = report(plan([slot()]))
    made = report(plan([slot()]), earlier=nights.earlier_than(first, 40))
    assert len(made["trend"]) == 30
    assert made["trend"][-2]["start"] == "2026-11-22T22:00:00Z"
