# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks of vcsim's that a behaviour starts and waits for, under the interposer's own session."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from ..soap import XSI_TYPE, Fault, markup
from .machines import Machines

if TYPE_CHECKING:
    from ..simulator import Simulator

_PAUSE = 0.002


def carry_out(
    simulator: Simulator, method: str, type: str, id: str, *content: Any, found: str = ""
) -> str:
    """The task's result as text, often an object's id; of structures what stands at `found`.

    The task's error is raised as a Fault.
    """
    answer = simulator.upstream.call(method, type, id, *content)
    result = wait_for(simulator, answer.findtext("returnval", ""))
    if result is None:
        return ""
    return result.findtext(found, "") if found else result.text or ""


def wait_for(simulator: Simulator, task: str) -> Element | None:
    """The task's result."""
    while True:
        info = simulator.upstream.properties(
            "Task", task, "info.state", "info.error", "info.result"
        )
        state = info["info.state"].text
        if state in ("success", "error"):
            simulator.part(Machines).version += 1
        if state == "success":
            return info.get("info.result")
        if state == "error":
            raise as_fault(info["info.error"])
        time.sleep(_PAUSE)


def as_fault(error: Element) -> Fault:
    """A LocalizedMethodFault as something to raise."""
    fault = error.find("fault")
    if fault is None:
        return Fault("SystemError")
    detail = "".join(markup(child) for child in fault)
    return Fault(fault.get(XSI_TYPE, "SystemError"), error.findtext("localizedMessage", ""), detail)
