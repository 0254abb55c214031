# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Taking the environment out of /proc/<pid>/environ, where passphrases would stay for days."""

from __future__ import annotations

import ctypes

_START, _END = 47, 48  # env_start and env_end among the fields after the name, proc(5)


def hide() -> None:
    """Overwrite what this process was started with. os.environ keeps its copy.

    For a process with one thread. Where the kernel does not tell the place, nothing happens.
    """
    libc = ctypes.CDLL(None)
    libc.clearenv()  # first: getenv() must not look into what is overwritten
    start, end = _block()
    if 0 < start < end:
        ctypes.memset(start, 0, end - start)


def _block() -> tuple[int, int]:
    """The addresses between which the kernel put the environment when the program began."""
    with open("/proc/self/stat", "rb") as stream:
        fields = stream.read().rsplit(b")", 1)[1].split()
    return int(fields[_START]), int(fields[_END])
