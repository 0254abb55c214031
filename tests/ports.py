# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports for servers that tests start."""

from __future__ import annotations

import contextlib
import random
import socket

# Below those that the kernel gives to connections: one of these is still free when the server,
# some seconds later, wants it.
_LOWEST, _HIGHEST = 10240, 22000


def free_port(*neighbours: int) -> int:
    """One of the loopback interface; the ports so far above it are free as well."""
    while True:
        port = random.SystemRandom().randrange(_LOWEST, _HIGHEST)
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for each in (0, *neighbours):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port + each))
            return port
