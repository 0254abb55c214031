# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Files out of a mounted disk, put down in a folder of this host."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .._device.errors import DiskNotFound, InvalidRequest, MountFailed, from_oserror
from .._device.progress import Silent
from .._guest import session
from .._guest.restore.restore import KEEP, Restore, Rules
from .._guest.restore.select import Selection, select
from .plan import Plan, Result, nothing_to_do

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .._device.progress import Progress
    from .._guest.restore.restore import Outcome
    from .._guest.restore.select import Entry

_LISTED = 1000  # of each kind in a result


@dataclasses.dataclass(frozen=True)
class FilesRequest:
    """What `paths` mean below `src` shall be below `dest`."""

    src: str
    dest: str
    paths: Sequence[str] = ("/",)
    exclude: Sequence[str] = ()
    conflict: str = KEEP
    keep_owner: bool = True
    privileged: bool = False
    outside_links: bool = False
    fail_on: Sequence[str] = ()
    progress: Progress = dataclasses.field(default_factory=Silent)


def plan_files(request: FilesRequest) -> Plan:
    """Compares what is there byte for byte. Raises InvalidRequest, DiskNotFound, MountFailed."""
    _require_sound(request)
    entries, losses = _entries(request)
    foreseen = _run(request, entries, dry=True)
    foreseen.unreadable[:0] = losses
    result = _told(request, foreseen)
    if not foreseen.done:
        return nothing_to_do({}, result)

    def apply() -> Result:
        _make(request.dest)
        outcome = _run(request, entries, dry=False)
        outcome.unreadable[:0] = losses
        return {**_told(request, outcome), "changed": bool(outcome.done)}

    after = {each["path"]: each["action"] for each in foreseen.done[:_LISTED]}
    return Plan(before={}, after=after, result=result, apply=apply)


def _require_sound(request: FilesRequest) -> None:
    if not os.path.isdir(request.src):
        raise DiskNotFound("there is no such folder", path=request.src)
    state = session.mounted(request.src)
    if state is not None and not state.healthy:
        raise MountFailed("the mount is dead", path=request.src, found=state.problem)
    src, dest = os.path.realpath(request.src), os.path.realpath(request.dest)
    if os.path.commonpath((src, dest)) == src:
        raise InvalidRequest("the target lies inside the source", path=request.dest)
    if os.path.lexists(dest) and not os.path.isdir(dest):
        raise InvalidRequest("the target is no folder", path=request.dest)


def _entries(request: FilesRequest) -> tuple[list[Entry], list[dict[str, t.Any]]]:
    """What is meant, and what cannot be listed. Raises InvalidRequest for what means nothing."""
    selection = Selection(request.paths, request.exclude)
    losses: list[dict[str, t.Any]] = []

    def lose(path: bytes, reason: str | None) -> None:
        losses.append({"path": path.decode(errors="backslashreplace"), "reason": reason or "?"})

    entries = list(select(request.src, selection, lose))
    paths = [os.fsdecode(entry.path) for entry in entries]
    unmet = selection.unmet(paths)
    if unmet and not losses:
        raise InvalidRequest("nothing there is meant by", path=request.src, found=", ".join(unmet))
    return entries, losses


def _run(request: FilesRequest, entries: list[Entry], *, dry: bool) -> Outcome:
    rules = Rules(
        request.conflict, request.keep_owner, request.privileged, request.outside_links, dry
    )
    restore = Restore(request.src, request.dest, rules, request.progress)
    size = sum(entry.info.st_size for entry in entries if entry.is_file)
    request.progress.start(request.dest, size)
    for entry in entries:
        restore.put(entry)
    if not dry:
        restore.finish()
    request.progress.finish()
    return restore.outcome


def _make(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise from_oserror(error, "make the target folder", folder) from error


def _told(request: FilesRequest, outcome: Outcome) -> Result:
    files: Result = {
        "restored": outcome.done[:_LISTED],
        "skipped": outcome.skipped[:_LISTED],
        "unreadable": outcome.unreadable,
        "unwritten": outcome.unwritten[:_LISTED],
        "count": {
            "restored": len(outcome.done),
            "skipped": len(outcome.skipped),
            "unreadable": len(outcome.unreadable),
            "unwritten": len(outcome.unwritten),
            "equal": outcome.equal,
        },
        "bytes": outcome.size,
    }
    bad = [f"{files['count'][what]} {what}" for what in request.fail_on if files[what]]
    failure = {"failed": True, "msg": f"Not all was put down: {', '.join(bad)}."} if bad else {}
    return {"files": files, **failure}
