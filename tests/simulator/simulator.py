# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated vCenter itself: what every handler gets as its first argument."""

from __future__ import annotations

import collections
import copy
import sys
import threading
import traceback
from typing import Any, TypeVar

from . import handlers
from .faults import ConnectionDropped, Rules, applied
from .images import Images
from .privileges import denied
from .sessions import Sessions
from .soap import Call, Fault, Reply, fault_reply, task_reply
from .tasks import Tasks
from .under_way import UnderWay
from .upstream import Upstream
from .world import World

Part = TypeVar("Part")


class Simulator:
    def __init__(self, world: World, upstream: Upstream) -> None:
        self.world = world
        self.upstream = upstream
        self.images = Images(world.datastore_dir)
        self.sessions = Sessions(world.username, world.password)
        self.rules = Rules()
        self.mode: dict[str, Any] = {}
        self.reset_modes()
        self.calls: collections.Counter[str] = collections.Counter()
        self.failures: list[str] = []  # of the simulator itself: a test that sees one must fail
        self.lock = threading.RLock()  # for behaviours: one thing at a time
        self.under_way = UnderWay()
        self.tasks = Tasks(upstream, self.under_way)
        self.address = ("", 0)  # set by the server
        self._parts: dict[type, Any] = {}

    def reset_modes(self) -> None:
        """As it was started."""
        self.mode.update({**copy.deepcopy(handlers.MODES), **self.world.modes})

    def part(self, kind: type[Part]) -> Part:
        """The one object of this class that is this simulator's; made with `kind(simulator)`."""
        with self.lock:
            if kind not in self._parts:
                self._parts[kind] = kind(self)  # type: ignore[call-arg]
            return self._parts[kind]  # type: ignore[no-any-return]

    def answer(self, call: Call) -> Reply:
        """ConnectionDropped where a rule says so; never any other exception."""
        self.calls[call.method] += 1
        try:
            return self._answer(call)
        except Fault as fault:
            return fault_reply(call.path, fault)
        except ConnectionDropped:
            raise
        except Exception as error:
            self.failures.append("".join(traceback.format_exception(error)))
            print(self.failures[-1], file=sys.stderr)
            return fault_reply(call.path, Fault("SystemError", f"simulator: {error!r}"))

    def _answer(self, call: Call) -> Reply:
        due = self.rules.due(call.method, call.id)
        if any(rule.expire_session for rule in due):
            self.sessions.expire(call.session)
        self.sessions.check(call)
        denied(self, call)
        applied(due, call)
        for rule in due:
            if rule.task:
                fault = rule.as_fault(call.type, call.id)
                return task_reply(call, self.tasks.fail(self.entity(call), call.method, fault))
        reply = self.carry_out(call)
        if any(rule.drop == "after" for rule in due):
            raise ConnectionDropped
        return reply

    def carry_out(self, call: Call) -> Reply:
        handler = handlers.METHODS.get((call.path, call.method))
        answer: Any = handler(self, call) if handler else handlers.FORWARD
        reply: Reply = self.forward(call) if answer is handlers.FORWARD else answer
        if reply.status == 200:
            for hook in handlers.AFTER.get(call.method, ()):
                reply = hook(self, call, reply)
        return reply

    def forward(self, call: Call) -> Reply:
        """What vcsim says to it, faults included."""
        headers = dict(call.headers)
        if self.sessions.is_expired(call.session):
            headers.pop("cookie", None)  # a new login, not one more in a session that vcsim has
        reply = self.upstream.send("POST", call.path, call.raw, headers)
        return self.sessions.watched(call, reply)

    def entity(self, call: Call) -> tuple[str, str]:
        """What a task of this call is about: pyVmomi knows only managed entities there."""
        managed = {"VirtualMachine", "Datastore", "Folder", "HostSystem", "ResourcePool"}
        return (call.type, call.id) if call.type in managed else self.world.datacenter_reference

    def state(self) -> dict[str, Any]:
        report: dict[str, Any] = {
            "calls": dict(self.calls),
            "sessions": self.sessions.report(),
            "rules": self.rules.report(),
            "mode": self.mode,
            "failures": self.failures,
            "under_way": self.under_way.count,
        }
        return report | {name: part(self) for name, part in handlers.REPORTS.items()}
