# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Disks that lie somewhere, with what can be told of each without mounting it."""

from __future__ import annotations

import collections
import glob
import os
import re
import tempfile
import typing as t

from .._device.errors import DiskError
from .._guest.request import GUEST
from .._vmdk.opening.disk import Disk
from .access import lasting_name
from .inspect_disk import inspect
from .mount_disk import MountJob, plan_mounted, plan_unmounted
from .newest_point import newest_points

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .access import Access
    from .plan import Result

    Warn = Callable[[str], None]

_FEW = ("disk_type", "size", "allocated", "adapter_type", "hw_version", "uuid", "flags")
_RESERVED = ("localhost", "all", "ungrouped")  # by Ansible; plays would run in there unawares
_LONG = ("packages", "services", "users")  # of a guest


def disks_in_files(patterns: Iterable[str], access: Access, warn: Warn) -> dict[str, Result]:
    """By name. Extents and parents of other disks are no disks of their own.

    What cannot be opened is told to `warn`.
    """
    found: dict[str, Result] = {}
    problems: dict[str, str] = {}
    others: set[str] = set()
    for path in _matching(patterns, warn):
        try:
            with access.open(path) as disk:
                found[path] = _facts(path, inspect(disk, partitions=True))
                if isinstance(disk, Disk):
                    parents = (link.path for link in disk.links)
                    used = {*map(os.path.realpath, [*disk.files(), *parents])}
                    others |= used - {os.path.realpath(path)}
        except DiskError as error:
            problems[path] = str(error)
    for path, problem in problems.items():
        if path not in others:
            warn(problem)
    return _named({path: facts for path, facts in found.items() if path not in others}, warn)


def _matching(patterns: Iterable[str], warn: Warn) -> list[str]:
    """Who may write into a folder of disks shall not make a disk of any file of the host."""
    paths: set[str] = set()
    for pattern in patterns:
        files = [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]
        if not files:
            warn(f"{pattern}: no file has a name like that")
        paths.update(files)
    found = set()
    for path in sorted(paths):
        real = os.path.realpath(path)
        if os.path.dirname(real) == os.path.realpath(os.path.dirname(path)):
            found.add(real)
        else:
            warn(f"{path}: it is a link out of its folder, to {real}. Name that file in paths.")
    return sorted(found)


def _facts(path: str, facts: Result) -> Result:
    partitions = facts["partitions"]
    return {
        "path": path,
        **{name: facts[name] for name in _FEW if name in facts},
        "partitions": partitions,
        "file_systems": sorted({each["fs"] for each in partitions if each["fs"]}),
        "labels": sorted({each["label"] for each in partitions if each["label"]}),
    }


def _named(found: dict[str, Result], warn: Warn) -> dict[str, Result]:
    """By the name of the file; by its whole path where several have the same."""
    stems = collections.Counter(map(_stem, found))
    named: dict[str, Result] = {}
    for path, facts in found.items():
        stem = _stem(path)
        name = stem if stems[stem] == 1 and stem not in _RESERVED else _host_name(path.strip("/"))
        if name in named:
            warn(f"{path}: it is no host, as {named[name]['path']} is called {name} already")
        else:
            named[name] = facts
    return named


def _stem(path: str) -> str:
    return _host_name(os.path.splitext(os.path.basename(path))[0])


def disks_in_points(access: Access, warn: Warn) -> dict[str, Result]:
    """The newest restore point of each source, by name. Raises what opening the repository does."""
    found: dict[str, Result] = {}
    for point in newest_points(access):
        name = _host_name(point.source_name)
        name = point.source_id if name in found or name in _RESERVED else name
        disks = [f"{lasting_name(point)}#{disk.name}" for disk in point.real_disks]
        try:
            seen = [_point_facts(reference, access) for reference in disks]
        except DiskError as error:
            warn(str(error))
            continue
        if seen:
            found[name] = {**_together(seen), "disks": disks, "restore_point": point.as_dict()}
    return found


def _host_name(name: str) -> str:
    """It becomes the name of a directory too."""
    return re.sub(r"[^\w.-]", "_", name).lstrip(".") or "_"


def _point_facts(reference: str, access: Access) -> Result:
    with access.open(reference) as disk:
        return _facts(reference, inspect(disk, partitions=True))


def _together(disks: list[Result]) -> Result:
    """Facts of the first, with what lies on the others."""
    lists = ("partitions", "file_systems", "labels")
    joined = {name: [each for disk in disks for each in disk[name]] for name in lists}
    return {**disks[0], **joined, "size": sum(disk["size"] for disk in disks)}


def guest_of(disk: Result, access: Access) -> Result:
    """What system is on it, by mounting it for a moment, read-only. Raises DiskError."""
    point = tempfile.mkdtemp(prefix="vdisk-look-")
    others = tuple(disk.get("disks", ())[1:])
    job = MountJob(disk["path"], point, access, disks=others, layout=GUEST, facts=True)
    try:
        guest: Result = plan_mounted(job).run(check_mode=False)["guest"]
    finally:
        plan_unmounted(point).run(check_mode=False)
        os.rmdir(point)
    return {name: value for name, value in guest.items() if name not in _LONG}
