# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Processes: which one it was, and who holds a directory."""

from __future__ import annotations

import itertools
import os
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_HOLDERS = 10  # as many as a message can bear


class Process(t.NamedTuple):
    """A process for good: numbers are used again, start times are not."""

    pid: int
    started: int  # clock ticks since boot

    @property
    def alive(self) -> bool:
        return started(self.pid) == self.started

    def send(self, number: int) -> None:
        """A signal, if it is still that process."""
        if self.alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def wait(self, seconds: float) -> bool:
        """Whether it is gone in time."""
        end = time.monotonic() + seconds
        while self.alive:
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True


def started(pid: int) -> int | None:
    """When a process started; None for none, and for one that is only waiting to be reaped."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            fields = stream.read().rsplit(b")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def boot_id() -> str:
    """Another one after each start of the machine."""
    with open("/proc/sys/kernel/random/boot_id") as stream:
        return stream.read().strip()


def holders(directory: str) -> list[str]:
    """Who has files, its root or its working directory in there, as `name (pid)`.

    Only names are compared: looking at the files themselves could hang with their server.
    """
    return [f"{name(pid)} ({pid})" for pid in itertools.islice(_holders(directory), _HOLDERS)]


def holder(path: str) -> Process | None:
    """A process that has this very file open."""
    pid = next(_holders(path), None)
    begun = None if pid is None else started(int(pid))
    return None if pid is None or begun is None else Process(int(pid), begun)


def _holders(path: str) -> Iterator[str]:
    pids = filter(str.isdigit, os.listdir("/proc"))
    return (pid for pid in pids if any(_inside(link, path) for link in _links(pid)))


def _inside(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _links(pid: str) -> list[str]:
    links = [f"/proc/{pid}/{name}" for name in ("cwd", "root", "exe")]
    for folder in ("fd", "map_files"):
        try:
            links += [
                f"/proc/{pid}/{folder}/{name}" for name in os.listdir(f"/proc/{pid}/{folder}")
            ]
        except OSError:
            pass
    return [_target(link) for link in links]


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def name(pid: str) -> str:
    """What ps calls a process."""
    try:
        with open(f"/proc/{pid}/comm", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return "?"
