# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Undoing a mount, in exactly the reverse order of its making."""

from __future__ import annotations

import signal
import time
import typing as t

from .._device.errors import MountFailed
from . import appliance, loop
from .command import ProgramFailed, run
from .daemon import shown_files
from .detached import closing_report, log_tail
from .lockedfolder import remove_directory
from .mount import require_unused, unmount, unmount_dead
from .mountinfo import mounted_at, mounts
from .namespaces import mounted_elsewhere
from .processes import boot_id, holders

if t.TYPE_CHECKING:
    from .mountinfo import Mount
    from .processes import Process
    from .state import Journal, Part, StateFolder

# A FUSE tool writes what it holds after the unmount has returned; udev and blkid look at a device
# for a moment whenever something happens to it.
_LOOP_SECONDS = 60
_STOP_SECONDS = 300  # the daemon makes the disk durable
_KILL_SECONDS = 10


def our_mounts(folder: StateFolder, journal: Journal) -> list[Mount]:
    """Those that this journal made and that are (still) there, in the order of making."""
    files = shown_files(folder.path)
    sources = {device.path for device in our_loops(folder, journal)}
    made = {(part.point, part.number): part for part in journal.parts}
    points = {part.point for part in journal.parts}

    def is_ours(mount: Mount) -> bool:
        if mount.source.startswith(files):
            return True
        if (mount.point, mount.number) in made:
            return _is_of(mount, made[mount.point, mount.number])
        if mount.point not in points and (points or not _is_inside(mount, journal)):
            return False
        # The appliance's has no name; nothing was mounted there before.
        by_appliance = journal.appliance is not None and mount.fs.startswith("fuse")
        return mount.source in sources or by_appliance

    return [mount for mount in mounts() if is_ours(mount)]


def _is_of(mount: Mount, part: Part) -> bool:
    """Numbers of mounts are used again, for what somebody else mounts there after us."""
    if mount.fs.startswith("fuse"):
        return True
    return mount.source == part.device and loop.sequence_of(mount.source) == part.sequence


def _is_inside(mount: Mount, journal: Journal) -> bool:
    """For a journal that was lost with what it knew."""
    return f"{mount.point}/".startswith(f"{journal.mount_point}/")


def our_loops(folder: StateFolder, journal: Journal) -> list[loop.Loop]:
    """The loop devices over our FUSE files; those over a flat file only once they are known."""
    if journal.served:
        return loop.below(shown_files(folder.path))
    found = [
        device
        for part in journal.parts
        for device in loop.find(part.backing, part.offset)
        if (device.path, device.sequence) == (part.device, part.sequence)
    ]
    return list(dict.fromkeys(found))


def undo(folder: StateFolder, journal: Journal) -> None:
    """Leave nothing behind. Raises MountFailed: with users inside, before anything is undone;
    else after all that can be undone is, when the disk was not closed in order."""
    complaints = []
    if journal.boot == boot_id():
        died = journal.appliance is not None and not journal.appliance.alive
        _take_down(folder, journal)
        if journal.appliance is not None:
            complaints.append(_stop_appliance(folder, journal, died=died))
        _let_go_of_loops(folder, journal)
        if journal.served:
            complaints.append(_stop_daemon(folder, journal))
            _unmount_fuse(folder)
    for directory in reversed(journal.directories):
        remove_directory(directory)
    folder.clear()
    complaint = " And ".join(filter(None, complaints))
    if complaint:
        raise MountFailed(complaint, path=journal.reference)


def _take_down(folder: StateFolder, journal: Journal) -> None:
    """A dead server answers no more: then whoever still looks at the mount is not asked."""
    ours = our_mounts(folder, journal)
    dead = journal.daemon is not None and not journal.daemon.alive
    if len(ours) > 1 and not dead:
        require_unused(journal.mount_point, {mount.number for mount in ours})
    for mount in reversed(ours):
        if dead:
            unmount_dead(mount.point)
        else:
            unmount(mount.point)


def _let_go_of_loops(folder: StateFolder, journal: Journal) -> None:
    """They free themselves when their last user has closed them; wait for that."""
    lost = journal.daemon is not None and not journal.daemon.alive
    end = time.monotonic() + (0 if lost else _LOOP_SECONDS)  # for all of them
    for device in our_loops(folder, journal):
        if loop.wait_free(device, end - time.monotonic()):
            continue
        loop.detach(device)
        if lost or loop.wait_free(device, 1):
            continue
        if not journal.complete and journal.daemon is not None:
            # mount(8) hangs in the kernel, for a disk that does not answer: nothing is lost if it
            # gets errors instead.
            journal.daemon.send(signal.SIGKILL)
        if journal.complete or not loop.wait_free(device, _KILL_SECONDS):
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


def _stop_appliance(folder: StateFolder, journal: Journal, *, died: bool) -> str | None:
    """What to complain about."""
    complaint = None
    if died:
        complaint = (
            f"its appliance died while it was mounted read-write at {journal.mount_point}: what was"
            f" written last may be lost; check the disk. Log: {log_tail(folder.path)}"
        )
    try:
        appliance.stop(t.cast("Process", journal.appliance), folder.path)
    except MountFailed as error:
        complaint = str(error)
    return None if journal.read_only or not journal.complete else complaint


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
    report = closing_report(folder.path)
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
