# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""QEMU's machine protocol, as much of it as is needed."""

from __future__ import annotations

import time
import typing as t

from .lines import JsonLines, Silence

if t.TYPE_CHECKING:
    import socket

    from .lines import Message

_START_SECONDS = 30


class QmpRefused(Exception):
    """QEMU does not do it; the text says why."""


class Qmp:
    """The control channel of one QEMU."""

    def __init__(self, connection: socket.socket) -> None:
        self._lines = JsonLines(connection)
        self._events: list[Message] = []

    def fileno(self) -> int:
        return self._lines.fileno()

    def greet(self) -> None:
        """Raises Silence, QmpRefused."""
        if not any("QMP" in message for message in self._lines.wait(_START_SECONDS)):
            raise Silence("QEMU does not greet")
        self.execute("qmp_capabilities")

    def execute(self, command: str, seconds: float = 10, **arguments: object) -> object:
        """What it returns. Raises Silence, QmpRefused."""
        self._lines.send({"execute": command, "arguments": arguments})
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer = None
            for message in self._lines.wait(end - time.monotonic()):
                if "event" in message:
                    self._events.append(message)
                else:
                    answer = message
            if answer is not None:
                if "error" in answer:
                    raise QmpRefused(str(answer["error"].get("desc")))
                return t.cast("object", answer.get("return"))
        raise Silence(f"no answer to {command} within {seconds:g} seconds")

    def events(self) -> list[Message]:
        """What has happened since they were asked for last. Raises Silence."""
        self._events += [message for message in self._lines.received() if "event" in message]
        found, self._events = self._events, []
        return found
