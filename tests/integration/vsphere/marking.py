# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks of disks at a snapshot of ours; what is passed around is the fixture at_work."""

from __future__ import annotations

import dataclasses

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes.changes import (
    Tracker,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes.tracking import (
    enable_tracking,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.quiesce import (
    CRASH_CONSISTENT,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.snapshots import (
    snapshot,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import QUICK


def enable(at_work):
    _vcenter, session, journal, vm = at_work
    return enable_tracking(session, vm, journal, patience=QUICK)


def look(at_work, before=None):
    """(tracker, mark, changes) at a snapshot."""
    _vcenter, session, journal, vm = at_work
    with snapshot(session, vm, journal, CRASH_CONSISTENT, patience=QUICK) as taken:
        tracker = Tracker(session, vm, taken.snapshot, taken.task)
        mark = tracker.marks[0] if tracker.marks else None
        return tracker, mark, mark and tracker.changes(before, mark)


def proved(at_work):
    """The mark of a disk whose tracking was once compared with all of it."""
    return dataclasses.replace(look(at_work)[2].mark, proved=True)
