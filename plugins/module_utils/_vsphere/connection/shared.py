# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""One session for all that a module does at a vCenter."""

from __future__ import annotations

import atexit
import functools
import os
import typing as t

from .session import open_session

if t.TYPE_CHECKING:
    from .session import Session
    from .target import VCenter


def shared_session(vcenter: VCenter) -> Session:
    """Logged in at the first call, logged out when the process ends. Raises DiskError."""
    return _of_process(vcenter, os.getpid())


@functools.cache
def _of_process(vcenter: VCenter, _pid: int) -> Session:
    """A forked process must not write into the connections of its parent."""
    session = open_session(vcenter)
    atexit.register(session.close)
    return session
