# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""JSON, a line each, over a socket: how QEMU and the agent in a guest talk."""

from __future__ import annotations

import json
import socket
import time
import typing as t

_LONGEST = 1 << 20  # bytes of one line; whoever says more is not what it should be
_CHUNK = 64 << 10

Message = dict[str, t.Any]


class Silence(Exception):
    """No answer, and none will come."""


class JsonLines:
    """Never waits but where it is said."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.setblocking(False)
        self._unread = bytearray()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Message, seconds: float = 5) -> None:
        """Raises Silence."""
        self._socket.settimeout(seconds)
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise Silence(str(error)) from error
        finally:
            self._socket.setblocking(False)

    def received(self) -> list[Message]:
        """What has come since. Raises Silence where the other side is gone, or babbles."""
        try:
            chunk = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return []
        except OSError as error:
            raise Silence(str(error)) from error
        if not chunk or len(self._unread) > _LONGEST:
            raise Silence("it has hung up" if not chunk else "it does not end its line")
        *lines, rest = (self._unread + chunk).split(b"\n")
        self._unread = bytearray(rest)
        return [message for line in lines if (message := _parsed(line)) is not None]

    def wait(self, seconds: float) -> list[Message]:
        """The next that come; none after so many seconds. Raises Silence."""
        end = time.monotonic() + seconds
        while True:
            messages = self.received()
            if messages or time.monotonic() > end:
                return messages
            time.sleep(0.01)


def _parsed(line: bytes | bytearray) -> Message | None:
    try:
        found = json.loads(line.lstrip(b"\xff"))  # which the agent puts before some answers
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
