# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The names that disks have for as long as jobs work on them; nobody else gives such.

What a job makes has a number in its name that no other job has: no two of them write to one file.
"""

from __future__ import annotations

import re
import secrets
import typing as t

from ..._device.errors import BadReference

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..._vsphere.disks.paths import ManagedPath

# SENT is what is uploaded before it becomes NEW.
NEW, OLD, SENT = ".vdisk-new", ".vdisk-old", ".vdisk-sent"
_MADE = re.compile(r"(?:\.vdisk-new|\.vdisk-sent)-[0-9a-f]{8}")


def new_job() -> str:
    """The number of a job."""
    return secrets.token_hex(4)


def made_name(path: ManagedPath, mark: str, job: str) -> str:
    """Of a disk that this job makes; `mark` is NEW or SENT."""
    return f"{path.stem}{mark}-{job}.vmdk"


def old_name(path: ManagedPath) -> str:
    """Where the disk steps that is replaced."""
    return f"{path.stem}{OLD}.vmdk"


def pattern(path: ManagedPath) -> str:
    """For a search that finds them, and perhaps others."""
    return f"{path.stem}.vdisk-*.vmdk"


def made_by_jobs(path: ManagedPath, names: Iterable[str]) -> list[str]:
    """Those of the names that jobs have given to disks they made for this path."""
    form = re.compile(re.escape(path.stem) + _MADE.pattern + re.escape(".vmdk"))
    return sorted(name for name in names if form.fullmatch(name))


def refuse_working_name(path: ManagedPath) -> None:
    """Raises BadReference."""
    if path.stem.endswith(OLD) or re.search(f"{_MADE.pattern}$", path.stem):
        raise BadReference(
            "is a name that only a job gives a disk for as long as it works on it",
            path=str(path),
            hint="Run that job again: it finishes what it has begun.",
        )
