# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""One backup of one machine: tracking, snapshot, configuration, disks, point, and away with it."""

from __future__ import annotations

import typing as t

from ...._device.errors import DiskError
from ...._vsphere.changes.changes import Tracker
from ...._vsphere.changes.tracking import prepare_tracking
from ...._vsphere.connection.collect import properties
from ...._vsphere.snapshots.quiesce import Level
from ...._vsphere.snapshots.snapshots import snapshot
from .configuration import record_configuration, vmx_text
from .disks import DiskJobs, configuration_disk, jobs_of_snapshot, jobs_of_template
from .preflight import refuse_empty, refuse_unfinished, refuse_unprotectable, unprotectable
from .request import PARTIAL
from .tracking import marks_of
from .transports import make_transports

if t.TYPE_CHECKING:
    from ...._repository.repository import Repository
    from ...._repository.write.backup import BackupResult
    from ...._vsphere.snapshots.journal import Journal
    from ...._vsphere.snapshots.snapshots import Taken
    from ...plan import Result
    from .request import VmBackupRequest
    from .subject import Subject


class VmRun:
    """After the sweep. `warnings` is what an operator should know, `leftovers` what stays in
    vCenter until the next run removes it."""

    def __init__(
        self,
        request: VmBackupRequest,
        repository: Repository,
        subject: Subject,
        journal: Journal,
    ) -> None:
        self._request, self._repository = request, repository
        self._subject, self._journal = subject, journal
        self._points = repository.points(subject.source_id)
        self._left_out: dict[str, str] = {}
        self._made: BackupResult | None = None
        self._roads: dict[str, dict[str, t.Any]] = {}  # how each disk was read
        self.warnings: list[str] = []
        self.leftovers: list[str] = []

    def result(self) -> Result:
        """Raises DiskError where no restore point could be made."""
        made = self._back_up()
        if not self.leftovers and self._journal.open_entries():
            self.leftovers.append(
                "vSphere may yet carry out a request that it has not answered; the next run looks"
                " for what came of it"
            )
        told = (*self.warnings, *made.warnings, *self._partly(), *self._removal_failed())
        warnings = list(dict.fromkeys(told))
        made.transfer.transport, made.transfer.transport_reason = _told(self._roads)
        return {
            **({"warnings": warnings} if warnings else {}),
            **({"leftovers": self.leftovers} if self.leftovers else {}),
            "changed": made.created,
            "restore_point": made.point.as_dict(),
            "transfer": made.transfer.as_dict(),
        }

    def _back_up(self) -> BackupResult:
        self._left_out = unprotectable(self._subject, self._request.choice)
        if not self._request.allow_partial:
            refuse_unprotectable(self._subject, self._left_out)
        if self._subject.is_template:
            return self._read_template()
        self._prepare_tracking()
        vmx_told: list[str] = []
        vmx = vmx_text(self._subject, vmx_told)
        try:
            with snapshot(
                self._subject.session,
                self._subject.vm,
                self._journal,
                self._request.quiesce,
                patience=self._request.patience,
            ) as taken:
                self._made = self._read_snapshot(taken, vmx, vmx_told)
        except DiskError as error:
            if self._made is None:
                raise
            self.leftovers.append(str(error))  # the point is whole all the same
        return self._made

    def _prepare_tracking(self) -> None:
        if self._request.changes != "auto":
            return
        readable = [point for point in self._points if point.problem is None]
        why_not = prepare_tracking(
            self._subject.session,
            self._subject.vm,
            self._journal,
            marks_of(readable[-1]) if readable else [],
            patience=self._request.patience,
        )
        if why_not is not None:
            self.warnings.append(f"{self._subject.name}: whole disks are read: {why_not}")

    def _read_snapshot(self, taken: Taken, vmx: str | None, told: list[str]) -> BackupResult:
        session, vm = self._subject.session, self._subject.vm
        self._require_finished(taken.snapshot)
        passed_over = "; ".join(taken.passed_over)
        if passed_over and (taken.level is Level.CRASH or self._subject.is_windows):
            self.warnings.append(
                f"{self._subject.name}: the snapshot is no better than {taken.level.value}:"
                f" {passed_over}"
            )
        tracker = Tracker(session, vm, taken.snapshot, taken.task)
        self._check_unprotected(tracker.unprotected)
        with self._disk_jobs() as jobs:
            jobs.left = jobs_of_snapshot(
                self._subject, self._journal, taken.snapshot, tracker, jobs
            )
            facts = {"quiesce": taken.level.value, "quiesce_reason": passed_over or None}
            return self._read(jobs, taken.snapshot, vmx, told, **facts)

    def _require_finished(self, taken: t.Any) -> None:
        """A restore may have begun before the snapshot was there. Raises DiskInUse."""
        path = "config.extraConfig"
        frozen = properties(self._subject.session, taken, (path,))
        refuse_unfinished(self._subject.name, frozen.get(path))

    def _read_template(self) -> BackupResult:
        told: list[str] = []
        vmx = vmx_text(self._subject, told)
        with self._disk_jobs() as jobs:
            jobs.left = jobs_of_template(self._subject, self._journal, jobs)
            return self._read(jobs, None, vmx, told)

    def _disk_jobs(self) -> DiskJobs:
        request = self._request
        transports = make_transports(
            self._subject.session,
            self._journal,
            request.transports,
            proxy_vm=request.proxy_vm,
            vddk_libdir=request.vddk_libdir,
            vddk_modes=request.vddk_modes,
        )
        return DiskJobs(
            request, self._subject, self._points, transports, self.warnings, self.leftovers
        )

    def _check_unprotected(self, unprotected: dict[str, str]) -> None:
        """What the snapshot does not hold after all: a disk may have come in between."""
        names = {disk.name: disk.label for disk in self._subject.report.disks}
        new = {
            slot: why
            for slot, why in unprotected.items()
            if slot not in self._left_out
            and self._request.choice.means(slot, names.get(slot, slot))
        }
        if not self._request.allow_partial:
            refuse_unprotectable(self._subject, new)
        self._left_out.update(new)

    def _read(
        self, jobs: DiskJobs, taken: t.Any, vmx: str | None, told: list[str], **facts: t.Any
    ) -> BackupResult:
        document = record_configuration(self._subject, taken, vmx, told)
        self.warnings += [
            f"{self._subject.name}: the restore point lacks {what}" for what in document.left_out
        ]
        jobs.policies = document.configuration["policies"]
        jobs.open()
        while True:
            jobs.give_up_failed(self._left_out)
            refuse_empty(self._subject, self._left_out, [job.disk.name for job in jobs.left])
            try:
                made = self._one_attempt(jobs, configuration_disk(self._subject, document), facts)
            except DiskError:
                if not jobs.can_go_on():
                    raise
            else:
                self._roads = {job.disk.name: job.road.facts for job in jobs.left}
                return made

    def _one_attempt(
        self, jobs: DiskJobs, configuration: t.Any, facts: dict[str, t.Any]
    ) -> BackupResult:
        request = self._request
        partial = {PARTIAL: dict(self._left_out)} if self._left_out else {}
        return self._repository.back_up(
            [*(job.source() for job in jobs.left), configuration],
            self._subject.source(**facts, **partial),
            name=request.name,
            mode=request.mode,
            progress=request.progress,
            unchanged_ok=request.any_will_do and not jobs.look_again,
            retain=request.retention,
            workers=request.workers,
            memory_limit=request.memory_limit,
        )

    def _partly(self) -> list[str]:
        return [
            f"{self._subject.name}: the restore point lacks {name}: {why}"
            for name, why in self._left_out.items()
        ]

    def _removal_failed(self) -> list[str]:
        name = self._subject.name
        return [f"{name}: the restore point is whole, but: {each}" for each in self.leftovers]


def _told(roads: dict[str, dict[str, t.Any]]) -> tuple[str, str]:
    """Transport, and its reason, of all disks together."""
    used = dict.fromkeys(road["transport"] for road in roads.values())
    by_reason: dict[str, list[str]] = {}
    for name, road in roads.items():
        by_reason.setdefault(road["transport_reason"], []).append(name)
    reasons = [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]
    return ", ".join(used), "; ".join(reasons)
