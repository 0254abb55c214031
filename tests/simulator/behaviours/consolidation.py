# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merging the deltas that no snapshot needs any more, at once, later, or only when asked."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from ..handlers import handles, mode
from ..images import Disk, Layer
from ..soap import Call, Fault, Reply, task_reply
from .devices import as_value, disks_of
from .machines import Machine, devices_of, machine
from .readers import readers_of
from .snapshots import flag

if TYPE_CHECKING:
    from ..simulator import Simulator

mode("needs_consolidation", False)  # removing a snapshot leaves its deltas (and says so)
mode("consolidation_seconds", 0.0)  # how long merging takes, within the task that does it
mode("consolidation_lag", 0.0)  # seconds that it goes on after the removing task ended (MTV-1656)


@handles("ConsolidateVMDisks_Task")
def consolidate_disks(simulator: Simulator, call: Call) -> Reply:
    target = machine(simulator, call.id)

    def work() -> None:
        with target.lock:
            consolidate(simulator, target)

    entity = ("VirtualMachine", call.id)
    return task_reply(call, simulator.tasks.run(entity, call.method, work))


def after_removal(simulator: Simulator, target: Machine) -> None:
    """As the modes want it; under the machine's lock."""
    if simulator.mode["needs_consolidation"]:
        say_needed(target, True)
    elif lag := simulator.mode["consolidation_lag"]:
        say_needed(target, True)
        threading.Thread(target=_later, args=(simulator, target, lag), daemon=True).start()
    else:
        consolidate(simulator, target)


def _later(simulator: Simulator, target: Machine, lag: float) -> None:
    time.sleep(lag)
    with target.lock:
        consolidate(simulator, target)


def say_needed(target: Machine, needed: bool) -> None:
    target.set({"runtime.consolidationNeeded": flag(needed)})


def consolidate(simulator: Simulator, target: Machine) -> None:
    """Everything that can go; FileLocked when somebody reads what would have to change."""
    time.sleep(simulator.mode["consolidation_seconds"])
    devices = target.devices()
    disks = [disk for disk in disks_of(devices) if disk.in_snapshots]
    with simulator.images.lock:
        live = {disk.key: target.image(disk) for disk in disks}
        clean = [_collapse(simulator, target, key, image) for key, image in live.items()]
        for disk in disks:
            disk.rechain(_paths(live[disk.key].top))
    target.save(devices)
    _rechain_snapshots(simulator, target)
    say_needed(target, not all(clean))
    if not all(clean):
        raise Fault("FileLocked", "Unable to access file since it is locked")


def _collapse(simulator: Simulator, target: Machine, key: int, live: Disk) -> bool:
    """One disk. False when a layer that nobody needs has to stay for a reader's sake."""
    _drop_leaves(target, key, live)
    while (layer := _superfluous(target, key, live)) is not None:
        children = live.images.children(layer)
        if len(children) != 1 or children[0] not in _layers(target, key, live):
            return False
        child = children[0]
        if readers_of(simulator, layer):
            return False
        merging = live if child in live.layers else Disk(live.images, child)
        merging.merge(child)
        for frozen in target.frozen(key):
            if frozen.layer is child:
                frozen.layer = layer
        _forget_orphan(target, key, child)
        _drop_leaves(target, key, live)
    return True


def _superfluous(target: Machine, key: int, live: Disk) -> Layer | None:
    """A layer that is neither a snapshot's nor the live one, and does not fork into two of ours.

    What a linked clone stands on is another machine's.
    """
    layers = [each for each in _layers(target, key, live) if each not in target.inherited]
    needed = [live.top, *(frozen.layer for frozen in target.frozen(key))]
    for layer in layers:
        children = live.images.children(layer)
        forks = len(children) > 1 and all(child in layers for child in children)
        if layer not in needed and children and not forks:
            return layer
    return None


def _drop_leaves(target: Machine, key: int, live: Disk) -> None:
    """Layers of removed snapshots that a revert had left without anything on them."""
    needed = [live.top, *(frozen.layer for frozen in target.frozen(key))]
    for layer in reversed(target.orphans.get(key, [])[:]):
        if layer not in needed and layer.parent is not None and not live.images.children(layer):
            live.images.delete(layer.path)
        if live.images.children(layer) == []:
            _forget_orphan(target, key, layer)


def _forget_orphan(target: Machine, key: int, layer: Layer) -> None:
    kept = [each for each in target.orphans.get(key, []) if each is not layer]
    target.orphans[key] = kept


def _layers(target: Machine, key: int, live: Disk) -> list[Layer]:
    """All of this machine's for this disk."""
    found: list[Layer] = []
    tops = [live.top, *(frozen.layer for frozen in target.frozen(key))]
    for top in tops + target.orphans.get(key, []):
        layer: Layer | None = top
        while layer is not None:
            if layer not in found:
                found.append(layer)
            layer = layer.parent
    return found


def _paths(top: Layer) -> list[str]:
    """Top … base."""
    paths, layer = [], top
    while True:
        paths.append(layer.path)
        if layer.parent is None:
            return paths
        layer = layer.parent


def _rechain_snapshots(simulator: Simulator, target: Machine) -> None:
    """Their configurations name the files as they are now."""
    for snapshot, frozen in target.snapshots.items():
        devices = devices_of(simulator, "VirtualMachineSnapshot", snapshot)
        for disk in disks_of(devices):
            if disk.key in frozen:
                disk.rechain(_paths(frozen[disk.key].layer))
        changes = {"config.hardware.device": as_value(devices)}
        simulator.upstream.set("VirtualMachineSnapshot", snapshot, changes)
