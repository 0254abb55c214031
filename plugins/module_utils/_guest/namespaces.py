# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Mounts that other mount namespaces have kept: umount(8) here does not reach them."""

from __future__ import annotations

import os

from .mountinfo import mounts
from .processes import name


def mounted_elsewhere(device: str) -> list[str]:
    """Where else a block device is mounted, as `name (pid) at /mnt in another mount namespace`."""
    seen = {_namespace("self")}
    number = os.stat(device).st_rdev
    numbers = f"{os.major(number)}:{os.minor(number)}"
    found = []
    for pid in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
        namespace = _namespace(pid)
        if namespace is None or namespace in seen:
            continue
        seen.add(namespace)
        found += [
            f"{name(pid)} ({pid}) at {point} in another mount namespace"
            for point in _points(pid, device, numbers)
        ]
    return found


def _namespace(pid: str) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:  # gone, or hidden from us
        return None


def _points(pid: str, device: str, numbers: str) -> list[str]:
    try:
        # btrfs has a number of its own, so both are compared.
        return [m.point for m in mounts(pid) if device == m.source or numbers == m.device]
    except OSError:
        return []
