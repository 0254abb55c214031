# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Limits of time for what may never end: reading from a file system that strangers made."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import tempfile
import time
import typing as t

from .._device import errors
from .._device.errors import DiskError, MountFailed
from .detached import let_go_of_files

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_MEMORY = 4 << 30  # bytes that a child may take, above what it begins with
_LINE = 1 << 16
_REAP_SECONDS = 5  # one that hangs in the kernel does not even die


class NoAnswer(MountFailed):
    """Something did not end within its limit, or died."""


def each_within(seconds: float, parts: Callable[[], Iterable[t.Any]]) -> Iterator[t.Any]:
    """What `parts` gives, made in a child process; the parts are such as JSON can carry.

    Raises NoAnswer, and the DiskError that the child raises. What came before is given in any case.
    """
    with tempfile.TemporaryDirectory(prefix="vdisk-") as scratch:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            _answer(parts, writing, scratch)
        os.close(writing)
        try:
            for line in _lines(reading, time.monotonic() + seconds):
                if line is None:
                    raise NoAnswer(f"it did not answer within {seconds:g} seconds")
                message = json.loads(line)
                if not message:
                    return
                yield _part(message)
            raise NoAnswer("the process that read it died, perhaps for want of memory")
        finally:
            os.close(reading)
            _end(child)


def _answer(parts: Callable[[], Iterable[t.Any]], writing: int, scratch: str) -> t.NoReturn:
    """Life of the child. Its temporary files go with it, also when it is killed."""
    try:
        tempfile.tempdir = scratch
        let_go_of_files(writing)
        _limit_memory()
        with os.fdopen(writing, "w") as stream:
            for line in _told(parts):
                stream.write(line + "\n")
                stream.flush()
    finally:
        os._exit(0)


def _told(parts: Callable[[], Iterable[t.Any]]) -> Iterator[str]:
    """A line for each part; the last one says that it is the last, or what went wrong."""
    try:
        for part in parts():
            yield json.dumps({"part": part})
        yield json.dumps({})
    except DiskError as error:
        yield json.dumps({"error": {**error.facts(), "message": error.message}})
    except Exception as error:
        facts = {"kind": "DiskError", "message": f"{type(error).__name__}: {error}"}
        yield json.dumps({"error": facts})


def _part(message: dict[str, t.Any]) -> t.Any:
    if "error" not in message:
        return message["part"]
    facts = message["error"]
    kind = getattr(errors, facts.pop("kind"), DiskError)
    raise t.cast("DiskError", kind(facts.pop("message"), **facts))


def _limit_memory() -> None:
    with open("/proc/self/statm") as stream:
        taken = int(stream.read().split()[0]) * resource.getpagesize()
    _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = taken + _MEMORY
    if hard == resource.RLIM_INFINITY or wanted < hard:
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


def _lines(reading: int, end: float) -> Iterator[bytearray | None]:
    """Whole lines until the child ends; None when the time is over."""
    left = bytearray()
    while select.select([reading], [], [], max(0, end - time.monotonic()))[0]:
        data = os.read(reading, _LINE)
        if not data:
            return
        left += data
        if b"\n" in data:
            *whole, left = left.split(b"\n")
            yield from whole
    yield None


def _end(child: int) -> None:
    """It is done, or too late."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    end = time.monotonic() + _REAP_SECONDS
    while os.waitpid(child, os.WNOHANG) == (0, 0) and time.monotonic() < end:
        time.sleep(0.001)
