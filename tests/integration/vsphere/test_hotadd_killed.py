# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job is killed wherever it may be with its disk: the next run detaches it and deletes nothing.

And whether these tests would notice: the same life of a disk with one thing done wrong.
"""

# pylint: disable=unused-import
from __future__ import annotations

import signal

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.tasks import wait
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.machine import (
    NONPERSISTENT,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.sweep import sweep
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere import hotadd_victim as victim
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.hotadd_tree import (
    one_proxy,  # noqa: F401
    proxy,  # noqa: F401
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.leftovers import HASTY, journals
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    OURS,
    QUICK,
    find_vm,
    keep,
    log_in,
    names,
)

CONTENT = b"of the guest" * 5000


@pytest.fixture(scope="module")
def session(one_proxy):  # noqa: F811
    with log_in(one_proxy.vcenter) as opened:
        yield opened


@pytest.fixture
def name(proxy):  # noqa: F811
    """Of a machine with something on its disk."""
    name = proxy.fresh()
    proxy.vcenter.guest_write(name, 2000, 70_000, CONTENT)
    return name


@pytest.fixture(scope="module")
def foreign(one_proxy, session):  # noqa: F811
    """{path: mode} of the disk that somebody else has attached to the proxy."""
    vm = find_vm(session, one_proxy.fresh())
    keep(session, vm)
    path = vm.config.hardware.device[-1].backing.parent.fileName
    one_proxy.somebody_attaches(path, 12)
    return {path: NONPERSISTENT}


@pytest.fixture
def life(proxy, session, name, foreign):  # noqa: F811
    return Life(proxy, session, name, foreign)


class Life:
    """A backup as a process of its own, the sweep of the next run, and what is left then."""

    def __init__(self, proxy, session, name, foreign):  # noqa: F811
        self.proxy, self.session, self.name, self.foreign = proxy, session, name, foreign
        self.files = proxy.files()

    def run(self, point=None, mistake=None):
        """The exit code; negative: the signal."""
        known, victims = (self.proxy.vcenter, self.proxy.tree), (victim.back_up, self.name)
        self.torn = len(self.proxy.vcenter.state()["torn"])
        return victim.exit_code(*known, *victims, point, mistake)

    def sweep(self):
        told = sweep(self.session, [find_vm(self.session, self.name)], HASTY)
        assert all(each.done for each in told), told

    def require_nothing_left(self):
        """Seen with other eyes than ours; and that all that is others' is there."""
        assert self.proxy.attached() == self.foreign
        assert self.proxy.tree.names() == ["sda", "sdb"]
        ours = [each for each in names(find_vm(self.session, self.name)) if each.startswith(OURS)]
        assert ours == []
        assert self.proxy.files() == self.files
        content = self.proxy.content(self.name)
        assert content[70_000 : 70_000 + len(CONTENT)] == CONTENT
        assert journals() == []

    def require_nothing_torn(self):
        assert len(self.proxy.vcenter.state()["torn"]) == self.torn


def test_one_that_is_not_killed_leaves_nothing(life):
    assert life.run() == 0
    life.require_nothing_left()
    life.require_nothing_torn()


@pytest.mark.parametrize("point", sorted(victim.POINTS.keys() - {"in the guest", "to be detached"}))
def test_a_killed_backup_leaves_nothing_after_the_next_run(life, point):
    assert life.run(point) == -signal.SIGKILL
    assert len(journals()) == 1
    life.sweep()
    life.require_nothing_left()


@pytest.mark.parametrize("point", ["attached", "open"])
def test_a_killed_restore_leaves_nothing_attached(  # the machine is off
    proxy,  # noqa: F811
    session,
    foreign,
    point,
):
    path, files = "[datastore1] files01/files01.vmdk", proxy.files()
    known = (proxy.vcenter, proxy.tree)
    assert victim.exit_code(*known, victim.write, "files01", point) == -signal.SIGKILL
    assert proxy.attached() == {**foreign, path: "independent_persistent"}

    (told,) = sweep(session, (), QUICK)

    assert told.done
    assert "was detached" in told.message
    assert proxy.attached() == foreign
    assert proxy.files() == files
    assert journals() == []


# What was done wrong, where the job is killed, and how it ends.
MISTAKES = [
    (victim.forgets_to_note, "attached", -signal.SIGKILL),
    (victim.strikes_out_early, "to be detached", -signal.SIGKILL),
    (victim.detaches_late, None, victim.FAILED),  # the snapshot could not go
    (victim.attaches_for_writing, None, victim.FAILED),
    (victim.destroys, None, victim.FAILED),
]


@pytest.mark.parametrize(
    ("mistake", "point", "code"), MISTAKES, ids=lambda each: getattr(each, "__name__", "")
)
def test_a_mistake_is_noticed(life, mistake, point, code):
    assert life.run(point, mistake) == code
    try:
        if code != victim.FAILED:
            with pytest.raises(AssertionError):
                life.sweep()
                life.require_nothing_left()
    finally:
        tidy(life)


def test_a_disk_that_is_torn_from_the_guest_is_noticed(life):
    assert life.run(None, victim.tears) == 0
    life.require_nothing_left()
    with pytest.raises(AssertionError):
        life.require_nothing_torn()


def test_detaching_what_is_somebody_elses_is_noticed(life, foreign):
    life.run(None, victim.detaches_whatever_is_there)
    with pytest.raises(AssertionError):
        life.require_nothing_left()
    tidy(life)


@pytest.mark.parametrize(
    ("mistake", "is_lost"), [(victim.destroys, False), (victim.destroys_unguarded, True)]
)
def test_deleting_a_file_is_noticed_and_there_is_a_guard(
    proxy,  # noqa: F811
    session,
    foreign,
    mistake,
    is_lost,
):
    """Of a disk that is attached for writing: nobody else keeps it from being deleted."""
    name = proxy.fresh()
    vm = find_vm(session, name)
    wait(session, vm.PowerOffVM_Task())
    files = proxy.files()
    victim.exit_code(proxy.vcenter, proxy.tree, victim.write, name, None, mistake)
    assert (proxy.files() != files) == is_lost
    sweep(session, (), QUICK)
    assert proxy.attached() == foreign


def tidy(life):
    """For the tests that follow."""
    life.proxy.detach_all()
    sweep(life.session, (), HASTY)
    (path,) = life.foreign
    life.proxy.somebody_attaches(path, 12)
