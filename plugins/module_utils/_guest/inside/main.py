# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Runs one command inside a root that vmdk_mount mounted.

The connection vmdk_root sends this folder to the host that has the mount, which need not have the
collection: so nothing of ours outside of it is imported.

Four processes: the outer one only waits. Its child makes the namespaces, waits and cleans up, also
if the outer one is killed. Its child is process 1 in there, and all others end with it; its child
is the command.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import typing as t

from . import init
from .again import forget_mounts, start_again
from .covers import Cover, cover
from .kernel import NODEV, NOSUID, REFUSED, NotThis, Refused, end_of, fork, mount, refused
from .mark import require_mark
from .room import enter

TIME_IS_OVER = 124  # exit status
_POLICY = "/usr/sbin/policy-rc.d"


def main() -> int:
    """The exit status of the command; see kernel.refused()."""
    return refused(lambda: _run(json.loads(sys.argv[1])))


def _run(request: dict[str, t.Any]) -> int:
    if os.geteuid():
        raise Refused(
            "it needs root on the host that has the mount; see ansible_vmdk_privilege_exe"
        )
    root = os.path.realpath(request["root"])
    if not sys.argv[2:]:
        require_mark(root, request["run_directory"])
        start_again("entering")
    sys.path.clear()  # from here on it would name files of the guest
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _end)
    return _outlived(lambda outer: _enter(request, root, outer))


def _outlived(action: t.Callable[[int], int]) -> int:
    """Do it in a child, with a pipe that is broken when we are gone. Who runs us with a time limit,
    as subprocess.run does, ends us with SIGKILL, and then there would be nobody to clean up."""
    reading, writing = os.pipe()

    def child() -> int:
        os.close(writing)
        return action(reading)

    process = fork(child)
    try:
        forget_mounts()
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    finally:
        os.close(writing)
        code = end_of(process)
    return code


def _enter(request: dict[str, t.Any], root: str, outer: int) -> int:
    resolver = _resolver() if request["network"] else None
    enter(root, network=request["network"], shared=request["shared"])
    read_only = bool(os.statvfs("/").f_flag & os.ST_RDONLY)
    if read_only and request["writes"]:
        raise NotThis(
            f"{root} is mounted read-only, and this task has to put files there. Mount it with "
            "transaction: true or read_only: false."
        )
    return _run_covered(request, resolver, read_only, outer)


def _end(_number: int, _frame: object) -> None:
    """As an exception, so that everything is cleaned up."""
    raise SystemExit(REFUSED)


def _resolver() -> bytes:
    try:
        with open("/etc/resolv.conf", "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def _run_covered(
    request: dict[str, t.Any], resolver: bytes | None, read_only: bool, outer: int
) -> int:
    covers: list[Cover] = []
    try:
        if read_only:
            _make_temporary()
        elif os.path.isdir(os.path.dirname(_POLICY)):
            covers += cover(_POLICY, b"#!/bin/sh\nexit 101\n", 0o755)
        if resolver is not None:
            covers += cover("/etc/resolv.conf", resolver, 0o644)
        return _wait(*init.start(request), outer, request["timeout"])
    finally:
        for each in covers:
            each.lift()


def _make_temporary() -> None:
    """Modules unpack themselves there."""
    for folder in filter(os.path.isdir, ("/tmp", "/var/tmp")):
        mount("tmpfs", folder, "tmpfs", NOSUID | NODEV, "mode=1777")


def _wait(process: int, life: int, outer: int, timeout: float) -> int:
    """Until it has ended, the time is over, or nobody waits for us or reads our output any more."""
    events = select.poll()
    for fd in (life, outer, 1):
        events.register(fd, 0)
    begun, over = time.monotonic(), False
    try:
        over = not events.poll(timeout * 1000 if timeout else None)
    finally:
        os.kill(process, signal.SIGKILL)
        code = end_of(process)
    if over:
        seconds = time.monotonic() - begun
        os.write(2, b"ended after %d seconds, as ansible_vmdk_timeout has it\n" % seconds)
        return TIME_IS_OVER
    return code
