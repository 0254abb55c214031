# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Made-up backup windows: planned by the planner, run by its turns, with some bad luck."""

from __future__ import annotations

import heapq
import json
import random

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.model import (
    Limits,
    Window,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.times import (
    parse_time,
    to_text,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.turns import Course
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.wish import (
    Proxy,
    WindowWish,
    plan_of,
)

GIB, DAY = 1 << 30, 86400
START = parse_time("2026-11-23T22:00:00Z", "start")
ROLES = "web db app mail files build cache queue auth git print log erp crm wiki proxy ldap dns"
TOOLS = (
    "VMware Tools are not running: nothing brings the guest to rest, and a backup is as after a"
    " power failure. Install or start them."
)
WRITERS = (
    "[slow1] disk-000001.vmdk: the snapshot could not be made, found 'quiescing timed out after"
    " 900 s'. Look at the VSS writers of the guest, or set quiesce: false."
)


def names_of(count):
    roles = ROLES.split()
    return [f"{roles[n % len(roles)]}{n // len(roles) + 1:02}" for n in range(count)]


def machines_of(names, dice):
    vms = []
    for number, name in enumerate(names):
        store = f"{('fast', 'bulk', 'slow')[number % 3]}{number % 2 + 1}"
        size = dice.choice((20, 40, 60, 80, 120, 200)) * GIB
        vms.append(
            {
                "name": name,
                "moref": f"vm-{1000 + number}",
                "instance_uuid": f"uuid-{number}",
                "host": f"esx{number % 6 + 1:02}.example.com",
                "disks": [{"name": "scsi0:0", "path": f"[{store}] {number}.vmdk", "size": size}],
                "concerns": [TOOLS] if dice.random() < 0.1 else [],
            }
        )
    return vms


def point(vm, made, seconds=60, id=None):
    source = {"kind": "vm", **{key: vm[key] for key in ("name", "moref", "instance_uuid")}}
    disks = [{"name": "scsi0:0", "method": "changed"}]
    told = {"source": source, "created": to_text(made), "seconds": seconds, "disks": disks}
    return {"id": id, **told}


def points_before(vms, hours, dice):
    """A month of nights, of which some went wrong."""
    points = []
    for vm in vms:
        for back in range(30, 0, -1):
            if dice.random() < 0.985:
                made = START - back * DAY + dice.random() * hours * 3000
                seconds = vm["disks"][0]["size"] / (400 << 20) * dice.uniform(0.8, 1.6)
                points.append(point(vm, made, round(seconds)))
    return sorted(points, key=lambda each: each["created"])


class Night:
    """One that always fails, one whose proxy dies once, one that fits no window."""

    def __init__(self, count=0, *, names=None, hours=2, proxies=3, streams=2, trouble=True):
        self.dice = random.Random(count)
        self.vms = machines_of(names or names_of(count), self.dice)
        self.points = points_before(self.vms, hours, self.dice)
        ids = [vm["moref"] for vm in self.vms]
        self.bad = {ids[len(ids) // 3]} if trouble else set()
        self.dying = {ids[len(ids) // 4]} if trouble else set()
        if trouble:
            huge = self.vms[len(ids) // 2]
            huge["disks"][0]["size"] = 9000 * GIB
            self.points = [p for p in self.points if p["source"]["moref"] != huge["moref"]]
        self.proxies = [Proxy(f"proxy{n + 1}", streams) for n in range(proxies)]
        self.plan = self._plan(hours)
        self.events = [{"event": "open", "at": START + 2, "plan": self.plan}]
        self._run()

    def _plan(self, hours):
        window, rest = Window(START, START + hours * 3600), ({}, {}, {}, 100 << 20, 1.25)
        return plan_of(
            WindowWish(self.vms, self.points, self.proxies, window, Limits(4, 6), DAY, *rest)
        )

    def _run(self):
        now, going = START + 4.0, []
        while True:
            for proxy in (each.name for each in self.proxies):
                while (turn := Course(self.events).turn(proxy, now, 2)) is not None:
                    moref = turn.machine["moref"]
                    self._log("start", now, moref, proxy)
                    end = now + turn.machine["seconds"] * self.dice.uniform(0.5, 1.1)
                    heapq.heappush(going, (end, now, moref, proxy, turn.tries))
            if not going:
                return
            now, begun, moref, proxy, tries = heapq.heappop(going)
            self._end(now, begun, moref, proxy, tries)

    def _log(self, kind, at, moref, proxy, **more):
        self.events.append({"event": kind, "at": at, "moref": moref, "proxy": proxy, **more})

    def _end(self, now, begun, moref, proxy, tries):
        if moref in self.bad:
            self._log("end", now, moref, proxy, ok=False, message=WRITERS)
        elif moref in self.dying and tries == 1:
            self._log("lost", now, moref, proxy)
        else:
            vm = next(each for each in self.vms if each["moref"] == moref)
            size = vm["disks"][0]["size"]
            read = int(size * self.dice.uniform(0.01, 0.05))
            outcome = {"size": size, "bytes_read": read, "bytes_new": read // 2, "added": read // 3}
            outcome |= {"point": f"{moref}-point", "method": "incremental", "transport": "hotadd"}
            self._log("end", now, moref, proxy, ok=True, seconds=round(now - begun), **outcome)
            self.points.append(point(vm, begun + 3, id=outcome["point"]))

    def write(self, path):
        path.write_text("".join(f"\n{json.dumps(event)}\n" for event in self.events))
        return path


def earlier_than(document, windows=29):
    """Reports of the nights before, of much the same."""
    dice, found = random.Random(windows), []
    for back in range(windows, 0, -1):
        start = to_text(parse_time(document["start"], "start") - back * DAY)
        much, failed = dice.uniform(0.8, 1.3), dice.choice((0, 0, 0, 0, 1, 2))
        totals = {**document["totals"], "failed": failed}
        totals["done"] = totals["selected"] - failed - totals["left"]
        for key in ("bytes_read", "added", "seconds"):
            totals[key] = int(totals[key] * much)
        found.append({**document, "start": start, "totals": totals, "machines": [], "trend": []})
    return found


class Fleet:
    """Many machines, one after the other at four proxies. (Planning them takes longer.)"""

    def __init__(self, count):
        dice = random.Random(count)
        self.vms = machines_of(names_of(count), dice)
        self.points = points_before(self.vms, 7, dice)
        slots = [self._slot(number, vm) for number, vm in enumerate(self.vms)]
        times = {"start": to_text(START), "deadline": to_text(START + 7 * 3600)}
        limits = {"host": 4, "proxies": {f"proxy{n}": 1 for n in range(1, 5)}}
        plan = {**times, "slots": slots, "left": [], "limits": limits}
        self.events = [{"event": "open", "at": START, "plan": plan}]
        for number, slot in enumerate(slots):
            self._run(number, slot, dice)

    def _slot(self, number, vm):
        start = START + 90 * (number // 4)
        times = {"start": to_text(start), "end": to_text(start + 90)}
        place = {"host": vm["host"], "datastores": ["fast"], "proxies": ["proxy1"]}
        named = {"name": vm["name"], "moref": vm["moref"], "proxy": f"proxy{number % 4 + 1}"}
        return {**named, **times, **place, "seconds": 90, "age": DAY}

    def _run(self, number, slot, dice):
        start = START + 90 * (number // 4)
        own = {"moref": slot["moref"], "proxy": slot["proxy"]}
        ok = dice.random() < 0.99
        outcome = {"ok": ok, "size": 100 * GIB, "bytes_read": GIB, "added": GIB // 3}
        self.events.append({"event": "start", "at": start, **own})
        self.events.append({"event": "end", "at": start + 80, **own, **outcome})
