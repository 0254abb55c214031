# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two nights of a site with trouble: what the log says is held against the rules, and against what
vCenter and the repository say. The first night is too short: a datastore is slow, a machine cannot
be backed up, and one hangs for ever."""

from __future__ import annotations

import calendar
import dataclasses
import os
import pathlib
import re
import signal
import time
import typing as t
from collections import Counter

import pytest
import yaml

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.tests.integration.window.conftest import MACHINES, NAMES
from ansible_collections.vdisk.lifecycle.tests.integration.window.site import (
    DISK,
    PASSPHRASE,
    Night,
)

pytestmark = pytest.mark.serial
ROOT = pathlib.Path(__file__).parents[3]
SHARE = max(1, MACHINES // 20)
LIMITS = {"host": SHARE, "datastore": 2 * SHARE + 1, "repository": 5, "slow": 1}
EXPECTED = 30  # seconds that each of these small disks is expected to take at least
GRACE = 3
HOW = {
    "safe_mode": "true",  # as a survey says it
    "backup": {"quiesce": "crash_consistent", "self_check": 2},
    "host_limit": str(LIMITS["host"]),
    "datastore_limit": LIMITS["datastore"],
    "datastores": {"nfs1": LIMITS["slow"]},
    "repository_limit": LIMITS["repository"],
    "clusters": "DC0_C0, DC0_C1,DC0_C2",
    "select": {"folder": "many"},
    "margin": 1.0,
    "verify_sample": "50%",
    "keep": {"last": 1},
}
SAY = {
    "name": "Say it",
    "ansible.builtin.copy": {
        "content": "{{ backup_window_report.headline }}",
        "dest": "{{ backup_window_path }}.told",
        "mode": "0600",
    },
}


STOPPED = "It was still running after the deadline"


@dataclasses.dataclass
class Nights:
    site: t.Any
    trouble: dict[str, str]  # what → moref
    foretold: t.Any  # the first night in check mode
    first: t.Any
    second: t.Any


@pytest.fixture(scope="module")
def nights(site):
    """Those with trouble had no room before, or chance would decide whether they have a turn."""
    fast = sorted(moref for moref, each in site.machines.items() if each.datastore != "nfs1")
    slow = sorted(site.machines.keys() - set(fast))
    trouble = {"stuck": fast[0], "broken": fast[1]}
    make = {"method": "CreateSnapshot_Task", "times": 0}
    broken = {**make, "of": [trouble["broken"]], "fault": "HostCommunication"}
    site.vcenter.rule(**broken)
    began = time.monotonic()
    foretold = site.run("first", "--check", **settings_of_the_readme())
    # As quick as this machine is today: time to begin, and for some of the machines.
    seconds = EXPECTED + round(3 * (time.monotonic() - began)) + 5 + MACHINES
    site.vcenter.rule(**make, of=slow, delay=(seconds - EXPECTED) // (len(slow) // 2) - 4)
    site.vcenter.rule(**make, of=[trouble["stuck"]], delay=seconds + GRACE + 2)
    site.missed({trouble["stuck"]: 3, trouble["broken"]: 2, **dict.fromkeys(slow, 1)})
    first = site.run("first", code=2, deadline=f"{seconds}s", grace=GRACE, **HOW)
    site.vcenter.clear_rules()
    site.vcenter.rule(**broken)
    for each in site.machines.values():
        site.vcenter.guest_write(each.name, DISK, 4096, b"what changed over the day")
    tell = site.tasks(SAY)
    second = site.run("second", "-v", code=2, deadline="1h", tell=tell, **HOW)
    return Nights(site, trouble, foretold, first, second)


def settings_of_the_readme():
    text = (ROOT / "roles/backup_window/README.md").read_text(encoding="utf-8")
    settings = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
    return {name.removeprefix("backup_window_"): value for name, value in settings.items()}


def running_together(site, night):
    """For each backup that begins: how many run then, by what they share."""
    running: dict[str, str] = {}
    for event in night.events:
        if event["event"] == "start":
            running[event["moref"]] = event["proxy"]
            beside = [site.machines[moref] for moref in running]
            yield Counter(
                [("repository", "")] * len(running)
                + [("proxy", proxy) for proxy in running.values()]
                + [("host", each.host) for each in beside]
                + [("datastore", each.datastore) for each in beside]
            )
        elif event["event"] in ("end", "lost"):
            del running[event["moref"]]


@pytest.mark.parametrize("which", ["first", "second"])
def test_limits_are_never_exceeded(nights, which):
    most = Counter()
    for together in running_together(nights.site, getattr(nights, which)):
        most |= together
    assert max(count for (kind, _name), count in most.items() if kind == "proxy") <= 2
    assert max(count for (kind, _name), count in most.items() if kind == "host") <= LIMITS["host"]
    assert most["datastore", "nfs1"] <= LIMITS["slow"]
    assert most["datastore", "datastore1"] <= LIMITS["datastore"]
    assert 2 <= most["repository", ""] <= LIMITS["repository"]


def test_every_proxy_works(nights):
    """In one of the nights: there are more streams than may run together, the first have turns."""
    both = [*nights.first.events, *nights.second.events]
    assert {event["proxy"] for event in both if event["event"] == "start"} == set(NAMES)


def test_nothing_begins_that_would_not_end_in_time(nights):
    deadline = seconds_of(nights.first.plan["deadline"])
    begun = [event["at"] for event in nights.first.events if event["event"] == "start"]
    assert max(begun) + EXPECTED <= deadline
    assert max(event["at"] for event in nights.first.events) < deadline + GRACE + 60


def test_what_hangs_is_stopped_after_the_deadline(nights):
    [(begun, ended)] = nights.first.tries()[nights.trouble["stuck"]]
    assert ended["message"].startswith(STOPPED)
    assert ended["at"] >= seconds_of(nights.first.plan["deadline"]) + GRACE - 1
    assert begun["at"] < ended["at"]


def test_one_failure_is_only_its_own(nights):
    first, second = nights.first.tries(), nights.second.tries()
    failed = {moref: all[-1][1] for moref, all in first.items() if not all[-1][1]["ok"]}
    late = {moref for moref, end in failed.items() if end["message"].startswith(STOPPED)}
    assert failed.keys() - late == {nights.trouble["broken"]}
    assert nights.trouble["stuck"] in late and len(nights.first.done()) > len(late)
    assert {moref for moref, all in second.items() if not all[-1][1]["ok"]} == {
        nights.trouble["broken"]
    }
    assert nights.second.done() == nights.site.machines.keys() - {nights.trouble["broken"]}
    clusters = {nights.site.machines[moref].cluster for moref in nights.second.done()}
    assert clusters == {"DC0_C0", "DC0_C1", "DC0_C2"}


def test_who_fails_is_tried_again_elsewhere_and_behind_others(nights):
    tries = nights.second.tries()[nights.trouble["broken"]]
    assert [begun["proxy"] == ended["proxy"] for begun, ended in tries] == [True, True]
    assert len({begun["proxy"] for begun, _ended in tries}) == 2
    first_end, second_start = tries[0][1]["at"], tries[1][0]["at"]
    begun = [event["at"] for event in nights.second.events if event["event"] == "start"]
    assert any(first_end <= at < second_start for at in begun)
    assert all("HostCommunication" in end["message"] for _begun, end in tries)


def test_who_had_no_room_leads_the_next_night(nights):
    left = {each["moref"] for each in nights.first.report["machines"] if each["state"] == "left"}
    assert left == nights.site.machines.keys() - nights.first.tries().keys()
    assert left
    assert nights.first.report["missed"].keys() == left
    assert left <= {each["moref"] for each in nights.second.plan["slots"]}
    assert left <= nights.second.done()


def test_the_second_night_stores_what_has_changed(nights):
    both = nights.first.done() & nights.second.done()
    ends = [
        {moref: all[-1][1] for moref, all in night.tries().items() if moref in both}
        for night in (nights.first, nights.second)
    ]
    assert {each["method"] for each in ends[0].values()} == {"full"}
    assert {each["method"] for each in ends[1].values()} == {"incremental"}
    added = [sum(each["added"] for each in night.values()) for night in ends]
    assert added[1] < added[0] / 10
    whole = sum(nights.site.machines[moref].size for moref in both)
    assert [sum(each["size"] for each in night.values()) for night in ends] == [whole, whole]


def test_restore_points_hold_what_the_guests_had(nights):
    repository = nights.site.repository
    for moref in sorted(nights.second.done())[:3]:
        machine = nights.site.machines[moref]
        [point] = [
            each
            for each in repository.points()
            if each.source["moref"] == moref and each.name == "second"
        ]
        with repository.open_disk(point, "scsi0:0") as disk:
            content = bytes(read(disk, 0, disk.size))
        assert content == nights.site.vcenter.guest_read(machine.name, DISK, 0, machine.size)


def test_the_report_is_true_to_the_log(nights):
    for night in (nights.first, nights.second):
        report, tries = night.report, night.tries()
        told = {each["moref"]: each for each in report["machines"]}
        assert told.keys() == nights.site.machines.keys()
        for moref, each in told.items():
            mine = tries.get(moref, [])
            assert [one["proxy"] for one in each["tries"]] == [begun["proxy"] for begun, _e in mine]
            if each["state"] == "done":
                assert each["point"] == mine[-1][1]["point"]
        states = Counter(each["state"] for each in told.values())
        assert states["done"] == report["totals"]["done"] == len(night.done())
        assert states["failed"] == report["totals"]["failed"]
        assert states["left"] == report["totals"]["left"]
        assert report["status"] == "failed"
        assert report["verify"]["ok"]


def test_the_end_says_who_failed_and_why(nights):
    names = {what: nights.site.machines[moref].name for what, moref in nights.trouble.items()}
    assert f"{names['broken']} failed: " in nights.first.printed
    assert f"{names['stuck']} failed: It was still running" in nights.first.printed
    assert f"{names['stuck']} failed" not in nights.second.printed


def test_others_are_told_of_a_bad_night_too(nights):
    told = nights.second.folder.with_name("second.told").read_text()
    assert told == nights.second.report["headline"]


def test_safe_mode_drops_nothing(nights):
    points = Counter(each.source["moref"] for each in nights.site.repository.points())
    both = nights.first.done() & nights.second.done()
    assert {points[moref] for moref in both} == {2}
    assert nights.second.report["prune"]["dropped"] >= len(both)


def test_nothing_is_left_behind(nights):
    """What hung was stopped, and what vCenter made of its request later, the second night took."""
    assert nights.site.left_behind() == []


def again_changes_nothing(nights):
    before = {path.name: path.read_bytes() for path in nights.second.folder.iterdir()}
    again = nights.site.run("second", code=2, deadline="1h", **HOW)
    assert {path.name: path.read_bytes() for path in again.folder.iterdir()} == before
    assert "changed=0" in again.printed and "changed=1" not in again.printed


def over_is_over(nights):
    refused = nights.site.run("first", code=2, deadline="1h", **HOW)
    assert "The window first ended at" in refused.printed


def test_check_mode_shows_the_plan_of_the_readme_and_does_nothing(nights):
    assert "2 planned, 0 without room" in nights.foretold.printed  # two of the machines are gold
    assert nights.first.printed.index("Keep the plan")  # which was not there


def test_a_proxy_that_does_not_answer_is_left_out(nights):
    assert "WARNING: silent: no answer" in nights.first.printed
    assert nights.first.plan["limits"]["proxies"] == dict.fromkeys(NAMES, 2)


def test_no_secret_is_told(nights):
    secrets = [PASSPHRASE, nights.site.vcenter.password]
    texts = [nights.first.printed, nights.second.printed]
    for night in (nights.first, nights.second):
        texts += [path.read_text() for path in night.folder.iterdir()]
    assert [secret for secret in secrets for text in texts if secret in text] == []


def killed_goes_on(nights):
    """The controller is killed with its proxies at work; the second run goes on without proxy1."""
    site = nights.site
    some = sorted(set(site.machines) - {nights.trouble["broken"]})[:4]
    names = [site.machines[moref].name for moref in some]
    how = {**HOW, "deadline": "1h", "vms": names, "verify": "none", "keep": {}}
    how["repository_limit"] = 2  # so one is at work when another has ended
    night = Night(site.folder / "windows/third", "")
    process = site.start("third", **how)
    try:
        while not any(each["event"] == "end" for each in night.events_so_far()):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.2)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    done = night.done()
    site.hosts["proxy1"] = site.hosts["silent"]
    again = site.run("third", **how)
    assert again.done() == set(some)
    assert "WARNING: proxy1: no answer" in again.printed
    begun = [event["moref"] for event in again.events if event["event"] == "start"]
    assert [begun.count(moref) for moref in done] == [1] * len(done)
    assert "lost" in [event["event"] for event in again.events]


AFTERWARDS = {"again": again_changes_nothing, "over": over_is_over, "killed": killed_goes_on}


@pytest.mark.one_a_build  # each is one window more
@pytest.mark.parametrize("what", sorted(AFTERWARDS))
def test_a_window_that_is_run_again(nights, what):
    AFTERWARDS[what](nights)


def seconds_of(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
