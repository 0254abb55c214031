# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ladder of consistency: which rungs there are for which guest."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    InvalidRequest,
    VSphereFault,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.quiesce import (
    Level,
    Quiesce,
    create,
    ladder,
    may_step_down,
)

RUNNING = {"runtime.powerState": "poweredOn", "guest.toolsRunningStatus": "guestToolsRunning"}
WINDOWS = {**RUNNING, "config.guestId": "windows2022srvNext_64Guest"}
LINUX = {**RUNNING, "config.guestId": "debian12_64Guest"}
ALL = Quiesce(Level.APPLICATION, Level.CRASH)


def tried(quiesce, of_vm):
    return [level for level, unfit in ladder(quiesce, of_vm) if unfit is None]


def test_windows_has_all_rungs():
    assert tried(ALL, WINDOWS) == [Level.APPLICATION, Level.FILESYSTEM, Level.CRASH]


def test_linux_has_no_applications_that_vsphere_knows():
    assert tried(ALL, LINUX) == [Level.FILESYSTEM, Level.CRASH]


def test_encrypted_vms_have_file_systems_at_best():
    assert tried(ALL, {**WINDOWS, "config.keyId": object()}) == [Level.FILESYSTEM, Level.CRASH]


def test_crash_consistency_is_not_the_default():
    assert Level.CRASH not in tried(Quiesce(), WINDOWS)


@pytest.mark.parametrize(
    "change",
    [
        {"runtime.powerState": "suspended"},
        {"guest.toolsRunningStatus": "guestToolsNotRunning"},
        {"guest.toolsRunningStatus": "guestToolsExecutingScripts"},
        {"guest.toolsRunningStatus": None},
    ],
)
def test_who_does_not_listen_is_not_brought_to_rest(change):
    """vSphere would take the snapshot, and say nothing."""
    assert tried(ALL, {**WINDOWS, **change}) == [Level.CRASH]
    assert tried(Quiesce(), {**WINDOWS, **change}) == []


def test_each_rung_that_is_passed_over_has_a_reason():
    found = dict(ladder(ALL, {**WINDOWS, "guest.toolsRunningStatus": "guestToolsNotRunning"}))
    assert found[Level.FILESYSTEM] == "VMware Tools are not running in the guest"


def test_what_is_off_is_at_rest():
    assert tried(Quiesce(), {"runtime.powerState": "poweredOff"}) == [Level.OFF]


@pytest.mark.parametrize(
    ("best", "least"),
    [(Level.CRASH, Level.FILESYSTEM), (Level.OFF, Level.CRASH), (Level.CRASH, Level.OFF)],
)
def test_what_cannot_be_is_refused(best, least):
    with pytest.raises(InvalidRequest):
        Quiesce(best, least)


class Machine:
    """Writes down how it is asked for a snapshot."""

    def CreateSnapshot_Task(self, name, text, memory, quiesce):  # noqa: N802
        return memory, quiesce

    def CreateSnapshotEx_Task(self, name, text, memory, spec):  # noqa: N802
        return memory, spec


def test_memory_is_never_part_of_it():
    assert [create(Machine(), level, "n", "t")[0] for level in Level] == [False] * 4


def test_only_file_systems_are_quiesced_the_plain_way():
    levels = (Level.OFF, Level.FILESYSTEM, Level.CRASH)

    assert [create(Machine(), each, "n", "t")[1] for each in levels] == [False, True, False]


def test_the_guests_own_backups_keep_their_logs():
    spec = create(Machine(), Level.APPLICATION, "n", "t")[1]

    assert spec.vssBackupType == 5  # VSS_BT_COPY


def fault(name, text="it failed"):
    error = VSphereFault(text)
    error.__cause__ = type(name, (Exception,), {"faultCause": None})()
    return error


@pytest.mark.parametrize(
    ("error", "may"),
    [
        (fault("ApplicationQuiesceFault"), True),
        (fault("FilesystemQuiesceFault"), True),
        (fault("ToolsUnavailable"), True),
        (fault("GenericVmConfigFault", "An error occurred while quiescing the VM"), True),
        (fault("GenericVmConfigFault", "a stale change tracking file"), False),
        (fault("NoDiskSpace"), False),
        (fault("TooManySnapshotLevels"), False),
        (VSphereFault("the connection was dropped"), False),
    ],
)
def test_only_for_want_of_rest_it_steps_down(error, may):
    assert may_step_down(error) is may
