# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a job makes in vSphere, written down before it is made.

A journal is a file of JSON lines that only grows, so that there is no moment without one. The job
that writes it holds a lock on it for as long as it lives; what can be locked was left by dead ones.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import errno
import fcntl
import json
import os
import secrets
import socket
import threading
import typing as t

from ..._device.errors import DiskError, from_oserror

if t.TYPE_CHECKING:
    from collections.abc import Iterator

STATE_DIRECTORY = "/var/lib/vdisk-lifecycle/jobs"  # VDISK_STATE_DIR says another
_SUFFIX = ".journal"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One thing that a job made, or was about to make."""

    number: int
    # attach, lease, snapshot, machine, restore, consolidation (owed from the moment a snapshot is
    # removed)
    kind: str
    facts: dict[str, t.Any]


class Journal:
    """Of one run. What is not done when it is closed stays for the sweep of a later run."""

    def __init__(self, path: str, fd: int) -> None:
        self.path, self._fd = path, fd
        self._lock = threading.Lock()  # one run may work on several VMs at once
        self.run = os.path.basename(path)[: -len(_SUFFIX)]
        self._next = 1 + max(
            (each["number"] for each in self._lines() if "number" in each), default=0
        )

    @classmethod
    def begin(cls, purpose: str, subject: str | None = None) -> Journal:
        """`subject`: what nobody else may work on meanwhile (at_work_on()).

        Raises DiskError where nothing can be kept: then nothing may be made either."""
        now = datetime.datetime.now(datetime.timezone.utc)
        run = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        path = os.path.join(_directory(), run + _SUFFIX)
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            fd = _create_locked(path)
            _flush_directory(os.path.dirname(path))
        except OSError as error:
            raise _unusable(error, path) from error
        journal = cls(path, fd)
        head = {"run": run, "host": host_name(), "time": now.isoformat(), "purpose": purpose}
        journal._append({**head, "subject": subject})
        return journal

    def note(self, kind: str, **facts: t.Any) -> int:
        """Before something is made. Durable when it returns; the number is for done()."""
        with self._lock:
            number, self._next = self._next, self._next + 1
        self._append({"number": number, "kind": kind, "facts": facts})
        return number

    def done(self, number: int) -> None:
        """It is gone, or was never made."""
        self._append({"done": number})

    def head(self) -> dict[str, t.Any]:
        """run, host, time and purpose; as much of it as was written."""
        return next((line for line in self._lines() if "run" in line), {})

    def open_entries(self) -> list[Entry]:
        """What may still be there, the youngest first."""
        lines = list(self._lines())
        done = {each["done"] for each in lines if "done" in each}
        return [
            Entry(each["number"], each["kind"], each["facts"])
            for each in reversed(lines)
            if "number" in each and each["number"] not in done
        ]

    def close(self) -> None:
        """Remove the file, unless something is left. A second call does nothing."""
        if self._fd < 0:
            return
        if not self.open_entries():
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _append(self, line: dict[str, t.Any]) -> None:
        # A torn line of a run that was killed must not swallow the next one.
        data = b"\n" + json.dumps(line).encode() + b"\n"
        try:
            if os.write(self._fd, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._fd)
        except OSError as error:
            raise _unusable(error, self.path) from error

    def _lines(self) -> Iterator[dict[str, t.Any]]:
        data = os.pread(self._fd, os.fstat(self._fd).st_size, 0)
        for line in data.splitlines():
            # What was not written to its end was not begun either.
            with contextlib.suppress(ValueError):
                if line:
                    yield json.loads(line)


def abandoned() -> Iterator[Journal]:
    """The journals of dead runs on this host, locked while looked at. Raises DiskError."""
    for path in _paths():
        journal = _take(path)
        if journal is not None:
            with journal:
                yield journal


def known_runs() -> set[str]:
    """The ids of all runs of this host that live, or have left something."""
    return {os.path.basename(path)[: -len(_SUFFIX)] for path in _paths()}


def is_alive(run: str) -> bool:
    """Whether that run of this host is at work."""
    try:
        fd = os.open(os.path.join(_directory(), run + _SUFFIX), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def at_work_on(subject: str, run: str) -> str | None:
    """The run of this host, if there is one besides `run`, that is at work on the same. Of two that
    begin at once, one at least sees the other."""
    living = (_living(path) for path in _paths() if os.path.basename(path) != run + _SUFFIX)
    others = (head for head, _entries in living if head.get("subject") == subject)
    return next((str(head["run"]) for head in others), None)


def is_noted_by_the_living(run: str, entry: Entry) -> bool:
    """Whether a run of this host that is at work, and is not `run`, has noted the same."""
    others = [path for path in _paths() if os.path.basename(path) != run + _SUFFIX]
    return any(_same(each, entry) for path in others for each in _living(path)[1])


def _same(one: Entry, other: Entry) -> bool:
    names = ("vcenter", "vm", "path")
    return one.kind == other.kind and all(
        one.facts.get(name) == other.facts.get(name) for name in names
    )


def _living(path: str) -> tuple[dict[str, t.Any], list[Entry]]:
    """Who it is and what it has noted; nothing where the run is dead."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return {}, []
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        journal = Journal(path, fd)
        return journal.head(), journal.open_entries()
    finally:
        os.close(fd)
    return {}, []


def host_name() -> str:
    return socket.gethostname()


def _take(path: str) -> Journal | None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(error, path) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    if os.fstat(fd).st_nlink == 0:  # another sweep was faster
        os.close(fd)
        return None
    return Journal(path, fd)


def _create_locked(path: str) -> int:
    """A sweep may find the file before it is locked, and take it for one of the dead."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    while True:
        fd = os.open(path, flags, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)


def _paths() -> list[str]:
    directory = _directory()
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unusable(error, directory) from error
    return [os.path.join(directory, name) for name in sorted(names) if name.endswith(_SUFFIX)]


def _directory() -> str:
    return os.environ.get("VDISK_STATE_DIR", STATE_DIRECTORY)


def _flush_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _unusable(error: OSError, path: str) -> DiskError:
    known = from_oserror(error, "keep a journal of what is made in vSphere", path)
    known.hint = (
        "Set VDISK_STATE_DIR to a folder that this user may write to, the same in each run."
    )
    return known
