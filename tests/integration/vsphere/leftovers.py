# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a backup makes in vCenter, and what is left of it, seen with other eyes than ours."""

from __future__ import annotations

import contextlib
import os

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes.changes import (
    Tracker,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.libraries import (
    vim,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.tasks import wait
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks.attach import (
    attach,
    detach,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.machine import (
    NONPERSISTENT,
    ManagedFile,
    find_attached,
    look_at,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.journal import (
    Journal,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.naming import (
    description,
    snapshot_name,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.quiesce import (
    CRASH_CONSISTENT,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.removal import (
    Patience,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.snapshots import (
    snapshot,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.sweep import sweep
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    OURS,
    QUICK,
    disk_of,
    find_vm,
    find_vms,
    log_in,
    names,
    run_of_ours,
)

PROXY = "proxy01"
HASTY = Patience(removal=1.0, consolidation=1.0, settling=1.0, pause=0.05, longest_pause=0.2)


def attached_to(vm):
    return [each for each in vm.config.hardware.device if hasattr(each, "capacityInKB")][1:]


def note_attach(session, journal, proxy, disk):
    """What a backup writes down before it attaches a disk to its proxy."""
    return journal.note(
        "attach",
        vcenter=session.content.about.instanceUuid,
        vm=proxy._moId,
        vm_name=PROXY,
        path=disk.path,
        datastore=disk.datastore._moId,
        uuid=disk.uuid,
    )


def hot_add(session, journal, proxy, disk):
    """As a backup will do it: written down, made, undone as far as can be."""
    number = note_attach(session, journal, proxy, disk)
    try:
        attach(session, proxy, disk, mode=NONPERSISTENT)
    finally:
        held = find_attached(look_at(session, proxy), disk, ())
        if held is not None:
            detach(session, proxy, held, disk.path)
    journal.done(number)


def life_cycle(vcenter, name, patience=HASTY):
    """All that a backup does in vCenter."""
    with log_in(vcenter) as session, run_of_ours() as journal:
        vm, proxy = find_vms(session, name, PROXY)
        sweep(session, [vm], patience)
        with snapshot(session, vm, journal, CRASH_CONSISTENT, patience=patience) as taken:
            tracker = Tracker(session, vm, taken.snapshot, taken.task)
            (now,) = tracker.marks
            tracker.changes(None, now)
            datastore = session.call(lambda: disk_of(vm).backing.datastore)
            hot_add(session, journal, proxy, ManagedFile(now.path, datastore, now.uuid))


@contextlib.contextmanager
def other_eyes(vcenter, name):
    """A function that says what is left of ours, seen with other eyes than ours."""
    with vcenter.connect() as client:
        root = client.content.rootFolder
        view = client.content.viewManager.CreateContainerView(root, [vim().VirtualMachine], True)
        vms = {each.name: each for each in view.view}
        yield lambda: leftovers(vms[name], vms[PROXY])


def left(vcenter, name):
    with other_eyes(vcenter, name) as look:
        return look()


def leftovers(vm, proxy):
    """Of ours; asserts that other people's things stay."""
    there, disks = names(vm), attached_to(proxy)
    assert there.count("nightly of somebody else") == 1
    return [each for each in there if each.startswith(OURS)], disks


def next_run(vcenter, name):
    """What the next run says, once it has swept."""
    with log_in(vcenter) as session:
        return sweep(session, [find_vm(session, name)], QUICK)


def journals():
    folder = os.environ["VDISK_STATE_DIR"]
    return os.listdir(folder) if os.path.isdir(folder) else []


@contextlib.contextmanager
def dying_run():
    """A run whose journal another run may take, as when its process has ended."""
    with run_of_ours() as journal:
        yield journal
        os.close(journal._fd)
        journal._fd = -1


def make(session, vm, journal):
    """A snapshot as ours, for which nobody cares any more."""
    here, run = session.content.about.instanceUuid, journal.run
    journal.note("snapshot", vcenter=here, vm=vm._moId, vm_name=vm.name)
    text = description(journal.head())
    wait(session, vm.CreateSnapshot_Task(snapshot_name(run), text, False, False))


def open_kinds(journal):
    """Of what a dead run's journal still holds."""
    with open(journal.path, "rb") as file:
        again = Journal(journal.path, file.fileno())
        return [each.kind for each in again.open_entries()]
