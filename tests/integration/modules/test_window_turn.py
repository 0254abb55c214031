# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns of a window by the module, as proxies take them. The rules themselves have unit tests."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def window(modules, tmp_path):
    return Window(modules, tmp_path / "windows" / "night" / "log.jsonl")


class Window:
    def __init__(self, modules, log):
        self.modules, self.log = modules, log

    def plan(self, *names, **limits):
        vms = [{"name": name, "moref": f"vm-{name}", "host": "esx1", "disks": []} for name in names]
        window = {"start": "2126-11-23T22:00:00+01:00", "deadline": "05:00"}
        proxies = [{"name": name, "streams": 2} for name in ("p1", "p2")]
        return self.modules.vmdk_window_plan(vms=vms, proxies=proxies, limits=limits, **window)[
            "plan"
        ]

    def ask(self, state, check_mode=False, **options):
        options = {"log": self.log, "state": state, "wait": 0, **options}
        return self.modules.run("vmdk_window_turn", check_mode, **options)

    def refused(self, state, **options):
        return self.modules.fail("vmdk_window_turn", log=self.log, state=state, **options)["msg"]

    def take(self, proxy="p1", **options):
        """The machine's name, or whether it is over."""
        found = self.ask("taken", proxy=proxy, **options)
        return found["turn"]["name"] if found["turn"] else found["over"]

    def events(self):
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line]


def test_a_night_of_two_proxies(window):
    plan = window.plan("a", "b", "c", repository=2)
    assert plan["deadline"] == "2126-11-24T04:00:00Z"
    assert window.ask("opened", plan=plan)["changed"]
    assert [window.take("p1"), window.take("p2"), window.take("p1")] == ["a", "b", False]
    assert window.ask("returned", proxy="p1", vm="vm-a", outcome={"ok": True, "point": "x"})
    # one task gives back and takes
    assert window.take("p2", vm="vm-b", outcome={"ok": False, "message": "no"}) == "c"
    assert window.take("p2", vm="vm-c", outcome={"ok": True}) is True
    assert window.take("p1") == "b"
    assert window.take("p1", vm="vm-b", outcome={"ok": True}) is True
    kinds = [(each["event"], each.get("moref", "")[3:]) for each in window.events()]
    assert kinds == [
        ("open", ""), ("start", "a"), ("start", "b"), ("end", "a"), ("end", "b"), ("start", "c"),
        ("end", "c"), ("start", "b"), ("end", "b"),
    ]  # fmt: skip
    assert [each["point"] for each in window.events() if "point" in each] == ["x"]


def test_limits_hold(window):
    window.ask("opened", plan=window.plan("a", "b", host=1))
    assert [window.take("p1"), window.take("p2")] == ["a", False]


def test_check_mode_takes_nothing_and_says_what_would_change(window):
    plan = window.plan("a")
    assert window.ask("opened", check_mode=True, plan=plan)["changed"]
    assert not window.log.exists()
    window.ask("opened", plan=plan)
    assert window.ask("taken", check_mode=True, proxy="p1")["changed"]
    assert [each["event"] for each in window.events()] == ["open"]


def test_a_second_run_changes_nothing(window):
    plan = window.plan("a")
    window.ask("opened", plan=plan)
    assert not window.ask("opened", plan=plan)["changed"]
    assert window.take() == "a"
    window.ask("returned", proxy="p1", vm="vm-a", outcome={"ok": True})
    before = window.log.read_bytes()
    assert not window.ask("taken", proxy="p1")["changed"]
    assert not window.ask("opened", plan=plan)["changed"]
    assert window.log.read_bytes() == before


def test_what_ended_without_a_word_has_another_turn(window):
    plan = window.plan("a")
    window.ask("opened", plan=plan)
    assert window.take("p1") == "a"
    assert window.ask("opened", plan=plan)["changed"]
    assert [each["event"] for each in window.events()][-2:] == ["lost", "again"]
    assert [window.take("p1"), window.take("p2")] == [True, "a"]


def test_a_proxy_that_is_gone_leaves_its_work_to_the_others(window):
    window.ask("opened", plan=window.plan("a", "b", "c"))
    lost = {"ok": False, "gone": True, "message": "no answer"}
    assert [window.take("p2"), window.take("p2")] == ["a", "b"]
    assert window.take("p2", vm="vm-a", outcome=lost) is True
    assert window.take("p2", vm="vm-b", outcome=lost) is True
    assert [window.take("p1") for _turn in "ab"] == ["c", "a"]
    assert window.take("p1", vm="vm-a", outcome={"ok": True}) == "b"
    # it would be p2's, were that there
    assert window.take("p1", vm="vm-c", outcome={"ok": False}) == "c"


def test_what_makes_no_sense_is_refused(window):
    assert "was not opened" in window.refused("taken", proxy="p1")
    window.ask("opened", plan=window.plan("a"))
    assert "that of another window" in window.refused("opened", plan=window.plan("b"))
    assert "p1 has no turn with vm-a" in window.refused("returned", proxy="p1", vm="vm-a")
    assert "state is opened but all of the following are missing: plan" in window.refused("opened")
