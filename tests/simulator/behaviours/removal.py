# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""RemoveSnapshot and RemoveAllSnapshots: the point in time goes, its deltas are merged."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from ..handlers import handles
from ..soap import Call, Fault, Reply, Xml, markup, tag, task_reply
from . import consolidation
from .inner import carry_out
from .machines import Machine, machine, machine_of_snapshot
from .readers import readers_of

if TYPE_CHECKING:
    from ..simulator import Simulator


@handles("RemoveSnapshot_Task")
def remove(simulator: Simulator, call: Call) -> Reply:
    target = machine_of_snapshot(simulator, call.id)

    def work() -> None:
        with target.lock:
            victims = [call.id]
            if call.text("removeChildren") == "true":
                victims += _descendants(simulator, target, call.id)
            _remove(simulator, target, call, victims)

    return task_reply(call, simulator.tasks.run(("VirtualMachine", target.id), call.method, work))


@handles("RemoveAllSnapshots_Task")
def remove_all(simulator: Simulator, call: Call) -> Reply:
    target = machine(simulator, call.id)

    def work() -> None:
        with target.lock:
            _remove(simulator, target, call, list(target.snapshots))

    return task_reply(call, simulator.tasks.run(("VirtualMachine", target.id), call.method, work))


def _remove(simulator: Simulator, target: Machine, call: Call, victims: list[str]) -> None:
    doomed = [
        (key, frozen.layer)
        for victim in victims
        for key, frozen in target.snapshots.get(victim, {}).items()
    ]
    for _key, layer in doomed:
        # The merge would change what they read (vsphere.md 3: detach before removing the snapshot).
        if readers_of(simulator, layer):
            raise Fault(
                "FileLocked",
                f"Unable to access file {layer.path} since it is locked",
                tag("file", layer.path),
            )
    _move_current(simulator, target, victims)
    # vcsim would delete the files that have these keys now, whichever they are.
    target.set({"layoutEx.snapshot": Xml(), "layout.snapshot": Xml()})
    arguments = [markup(each) for each in call.body if each.tag not in ("_this", "consolidate")]
    carry_out(simulator, call.method, call.type, call.id, *arguments)
    for key, layer in doomed:
        target.orphans.setdefault(key, []).append(layer)
    for victim in victims:
        target.snapshots.pop(victim, None)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(simulator.images.file(target.state_files.pop(victim, "[none] none")))
    if call.text("consolidate", "true") == "true":
        consolidation.after_removal(simulator, target)
    elif doomed:
        consolidation.say_needed(target, True)


def _move_current(simulator: Simulator, target: Machine, victims: list[str]) -> None:
    """Current becomes what is left above; vcsim falls over where nothing is."""
    parents = {child: parent for parent, child in _tree(simulator, target)}
    current = target.text("snapshot.currentSnapshot")
    if current not in victims:
        return
    while current in victims:
        current = parents.get(current, "")
    value = tag("val", current, type="VirtualMachineSnapshot", xsi="ManagedObjectReference")
    target.set({"snapshot.currentSnapshot": value if current else Xml()})


def _descendants(simulator: Simulator, target: Machine, id: str) -> list[str]:
    found = [id]
    for parent, child in _tree(simulator, target):
        if parent in found:
            found.append(child)
    return found[1:]


def _tree(simulator: Simulator, target: Machine) -> list[tuple[str, str]]:
    """(parent, child) of all snapshots, parents first; "" above the first ones."""
    path = "snapshot.rootSnapshotList"
    found = simulator.upstream.properties("VirtualMachine", target.id, path)
    pairs, nodes = [], [("", root) for root in found.get(path, Element("val"))]
    while nodes:
        parent, node = nodes.pop(0)
        id = node.findtext("snapshot", "")
        pairs.append((parent, id))
        nodes += [(id, child) for child in node.findall("childSnapshotList")]
    return pairs
