# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Things that go wrong when a test says so: POST {control_url}/rule."""

from __future__ import annotations

import dataclasses
import fnmatch
import threading
import time
from typing import Any

from .soap import Call, Fault, Xml, tag


class ConnectionDropped(Exception):
    """The client shall hear nothing more on this connection."""


@dataclasses.dataclass
class Rule:
    """Fires at the `nth` matching call, and for `times` calls from there (0: for ever)."""

    method: str  # CreateSnapshot_Task, "GET /folder", or a pattern: "*"
    nth: int = 1
    times: int = 1
    delay: float = 0  # seconds, before anything else
    fault: str = ""  # the type's name: InvalidState
    message: str = ""
    detail: str = ""  # markup of the fault's properties
    privilege: str = ""  # for NoPermission
    status: int = 0  # for what is not SOAP: this HTTP status is the answer
    task: bool = False  # the call is taken; the task that it returns fails with the fault
    drop: bool | str = False  # True: nothing is done; "after": done, but the answer is lost
    expire_session: bool = False
    except_methods: list[str] = dataclasses.field(default_factory=list)  # for patterns
    of: list[str] = dataclasses.field(default_factory=list)  # calls on these objects only: vm-42
    seen: int = 0
    fired: int = 0

    def __post_init__(self) -> None:
        if not (self.fault or self.delay or self.drop or self.expire_session or self.status):
            raise ValueError("a rule needs one of fault, delay, drop, expire_session, status")
        if self.drop not in (True, False, "after"):
            raise ValueError(f'drop is true or "after", not {self.drop!r}')

    def concerns(self, method: str, id: str) -> bool:
        """Whether to fire now; counts."""
        if method in self.except_methods or not fnmatch.fnmatchcase(method, self.method):
            return False
        if self.of and id not in self.of:
            return False
        self.seen += 1
        due = self.seen >= self.nth and (not self.times or self.seen < self.nth + self.times)
        self.fired += due
        return due

    def as_fault(self, type: str = "", id: str = "") -> Fault:
        detail = self.detail
        if self.fault in ("NoPermission", "NotAuthenticated") and not detail:
            detail = tag("object", id, type=type) + tag("privilegeId", self.privilege)
        if self.fault == "TaskInProgress" and not detail:
            detail = tag("task", "task-1", type="Task")
        return Fault(self.fault, self.message or _MESSAGES.get(self.fault, ""), Xml(detail))


_MESSAGES = {
    "InvalidState": "The operation is not allowed in the current state.",
    "NoPermission": "Permission to perform this operation was denied.",
    "NotAuthenticated": "The session is not authenticated.",
    "TaskInProgress": "Another task is already in progress.",
    "HostCommunication": "Unable to communicate with the remote host, since it is disconnected.",
    "FileLocked": "Unable to access file since it is locked",
    "NoDiskSpace": "Insufficient disk space on datastore.",
    "ApplicationQuiesceFault": (
        "An error occurred while quiescing the virtual machine."
        " See the virtual machine's event log for details."
    ),
}


class Rules:
    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def add(self, settings: dict[str, Any]) -> None:
        """ValueError or TypeError for what is no rule."""
        with self._lock:
            self._rules.append(Rule(**settings))

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def due(self, method: str, id: str = "") -> list[Rule]:
        """Those that fire at this call; waits out their delays first."""
        with self._lock:
            due = [rule for rule in self._rules if rule.concerns(method, id)]
        for rule in due:
            time.sleep(rule.delay)
        return due

    def report(self) -> list[dict[str, Any]]:
        with self._lock:
            return [dataclasses.asdict(rule) for rule in self._rules]


def applied(due: list[Rule], call: Call) -> None:
    """What rules do before a SOAP call is carried out."""
    for rule in due:
        if rule.drop is True:
            raise ConnectionDropped
        if rule.fault and not rule.task:
            raise rule.as_fault(call.type, call.id)
