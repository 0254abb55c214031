# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A program that dies with us, as nobody, with nothing of ours but some open files."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
import subprocess
import tempfile
import typing as t

from ..command import require

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KVM = "/dev/kvm"
_NOBODY = 65534
_END_SECONDS = 10
_MESSAGE = 2000  # characters of what it said last
# setpriv asks the kernel for a signal when its parent dies. Had it died before, nobody would tell:
# so the parent is looked at once more, by a shell that becomes the program.
_LEASH = '[ "$PPID" = "$0" ] && exec "$@"'


class Program:
    """While it runs, or has ended."""

    def __init__(self, process: subprocess.Popen[bytes], output: t.BinaryIO) -> None:
        self._process, self._output = process, output

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def said(self) -> str:
        """The end of its output."""
        end = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, end - _MESSAGE))
        return self._output.read().decode(errors="replace").strip()

    def wait(self, seconds: float) -> None:
        """Until it has ended, but no longer than that."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def kill(self) -> None:
        """At once, whatever it does."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)  # one that hangs in the kernel does not even die


@contextlib.contextmanager
def running(
    program: str, arguments: Sequence[str], files: Sequence[int], *, package: str
) -> Iterator[Program]:
    """files: what it inherits. From the main thread only: it dies with the thread that starts it.

    Raises MissingTool.
    """
    path = require(program, package)
    argv = [*_leash(), path, *arguments]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function # no Ansible down here
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},
            pass_fds=tuple(files),
            start_new_session=True,  # a key pressed for us is none for it
        )
        started = Program(process, output)
        try:
            yield started
        finally:
            started.kill()


def _leash() -> list[str]:
    setpriv = [require("setpriv", "util-linux"), "--no-new-privs", "--pdeathsig", "KILL"]
    if os.geteuid() == 0:
        user, group = nobody()
        groups = kvm_group()
        setpriv += ["--reuid", str(user), "--regid", str(group)]
        setpriv += ["--clear-groups"] if groups is None else ["--groups", str(groups)]
    return [*setpriv, "/bin/sh", "-c", _LEASH, str(os.getpid())]


def nobody() -> tuple[int, int]:
    """The user and the group that own nothing."""
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return _NOBODY, _NOBODY
    return entry.pw_uid, entry.pw_gid


def kvm_group() -> int | None:
    """The group that may use KVM, where it is one's right and not root's alone."""
    try:
        status = os.stat(KVM)
    except OSError:
        return None
    return status.st_gid if status.st_gid and status.st_mode & stat.S_IWGRP else None
