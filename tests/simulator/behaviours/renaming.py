# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""RenameSnapshot: another name and description, at once and without a task."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from ..handlers import handles
from ..soap import Call, Fault, Reply, markup, reply
from .machines import machine_of_snapshot

if TYPE_CHECKING:
    from ..simulator import Simulator


@handles("RenameSnapshot")
def rename(simulator: Simulator, call: Call) -> Reply:
    target = machine_of_snapshot(simulator, call.id)
    with target.lock:
        found = simulator.upstream.properties("VirtualMachine", target.id, "snapshot")
        tree = found.get("snapshot", Element("val"))
        nodes = [node for node in tree.iter() if node.findtext("snapshot") == call.id]
        if not nodes:
            raise Fault("NotFound", "The snapshot is gone.")
        for name in ("name", "description"):
            element, wanted = nodes[0].find(name), call.body.find(name)
            if element is not None and wanted is not None:
                element.text = wanted.text
        target.set({"snapshot": markup(tree)})
    return reply(call)
