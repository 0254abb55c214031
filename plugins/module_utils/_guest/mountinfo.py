# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What is mounted, as the kernel tells it."""

from __future__ import annotations

import re
import typing as t


class Mount(t.NamedTuple):
    """A line of /proc/self/mountinfo, proc(5)."""

    number: int
    point: str
    fs: str
    source: str
    device: str  # major:minor


def mounts(pid: str = "self") -> list[Mount]:
    """Every mount that a process sees, in the order they were made."""
    # Not universal newlines: file names may hold a carriage return.
    with open(f"/proc/{pid}/mountinfo", errors="surrogateescape", newline="\n") as stream:
        return [_parse(line.rstrip("\n")) for line in stream]


def mounted_at(point: str) -> Mount | None:
    """The topmost mount at exactly this place."""
    found = [mount for mount in mounts() if mount.point == point]
    return found[-1] if found else None


def mounts_below(point: str) -> list[Mount]:
    """Mounts inside the one at `point`."""
    return [mount for mount in mounts() if mount.point.startswith(point.rstrip("/") + "/")]


def _parse(line: str) -> Mount:
    before, after = line.split(" - ", 1)
    head, tail = before.split(" "), after.split(" ")
    return Mount(int(head[0]), _unescape(head[4]), tail[0], _unescape(tail[1]), head[2])


def _unescape(text: str) -> str:
    """Blanks and the like are written as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
