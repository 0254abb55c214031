# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job that reads or writes a disk by HotAdd, in a process that dies where one wants it to, or
does one thing wrong."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import types

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.hotadd import (
    attachment,
    device,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.hotadd.transport import (
    HotAdd,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks import attach
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.journal import (
    Journal,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.hotadd_tree import frozen
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.leftovers import HASTY
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    disk_of,
    find_vm,
    log_in,
    run_of_ours,
)

# (module, function, before or after it, at its nth call)
POINTS = {
    "noted": (attachment, "attach", "before", 1),
    "attaching": (attach, "wait", "before", 1),  # vCenter has the request
    "attached": (attachment, "attach", "after", 1),
    "in the guest": (device, "wait_for_disk", "after", 1),
    "open": (device, "_check_size", "after", 1),
    "let go": (device, "let_go", "after", 1),
    "to be detached": (attachment, "detach", "before", 1),
    "detaching": (attach, "wait", "before", 2),
    "detached": (attachment, "detach", "after", 1),
}
FAILED = 3  # with a DiskError
WHO = ("hostname", "username", "password", "port", "ca_file")


def die_at(point):
    place, name, when, nth = POINTS[point]
    real, count = getattr(place, name), []

    def deadly(*arguments, **more):
        count.append(name)
        if when == "before" and len(count) == nth:
            die()
        result = real(*arguments, **more)
        if when == "after" and len(count) == nth:
            die()
        return result

    setattr(place, name, deadly)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def destroys():
    """What is detached is deleted."""
    real = attach._change

    def change(operation, device):
        made = real(operation, device)
        made.fileOperation = "destroy" if operation == "remove" else None
        return made

    attach._change = change


def destroys_unguarded():
    destroys()
    attach._refuse_file_operations = lambda changes: None


def detaches_late():
    """When the job has ended, and not before the snapshot goes."""
    real = attachment.Attachment.end
    attachment.Attachment.end = lambda self: atexit.register(real, self)


def detaches_whatever_is_there():
    def held(self, _is_meant):
        found = attachment.look_at(self._session, self._vm).disks
        return [attachment.Attached(found[1], None)]

    attachment.Attachment._ours = held


def forgets_to_note():
    real = Journal.note

    def note(self, kind, **facts):
        return 0 if kind == "attach" else real(self, kind, **facts)

    Journal.note = note


def strikes_out_early():
    real = attachment.Attachment._detach

    def detach(self):
        self._journal.done(self._number)
        real(self)

    attachment.Attachment._detach = detach


def tears():
    """The guest still has the disk when it goes."""
    device.let_go = lambda *_arguments, **_more: None


def attaches_for_writing():
    real = attachment.attach
    attachment.attach = lambda *arguments, mode: real(*arguments, mode="independent_persistent")


def back_up(session, journal, name):
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(frozen(session, journal, name, HASTY))
        opened = stack.enter_context(HotAdd(session, journal).open(disk))
        read(opened, 0, opened.size)


def write(session, journal, name):
    vm = find_vm(session, name)
    path = disk_of(vm).backing.fileName
    with HotAdd(session, journal).open_writable(path, vm._moId) as opened:
        opened.write(0, b"restored")


def run(job, point, mistake, who, environment, target):
    """In a process of its own."""
    os.environ.update(environment)
    attachment.PATIENCE, attachment.PAUSE, device.APPEARING = 1.0, 0.05, 5.0
    if mistake is not None:
        mistake()
    if point is not None:
        die_at(point)
    vcenter = types.SimpleNamespace(**who)
    try:
        with log_in(vcenter) as session, run_of_ours("a victim") as journal:
            job(session, journal, target)
    except DiskError:
        os._exit(FAILED)


def exit_code(vcenter, tree, job, target, point=None, mistake=None):
    """Of such a process; negative: the signal that killed it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    who = {name: getattr(vcenter, name) for name in WHO}
    environment = {**tree.environment(), "VDISK_STATE_DIR": os.environ["VDISK_STATE_DIR"]}
    process = context.Process(target=run, args=(job, point, mistake, who, environment, target))
    process.start()
    process.join(300)
    return process.exitcode
