# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The system calls, and what they refuse in words."""

from __future__ import annotations

import ctypes
import os
import typing as t

RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT = 1, 2, 4, 8, 32  # MS_*, mount(2)
BIND, REC, PRIVATE = 4096, 16384, 1 << 18
NEWNS, NEWUTS, NEWIPC, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
PDEATHSIG, SET_DUMPABLE, SET_NAME, SECCOMP, CAPBSET_DROP, NO_NEW_PRIVS = (  # PR_*, prctl(2)
    1, 4, 15, 22, 24, 38
)  # fmt: skip
_DETACH = 2
REFUSED, NOT_THIS = 125, 123  # exit statuses: the guest, or only this task
MARK = b"vdisk.lifecycle.vmdk_root: "  # in front of the reason on stderr

libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """Why nothing can be run in there, for the user."""


class NotThis(Refused):
    """Why only this command cannot be run."""


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2). Raises OSError."""
    texts = [os.fsencode(text) for text in (source, target, kind)]
    check(libc.mount(*texts, ctypes.c_ulong(flags), data.encode()), target)


def detach(path: str) -> None:
    """Take a mount away; who still uses it may go on. Raises OSError."""
    check(libc.umount2(os.fsencode(path), _DETACH), path)


def prctl(option: int, value: object) -> None:
    """prctl(2). Raises OSError."""
    check(libc.prctl(option, value, 0, 0, 0), f"prctl {option}")


def check(result: int, what: str) -> None:
    """Raises the OSError of a call that failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def fork(action: t.Callable[[], int]) -> int:
    """The process number of a child that does it, and never returns into its parent's code."""
    process = os.fork()
    if process:
        return process
    code = REFUSED
    try:
        code = refused(action)
    finally:
        os._exit(code)


def end_of(process: int) -> int:
    """The exit status of a child as a shell says it, when it has ended."""
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return code if code >= 0 else 128 - code


def refused(action: t.Callable[[], int]) -> int:
    """The exit status of an action. If it cannot be, the reason is on stderr after MARK."""
    try:
        return action()
    except Refused as reason:
        text, code = str(reason), NOT_THIS if isinstance(reason, NotThis) else REFUSED
    except Exception as error:
        text, code = f"the guest could not be entered: {type(error).__name__}: {error}", REFUSED
    os.write(2, MARK + text.encode(errors="replace") + b"\n")
    return code
