# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What tells one block device from another, whatever its name, as the kernel's sysfs has it."""

from __future__ import annotations

import contextlib
import os
import stat

_DEVICES = "/sys/dev/block"


def device_key(path: str) -> str | None:
    """What lasts longest of what is known of it; None for what is no block device."""
    number = _number(path)
    return None if number is None else _key(number)


def keys_of_relatives(path: str) -> list[str]:
    """Of the disk that a partition is a part of, or of the partitions that a disk has."""
    number = _number(path)
    if number is None:
        return []
    folder = os.path.join(_DEVICES, number)
    if _partition(number):
        return [_key(_text(f"{folder}/../dev"))]
    parts = (os.path.join(folder, name) for name in os.listdir(folder))
    return [_key(_text(f"{part}/dev")) for part in parts if os.path.exists(f"{part}/partition")]


def _number(path: str) -> str | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISBLK(found.st_mode):
        return None
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def _key(number: str) -> str:
    partition = _partition(number)
    if partition:
        disk = _text(os.path.join(_DEVICES, number, "../dev"))
        return f"{_key(disk)} partition {partition}"
    for attribute in ("wwid", "device/wwid", "device/serial", "serial"):
        text = _text(os.path.join(_DEVICES, number, attribute))
        if text:
            return f"{attribute} {text}"
    return number


def _partition(number: str) -> str:
    """Its number, or nothing for what is none."""
    return _text(os.path.join(_DEVICES, number, "partition"))


def _text(path: str) -> str:
    with contextlib.suppress(OSError), open(path, errors="replace") as stream:
        return stream.read().strip()
    return ""
