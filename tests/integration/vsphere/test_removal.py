# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot is not taken for gone where that cannot be seen, and is kept by nothing but a disk."""

# pylint: disable=unused-import
from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskInUse,
    NoSpace,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks.attach import attach
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.machine import (
    NONPERSISTENT,
    ManagedFile,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.journal import (
    Journal,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.quiesce import (
    CRASH_CONSISTENT,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.snapshots import (
    snapshot,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.sweep import sweep
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.leftovers import (
    HASTY,
    PROXY,
    attached_to,
    dying_run,
    journals,
    make,
    note_attach,
    open_kinds,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    QUICK,
    at_work,  # noqa: F401
    disk_of,
    find_vm,
    machines,  # noqa: F401
    names,
    place,  # noqa: F401
    snapshots,
)


def attach_to_proxy(session, journal, taken):
    """The first disk of a snapshot, as a backup does it. Returns the proxy."""
    proxy, backing = find_vm(session, PROXY), disk_of(taken).backing
    disk = ManagedFile(backing.fileName, backing.datastore, backing.uuid)
    note_attach(session, journal, proxy, disk)
    attach(session, proxy, disk, mode=NONPERSISTENT)
    return proxy


def test_a_machine_that_may_not_be_read_stays_in_the_journal(at_work):  # noqa: F811
    vcenter, session, _journal, vm = at_work
    with dying_run() as journal:
        make(session, vm, journal)
    vcenter.mode(withheld=[vm._moId])

    (told,) = sweep(session, (), HASTY)

    assert not told.done
    assert "cannot be read" in told.message
    assert open_kinds(journal) == ["snapshot"]
    vcenter.mode(withheld=[])
    (told,) = sweep(session, (), QUICK)
    assert told.message.endswith("was removed")
    assert names(vm) == []


def test_a_proxy_that_may_not_be_read_stays_in_the_journal(at_work):  # noqa: F811
    vcenter, session, _journal, vm = at_work
    with dying_run() as journal:
        make(session, vm, journal)
        proxy = attach_to_proxy(session, journal, snapshots(vm)[0].snapshot)
    vcenter.mode(withheld=[proxy._moId])

    (told,) = sweep(session, (), HASTY)

    assert not told.done
    assert open_kinds(journal) == ["attach", "snapshot"]
    vcenter.mode(withheld=[])
    assert [each.done for each in sweep(session, (), QUICK)] == [True, True]
    assert attached_to(proxy) == []
    assert journals() == [f"{at_work[2].run}.journal"]


def test_a_snapshot_stays_while_its_own_run_has_the_disk_attached(at_work):  # noqa: F811
    vcenter, session, journal, vm = at_work
    vcenter.forget_calls()

    with (
        pytest.raises(DiskInUse, match=r"still attached to the proxy.*The next run goes on"),
        snapshot(session, vm, journal, CRASH_CONSISTENT, patience=QUICK) as taken,
    ):
        attach_to_proxy(session, journal, taken.snapshot)

    assert "RemoveSnapshot_Task" not in vcenter.calls()
    assert [entry.kind for entry in journal.open_entries()] == ["attach", "snapshot"]
    journal.close()
    assert [each.done for each in sweep(session, (), QUICK)] == [True, True]
    assert names(vm) == []


def test_a_full_disk_does_not_keep_the_snapshot(at_work, monkeypatch):  # noqa: F811
    vcenter, session, journal, vm = at_work

    def full(_journal, _line):
        raise NoSpace("cannot keep a journal")

    with (
        pytest.raises(NoSpace),
        snapshot(session, vm, journal, CRASH_CONSISTENT, patience=QUICK),
    ):
        vcenter.mode(needs_consolidation=True)
        monkeypatch.setattr(Journal, "_append", full)

    assert names(vm) == []
    assert vcenter.calls()["ConsolidateVMDisks_Task"] >= 1
    assert not vm.runtime.consolidationNeeded
