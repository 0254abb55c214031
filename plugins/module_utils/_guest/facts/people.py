# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Users of a guest (passwd(5), shadow(5)), what it starts by itself, and when it last did."""

from __future__ import annotations

import datetime
import re
import struct
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .root import GuestRoot

_UNITS = "/etc/systemd/system"  # what is enabled is linked from there (systemd.unit(5))
_RUNLEVELS = "/etc/runlevels"  # of OpenRC
_WTMP = "/var/log/wtmp"
_RECORD = struct.Struct("<h2xi32s4s32s256shhiii16s20s")  # utmp(5), as Linux on PCs writes it
_BOOT = 2
_SEED = "/var/lib/systemd/random-seed"  # written at each start


def users(root: GuestRoot) -> list[dict[str, t.Any]]:
    """`password`: set, locked, empty or unknown; never what it is. Raises DiskIOError."""
    shadow = {line[0]: line[1] for line in _lines(root, "/etc/shadow") if len(line) > 1}
    return [
        {
            "name": line[0],
            "uid": int(line[2]),
            "gid": int(line[3]),
            "home": line[5],
            "shell": line[6],
            "password": _password(shadow.get(line[0])),
        }
        for line in _lines(root, "/etc/passwd")
        if len(line) == 7 and line[2].isdigit() and line[3].isdigit()
    ]


def services(root: GuestRoot) -> list[str]:
    """What is enabled, by name: units of systemd, or services of OpenRC. Raises DiskIOError."""
    found = {
        name
        for wants in root.names(_UNITS)
        if wants.endswith((".wants", ".requires"))
        for name in root.names(f"{_UNITS}/{wants}")
        if not _is_masked(root, name)
    }
    for level in root.names(_RUNLEVELS):
        found.update(root.names(f"{_RUNLEVELS}/{level}"))
    return sorted(found)


def last_boot(root: GuestRoot) -> str | None:
    """When it was started last, in UTC; None where nobody can tell. Raises DiskIOError."""
    moment = max(_boots(root.read(_WTMP) or b""), default=None)
    if moment is None:
        seed = root.status(_SEED)
        moment = None if seed is None else int(seed.st_mtime)
    if moment is None:
        return None
    told = datetime.datetime.fromtimestamp(moment, datetime.timezone.utc)
    return told.strftime("%Y-%m-%dT%H:%M:%SZ")


def _lines(root: GuestRoot, path: str) -> Iterator[list[str]]:
    for line in root.text(path).splitlines():
        if line and line[0] not in "#+-":
            yield line.split(":")


def _password(field: str | None) -> str:
    if field is None:
        return "unknown"
    if not field:
        return "empty"
    return "set" if re.match(r"\$|[./0-9A-Za-z]{13}$|_", field) else "locked"


def _is_masked(root: GuestRoot, unit: str) -> bool:
    return root.link(f"{_UNITS}/{unit}") == "/dev/null"


def _boots(data: bytes) -> Iterator[int]:
    whole = len(data) // _RECORD.size * _RECORD.size
    for record in _RECORD.iter_unpack(data[:whole]):
        if record[0] == _BOOT:
            yield record[9]
