# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The disks of one backup of a machine: how each is read, and what to do when one cannot be."""

from __future__ import annotations

import contextlib
import typing as t

from ...._device.errors import DiskError
from ...._device.memory import MemoryDevice
from ...._repository.write.source import DiskSource
from .. import document as documents
from .frozen_disks import facts_of, frozen_disks, label_of, still_disks
from .preflight import require_snapshot
from .road import Road
from .still import require_same, states_of
from .tracking import history, is_long_unread, still_history

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ...._repository.format.manifest import RestorePoint
    from ...._repository.write.source import Reading
    from ...._transport.frozen import FrozenDisk, Transport
    from ...._vsphere.changes.changes import Tracker
    from ...._vsphere.snapshots.journal import Journal
    from ..document import VmDocument
    from .request import VmBackupRequest
    from .subject import Subject
    from .tracking import DiskHistory

# Opened before the first is read, so that what is in the way shows early. They are read one after
# the other, and what a proxy can take is for other jobs, too.
OPENED_AHEAD = 1


class DiskJob:
    """One disk of it."""

    def __init__(self, jobs: DiskJobs, disk: FrozenDisk, known: DiskHistory) -> None:
        self._jobs, self.disk, self._known = jobs, disk, known
        self.label = label_of(disk)
        self.road = Road(disk, jobs.transports)
        self.looks_again = False  # all of it is read although nothing is said to have changed

    @property
    def is_unchanged(self) -> bool:
        """Whether nothing of it has to be read, as far as that is known."""
        return bool(self._known.changes) and not self._known.runs

    def _must_look_again(self) -> bool:
        """Where no sample of what is said to be unchanged can be read, nobody would ever find out
        that a tracker misses changes."""
        return (
            self.is_unchanged
            and self._known.is_tracked
            and self._jobs.request.self_check > 0
            and self.road.is_sequential
            and is_long_unread(self._jobs.points, self.disk.uuid)
        )

    def source(self) -> DiskSource:
        request = self._jobs.request
        self.looks_again = self._must_look_again()
        carried_whole = self.road.is_sequential and (not self.is_unchanged or self.looks_again)
        whole = carried_whole or self.road.only_whole
        changes = self._known.changes if request.may_rely and not whole else ()
        self.road.needs_ranges = bool(changes)
        return DiskSource(
            name=self.disk.name,
            label=self.label,
            device=self.road,
            uuid=self.disk.uuid,
            path=self.disk.path,
            key=self.disk.device.key,
            facts={**facts_of(self.disk, self._jobs.devices), **self._policy()},
            changes=changes,
            change_id=lambda: self._known.state,
            self_check=0 if self.road.is_sequential else request.self_check,
            title=f"{self.disk.vm_name} {self.disk.name}",
            doubt=self._doubt(whole=whole),
            judge=self._judge,
            distrust=self._distrust,
        )

    def _policy(self) -> dict[str, t.Any]:
        policy = self._jobs.policies.get(self.disk.name)
        return {} if policy is None else {"storage_policy": policy}

    def _doubt(self, *, whole: bool) -> str:
        """Why all of it is read."""
        if self._known.doubt or not whole:
            return self._known.doubt
        if self.looks_again:
            return "nothing of it was read for days, and no part of it can be by this transport"
        return "what has changed is known, but the transport carries whole disks only"

    def _distrust(self, why: str) -> None:
        """Also in another attempt, should this one fail."""
        self._known = self._known.found_wrong(why)
        self._jobs.warn(f"{self.disk.vm_name} {self.disk.name}: everything was read: {why}")

    def _judge(self, reading: Reading) -> dict[str, t.Any]:
        """The disk was read. Raises DiskError where that is of no use."""
        self.road.finish()
        self.close()
        self._jobs.require_still()
        mark = self._known.mark_after(reading)
        if mark is not None and mark.blind and mark.untracked is not None:
            self._jobs.warn(
                f"{self.disk.vm_name} {self.disk.name}: {mark.untracked}; it is read whole until"
                " tracking has begun anew, at the next backup"
            )
        return {**self.road.facts, **({} if mark is None else {"mark": mark.facts()})}

    def close(self) -> None:
        """What could not be taken back is told, and stays in the journal."""
        try:
            self.road.close()
        except DiskError as error:
            self._jobs.leftovers.append(str(error))


class DiskJobs:
    """All disks of it. `left` are those that are to be in the restore point."""

    def __init__(
        self,
        request: VmBackupRequest,
        subject: Subject,
        points: Sequence[RestorePoint],
        transports: Sequence[Transport],
        warnings: list[str],
        leftovers: list[str],
    ) -> None:
        self.request, self.points, self.transports = request, points, transports
        self.warnings, self.leftovers = warnings, leftovers
        self.devices = subject.values.get("config.hardware.device", ())
        self.left: list[DiskJob] = []
        self.policies: dict[str, dict[str, str]] = {}  # of storage, by disk
        self.require_still: Callable[[], None] = _nothing
        self._failed: dict[str, DiskError] = {}

    def __enter__(self) -> DiskJobs:
        return self

    def __exit__(self, *_exc: object) -> None:
        """Everything is taken back before the snapshot goes."""
        self._close()

    def _close(self) -> None:
        """All of it, also where one is interrupted; that is raised in the end."""
        with contextlib.ExitStack() as stack:
            for transport in self.transports:
                stack.callback(self._close_transport, transport)
            for job in self.left:
                stack.callback(job.close)

    def _close_transport(self, transport: Transport) -> None:
        with contextlib.suppress(DiskError):
            transport.close()
        for text in getattr(transport, "warnings", ()):
            self.warn(text)

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    @property
    def look_again(self) -> bool:
        """Whether any disk is read for no other reason than that this must be done at times."""
        return any(job.looks_again for job in self.left)

    def meant(self, disks: Iterable[FrozenDisk]) -> list[FrozenDisk]:
        """Those that the user means."""
        means = self.request.choice.means
        return [disk for disk in disks if means(disk.name, label_of(disk))]

    def open(self) -> None:
        """Some ahead of their turn. One that cannot be opened fails when its turn has come."""
        busy = [job for job in self.left if not job.is_unchanged]
        for job in busy[:OPENED_AHEAD]:
            try:
                job.road.open()
            except DiskError as error:
                if not self.request.allow_partial:
                    raise
                self._failed[job.disk.name] = error

    def can_go_on(self) -> bool:
        """Whether, after a failure, the disks may be tried once more: another way, or, if that is
        allowed, without the one that failed."""
        failed = [job for job in self.left if job.road.failure is not None]
        errors = {job.disk.name: t.cast("DiskError", job.road.failure) for job in failed}
        self._close()
        lost = {job.disk.name for job in failed if not job.road.fall_back()}
        self._failed |= {name: error for name, error in errors.items() if name in lost}
        return bool(failed) and (self.request.allow_partial or not lost)

    def give_up_failed(self, left_out: dict[str, str]) -> None:
        """They are not tried again."""
        left_out |= {name: str(error) for name, error in self._failed.items()}
        self.left = [job for job in self.left if job.disk.name not in self._failed]


def jobs_of_snapshot(
    subject: Subject, journal: Journal, snapshot: t.Any, tracker: Tracker, jobs: DiskJobs
) -> list[DiskJob]:
    """Raises DiskError."""
    jobs.require_still = lambda: require_snapshot(subject, journal.run)
    rely = jobs.request.changes == "auto"
    by_key = {mark.key: mark for mark in tracker.marks}
    disks = frozen_disks(subject, journal, snapshot, tracker.marks)
    return [
        DiskJob(jobs, disk, history(tracker, by_key[disk.device.key], jobs.points, rely=rely))
        for disk in jobs.meant(disks)
    ]


def jobs_of_template(subject: Subject, journal: Journal, jobs: DiskJobs) -> list[DiskJob]:
    """Raises DiskError."""
    rely = jobs.request.changes == "auto"
    disks = jobs.meant(still_disks(subject, journal))
    states = states_of(subject, disks)
    jobs.require_still = lambda: require_same(subject, journal, states)
    return [DiskJob(jobs, disk, still_history(states[disk.name], rely=rely)) for disk in disks]


def _nothing() -> None:
    """Before there are any disks."""


def configuration_disk(subject: Subject, document: VmDocument) -> DiskSource:
    """What is known of the machine beside its disks, as one more of them."""
    return DiskSource(
        name=documents.NAME,
        label=documents.NAME,
        device=MemoryDevice(documents.write_document(document)),
        uuid="",
        path=str(subject.values.get("config.files.vmPathName", "")),
        facts=dict(documents.FACTS),
        title=f"{subject.name} {documents.NAME}",
    )
