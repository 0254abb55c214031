# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Starting and stopping a process that serves disks, whatever the protocol."""

from __future__ import annotations

import signal
import typing as t

from .._device.errors import DiskInUse
from .._guest import detached
from .._guest.detached import closing_report, log_tail
from .._guest.processes import boot_id

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .._guest.detached import Detached
    from .._guest.processes import Process
    from .export_state import ExportFolder, Journal

_STOP_SECONDS = 300  # the server makes the disk durable


def start(
    folder: ExportFolder,
    wanted: Journal,
    server: Detached,
    check: Callable[[], None],
    require_same: Callable[[Journal, Journal], None],
) -> tuple[Journal, str | None]:
    """(what is served now, in words what a dead server has lost). check: may it be served there?

    Raises what check, require_same (for what another run has just started) and the server raise.
    """
    with folder.locked():
        there = folder.load()
        if there is not None and there.is_alive:  # another run was faster
            require_same(there, wanted)
            return there, None
        lost = None if there is None else stop(folder, there)
        check()
        folder.save(wanted)

        def born(process: Process) -> None:
            wanted.server = process
            folder.save(wanted)

        try:
            detached.start(server, born)
        except BaseException:
            stop(folder, wanted)
            raise
        wanted.complete = True
        folder.save(wanted)
        return wanted, lost


def stop(folder: ExportFolder, journal: Journal) -> str | None:
    """Leave nothing behind; in words what was lost. Raises DiskInUse where it does not end."""
    server = journal.server
    was_alive = journal.is_alive
    if server is not None and server.alive and journal.boot == boot_id():
        server.send(signal.SIGTERM)
        if not server.wait(_STOP_SECONDS):
            raise DiskInUse(
                f"its server (process {server.pid}) is still closing it", path=journal.reference
            )
    report = closing_report(folder.path)
    log = log_tail(folder.path)
    folder.clear()
    if journal.read_only or not journal.complete:
        return None
    if report is None:
        when = "was stopped" if was_alive else "died before"
        return (
            f"the server of {journal.reference} {when} without closing the disk: what was written"
            f" last may be lost; check the disk. Log: {log}"
        )
    if report["failed_writes"]:
        count, first = report["failed_writes"], report["first_failure"]
        return f"{count} writes failed while it was served, the first: {first}"
    return None
