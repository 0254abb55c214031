# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The QEMU guest agent, asked who it is without being waited for.

What it says is said by the guest: it is shown, and trusted in nothing.
"""

from __future__ import annotations

import os
import typing as t

from .lines import JsonLines

if t.TYPE_CHECKING:
    import socket

    from .lines import Message

_QUESTIONS = {"os": "guest-get-osinfo", "interfaces": "guest-network-get-interfaces"}


class Agent:
    """First the agent shows that it hears us, then it is asked one question after the other."""

    def __init__(self, connection: socket.socket) -> None:
        self._lines = JsonLines(connection)
        self._mark = int.from_bytes(os.urandom(4), "big")
        self._open = list(_QUESTIONS)
        self.has_answered = False
        self.facts: dict[str, t.Any] = {}

    def fileno(self) -> int:
        return self._lines.fileno()

    @property
    def is_done(self) -> bool:
        return self.has_answered and not self._open

    def greet(self) -> None:
        """Once the guest has opened its end: what was written before would wait. Raises Silence."""
        self._ask("guest-sync", id=self._mark)

    def hear(self) -> None:
        """Take what has come, and ask on. Raises Silence."""
        for message in self._lines.received():
            self._take(message)

    def _take(self, message: Message) -> None:
        if not self.has_answered:
            if message.get("return") != self._mark:  # from before our time
                return
            self.has_answered = True
        elif self._open:
            self.facts[self._open.pop(0)] = message.get("return")  # None for a refusal
        if self._open:
            self._ask(_QUESTIONS[self._open[0]])

    def _ask(self, command: str, **arguments: object) -> None:
        question: Message = {"execute": command}
        if arguments:
            question["arguments"] = arguments
        self._lines.send(question)
