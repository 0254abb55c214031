# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Undoing a mount, in exactly the reverse order of its making."""

from __future__ import annotations

import signal
import typing as t

from .._device.errors import MountFailed
from . import loop
from .command import ProgramFailed, run
from .daemon import log_tail
from .mount import unmount, unmount_dead
from .mountinfo import mounted_at
from .namespaces import mounted_elsewhere
from .processes import boot_id, holders
from .state import remove_directory

if t.TYPE_CHECKING:
    from .mountinfo import Mount
    from .state import Journal, StateFolder

# A FUSE tool writes what it holds after the unmount has returned; udev and blkid look at a device
# for a moment whenever something happens to it.
_LOOP_SECONDS = 60
_STOP_SECONDS = 300  # the daemon makes the disk durable
_KILL_SECONDS = 10


def our_mount(journal: Journal) -> Mount | None:
    """The mount that this journal made, if it is (still) there."""
    found = mounted_at(journal.mount_point)
    if found is None:
        return None
    sources = [device.path for device in our_loops(journal)]
    ours = found.number == journal.mount_number or found.source in sources
    return found if ours else None


def our_loops(journal: Journal) -> list[loop.Loop]:
    """The loop devices over our FUSE file; those over a flat file only once they are known."""
    if journal.backing is None:
        return []
    return loop.find(journal.backing, None if journal.served else journal.offset)


def undo(folder: StateFolder, journal: Journal) -> None:
    """Leave nothing behind. Raises MountFailed: with users inside, before anything is undone;
    else after all that can be undone is, when the disk was not closed in order."""
    complaint = None
    if journal.boot == boot_id():
        _take_down(journal)
        _let_go_of_loops(journal)
        if journal.served:
            complaint = _stop_daemon(folder, journal)
            _unmount_fuse(folder)
    for directory in reversed(journal.directories):
        remove_directory(directory)
    folder.clear()
    if complaint:
        raise MountFailed(complaint, path=journal.reference)


def _take_down(journal: Journal) -> None:
    """A dead server answers no more: then whoever still looks at the mount is not asked."""
    if our_mount(journal) is None:
        return
    if journal.daemon is not None and not journal.daemon.alive:
        unmount_dead(journal.mount_point)
    else:
        unmount(journal.mount_point)


def _let_go_of_loops(journal: Journal) -> None:
    """They free themselves when their last user has closed them; wait for that."""
    if not journal.served and journal.device is None:
        return  # a loop device over a flat file that was never mounted went with its maker
    lost = journal.daemon is not None and not journal.daemon.alive
    for device in our_loops(journal):
        if not journal.served and device.path != journal.device:
            continue  # somebody else's, over the same file
        if loop.wait_free(device, 0 if lost else _LOOP_SECONDS):
            continue
        loop.detach(device)
        if not lost and not loop.wait_free(device, 1):
            _explain(device, journal)


def _explain(device: loop.Loop, journal: Journal) -> None:
    """Raises MountFailed, naming who holds a loop device after it was unmounted.

    Not for one over a file that nobody is seen to hold: it goes with its last user, and keeps
    its lock on the file until then. A server of ours could not close its disk before that.
    """
    users = mounted_elsewhere(device.path) + holders(device.path)
    if not users and not journal.served and loop.frees_itself(device):
        return
    raise MountFailed(
        f"unmounted from {journal.mount_point}, but its loop device is still in use",
        path=device.path,
        found=", ".join(users) or "a user that cannot be seen from here",
        hint="End these, or unmount it there (nsenter -t PID -m umount PATH); then unmount again.",
    )


def _stop_daemon(folder: StateFolder, journal: Journal) -> str | None:
    """What to complain about; None when the disk was closed in order or never opened."""
    daemon = journal.daemon
    if daemon is None:
        return None
    daemon.send(signal.SIGTERM)
    if not daemon.wait(_STOP_SECONDS):
        daemon.send(signal.SIGKILL)
        daemon.wait(_KILL_SECONDS)
    if journal.read_only or not journal.complete:
        return None
    report = folder.closing_report()
    if report is None:
        return (
            f"its server died while it was mounted read-write at {journal.mount_point}: what was "
            f"written last may be lost; check the disk. Log: {log_tail(folder.path)}"
        )
    if report["failed_writes"]:
        count, first = report["failed_writes"], report["first_failure"]
        return f"{count} writes failed while it was mounted, the first: {first}"
    return None


def _unmount_fuse(folder: StateFolder) -> None:
    """What a killed daemon leaves."""
    if mounted_at(folder.fuse) is None:
        return
    try:
        unmount_dead(folder.fuse)
    except ProgramFailed:
        run(["fusermount3", "-u", "-z", folder.fuse], _KILL_SECONDS, package="fuse3")
