# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""This program once more, from a Python that nobody can write to."""

from __future__ import annotations

import os
import sys
import typing as t

from .kernel import BIND, NEWNS, PRIVATE, RDONLY, REC, REMOUNT, check, detach, libc, mount


def start_again(word: str) -> t.NoReturn:
    """With one more argument, in a mount namespace of our own. Raises OSError.

    The guest reaches the file of our Python through /proc/1/exe, or with a /bin/sh that is a link
    to /proc/self/exe, and could change it as soon as nobody runs it (CVE-2019-5736). A process
    keeps the mount from which it was started, so that one has to be read-only.
    """
    check(libc.unshare(NEWNS), "unshare")
    mount("none", "/", "", REC | PRIVATE)
    program = os.readlink("/proc/self/exe")
    mount(program, program, "", BIND)
    mount("none", program, "", BIND | REMOUNT | RDONLY)
    os.execv(program, [*sys.orig_argv, word])


def forget_mounts() -> None:
    """Have a mount namespace with nothing in it. Raises OSError.

    What is mounted on this host stays mounted in each copy of its mounts: other disks could not be
    closed before the command has ended. Files that are open stay so, nothing else can be opened.
    """
    check(libc.unshare(NEWNS), "unshare")
    detach("/")
