# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks of the interposer's own. They live in vcsim, so clients wait for them as for any other."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from .soap import Fault, Xml, tag

if TYPE_CHECKING:
    from .under_way import UnderWay
    from .upstream import Upstream

# Returns the markup of the result: `result("vm-1", type="VirtualMachine")`, or None.
Work = Callable[[], "Xml | None"]


class Tasks:
    def __init__(self, upstream: Upstream, under_way: UnderWay) -> None:
        self._upstream, self._under_way = upstream, under_way

    def run(self, entity: tuple[str, str], name: str, work: Work) -> str:
        """Begin a task on an object (type, id), do the work beside, and return the task's id.

        A Fault that the work raises becomes the task's error.
        """
        task = self._upstream.new_task(*entity, name)
        if entity[0] == "VirtualMachine":
            self._post_event(entity[1], task, name)
        threading.Thread(target=self._carry_out, args=(task, work), daemon=True).start()
        return task

    def fail(self, entity: tuple[str, str], name: str, fault: Fault) -> str:
        """A task that has failed already."""
        task = self._upstream.new_task(*entity, name)
        self._end(task, "error", fault.localized("fault"))
        return task

    def progress(self, task: str, percent: int) -> None:
        self._upstream.call("UpdateProgress", "Task", task, tag("percentDone", percent))

    def _post_event(self, vm: str, task: str, name: str) -> None:
        """vCenter notes each task among its events, when it begins; vcsim does not."""
        info = tag(
            "info",
            tag("key", task),
            tag("task", task, type="Task"),
            tag("descriptionId", f"VirtualMachine.{name}"),
            tag("entity", vm, type="VirtualMachine"),
            tag("state", "running"),
        )
        whose = tag("vm", tag("name", vm), tag("vm", vm, type="VirtualMachine"))
        event = tag("eventToPost", whose, info, xsi="TaskEvent")
        self._upstream.call("PostEvent", "EventManager", "EventManager", event)

    def _carry_out(self, task: str, work: Work) -> None:
        with self._under_way.one_more():
            self._work(task, work)

    def _work(self, task: str, work: Work) -> None:
        try:
            result = work()
        except Fault as fault:
            self._end(task, "error", fault.localized("fault"))
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            self._end(
                task, "error", Fault("SystemError", f"simulator: {error!r}").localized("fault")
            )
        else:
            self._end(task, "success", result)

    def _end(self, task: str, state: str, content: Xml | None) -> None:
        try:
            self._upstream.call("SetTaskState", "Task", task, tag("state", state), content)
        except Fault as fault:
            if fault.name != "InvalidState":  # cancelled meanwhile
                raise


def result(value: str, *, type: str = "", xsi: str = "xsd:string") -> Xml:
    """A task's result: a reference with `type`, else a plain value."""
    if type:
        return tag("result", value, xsi="ManagedObjectReference", type=type)
    return tag("result", value, xsi=xsi)
