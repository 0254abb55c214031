# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a hostile disk must not get: time, memory, files outside of its folder."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 20  # of processor time: a busy machine is no finding
MEMORY = 192 << 20  # bytes above what is taken: buffers, threads and a directory of 64 MiB
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PYTHON = tuple({os.path.realpath(p) for p in (sys.prefix, sys.base_prefix)})  # codecs are files
_CHANGES = (
    "os.remove",
    "os.rename",
    "os.truncate",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
)


class Violation(Exception):
    """Something that must hold does not. Not a DiskError, so nothing takes it for one."""


def require(holds: bool, what: str) -> None:
    if not holds:
        raise Violation(what)


@contextlib.contextmanager
def bounded(file_bytes: int) -> Iterator[None]:
    """MemoryError or Violation beyond the limits."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        taken = int(statm.read().split()[0]) * _PAGE
    old = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY + 8 * file_bytes, old[1]))
    handler = signal.signal(signal.SIGVTALRM, _too_slow)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, old)


def _too_slow(_signal: int, _frame: object) -> None:
    raise Violation(f"takes more than {SECONDS} s")


class _Watch:
    """The audit hook cannot be removed, so it is one for all inputs."""

    folder: str | None = None
    outside: list[str]
    installed = False

    def __call__(self, event: str, args: tuple[t.Any, ...]) -> None:
        if self.folder is None or not (event == "open" or event in _CHANGES):
            return
        folder = self.folder
        for path in args[: 2 if event == "os.rename" else 1]:
            if isinstance(path, (str, bytes, os.PathLike)):
                self._look_at(event, os.fsdecode(path), folder)

    def _look_at(self, event: str, path: str, folder: str) -> None:
        place = os.path.abspath(path)  # no input can make a link
        allowed = (folder, *_PYTHON) if event == "open" else (folder,)
        inside = any(place == root or place.startswith(root + os.sep) for root in allowed)
        if not inside and place != "/proc/locks" and not place.startswith("/proc/self/"):
            self.outside.append(f"{event} {path}")


_watch = _Watch()


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Violation where a file outside of the folder is opened or changed."""
    if not _watch.installed:
        sys.addaudithook(_watch)
        _watch.installed = True
    _watch.folder, _watch.outside = os.path.realpath(folder), []
    try:
        yield
    finally:
        _watch.folder = None
    require(not _watch.outside, f"outside of the folder: {_watch.outside}")
