# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Why changed block tracking is not believed, from what can be seen without asking it."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ..machine.marks import DiskMark

UNPROVED = "what its changed block tracking says was never compared with all of the disk"


def doubt(before: DiskMark | None, now: DiskMark) -> str | None:
    """Why all of the disk must be read; None if nothing speaks against reading its changes."""
    if before is None:
        return "no restore point has it yet"
    return next((reason for rule in _RULES if (reason := rule(before, now))), None)


def _tracking(before: DiskMark, now: DiskMark) -> str | None:
    if now.untracked is not None:
        return now.untracked
    if before.untracked is not None:
        return f"at the last restore point, {before.untracked}"
    return None


def _identity(before: DiskMark, now: DiskMark) -> str | None:
    if (before.vcenter, before.vm) != (now.vcenter, now.vm):
        return "the VM is registered anew, or in another vCenter"
    if not now.uuid:
        return "vSphere gives it no uuid"
    if before.uuid != now.uuid:
        return f"it is another disk: its uuid was {before.uuid} and is {now.uuid}"
    if before.key != now.key:
        return f"it was attached anew: its key was {before.key} and is {now.key}"
    return None


def _capacity(before: DiskMark, now: DiskMark) -> str | None:
    # KB2090639 and its like: areas are wrong after a disk has grown.
    if before.capacity != now.capacity:
        return f"its size was {before.capacity} bytes and is {now.capacity}"
    return None


def _place(before: DiskMark, now: DiskMark) -> str | None:
    # All of it: a new delta may have the name that the frozen one had before a move.
    if now.chain[-len(before.chain) :] != before.chain:
        return f"{before.path} is not below it any more: it was moved or reverted"
    return None


def _snapshots(before: DiskMark, now: DiskMark) -> str | None:
    gone_back = len(now.snapshots) < len(before.snapshots)
    if gone_back or now.snapshots[: len(before.snapshots)] != before.snapshots:
        return "a snapshot that it stood on is gone: it was removed or reverted"
    return None


def _host(before: DiskMark, now: DiskMark) -> str | None:
    if not now.host_build:
        return "the build of its host cannot be read"
    if before.host_build != now.host_build:
        return f"the host's build was {before.host_build} and is {now.host_build}"
    return None


def _tracker(before: DiskMark, now: DiskMark) -> str | None:
    if before.tracker != now.tracker:
        return "changed block tracking was restarted: the first part of its change id is another"
    return None


def _counter(before: DiskMark, now: DiskMark) -> str | None:
    old, new = before.count, now.count
    if old is None or new is None or new < old:
        return "the number in its change id went back: its files were restored from outside"
    return None


def _proof(before: DiskMark, _now: DiskMark) -> str | None:
    # Begun or restarted under a snapshot, ours too, it misses changes; once that snapshot is gone,
    # nothing else tells.
    return None if before.proved else UNPROVED


# The last one is the only doubt that asking it helps against: proof.py.
_RULES = (_tracking, _identity, _capacity, _place, _snapshots, _host, _tracker, _counter, _proof)
