# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Whether vmdk_mount mounted a directory. Its journal is read as it is: see _guest/state.py."""

from __future__ import annotations

import hashlib
import json
import os
import re
import typing as t

from .kernel import Refused


def require_mark(root: str, run_directory: str) -> None:
    """Raises Refused unless vmdk_mount mounted this very directory, and its disk is served."""
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]  # as lockedfolder.name_of() has it
    try:
        with open(f"{run_directory}/mounts/{name}/state.json", "rb") as stream:
            journal = json.load(stream)
    except (OSError, ValueError):
        raise Refused(
            f"{root} was not mounted by vmdk_mount. Mount the disk there with "
            "vdisk.lifecycle.vmdk_mount first; ansible_host is the mount point."
        ) from None
    if problem := _problem(root, journal):
        raise Refused(f"{root} cannot be used: {problem}. Run vdisk.lifecycle.vmdk_mount again.")


def _problem(root: str, journal: dict[str, t.Any]) -> str:
    with open("/proc/sys/kernel/random/boot_id") as stream:
        boot = stream.read().strip()
    if journal["boot"] != boot:
        return "the machine was started again since it was mounted"
    if not journal["complete"]:
        return "mounting was never finished"
    if journal["daemon"] and not _is_alive(*journal["daemon"]):
        return "the process that serves its disk is gone"
    number = journal["parts"][0]["number"]
    return "" if number == _mounted_at(root) else "it was unmounted by somebody else"


def _mounted_at(point: str) -> int | None:
    """The number of the topmost mount at exactly this place, from proc(5) mountinfo."""
    found = None
    with open("/proc/self/mountinfo", "rb") as stream:
        for fields in map(bytes.split, stream.read().split(b"\n")[:-1]):
            name = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), fields[4])
            if name == os.fsencode(point):
                found = int(fields[0])
    return found


def _is_alive(pid: int, started: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            fields = stream.read().rsplit(b")", 1)[1].split()
    except OSError:
        return False
    return fields[0] not in (b"Z", b"X") and int(fields[19]) == started
