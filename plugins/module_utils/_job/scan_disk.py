# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What is in a disk that should not be, and what is installed in it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t

from .._device.errors import InvalidRequest, MountFailed, ReadOnlyDisk
from .._device.progress import Silent
from .._guest import session
from .._guest.facts.guest import facts_of
from .._guest.scan.areas import areas
from .._guest.scan.clamd import Clamd, Limits
from .._guest.scan.deleted import Area, DeletedScan
from .._guest.scan.quarantine import quarantine
from .._guest.scan.report import Clock, Report
from .._guest.scan.sbom import bill_of_materials
from .._guest.scan.tree import THREADS, TreeScan
from .plan import Plan, Result, nothing_to_do

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .._device.progress import Progress
    from .._guest.scan.tree import Infected
    from .access import Access

DATABASE = "/var/lib/clamav"
LARGEST = (2 << 30) - 1  # bytes of a file: ClamAV's own limit
_SECONDS = 120  # for one file


@dataclasses.dataclass(frozen=True)
class ScanRequest:
    """Files below `mount_point`, the deleted ones in the disk at `path`, or both."""

    access: Access
    mount_point: str | None = None
    path: str | None = None
    volume: str | None = None
    antivirus: bool = True
    secrets: bool = True
    sbom: bool = False
    database: str = DATABASE
    max_file_size: int = 100 << 20
    time_limit: int = 3600
    allow: Sequence[str] = ()
    fail_on: Sequence[str] = ()
    quarantine: str | None = None
    progress: Progress = dataclasses.field(default_factory=Silent)


def plan_scan(request: ScanRequest) -> Plan:
    """Scans, and plans to move what is infected if that is asked for. Raises InvalidRequest,
    MissingTool, MountFailed and what opening the disk raises."""
    reference = _require_sound(request)
    report, clock = Report(), Clock(request.time_limit)
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(_engine(request)) if request.antivirus else None
        facts = engine.facts() if engine else None
        infected = _scan_files(request, engine, clock, report)
        _scan_deleted(request, engine, clock, report)
    result: Result = {**_sbom(request, report)}
    scan = {**report.as_dict(), "engine": facts, "seconds": clock.seconds}
    result = {"scan": scan, **result, **_verdict(request, scan)}
    if request.quarantine is None or not infected:
        return nothing_to_do({}, {**result, **({"quarantined": []} if request.quarantine else {})})
    return _plan_quarantine(request, infected, reference, result)


def _plan_quarantine(
    request: ScanRequest, infected: list[Infected], reference: str, result: Result
) -> Plan:
    point, place = t.cast("str", request.mount_point), t.cast("str", request.quarantine)
    names = [each["path"] for each in result["scan"]["infected"] if each["where"] in _IN_FILES]

    def apply() -> Result:
        return {**result, "quarantined": quarantine(point, infected, place, reference)}

    return Plan(
        before={"infected": names},
        after={"infected": []},
        result={**result, "quarantined": []},
        apply=apply,
    )


_IN_FILES = ("file", "archive")


def _require_sound(request: ScanRequest) -> str:
    """The disk that is mounted. Raises where nothing sound is: an empty folder looks so clean."""
    if request.path is not None and not request.antivirus:
        raise InvalidRequest("only antivirus looks at deleted files", expected="antivirus: true")
    if not 0 < request.max_file_size <= LARGEST:
        raise InvalidRequest("max_file_size cannot be had", expected=f"1 to {LARGEST} bytes")
    if request.mount_point is None:
        return request.path or ""
    state = session.mounted(request.mount_point)
    if state is None or not state.healthy:
        raise MountFailed(
            "no disk is mounted there by vdisk.lifecycle.vmdk_mount",
            path=request.mount_point,
            found=state.problem if state else None,
        )
    if request.quarantine is not None and state.read_only:
        raise ReadOnlyDisk(
            "nothing can be moved away from a disk that is mounted read-only",
            path=request.mount_point,
            hint="Mount it with read_only: false, best with transaction: true.",
        )
    return state.reference


def _engine(request: ScanRequest) -> Clamd:
    seconds = max(1, min(_SECONDS, request.time_limit))
    return Clamd(request.database, Limits(request.max_file_size, seconds, 2 * THREADS))


def _scan_files(
    request: ScanRequest, engine: Clamd | None, clock: Clock, report: Report
) -> list[Infected]:
    if request.mount_point is None or not (engine or request.secrets):
        return []
    point = os.path.realpath(request.mount_point)
    scan = TreeScan(point, engine, request.secrets, request.allow, clock, request.progress)
    return scan.run(report)


def _scan_deleted(request: ScanRequest, engine: Clamd | None, clock: Clock, report: Report) -> None:
    if request.path is None or engine is None:
        return
    scan = DeletedScan(request.path, engine, clock, request.progress)
    with request.access.open(request.path) as disk:
        for area in areas(disk, request.volume):
            if isinstance(area, Area):
                scan.run(area, report)
            else:
                name, why = area
                report.add(report.skipped, {"path": request.path, "volume": name, "reason": why})


def _sbom(request: ScanRequest, report: Report) -> Result:
    if not request.sbom or request.mount_point is None:
        return {}
    guest = facts_of(request.mount_point)
    for problem in guest["problems"]:
        report.skip(b"/", f"not in the list of packages: {problem}")
    return {"sbom": bill_of_materials(guest)}


def _verdict(request: ScanRequest, scan: Result) -> Result:
    """A failure that comes with the whole result, if that is what was asked for."""
    bad = [f"{len(scan[what])} {what}" for what in request.fail_on if scan[what]]
    return {"failed": True, "msg": f"The scan found: {', '.join(bad)}."} if bad else {}
