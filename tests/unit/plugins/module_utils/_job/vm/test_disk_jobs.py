# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several disks of one backup share: in the end all of it is taken back."""

from __future__ import annotations

import types

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskIOError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.backup.disks import DiskJobs


class Ended:
    """A disk or a transport; `error` comes when it is closed."""

    def __init__(self, error=None, warnings=()):
        self.closed, self._error, self.warnings = False, error, warnings

    def close(self):
        self.closed = True
        if self._error is not None:
            raise self._error


def jobs_with(disks, transports):
    subject = types.SimpleNamespace(values={})
    jobs = DiskJobs(None, subject, (), transports, [], [])
    jobs.left = disks
    return jobs


@pytest.mark.parametrize("interrupted", range(3))
def test_who_is_interrupted_while_one_is_taken_back_takes_back_the_others(interrupted):
    ends = [Ended(SystemExit(143) if number == interrupted else None) for number in range(3)]
    transport = Ended()
    with pytest.raises(SystemExit), jobs_with(ends, [transport]):
        pass
    assert [each.closed for each in (*ends, transport)] == [True] * 4


def test_what_a_transport_has_to_say_is_told():
    transports = [Ended(DiskIOError("broken", path="x"), ["look at this"]), Ended()]
    with jobs_with([], transports) as jobs:
        pass
    assert jobs.warnings == ["look at this"]
    assert transports[1].closed
