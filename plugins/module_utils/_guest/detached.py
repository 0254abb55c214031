# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A process of ours that outlives the one that starts it.

It is a child of that process, twice forked: its code may come from an archive that vanishes with
that process, so nothing of ours may be imported later than when it begins to run.
What it opens, it opens itself: threads do not survive a fork, and locks and the mark of a clean
close belong to the process that closes.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import sys
import traceback
import typing as t

from .._device import errors
from .._device.errors import DiskError, MountFailed
from .._device.files import write_durably
from . import environment
from .processes import Process, started

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .fuse import Report

    class Closable(t.Protocol):
        """A device, or several."""

        def flush(self) -> None: ...
        def close(self) -> None: ...


START_SECONDS = 300  # to open the disk, wherever it is
LOG = "daemon.log"
CLOSED = "closed.json"  # written when the device is closed; tells how that went
STOP = {signal.SIGTERM, signal.SIGINT}
_PR_SET_NAME, _PR_SET_IO_FLUSHER = 15, 57  # prctl(2)


def start(server: Detached, born: Callable[[Process], None]) -> t.Any:
    """Let it run. `born` hears of the process before it does anything.

    Returns when it is ready, with what it told then. Raises the DiskError that it raises before,
    MountFailed.
    """
    go_read, go_write = os.pipe()
    report_read, report_write = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(go_write)
        server.report = report_write
        _first_child(server, go_read)
    os.close(go_read)
    os.close(report_write)
    os.waitpid(first, 0)
    with os.fdopen(go_write, "wb", 0) as go, os.fdopen(report_read, "rb", 0) as report:
        process = _read_process(report)
        born(process)
        with contextlib.suppress(BrokenPipeError):  # it is dead already: no answer will come
            go.write(b"go")
        return _await_ready(report, process, server.folder)


def _read_process(report: t.BinaryIO) -> Process:
    line = report.readline()
    if not line:
        raise MountFailed("cannot start the process that serves the disk")
    return Process(int(line), started(int(line)) or 0)


def _await_ready(report: t.BinaryIO, process: Process, folder: str) -> t.Any:
    if not select.select([report], [], [], START_SECONDS)[0]:
        process.send(signal.SIGKILL)
        raise MountFailed(f"the disk was not open after {START_SECONDS} seconds", path=folder)
    answer = json.loads(report.readline() or b"{}")
    if answer.get("ready"):
        return answer["told"]
    if "message" in answer:
        raise _error(answer)
    raise MountFailed("the process that serves the disk ended", found=log_tail(folder))


def _error(answer: dict[str, t.Any]) -> DiskError:
    """The error of the child, as if it had been raised here."""
    kind = getattr(errors, answer.pop("kind"), DiskError)
    return t.cast("DiskError", kind(answer.pop("message"), **answer))


def log_tail(folder: str) -> str:
    """The last lines that a daemon wrote."""
    try:
        with open(os.path.join(folder, LOG), errors="replace") as stream:
            return " / ".join(stream.read()[-2000:].splitlines()[-5:]) or "nothing logged"
    except OSError:
        return "nothing logged"


def _first_child(server: Detached, go: int) -> t.NoReturn:
    """Let go of the terminal, of the parent, and of its files: one of them is its lock."""
    try:
        gc.freeze()  # what the parent left to be collected is the parent's to close or delete
        let_go_of_files(go, *server.pipes)
        environment.hide()
        os.setsid()
        second = os.fork()
        if second == 0:
            server.live(go)
        else:
            os.write(server.report, b"%d\n" % second)
    finally:
        os._exit(0)


class Detached:
    """Life of the process; ends with os._exit(), never returns into the parent's code."""

    title = b"vdisk"  # for ps

    def __init__(self, folder: str) -> None:
        self.folder = folder  # where it keeps its log
        self.report = -1

    def work(self) -> None:
        """What it is there for. Calls tell_ready() once that is done."""
        raise NotImplementedError

    @property
    def pipes(self) -> list[int]:
        """What it keeps of its parent's files."""
        return [self.report]

    def live(self, go: int) -> None:
        if os.read(go, 2) != b"go":  # the parent died before it could write down who we are
            return
        os.close(go)
        self._settle()
        try:
            self.work()
        except DiskError as error:
            traceback.print_exc()
            facts = error.facts()
            self._tell({**facts, "message": error.message})
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()

    def _settle(self) -> None:
        """Own log, own name, nothing of the parent's ways."""
        log = os.open(os.path.join(self.folder, LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.close(log)
        os.close(null)
        sys.stdout = sys.stderr = os.fdopen(1, "w", 1, errors="replace", closefd=False)
        os.chdir("/")
        os.umask(0o077)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        for number in STOP:
            signal.signal(number, signal.SIG_DFL)
        _become_disk(self.title)

    def tell_ready(self, told: object = None) -> None:
        """Let the parent go, with what it shall know (JSON)."""
        self._tell({"ready": True, "told": told})

    def _tell(self, answer: dict[str, object]) -> None:
        with contextlib.suppress(OSError):  # the parent may be dead: somebody will sweep
            os.write(self.report, json.dumps(answer).encode() + b"\n")
            os.close(self.report)
            self.report = -1  # the number may soon be that of another file

    def close(self, device: Closable, report: Report, *, read_only: bool) -> None:
        """Make all durable, and leave word how it went."""
        try:
            if not read_only:
                device.flush()
            device.close()
        except Exception as error:
            report.note("close", error, write=True)
        leave_word(self.folder, report.failed_writes, report.first_failure)


def leave_word(folder: str, failed_writes: int, first_failure: str | None) -> None:
    """How the closing went, durable when it returns."""
    facts = {"failed_writes": failed_writes, "first_failure": first_failure}
    write_durably(os.path.join(folder, CLOSED), json.dumps(facts).encode())


def closing_report(folder: str) -> dict[str, t.Any] | None:
    """What was left when the device was closed; None when it did not get that far."""
    try:
        with open(os.path.join(folder, CLOSED), "rb") as stream:
            return t.cast("dict[str, t.Any]", json.load(stream))
    except FileNotFoundError:
        return None


def let_go_of_files(*kept: int) -> None:
    """Put nothing in the place of every file but the standard ones and these.

    Their numbers stay taken: an object of the parent that knows one may still close it, and must
    not hit what would have got the number next, such as /dev/fuse.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2 and fd not in (null, *kept):
            with contextlib.suppress(OSError):  # the one that listed the folder
                os.fstat(fd)
                os.dup2(null, fd, inheritable=False)
    os.close(null)


def _become_disk(title: bytes) -> None:
    """Our name for ps, and the kernel's promise not to wait for us while it frees memory."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NAME, title, 0, 0, 0)
    libc.prctl(_PR_SET_IO_FLUSHER, 1, 0, 0, 0)
